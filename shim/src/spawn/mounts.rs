//! The spec's mounts, as a Wasm container gets them.
//!
//! ```text
//!  proc sysfs cgroup cgroup2 mqueue devpts …   left out: a guest sees no kernel file system
//!  /dev                                        null, zero, full, random, urandom and nothing else
//!  /dev/pts /dev/mqueue /dev/console           left out: nothing in WASI could use them
//!  /dev/shm                                    a pod's, which is a bind, is kept; a container's own is left out
//!  bind, rbind                                 kept; one that would see later mounts of the host is refused
//!    └ idmap, ridmap, uidMappings, gidMappings the owners of its files are mapped
//!  tmpfs                                       kept; its uid and gid are the container's
//!  anything else                               refused by name
//! ```
//!
//! A bind of a kernel file system is refused later, by the sandbox, which sees what the source really is.

use super::id_maps::{self, IdMapError};
use super::user::{self, UserError, Users};
use oci_spec::runtime::{Mount as SpecMount, Spec};
use pinnace_plan::{Device, Fd, Mount, MountFlags, MountKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A mount that cannot be given to a guest.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// Propagation from or to the host.
    #[error(
        "mount {destination}: propagation {option:?} is refused, a guest sees no mount made later on the host; use private (mountPropagation: None)"
    )]
    Propagation {
        /// Where it was to go.
        destination: String,
        /// The option.
        option: String,
    },
    /// A file system of another type.
    #[error("mount {destination}: file system type {kind:?} is not supported, use bind or tmpfs")]
    Kind {
        /// Where it was to go.
        destination: String,
        /// The type.
        kind: String,
    },
    /// A bind without a source.
    #[error("mount {destination}: a bind mount needs a source")]
    NoSource {
        /// Where it was to go.
        destination: String,
    },
    /// Maps of ids that are wrong.
    #[error(transparent)]
    Map(#[from] IdMapError),
    /// A map of ids for something else than a bind.
    #[error(
        "mount {destination}: ids of bind mounts only can be mapped; remove its maps and its option idmap"
    )]
    MapOfNoBind {
        /// Where it was to go.
        destination: String,
    },
    /// A map of ids that is nowhere given.
    #[error(
        "mount {destination}: {option} needs uidMappings and gidMappings, of the mount or of the container's user namespace"
    )]
    NoMaps {
        /// Where it was to go.
        destination: String,
        /// The option.
        option: &'static str,
    },
    /// An owner that the container's user namespace does not have.
    #[error("mount {destination}: {option} is not an id that the container's user namespace maps")]
    Owner {
        /// Where it was to go.
        destination: String,
        /// The option with its value.
        option: String,
    },
    /// The user namespace for a map.
    #[error("mount {destination}: {source}")]
    Users {
        /// Where it was to go.
        destination: String,
        /// Why.
        source: UserError,
    },
    /// A destination that is no absolute path.
    #[error("mount {destination:?}: the destination must be an absolute path without `..`")]
    Destination {
        /// What was given.
        destination: String,
    },
}

/// A mount of the plan, and whether a directory is mounted.
#[derive(Debug)]
pub(super) struct Placed {
    /// The mount.
    pub mount: Mount,
    /// True for a directory, false for a single file.
    pub directory: bool,
    /// How the owners of its files are mapped, for a bind.
    pub ids: Option<Ids>,
}

/// A map for a mount.
#[derive(Debug)]
pub(super) struct Ids {
    users: OwnedFd,
    below: bool,
}

impl Placed {
    /// As the plan wants it; `number` gives a descriptor its number there.
    pub(super) fn to_plan<'a>(&'a self, number: impl FnOnce(BorrowedFd<'a>) -> Fd) -> Mount {
        let mut mount = self.mount.clone();
        if let (Some(Ids { users, below }), MountKind::Bind { source, recursive }) = (&self.ids, &mount.kind)
        {
            let (source, recursive, users) = (source.clone(), *recursive, number(users.as_fd()));
            mount.kind = MountKind::MappedBind { source, recursive, users, below: *below };
        }
        mount
    }
}

/// File systems of the kernel's own making.
const KERNEL: [&str; 13] = [
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "mqueue",
    "devpts",
    "devtmpfs",
    "debugfs",
    "tracefs",
    "securityfs",
    "bpf",
    "configfs",
    "binfmt_misc",
];

