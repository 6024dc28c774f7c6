//! The devices that a spec gives by name, as nodes of the container: what `--device`, CDI and the CRI ask for.
//!
//! A guest has no driver's calls, it reads and writes. Rules for devices are not written into a cgroup, for there are no
//! other nodes; so they are looked at here, and a device that they leave half open is refused, not opened.

use super::user::Users;
use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType as Type, Spec};
use pinnace_plan::{Mount, MountFlags, MountKind, Node};

/// A device that cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Neither a character nor a block device, or numbers that no device has.
    #[error("device {path}: only character and block devices with numbers from 0 can be given: remove it")]
    Kind {
        /// Its path in the container.
        path: String,
    },
    /// No absolute path below the root.
    #[error("device {path:?}: its path must be absolute and without `..`")]
    Path {
        /// What was given.
        path: String,
    },
    /// The rules of its cgroup do not open it both ways.
    #[error(
        "device {path}: the rules in linux.resources.devices do not allow both reading and writing it, and less cannot be kept for a Wasm container: give it as rw, or remove it"
    )]
    Rules {
        /// Its path in the container.
        path: String,
    },
    /// An owner that the container's user namespace does not have.
    #[error("device {path}: its owner is not mapped by the container's user namespace")]
    Owner {
        /// Its path in the container.
        path: String,
    },
}

/// Those of every `/dev`.
const USUAL: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// The devices of a spec beside the usual ones.
///
/// # Errors
/// When one cannot be given; the error names it.
pub(super) fn devices(spec: &Spec, users: Option<&Users>) -> Result<Vec<Mount>, DeviceError> {
    let linux = spec.linux().as_ref();
    let rules = linux.and_then(|linux| linux.resources().as_ref()?.devices().as_deref());
    let all = linux.and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
    let unusual = all.iter().filter(|device| !USUAL.iter().any(|usual| device.path().as_path() == *usual));
    unusual.map(|device| mount(device, rules.unwrap_or_default(), users)).collect()
}

fn mount(
    device: &LinuxDevice,
    rules: &[LinuxDeviceCgroup],
    users: Option<&Users>,
) -> Result<Mount, DeviceError> {
    let path = device.path().display().to_string();
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(DeviceError::Path { path });
    }
    let block = match device.typ() {
        Type::B => true,
        Type::C | Type::U => false,
        Type::A | Type::P => return Err(DeviceError::Kind { path }),
    };
    let numbers = (u32::try_from(device.major()), u32::try_from(device.minor()));
    let (Ok(major), Ok(minor)) = numbers else {
        return Err(DeviceError::Kind { path });
    };
    if !open(device, block, rules) {
        return Err(DeviceError::Rules { path });
    }
    let (uid, gid) = (device.uid().unwrap_or(0), device.gid().unwrap_or(0));
    let owner = match users {
        None => Some((uid, gid)),
        Some(users) => users.maps().uid(uid).zip(users.maps().gid(gid)),
    };
    let Some((uid, gid)) = owner else { return Err(DeviceError::Owner { path }) };
    let mode = device.file_mode().unwrap_or(0o666) & 0o777;
    let kind = MountKind::Node(Node { block, major, minor, mode, uid, gid });
    Ok(Mount { destination: path, kind, read_only: false, flags: MountFlags::default() })
}

/// Whether the rules, of which the last that fits a device holds, leave it to be read and written.
fn open(device: &LinuxDevice, block: bool, rules: &[LinuxDeviceCgroup]) -> bool {
    let kind = if block { [Type::B, Type::B] } else { [Type::C, Type::U] };
    let fits = |rule: &&LinuxDeviceCgroup| {
        let number = |of: Option<i64>, own: i64| of.is_none_or(|of| of == -1 || of == own);
        rule.typ().is_none_or(|typ| typ == Type::A || kind.contains(&typ))
            && number(rule.major(), device.major())
            && number(rule.minor(), device.minor())
    };
    ['r', 'w'].into_iter().all(|way| {
        let of = |rule: &&LinuxDeviceCgroup| rule.access().as_ref().is_none_or(|ways| ways.contains(way));
        rules.iter().filter(fits).rfind(of).is_none_or(LinuxDeviceCgroup::allow)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(devices: Value, rules: Value) -> Result<Vec<Mount>, DeviceError> {
        let linux = json!({"devices": devices, "resources": {"devices": rules}});
        let spec = json!({"ociVersion": "1.2.0", "linux": linux});
        super::devices(&serde_json::from_value(spec).expect("a spec"), None)
    }

    fn fuse() -> Value {
        json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "gid": 5}])
    }

    #[test]
    fn each_becomes_a_node_and_the_usual_ones_are_there_already() {
        let usual = json!({"path": "/dev/null", "type": "c", "major": 1, "minor": 3});
        let disk = json!({"path": "/dev/disk", "type": "b", "major": 8, "minor": 0});
        let mounts = of(json!([usual, fuse()[0], disk]), json!([])).expect("fine");
        let paths: Vec<_> = mounts.iter().map(|mount| mount.destination.as_str()).collect();
        assert_eq!(paths, ["/dev/fuse", "/dev/disk"]);
        let node = Node { block: false, major: 10, minor: 229, mode: 0o666, uid: 0, gid: 5 };
        assert_eq!(mounts[0].kind, MountKind::Node(node));
        assert!(matches!(mounts[1].kind, MountKind::Node(Node { block: true, .. })));
    }

    #[test]
    fn the_last_rule_that_fits_holds() {
        let deny = json!({"allow": false, "access": "rwm"});
        let rule =
            |access: &str| json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": access});
        of(fuse(), json!([deny, rule("rwm")])).expect("opened");
        of(fuse(), json!([deny, rule("r"), rule("w")])).expect("opened in two steps");
        of(fuse(), json!([deny, {"allow": true, "type": "c", "access": "rwm"}])).expect("all of the kind");
        for rules in [json!([deny]), json!([deny, rule("r")]), json!([rule("rwm"), deny])] {
            let error = of(fuse(), rules).expect_err("closed").to_string();
            assert!(error.contains("/dev/fuse") && error.contains("linux.resources.devices"), "{error}");
        }
        let block = json!({"allow": true, "type": "b", "major": 10, "minor": 229, "access": "rwm"});
        assert!(of(fuse(), json!([deny, block])).is_err(), "another kind");
    }

    #[test]
    fn what_is_no_device_is_named() {
        for (device, part) in [
            (json!({"path": "/dev/pipe", "type": "p"}), "/dev/pipe"),
            (json!({"path": "dev/x", "type": "c", "major": 1, "minor": 1}), "dev/x"),
            (json!({"path": "/dev/../x", "type": "c", "major": 1, "minor": 1}), "absolute"),
            (json!({"path": "/dev/x", "type": "c", "major": -1, "minor": 1}), "numbers"),
        ] {
            let error = of(json!([device]), json!([])).expect_err("refused").to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
