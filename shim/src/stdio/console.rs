//! The socket at which an OCI runtime delivers the terminal it made (`--console-socket`).
//!
//! ```text
//!  bound in the bundle ──▶ the runtime is started with its path ──▶ it connects ──▶ sends the master ──▶ removed
//! ```
//!
//! A bundle's path can be longer than a socket's may be. So it is named through the server's own descriptor of the
//! bundle, and goes with the bundle whatever happens to the server.

use super::StdioError;
use rustix::fs::{AtFlags, Mode, OFlags, chmod, open, unlinkat};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pty::ptsname;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};

/// Tells the sockets of one bundle apart: its own process', and those of execs.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A socket that waits for one terminal. Dropped, it is removed.
#[derive(Debug)]
pub struct ConsoleSocket {
    directory: OwnedFd,
    name: String,
    path: PathBuf,
    listener: UnixListener,
}

impl ConsoleSocket {
    /// Listens in a bundle.
    ///
    /// # Errors
    /// When no socket can be made there.
    pub fn new(bundle: &Path) -> Result<Self, StdioError> {
        let name = format!("console-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let failed = |source: io::Error| StdioError::Console { path: bundle.join(&name), source };
        let directory = open(bundle, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| failed(errno.into()))?;
        let path = PathBuf::from(format!("/proc/{}/fd/{}/{name}", process::id(), directory.as_raw_fd()));
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let socket = Self { directory, name, path, listener };
        // The bundle of a container with a user namespace can be entered by others.
        chmod(&socket.path, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| StdioError::Console { path: socket.path.clone(), source: errno.into() })?;
        Ok(socket)
    }

    /// What to tell the runtime. It is good while this lives.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the terminal's master. An OCI runtime that fails may never send it: its end is the caller's to
    /// watch, and its word the better error.
    ///
    /// # Errors
    /// When something else comes, or nothing before the connection is closed.
    pub async fn receive(&self) -> Result<OwnedFd, StdioError> {
        let failed = |source| StdioError::NoConsole { path: self.path.clone(), source };
        let (stream, _unnamed) = self.listener.accept().await.map_err(failed)?;
        let master = stream.async_io(Interest::READABLE, || descriptor(&stream)).await.map_err(failed)?;
        // Only a master has another side with a name.
        ptsname(&master, Vec::new()).map_err(|errno| failed(errno.into()))?;
        Ok(master)
    }
}

impl Drop for ConsoleSocket {
    fn drop(&mut self) {
        if let Err(error) = unlinkat(&self.directory, &self.name, AtFlags::empty()) {
            log::debug!("the socket {} is gone already: {error}", self.name);
        }
    }
}

/// The descriptor that comes with a message; the message itself is the terminal's name in the container.
fn descriptor(stream: &UnixStream) -> io::Result<OwnedFd> {
    let mut text = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    recvmsg(stream, &mut [IoSliceMut::new(&mut text)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut rights = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    rights
        .find_map(|mut rights| rights.next())
        .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "no descriptor came"))
}

#[cfg(test)]
mod tests {
    use super::super::terminal;
    use super::*;
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::fs::File;
    use std::io::IoSlice;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::net::UnixStream;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(future)
    }

    /// As an OCI runtime does it.
    fn send(path: &Path, fds: &[BorrowedFd<'_>]) {
        let stream = UnixStream::connect(path).expect("connects");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(fds)));
        }
        sendmsg(&stream, &[IoSlice::new(b"/dev/pts/0")], &mut ancillary, SendFlags::empty()).expect("sent");
    }

    #[test]
    fn a_terminal_comes_through_a_bundle_of_any_length() {
        let directory = tempfile::tempdir().expect("a directory");
        let bundle = directory.path().join("b".repeat(200));
        std::fs::create_dir(&bundle).expect("a bundle");
        block_on(async {
            let socket = ConsoleSocket::new(&bundle).expect("a socket");
            assert!(socket.path().as_os_str().len() <= 106, "{}", socket.path().display());
            let mode = std::fs::metadata(socket.path()).expect("metadata").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let other = ConsoleSocket::new(&bundle).expect("one for an exec");
            assert_ne!(socket.path(), other.path());
            let master = terminal::open().expect("a terminal");
            send(socket.path(), &[master.as_fd()]);
            let received = socket.receive().await.expect("received");
            let device =
                |fd: &OwnedFd| File::from(fd.try_clone().expect("a copy")).metadata().expect("known");
            assert_eq!(device(&received).rdev(), device(&master).rdev());
            assert_eq!(ptsname(&received, Vec::new()), ptsname(&master, Vec::new()));
        });
        assert_eq!(std::fs::read_dir(&bundle).expect("read").count(), 0);
    }

    #[test]
    fn what_is_no_terminal_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        block_on(async {
            let socket = ConsoleSocket::new(directory.path()).expect("a socket");
            let null = File::open("/dev/null").expect("null");
            for fds in [&[null.as_fd()][..], &[]] {
                send(socket.path(), fds);
                let error = socket.receive().await.expect_err("no terminal");
                assert!(matches!(error, StdioError::NoConsole { .. }), "{error}");
            }
            drop(UnixStream::connect(socket.path()).expect("connects"));
            socket.receive().await.expect_err("nothing came");
        });
        let error = ConsoleSocket::new(&directory.path().join("absent")).expect_err("no bundle");
        assert!(error.to_string().contains("absent"), "{error}");
    }
}