/// Below `/dev`, and of no use to a guest.
const UNUSED: [&str; 3] = ["/dev/pts", "/dev/mqueue", "/dev/console"];

/// Memory to share with others: alone, a guest has no use for it.
const SHARED: &str = "/dev/shm";

/// The mounts of a spec, in its order.
///
/// # Errors
/// When one is refused; the error names it.
pub(super) fn mounts(spec: &Spec, users: Option<&Users>) -> Result<Vec<Placed>, MountError> {
    let all = spec.mounts().iter().flatten().enumerate();
    all.filter_map(|(index, mount)| place(index, mount, users).transpose()).collect()
}

/// Whether a mount is a part of the host's tree, by its type or by its options.
pub(super) fn is_bind(mount: &SpecMount) -> bool {
    let bound = mount.options().iter().flatten().any(|option| option == "bind" || option == "rbind");
    bound || mount.typ().as_deref() == Some("bind")
}

fn place(index: usize, mount: &SpecMount, users: Option<&Users>) -> Result<Option<Placed>, MountError> {
    let destination = mount.destination().display().to_string();
    if !mount.destination().is_absolute() || destination.split('/').any(|part| part == "..") {
        return Err(MountError::Destination { destination });
    }
    let options = mount.options().as_deref().unwrap_or_default();
    let has = |name: &str| options.iter().any(|option| option == name);
    let kind = mount.typ().as_deref().unwrap_or("");
    let bind = is_bind(mount);
    let own = KERNEL.contains(&kind) || destination == SHARED;
    if own && !bind || UNUSED.contains(&destination.as_str()) {
        return Ok(None);
    }
    let ids = ids(index, mount, &destination, users)?;
    if ids.is_some() && !bind {
        return Err(MountError::MapOfNoBind { destination });
    }
    let (kind, directory) = if bind {
        if let Some(option) =
            options.iter().find(|o| ["slave", "rslave", "shared", "rshared"].contains(&o.as_str()))
        {
            return Err(MountError::Propagation { destination, option: option.clone() });
        }
        let Some(source) = mount.source() else {
            return Err(MountError::NoSource { destination });
        };
        let kind = MountKind::Bind { source: source.display().to_string(), recursive: !has("bind") };
        (kind, source.is_dir())
    } else if kind == "tmpfs" && destination == "/dev" {
        let devices = vec![Device::Null, Device::Zero, Device::Full, Device::Random, Device::Urandom];
        (MountKind::Dev { devices, options: data(options, &destination, users)? }, true)
    } else if kind == "tmpfs" {
        (MountKind::Tmpfs { options: data(options, &destination, users)? }, true)
    } else {
        return Err(MountError::Kind { destination, kind: kind.to_owned() });
    };
    let flags =
        MountFlags { no_atime: has("noatime"), relatime: has("relatime"), no_symfollow: has("nosymfollow") };
    // What is mounted below a source is as its bind is: for a guest, `ro` is as good as `rro`.
    let read_only = has("ro") || has("rro");
    Ok(Some(Placed { mount: Mount { destination, kind, read_only, flags }, directory, ids }))
}

/// How the owners of a mount's files are mapped: by its own maps, else by the container's if an option asks for it.
fn ids(
    index: usize,
    mount: &SpecMount,
    destination: &str,
    users: Option<&Users>,
) -> Result<Option<Ids>, MountError> {
    let asked = |name: &str| mount.options().iter().flatten().any(|option| option == name);
    let option = ["ridmap", "idmap"].into_iter().find(|name| asked(name));
    let of = format!("mounts[{index}]");
    let own = id_maps::of_spec(&of, mount.uid_mappings().as_ref(), mount.gid_mappings().as_ref())?;
    let maps = match (own, option, users) {
        (None, None, _) => return Ok(None),
        (Some(own), _, _) => own,
        (None, Some(_), Some(users)) => users.maps().clone(),
        (None, Some(option), None) => {
            return Err(MountError::NoMaps { destination: destination.to_owned(), option });
        }
    };
    let users = user::mapping(maps, users)
        .map_err(|source| MountError::Users { destination: destination.to_owned(), source })?;
    Ok(Some(Ids { users, below: option == Some("ridmap") }))
}

