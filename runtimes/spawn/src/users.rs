//! User namespaces, as descriptors: new ones with maps, or joined ones with the maps they have.
//!
//! ```text
//!  parent: makes a placeholder ────────────────▶ unshare(user), or setns to the one there is
//!                                                 unshare(the kinds that shall belong to it)
//!          hears "done" or the step's errno  ◀──
//!          writes /proc/<pid>/{uid,gid}_map
//!          (or reads them)
//!          opens /proc/<pid>/ns/…
//!          drops the placeholder            ───▶  _exit
//! ```
//!
//! The container's process is born as the server's user and enters late, when nothing is left to do for which the
//! host's rights are needed; mounts take their maps from the same descriptor. The placeholder costs 0.1 ms on the test
//! machine, beside what the namespaces it makes would cost anyway.

#![allow(unsafe_code, reason = "system calls that rustix does not have")]

use crate::placeholder::{Placeholder, PlaceholderError};
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// One line of a map: `size` ids from `inside` on are those from `outside` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first id in the namespace.
    pub inside: u32,
    /// The first id in the namespace of who reads the map.
    pub outside: u32,
    /// How many.
    pub size: u32,
}

/// The maps of a user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdMaps {
    /// Of user ids.
    pub uids: Vec<IdRange>,
    /// Of group ids.
    pub gids: Vec<IdRange>,
}

impl IdMaps {
    /// The user id outside of `uid` inside.
    #[must_use]
    pub fn uid(&self, uid: u32) -> Option<u32> {
        outside(&self.uids, uid)
    }

    /// The group id outside of `gid` inside.
    #[must_use]
    pub fn gid(&self, gid: u32) -> Option<u32> {
        outside(&self.gids, gid)
    }
}

fn outside(map: &[IdRange], id: u32) -> Option<u32> {
    map.iter().find_map(|range| {
        let offset = id.checked_sub(range.inside).filter(|offset| *offset < range.size)?;
        range.outside.checked_add(offset)
    })
}

/// A user namespace, and others that belong to it.
#[derive(Debug)]
pub struct UserNamespace {
    /// It, open.
    pub fd: OwnedFd,
    /// Its maps.
    pub maps: IdMaps,
    /// New namespaces that belong to it, by their `CLONE_NEW*` flag.
    pub owned: Vec<(u64, OwnedFd)>,
}

