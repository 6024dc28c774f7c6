//! Maps of ids, as a spec and a mount's options write them, checked so that a mistake names its field.

use oci_spec::runtime::LinuxIdMapping;
use pinnace_spawn::{IdMaps, IdRange};

/// A map that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdMapError {
    /// A range without ids.
    #[error("{field}[{index}] maps no id: its size is 0")]
    Empty {
        /// The list.
        field: String,
        /// Which of it.
        index: usize,
    },
    /// A range that goes beyond what an id can be.
    #[error("{field}[{index}] goes beyond the last id, 4294967294: make its size smaller")]
    Beyond {
        /// The list.
        field: String,
        /// Which of it.
        index: usize,
    },
    /// Two ranges share ids.
    #[error(
        "{field}[{index}] and {field}[{other}] overlap: an id has one place in the container and one outside"
    )]
    Overlap {
        /// The list.
        field: String,
        /// One.
        index: usize,
        /// And one before it.
        other: usize,
    },
    /// More than the kernel takes.
    #[error("{field} has {count} ranges, the kernel takes 340: join some")]
    TooMany {
        /// The list.
        field: String,
        /// Its length.
        count: usize,
    },
    /// One of the two maps is missing.
    #[error("{missing} is missing beside {present}: users and groups are mapped together")]
    Half {
        /// The list that is there.
        present: String,
        /// The list that is not.
        missing: String,
    },
    /// An option of a mount that is no map.
    #[error("{option:?} is no map of ids: it is container-id:host-id:size, with commas between ranges")]
    Option {
        /// As it was given.
        option: String,
    },
}

/// The most ranges of a map (`UID_GID_MAP_MAX_EXTENTS` of the kernel).
const MOST: usize = 340;

/// The maps of a spec, or of one of its mounts: `of` is the field they are in. Nothing if it has none.
///
/// # Errors
/// When one of them is missing or wrong.
pub(super) fn of_spec(
    of: &str,
    uids: Option<&Vec<LinuxIdMapping>>,
    gids: Option<&Vec<LinuxIdMapping>>,
) -> Result<Option<IdMaps>, IdMapError> {
    let range = |mapping: &LinuxIdMapping| IdRange {
        inside: mapping.container_id(),
        outside: mapping.host_id(),
        size: mapping.size(),
    };
    let ranges = |list: Option<&Vec<LinuxIdMapping>>| list.into_iter().flatten().map(range).collect();
    both([format!("{of}.uidMappings"), format!("{of}.gidMappings")], ranges(uids), ranges(gids))
}

/// The maps among the options of a mount, as snapshotters give them.
///
/// # Errors
/// When one of them is missing or wrong.
pub(super) fn of_options(options: &[String]) -> Result<Option<IdMaps>, IdMapError> {
    let named = |name: &str| {
        let given = options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
        given.map_or(Ok(Vec::new()), |text| {
            let ranges = text.split(',').map(range).collect::<Option<_>>();
            ranges.ok_or_else(|| IdMapError::Option { option: format!("{name}={text}") })
        })
    };
    let [uids, gids] = OPTIONS;
    both([uids, gids].map(str::to_owned), named(uids)?, named(gids)?)
}

/// Whether an option is read by [`of_options`].
#[must_use]
pub(super) fn is_option(option: &str) -> bool {
    option.split_once('=').is_some_and(|(name, _)| OPTIONS.contains(&name))
}

const OPTIONS: [&str; 2] = ["uidmap", "gidmap"];

fn range(text: &str) -> Option<IdRange> {
    let mut numbers = text.splitn(3, ':').map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(IdRange { inside: next()?, outside: next()?, size: next()? })
}

fn both(
    [uid_field, gid_field]: [String; 2],
    uids: Vec<IdRange>,
    gids: Vec<IdRange>,
) -> Result<Option<IdMaps>, IdMapError> {
    check(&uid_field, &uids)?;
    check(&gid_field, &gids)?;
    match (uids.is_empty(), gids.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(IdMaps { uids, gids })),
        (false, true) => Err(IdMapError::Half { present: uid_field, missing: gid_field }),
        (true, false) => Err(IdMapError::Half { present: gid_field, missing: uid_field }),
    }
}

