//! The namespaces of the container: joined by descriptor, named, and tuned.

use crate::users::Users;
use crate::{SandboxError, descriptors};
use pinnace_plan::{Fd, Namespace};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd;

/// Joins each namespace, and closes its descriptor: it would keep the namespace alive. The user namespace is the answer,
/// to be entered later.
pub(crate) fn join(namespaces: &[(Namespace, Fd)]) -> Result<Option<Users>, SandboxError> {
    let mut users = None;
    for &(kind, fd) in namespaces {
        let fd = descriptors::take(fd, "a namespace")?;
        let link = match kind {
            Namespace::Network => LinkNameSpaceType::Network,
            Namespace::Ipc => LinkNameSpaceType::InterProcessCommunication,
            Namespace::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
            Namespace::Cgroup => LinkNameSpaceType::ControlGroup,
            Namespace::User { uid, gid } => {
                users = Some(Users { namespace: fd, uid, gid });
                continue;
            }
        };
        move_into_link_name_space(fd.as_fd(), Some(link))
            .map_err(|errno| SandboxError::JoinNamespace { kind, source: errno.into() })?;
    }
    Ok(users)
}

/// Names the UTS namespace.
pub(crate) fn name(hostname: Option<&str>, domainname: Option<&str>) -> Result<(), SandboxError> {
    if let Some(name) = hostname {
        rustix::system::sethostname(name.as_bytes())
            .map_err(|errno| SandboxError::Hostname { name: name.to_owned(), source: errno.into() })?;
    }
    if let Some(name) = domainname {
        rustix::system::setdomainname(name.as_bytes())
            .map_err(|errno| SandboxError::Domainname { name: name.to_owned(), source: errno.into() })?;
    }
    Ok(())
}

/// Writes the sysctls. The host's `/proc` is still there, and shows the namespaces of who reads it.
pub(crate) fn sysctls(entries: &[(String, String)]) -> Result<(), SandboxError> {
    for (key, value) in entries {
        let path = sysctl_path(key).ok_or_else(|| SandboxError::SysctlNotNamespaced { key: key.clone() })?;
        write_sysctl(&path, value).map_err(|errno| SandboxError::Sysctl {
            key: key.clone(),
            value: value.clone(),
            source: errno.into(),
        })?;
    }
    Ok(())
}

fn write_sysctl(path: &str, value: &str) -> rustix::io::Result<()> {
    let base = rustix::fs::openat(CWD, "/proc/sys", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let file = openat2(
        base,
        path,
        OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
    )?;
    rustix::io::write(file, value.as_bytes())?;
    Ok(())
}

/// The path below `/proc/sys` of a sysctl that belongs to a namespace, or nothing.
///
/// As in sysctl.d(5): where the first separator is a dot, dots separate and slashes are dots
/// (`net.ipv4.conf.eth0/100.forwarding`); where it is a slash, all is taken as it stands.
fn sysctl_path(key: &str) -> Option<String> {
    let path: String = match key.find(['.', '/']) {
        Some(first) if key.as_bytes()[first] == b'.' => key
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect(),
        _ => key.to_owned(),
    };
    if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return None;
    }
    const IPC: [&str; 8] = [
        "kernel/msgmax",
        "kernel/msgmnb",
        "kernel/msgmni",
        "kernel/sem",
        "kernel/shmall",
        "kernel/shmmax",
        "kernel/shmmni",
        "kernel/shm_rmid_forced",
    ];
    const UTS: [&str; 2] = ["kernel/hostname", "kernel/domainname"];
    let namespaced = path.starts_with("net/")
        || path.starts_with("fs/mqueue/")
        || IPC.contains(&path.as_str())
        || UTS.contains(&path.as_str());
    namespaced.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::sysctl_path;

    #[test]
    fn names_become_paths() {
        assert_eq!(sysctl_path("net.ipv4.ip_forward").as_deref(), Some("net/ipv4/ip_forward"));
        assert_eq!(sysctl_path("net/ipv4/ip_forward").as_deref(), Some("net/ipv4/ip_forward"));
        assert_eq!(
            sysctl_path("net.ipv4.conf.eth0/100.forwarding").as_deref(),
            Some("net/ipv4/conf/eth0.100/forwarding")
        );
        assert_eq!(sysctl_path("kernel.sem").as_deref(), Some("kernel/sem"));
        assert_eq!(sysctl_path("fs.mqueue.msg_max").as_deref(), Some("fs/mqueue/msg_max"));
    }

    #[test]
    fn what_would_change_the_host_is_refused() {
        for key in [
            "kernel.core_pattern",
            "kernel.modprobe",
            "vm.overcommit_memory",
            "fs.file-max",
            "kernel.sem.x",
            "",
            "net",
            "net/../kernel/core_pattern",
            "net/./x",
            "net//x",
            "/net/x",
            "net./.../kernel",
            "fs.mqueue.",
        ] {
            assert_eq!(sysctl_path(key), None, "{key}");
        }
    }
}