/// A user namespace that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum UserNamespaceError {
    /// No process to make it in.
    #[error("cannot make a process for a new user namespace: {0}")]
    Placeholder(#[from] PlaceholderError),
    /// The kernel gives no user namespace.
    #[error(
        "the kernel gives no user namespace ({0}): look at /proc/sys/user/max_user_namespaces, and that the kernel has CONFIG_USER_NS"
    )]
    New(#[source] io::Error),
    /// The named one cannot be joined.
    #[error("cannot join the user namespace ({0}): does the path name one?")]
    Join(#[source] io::Error),
    /// Namespaces of other kinds that belong to it.
    #[error("cannot make the other new namespaces of a user namespace")]
    Owned(#[source] io::Error),
    /// A map was refused.
    #[error("the kernel refuses the map {map:?} ({source})")]
    Map {
        /// As it was written.
        map: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file of the placeholder in `/proc`.
    #[error("cannot use {}: {source}", path.display())]
    Proc {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The kinds that may belong to it, by their names in `/proc/<pid>/ns`.
const KINDS: [(u64, &str); 3] = [
    (libc::CLONE_NEWNET as u64, "net"),
    (libc::CLONE_NEWIPC as u64, "ipc"),
    (libc::CLONE_NEWUTS as u64, "uts"),
];

impl UserNamespace {
    /// Makes one with these maps. `owned` are the `CLONE_NEW*` flags of namespaces to make in it: network, IPC, UTS.
    ///
    /// # Errors
    /// When the kernel refuses it, or a map.
    pub fn make(maps: IdMaps, owned: u64) -> Result<Self, UserNamespaceError> {
        let placeholder = enter(None, owned)?;
        for (file, map) in [("uid_map", &maps.uids), ("gid_map", &maps.gids)] {
            let text = lines(map);
            std::fs::write(proc(placeholder.pid(), file), &text)
                .map_err(|source| UserNamespaceError::Map { map: text, source })?;
        }
        take(placeholder, maps, owned)
    }

    /// Takes one that exists, with its maps as this process sees them, and makes those of `owned` in it.
    ///
    /// # Errors
    /// When it cannot be joined.
    pub fn join(existing: BorrowedFd<'_>, owned: u64) -> Result<Self, UserNamespaceError> {
        let placeholder = enter(Some(existing), owned)?;
        let maps = maps(placeholder.pid())?;
        take(placeholder, maps, owned)
    }

    /// Takes that of a process, with its maps as this process sees them.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn of(pid: i32) -> Result<Self, UserNamespaceError> {
        Ok(Self { fd: open(pid, "ns/user")?, maps: maps(pid)?, owned: Vec::new() })
    }
}

/// Has the owners of the files of a detached mount pass through the maps of the user namespace `users`.
///
/// # Errors
/// When its file system does not support it, or has it already.
pub fn map_mount(mount: BorrowedFd<'_>, users: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: users.as_raw_fd() as u64,
    };
    // SAFETY: the path is an empty C string, the structure lives over the call and its size is the one passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn lines(map: &[IdRange]) -> String {
    map.iter().fold(String::new(), |mut text, range| {
        let _ = writeln!(text, "{} {} {}", range.inside, range.outside, range.size);
        text
    })
}

fn ranges(text: &str) -> Option<Vec<IdRange>> {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(IdRange { inside: next()?, outside: next()?, size: next()? })
    };
    text.lines().map(range).collect()
}

/// What the placeholder says.
const DONE: u8 = 0;
const USER: u8 = 1;
const OWNED: u8 = 2;

/// A process that is in the namespaces while they are opened.
fn enter(existing: Option<BorrowedFd<'_>>, owned: u64) -> Result<Placeholder, UserNamespaceError> {
    let target = existing.map(|fd| fd.as_raw_fd());
    // SAFETY: plain numbers, in a process that does nothing else.
    let work = move || unsafe {
        let entered = match target {
            Some(fd) => libc::setns(fd, libc::CLONE_NEWUSER),
            None => libc::unshare(libc::CLONE_NEWUSER),
        };
        match entered {
            0 if owned == 0 || libc::unshare(owned as i32) == 0 => DONE,
            0 => OWNED,
            _ => USER,
        }
    };
    let (placeholder, (step, errno)) = Placeholder::start_with(work)?;
    let source = io::Error::from_raw_os_error(errno);
    match step {
        DONE => Ok(placeholder),
        OWNED => Err(UserNamespaceError::Owned(source)),
        _ if existing.is_some() => Err(UserNamespaceError::Join(source)),
        _ => Err(UserNamespaceError::New(source)),
    }
}

fn proc(pid: i32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

fn open(pid: i32, file: &str) -> Result<OwnedFd, UserNamespaceError> {
    let path = proc(pid, file);
    File::open(&path).map(OwnedFd::from).map_err(|source| UserNamespaceError::Proc { path, source })
}

/// The maps of a process' user namespace, as this process sees them.
fn maps(pid: i32) -> Result<IdMaps, UserNamespaceError> {
    let read = |file: &str| {
        let path = proc(pid, file);
        std::fs::read_to_string(&path)
            .and_then(|text| ranges(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData)))
            .map_err(|source| UserNamespaceError::Proc { path, source })
    };
    Ok(IdMaps { uids: read("uid_map")?, gids: read("gid_map")? })
}

/// Opens what the placeholder is in, and ends it.
fn take(placeholder: Placeholder, maps: IdMaps, owned: u64) -> Result<UserNamespace, UserNamespaceError> {
    let pid = placeholder.pid();
    let others = KINDS.iter().filter(|(flag, _)| owned & flag != 0);
    let opened = |&(flag, name): &(u64, &str)| Ok((flag, open(pid, &format!("ns/{name}"))?));
    let owned = others.map(opened).collect::<Result<_, UserNamespaceError>>()?;
    Ok(UserNamespace { fd: open(pid, "ns/user")?, maps, owned })
}

#[cfg(test)]
mod tests {
    use super::{IdMaps, IdRange, lines, ranges};

    fn range(inside: u32, outside: u32, size: u32) -> IdRange {
        IdRange { inside, outside, size }
    }

    #[test]
    fn ids_are_looked_up_by_their_range() {
        let map = vec![range(0, 100_000, 10), range(10, 5, 1), range(20, u32::MAX, 2)];
        let maps = IdMaps { uids: map.clone(), gids: Vec::new() };
        assert_eq!([0, 9, 10].map(|uid| maps.uid(uid)), [Some(100_000), Some(100_009), Some(5)]);
        assert_eq!([11, 19, 21, u32::MAX].map(|uid| maps.uid(uid)), [None; 4]);
        assert_eq!(maps.gid(0), None);
    }

    #[test]
    fn maps_are_written_as_they_are_read() {
        let map = vec![range(0, 100_000, 65536), range(65536, 7, 1)];
        assert_eq!(lines(&map), "0 100000 65536\n65536 7 1\n");
        assert_eq!(ranges(&lines(&map)), Some(map));
        assert_eq!(ranges("         0          0 4294967295\n"), Some(vec![range(0, 0, u32::MAX)]));
        assert_eq!(ranges("0 x 1\n"), None);
        assert_eq!(ranges("0 1\n"), None);
    }
}
