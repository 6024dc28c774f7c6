//! The socket of a group: bound by exactly one server, and cleared away when that is dead.
//!
//! All of it happens under a lock on the socket's directory, so a socket that refuses connections is dead: none
//! is seen between its bind and its listen.

use rustix::fs::{FlockOperation, Mode, OFlags, fchmod, flock, open};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Who has the address.
#[derive(Debug)]
pub(super) enum Claim {
    /// We do.
    Bound(UnixListener),
    /// A living server, to which this is a connection.
    Taken(UnixStream),
}

/// An address that can be neither bound nor connected to.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The directory cannot be used.
    #[error("cannot open the sockets' directory {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody keeps it locked.
    #[error("cannot lock the sockets' directory {} (flock): {source}", path.display())]
    Lock {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The socket cannot be made.
    #[error("cannot listen on {}: {source}", path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A server is there, and cannot be reached.
    #[error("cannot connect to {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// How long a lock or a full backlog is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(1);
/// The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Binds the socket, or connects to the server that has it.
pub(super) fn claim(path: &Path) -> Result<Claim, SocketError> {
    let until = Instant::now() + PATIENCE;
    loop {
        {
            let _lock = lock(path)?;
            match bind(path) {
                Ok(listener) => return Ok(Claim::Bound(listener)),
                Err(Errno::ADDRINUSE) => {}
                Err(errno) => return Err(SocketError::Bind { path: path.to_owned(), source: errno.into() }),
            }
            match connect(path) {
                Ok(stream) => return Ok(Claim::Taken(stream)),
                Err(Errno::CONNREFUSED) => remove(path)?,
                // It was removed by its server, which takes no lock.
                Err(Errno::NOENT) => {}
                // Its backlog is full: alive, and busy.
                Err(Errno::AGAIN) if Instant::now() < until => {}
                Err(errno) => {
                    return Err(SocketError::Connect { path: path.to_owned(), source: errno.into() });
                }
            }
        }
        sleep(PAUSE);
    }
}

/// Removes the socket if its server died without doing so, and says whether it had. A server that was killed a moment
/// ago can still be connected to, until the kernel has closed all that it had open; so whoever is there is asked
/// whether it is `alive`.
pub(super) fn remove_dead(path: &Path, alive: impl FnOnce(UnixStream) -> bool) -> bool {
    let Ok(_lock) = lock(path) else { return false };
    let dead = match connect(path) {
        Ok(stream) => !alive(stream),
        Err(errno) => errno == Errno::CONNREFUSED,
    };
    if dead && let Err(error) = remove(path) {
        log::warn!("{error}");
    }
    dead
}

fn remove(path: &Path) -> Result<(), SocketError> {
    match rustix::fs::unlink(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(SocketError::Bind { path: path.to_owned(), source: errno.into() }),
    }
}

/// Keeps other starts away from all sockets of the directory, until it is dropped.
fn lock(path: &Path) -> Result<OwnedFd, SocketError> {
    let path = path.parent().unwrap_or(Path::new("/"));
    let directory =
        open_directory(path).map_err(|source| SocketError::Directory { path: path.to_owned(), source })?;
    let until = Instant::now() + PATIENCE;
    loop {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(directory),
            Err(Errno::AGAIN) if Instant::now() < until => sleep(PAUSE),
            // Somebody has it for longer than anything takes.
            Err(Errno::AGAIN) => {
                return Err(SocketError::Lock {
                    path: path.to_owned(),
                    source: io::ErrorKind::TimedOut.into(),
                });
            }
            Err(errno) => return Err(SocketError::Lock { path: path.to_owned(), source: errno.into() }),
        }
    }
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            DirBuilder::new().recursive(true).mode(0o711).create(path)?;
            Ok(open(path, flags, Mode::empty())?)
        }
        opened => Ok(opened?),
    }
}

fn bind(path: &Path) -> Result<UnixListener, Errno> {
    let address = SocketAddrUnix::new(path)?;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // The file gets the mode the socket has: it is root's alone from its first moment.
    fchmod(&socket, Mode::from_raw_mode(0o600))?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Never waits: a full backlog is [`Errno::AGAIN`].
fn connect(path: &Path) -> Result<UnixStream, Errno> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    net::connect(&socket, &address)?;
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Barrier;

    #[test]
    fn the_first_binds_and_the_second_connects() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("new").join("s");
        let Claim::Bound(listener) = claim(&path).expect("claimed") else { panic!("nobody was there") };
        let mode = std::fs::metadata(&path).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(claim(&path).expect("claimed"), Claim::Taken(_)));
        listener.accept().expect("the second came");
    }

    #[test]
    fn a_dead_socket_is_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s");
        drop(claim(&path).expect("claimed"));
        assert!(path.exists());
        assert!(matches!(claim(&path).expect("claimed"), Claim::Bound(_)));
    }

    #[test]
    fn only_a_dead_socket_is_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s");
        assert!(!remove_dead(&path, |_| true));
        let bound = claim(&path).expect("claimed");
        assert!(!remove_dead(&path, |_| true));
        assert!(path.exists());
        drop(bound);
        assert!(remove_dead(&path, |_| true));
        assert!(!path.exists());
        let _dying = claim(&path).expect("claimed");
        assert!(remove_dead(&path, |_| false));
        assert!(!path.exists());
    }

    #[test]
    fn of_many_at_once_one_binds() {
        let directory = tempfile::tempdir().expect("a directory");
        for round in 0..50 {
            let path = directory.path().join(round.to_string());
            // A dead one lies there already.
            drop(claim(&path).expect("claimed"));
            let barrier = Barrier::new(8);
            let bound = std::thread::scope(|scope| {
                let claims: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            claim(&path).expect("claimed")
                        })
                    })
                    .collect();
                // Nobody is dropped before all have claimed.
                let claims: Vec<_> =
                    claims.into_iter().map(|claim| claim.join().expect("no panic")).collect();
                claims.iter().filter(|claim| matches!(claim, Claim::Bound(_))).count()
            });
            assert_eq!(bound, 1, "round {round}");
        }
    }
}
