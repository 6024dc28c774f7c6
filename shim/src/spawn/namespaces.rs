//! Which namespaces a container gets: new ones by the clone, others joined by path; its further processes join those of
//! its first.

use super::user::Users;
use oci_spec::runtime::{LinuxNamespaceType as Type, Spec};
use pinnace_plan::Namespace;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A namespace that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// A path that cannot be opened.
    #[error("cannot open namespace {}: {source}", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A sysctl of a namespace that is the host's.
    #[error("sysctl {sysctl} would change the host, whose namespace this container shares: remove it")]
    HostSysctl {
        /// Its name.
        sysctl: String,
    },
    /// A kind that is not supported.
    #[error("a {kind} namespace is not supported: remove it from the container's configuration")]
    Unsupported {
        /// The kind.
        kind: &'static str,
    },
}

/// The kind of namespace a sysctl belongs to; what belongs to none is refused by the sandbox.
fn owner(sysctl: &str) -> Option<Type> {
    let path = sysctl.replacen('.', "/", 2);
    match path.split('/').collect::<Vec<_>>()[..] {
        ["net", ..] => Some(Type::Network),
        ["fs", "mqueue", ..] => Some(Type::Ipc),
        ["kernel", "hostname" | "domainname", ..] => Some(Type::Uts),
        ["kernel", name, ..] if name.starts_with("msg") || name.starts_with("sh") || name == "sem" => {
            Some(Type::Ipc)
        }
        _ => None,
    }
}

/// The namespaces of one container.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    /// `CLONE_NEW*` flags; the mount namespace is always among them.
    pub new: u64,
    /// A pid namespace to be born into.
    pub join_pid: Option<OwnedFd>,
    /// Those that the engine's init joins.
    pub join: Vec<(Namespace, OwnedFd)>,
}

impl Namespaces {
    /// Reads them from a spec and opens those that are named by path. The user namespace, and what belongs to it, is
    /// there already.
    ///
    /// # Errors
    /// When a path cannot be opened, or a kind is not supported.
    pub(super) fn of(spec: &Spec, users: Option<Users>) -> Result<Self, NamespaceError> {
        let mut all = Self { new: libc::CLONE_NEWNS as u64, ..Self::default() };
        let has_users = users.is_some();
        let listed = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
        for namespace in listed.into_iter().flatten() {
            let path = namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty());
            match (namespace.typ(), path) {
                (Type::Mount, None) => {}
                (Type::Mount, Some(_)) => return Err(NamespaceError::Unsupported { kind: "shared mount" }),
                (Type::User, _) => {}
                (Type::Network | Type::Ipc | Type::Uts, None) if has_users => {}
                (Type::Time, _) => return Err(NamespaceError::Unsupported { kind: "time" }),
                (Type::Pid, None) => all.new |= libc::CLONE_NEWPID as u64,
                (Type::Pid, Some(path)) => all.join_pid = Some(open(path)?),
                (Type::Network, None) => all.new |= libc::CLONE_NEWNET as u64,
                (Type::Network, Some(path)) => all.join.push((Namespace::Network, open(path)?)),
                (Type::Ipc, None) => all.new |= libc::CLONE_NEWIPC as u64,
                (Type::Ipc, Some(path)) => all.join.push((Namespace::Ipc, open(path)?)),
                (Type::Uts, None) => all.new |= libc::CLONE_NEWUTS as u64,
                (Type::Uts, Some(path)) => all.join.push((Namespace::Uts, open(path)?)),
                // A guest sees no cgroup tree, so a private view of it would be work for nobody.
                (Type::Cgroup, None) => {}
                (Type::Cgroup, Some(path)) => all.join.push((Namespace::Cgroup, open(path)?)),
            }
        }
        all.join.extend(users.into_iter().flat_map(Users::into_join));
        let sysctls = spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref());
        let own = |kind: Type| listed.into_iter().flatten().any(|namespace| namespace.typ() == kind);
        match sysctls.into_iter().flatten().find(|(name, _)| owner(name).is_some_and(|kind| !own(kind))) {
            Some((sysctl, _)) => Err(NamespaceError::HostSysctl { sysctl: sysctl.clone() }),
            None => Ok(all),
        }
    }
}

