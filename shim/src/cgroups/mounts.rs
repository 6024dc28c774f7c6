//! Which hierarchies there are: `/proc/self/mountinfo`, read as text.

use super::Controller;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Where cgroups are looked for first; elsewhere only when they are not here.
const USUAL: &str = "/sys/fs/cgroup";

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where it is mounted.
    pub(super) point: PathBuf,
    /// Device numbers of the file system: the hierarchy's identity.
    pub(super) device: (u32, u32),
    /// What it controls.
    pub(super) kind: Kind,
}

/// What a hierarchy controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A v1 hierarchy with its controllers, at least one.
    V1(Vec<Controller>),
    /// A v1 hierarchy without controllers, `name=systemd`.
    Named,
    /// The unified hierarchy.
    V2,
}

/// The hierarchies to use.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    V1(Vec<Mount>),
    V2(Mount),
}

/// The cgroup mounts of a mountinfo text, in its order.
///
/// The named v1 hierarchy (`name=systemd`) is none to use. runc joins it, for images that run systemd; no limit
/// and no figure lives there, and an engine left beside its server is where the service manager should see
/// it, for they die together. It would cost a ninth directory, join and removal.
pub(super) fn parse(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(parse_line).collect()
}

/// `id parent major:minor root point options [optional…] - type source super-options`
fn parse_line(line: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(2);
    let (major, minor) = mount.next()?.split_once(':')?;
    let point = mount.nth(1)?;
    let mut filesystem = filesystem.split(' ');
    let kind = match filesystem.next()? {
        "cgroup2" => Kind::V2,
        "cgroup" => {
            let controllers: Vec<_> =
                filesystem.nth(1)?.split(',').filter_map(Controller::from_name).collect();
            if controllers.is_empty() { Kind::Named } else { Kind::V1(controllers) }
        }
        _ => return None,
    };
    Some(Mount { point: unescape(point), device: (major.parse().ok()?, minor.parse().ok()?), kind })
}

/// mountinfo writes blanks and backslashes of a path as `\ooo`.
fn unescape(escaped: &str) -> PathBuf {
    let bytes = escaped.as_bytes();
    let mut path = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let octal = bytes.get(at + 1..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(value) if byte == b'\\' => {
                path.push(value);
                at += 4;
            }
            _ => {
                path.push(byte);
                at += 1;
            }
        }
    }
    PathBuf::from(OsString::from_vec(path))
}

/// Picks one mount of each hierarchy. `None` when there is no controller anywhere.
pub(super) fn choose(mounts: Vec<Mount>) -> Option<Choice> {
    let unified = mounts.iter().filter(|mount| mount.kind == Kind::V2);
    let unified =
        unified.clone().find(|mount| mount.point == Path::new(USUAL)).or(unified.clone().next()).cloned();
    if let Some(mount) = &unified
        && mount.point == Path::new(USUAL)
    {
        return unified.map(Choice::V2);
    }
    let mut chosen: Vec<Mount> = Vec::new();
    for mount in mounts.into_iter().filter(|mount| matches!(mount.kind, Kind::V1(_))) {
        match chosen.iter_mut().find(|other| other.device == mount.device) {
            None => chosen.push(mount),
            Some(other) if !other.point.starts_with(USUAL) && mount.point.starts_with(USUAL) => {
                *other = mount
            }
            Some(_) => {}
        }
    }
    if chosen.is_empty() { unified.map(Choice::V2) } else { Some(Choice::V1(chosen)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(mountinfo: &str) -> Option<Choice> {
        choose(parse(mountinfo))
    }

    fn points(choice: Option<Choice>) -> Vec<String> {
        match choice {
            Some(Choice::V1(mounts)) => {
                mounts.iter().map(|mount| mount.point.display().to_string()).collect()
            }
            other => panic!("not v1: {other:?}"),
        }
    }

    #[test]
    fn hybrid_counts_as_v1_without_the_named_and_the_unified_hierarchy() {
        let points = points(chosen(include_str!("testdata/hybrid.mountinfo")));
        let expected = ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"];
        assert_eq!(points, expected.map(|name| format!("/sys/fs/cgroup/{name}")));
    }

    #[test]
    fn co_mounted_controllers_are_one_hierarchy() {
        let Some(Choice::V1(mounts)) = chosen(include_str!("testdata/comounted.mountinfo")) else {
            panic!("not v1")
        };
        let cpu =
            mounts.iter().find(|mount| mount.kind == Kind::V1(vec![Controller::Cpu, Controller::Cpuacct]));
        assert_eq!(cpu.unwrap().point, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(mounts.len(), 11);
    }

    #[test]
    fn unified_is_v2_even_with_a_stray_v1_mount_elsewhere() {
        let v2 = include_str!("testdata/v2.mountinfo");
        let stray = format!("{v2}99 1 0:77 / /tmp/net rw - cgroup cgroup rw,net_cls\n");
        for text in [v2, &stray] {
            let Some(Choice::V2(mount)) = chosen(text) else { panic!("not v2") };
            assert_eq!((mount.point.as_path(), mount.device), (Path::new(USUAL), (0, 26)));
        }
    }

    #[test]
    fn inside_docker_the_mount_point_stands_for_the_containers_own_root() {
        let points = points(chosen(include_str!("testdata/dind.mountinfo")));
        assert_eq!(points[0], "/sys/fs/cgroup/cpuset");
        // The second mount of the same memory hierarchy lies outside the usual place.
        assert_eq!(points.iter().filter(|point| point.ends_with("memory")).count(), 1);
        assert!(points.contains(&"/sys/fs/cgroup/memory".to_owned()));
    }

    #[test]
    fn escapes_and_broken_lines() {
        let text = "1 2 0:9 / /a\\040b\\134c rw - cgroup2 cgroup2 rw\nnonsense\n1 2 x:y / / rw - cgroup2 a b\n - cgroup\n";
        assert_eq!(parse(text).len(), 1);
        assert_eq!(parse(text)[0].point, Path::new("/a b\\c"));
        assert_eq!(unescape("/x\\04"), Path::new("/x\\04"));
        assert_eq!(chosen("22 27 0:21 / /proc rw - proc proc rw\n"), None);
    }
}