/// The options that are the file system's own. It is made outside of the user namespace, so its owners are translated.
fn data(
    options: &[String],
    destination: &str,
    users: Option<&Users>,
) -> Result<Vec<(String, Option<String>)>, MountError> {
    const OURS: [&str; 5] = ["size", "mode", "uid", "gid", "nr_inodes"];
    let ours = options.iter().filter_map(|option| option.split_once('='));
    ours.filter(|(name, _)| OURS.contains(name))
        .map(|(name, value)| {
            let outside = |users: &Users| {
                let id = value.parse().ok()?;
                let id = if name == "uid" { users.maps().uid(id) } else { users.maps().gid(id) };
                id.map(|id| id.to_string())
            };
            let value = match users.filter(|_| name == "uid" || name == "gid") {
                None => value.to_owned(),
                Some(users) => outside(users).ok_or_else(|| MountError::Owner {
                    destination: destination.to_owned(),
                    option: format!("{name}={value}"),
                })?,
            };
            Ok((name.to_owned(), Some(value)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(mounts: serde_json::Value) -> Result<Vec<Placed>, MountError> {
        super::mounts(
            &serde_json::from_value(serde_json::json!({"ociVersion": "1.1.0", "mounts": mounts}))
                .expect("a spec"),
            None,
        )
    }

    #[test]
    fn containerds_defaults_leave_only_a_small_dev() {
        let placed = of(serde_json::json!([
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts"},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm"},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
            {"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["size=65536k"]}
        ]))
        .expect("fine");
        let names: Vec<_> = placed.iter().map(|p| p.mount.destination.as_str()).collect();
        assert_eq!(names, ["/dev", "/run"]);
        assert!(
            matches!(&placed[0].mount.kind, MountKind::Dev { devices, options } if devices.len() == 5 && options.len() == 2)
        );
    }

    #[test]
    fn propagation_is_refused_by_name() {
        for option in ["rslave", "rshared", "slave", "shared"] {
            let mount = serde_json::json!([{"destination": "/d", "type": "bind", "source": "/tmp", "options": ["rbind", option]}]);
            let error = of(mount).expect_err("refused").to_string();
            assert!(error.contains("/d") && error.contains(option), "{error}");
        }
    }

    #[test]
    fn memory_that_a_pod_shares_is_kept() {
        let placed = of(serde_json::json!([
            {"destination": "/dev/shm", "type": "bind", "source": "/tmp", "options": ["rbind", "ro"]},
            {"destination": "/dev/console", "type": "bind", "source": "/dev/pts/0", "options": ["bind"]}
        ]))
        .expect("fine");
        assert!(matches!(&placed[..], [one] if one.mount.destination == "/dev/shm" && one.directory));
    }

    #[test]
    fn binds_keep_their_rights_and_kind() {
        let placed = of(serde_json::json!([
            {"destination": "/data", "type": "bind", "source": "/tmp", "options": ["rbind", "rprivate", "ro"]},
            {"destination": "/etc/hosts", "type": "bind", "source": "/etc/hosts", "options": ["bind"]},
            {"destination": "/all", "type": "bind", "source": "/tmp", "options": ["rbind", "rro"]}
        ]))
        .expect("fine");
        assert!(placed[2].mount.read_only);
        assert!(placed[0].directory && placed[0].mount.read_only);
        assert!(matches!(&placed[0].mount.kind, MountKind::Bind { recursive: true, .. }));
        assert!(!placed[1].directory && !placed[1].mount.read_only);
        assert!(matches!(&placed[1].mount.kind, MountKind::Bind { recursive: false, .. }));
    }

    #[test]
    fn other_file_systems_and_odd_destinations_are_errors() {
        assert!(matches!(
            of(serde_json::json!([{"destination": "/n", "type": "nfs", "source": "x"}])),
            Err(MountError::Kind { .. })
        ));
        assert!(matches!(
            of(serde_json::json!([{"destination": "n", "type": "tmpfs"}])),
            Err(MountError::Destination { .. })
        ));
        assert!(matches!(
            of(serde_json::json!([{"destination": "/a/../b", "type": "tmpfs"}])),
            Err(MountError::Destination { .. })
        ));
        assert!(matches!(
            of(serde_json::json!([{"destination": "/b", "type": "bind"}])),
            Err(MountError::NoSource { .. })
        ));
    }
}