/// The kinds that a further process joins by itself, by their names in `/proc/<pid>/ns`.
const JOINED: [(Namespace, &str); 4] = [
    (Namespace::Network, "net"),
    (Namespace::Ipc, "ipc"),
    (Namespace::Uts, "uts"),
    (Namespace::Cgroup, "cgroup"),
];

impl Namespaces {
    /// Those of a container's first process, for another of its processes; what is the server's own is left out. The
    /// mount namespace is none of them.
    ///
    /// # Errors
    /// When the process has ended.
    pub(super) fn of_process(pid: i32, users: Option<Users>) -> Result<Self, NamespaceError> {
        let mut all = Self { new: 0, join_pid: other_than_ours(pid, "pid")?, join: Vec::new() };
        for (kind, name) in JOINED {
            all.join.extend(other_than_ours(pid, name)?.map(|fd| (kind, fd)));
        }
        all.join.extend(users.into_iter().flat_map(Users::into_join));
        Ok(all)
    }
}

fn other_than_ours(pid: i32, name: &str) -> Result<Option<OwnedFd>, NamespaceError> {
    let place = |path: PathBuf| {
        let opened = File::open(&path).and_then(|file| {
            let seen = file.metadata()?;
            Ok((file, (seen.dev(), seen.ino())))
        });
        opened.map_err(|source| NamespaceError::Open { path, source })
    };
    let (theirs, there) = place(format!("/proc/{pid}/ns/{name}").into())?;
    let (_, here) = place(format!("/proc/self/ns/{name}").into())?;
    Ok((there != here).then(|| theirs.into()))
}

fn open(path: &PathBuf) -> Result<OwnedFd, NamespaceError> {
    File::open(path).map(OwnedFd::from).map_err(|source| NamespaceError::Open { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(namespaces: serde_json::Value) -> Result<Namespaces, NamespaceError> {
        let spec = serde_json::json!({"ociVersion": "1.1.0", "linux": {"namespaces": namespaces}});
        Namespaces::of(&serde_json::from_value(spec).expect("a spec"), None)
    }

    #[test]
    fn the_mount_namespace_is_always_new() {
        assert_eq!(of(serde_json::json!([])).expect("fine").new, libc::CLONE_NEWNS as u64);
    }

    #[test]
    fn new_and_joined_ones_are_told_apart() {
        let all = of(serde_json::json!([
            {"type": "pid"}, {"type": "network", "path": "/proc/self/ns/net"}, {"type": "ipc", "path": ""}
        ]))
        .expect("fine");
        assert_eq!(all.new, (libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC) as u64);
        assert!(matches!(all.join[..], [(Namespace::Network, _)]));
    }

    #[test]
    fn of_a_process_that_shares_all_nothing_is_joined() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        let all = Namespaces::of_process(own, None).expect("fine");
        assert!(all.new == 0 && all.join_pid.is_none() && all.join.is_empty());
        let gone = Namespaces::of_process(i32::MAX, None).expect_err("nobody").to_string();
        assert!(gone.contains("/proc/2147483647/ns/pid"), "{gone}");
    }

    #[test]
    fn a_sysctl_needs_a_namespace_of_its_kind() {
        let with = |namespaces: serde_json::Value, sysctl: &str| {
            let linux = serde_json::json!({"namespaces": namespaces, "sysctl": {sysctl: "1"}});
            let spec = serde_json::json!({"ociVersion": "1.1.0", "linux": linux});
            Namespaces::of(&serde_json::from_value(spec).expect("a spec"), None)
        };
        for sysctl in ["net.ipv4.ip_forward", "net/ipv4/ip_forward", "fs.mqueue.msg_max", "kernel.shmmax"] {
            let error = with(serde_json::json!([{"type": "pid"}]), sysctl).expect_err("the host's");
            assert!(error.to_string().contains(sysctl), "{error}");
        }
        with(serde_json::json!([{"type": "network"}]), "net.ipv4.ip_forward").expect("its own");
        with(serde_json::json!([{"type": "ipc"}]), "kernel.sem").expect("its own");
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        let error = of(serde_json::json!([{"type": "network", "path": "/nowhere/ns"}])).expect_err("missing");
        assert!(error.to_string().contains("/nowhere/ns"), "{error}");
        let error = of(serde_json::json!([{"type": "time"}])).expect_err("unsupported");
        assert!(error.to_string().contains("time namespace"), "{error}");
    }
}