fn check(field: &str, ranges: &[IdRange]) -> Result<(), IdMapError> {
    let field = || field.to_owned();
    if ranges.len() > MOST {
        return Err(IdMapError::TooMany { field: field(), count: ranges.len() });
    }
    for (index, range) in ranges.iter().enumerate() {
        if range.size == 0 {
            return Err(IdMapError::Empty { field: field(), index });
        }
        if [range.inside, range.outside].iter().any(|first| first.checked_add(range.size).is_none()) {
            return Err(IdMapError::Beyond { field: field(), index });
        }
        if let Some(other) = ranges[..index].iter().position(|other| overlap(range, other)) {
            return Err(IdMapError::Overlap { field: field(), index, other });
        }
    }
    Ok(())
}

fn overlap(a: &IdRange, b: &IdRange) -> bool {
    let meet = |a: u32, a_size: u32, b: u32, b_size: u32| a < b + b_size && b < a + a_size;
    meet(a.inside, a.size, b.inside, b.size) || meet(a.outside, a.size, b.outside, b.size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(uids: serde_json::Value, gids: serde_json::Value) -> Result<Option<IdMaps>, IdMapError> {
        let list = |json| serde_json::from_value::<Option<Vec<LinuxIdMapping>>>(json).expect("a list");
        of_spec("linux", list(uids).as_ref(), list(gids).as_ref())
    }

    fn mapping(container: u32, host: u32, size: u32) -> serde_json::Value {
        serde_json::json!({"containerID": container, "hostID": host, "size": size})
    }

    #[test]
    fn maps_are_the_spec_s() {
        let list = serde_json::json!([mapping(0, 100_000, 1000), mapping(1000, 5, 1)]);
        let maps = spec(list.clone(), list).expect("fine").expect("some");
        assert_eq!((maps.uid(999), maps.gid(1000), maps.uid(1001)), (Some(100_999), Some(5), None));
        assert_eq!(spec(serde_json::Value::Null, serde_json::json!([])), Ok(None));
        // Root of the host may be mapped: the node's owner says who is whom.
        let host = serde_json::json!([mapping(0, 0, u32::MAX)]);
        assert!(spec(host.clone(), host).expect("fine").is_some());
    }

    #[test]
    fn mistakes_name_their_field() {
        let good = || serde_json::json!([mapping(0, 100_000, 10)]);
        for (bad, said) in [
            (serde_json::json!([mapping(0, 1, 0)]), "linux.uidMappings[0] maps no id"),
            (serde_json::json!([mapping(0, u32::MAX, 1)]), "linux.uidMappings[0] goes beyond"),
            (
                serde_json::json!([mapping(0, 1, 10), mapping(9, 100, 1)]),
                "linux.uidMappings[1] and linux.uidMappings[0]",
            ),
            (serde_json::json!([mapping(0, 1, 10), mapping(50, 10, 1)]), "overlap"),
            (serde_json::json!(null), "linux.uidMappings is missing beside linux.gidMappings"),
            (serde_json::Value::Array((0..341).map(|id| mapping(id, id, 1)).collect()), "has 341 ranges"),
        ] {
            let error = spec(bad, good()).expect_err(said).to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(
            spec(good(), serde_json::json!([]))
                .expect_err("half")
                .to_string()
                .contains("linux.gidMappings is missing")
        );
    }

    #[test]
    fn options_are_read_as_containerd_writes_them() {
        let options =
            |list: &[&str]| of_options(&list.iter().map(|&option| option.to_owned()).collect::<Vec<_>>());
        let maps = options(&["index=off", "uidmap=0:100000:10,10:7:1", "gidmap=0:200000:10"])
            .expect("fine")
            .expect("some");
        assert_eq!((maps.uid(10), maps.gid(9)), (Some(7), Some(200_009)));
        assert_eq!(options(&["ro", "lowerdir=/a"]), Ok(None));
        for bad in ["uidmap=", "uidmap=0:1", "uidmap=0:1:2:3", "uidmap=a:1:2", "uidmap=0:-1:2"] {
            assert_eq!(options(&[bad, "gidmap=0:1:2"]), Err(IdMapError::Option { option: bad.to_owned() }));
        }
        assert!(matches!(options(&["uidmap=0:1:2"]), Err(IdMapError::Half { .. })));
        assert!(
            is_option("uidmap=x")
                && is_option("gidmap=")
                && !is_option("lowerdir=/uidmap=")
                && !is_option("idmap")
        );
    }
}
