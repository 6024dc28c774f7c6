//! The kernel's side of terminals: two ends of one device.
//!
//! They are of the host's devpts; nothing of it is in the container. The process gets its end open, so nobody
//! needs to find it by a path: it stays root's alone, whatever the process' user is called on the host.

use super::super::StdioError;
use rustix::fs::{Mode, fchmod};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, SpecialCodeIndex, Winsize, tcgetattr, tcsetwinsize};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Nobody's controlling terminal by being opened.
const FLAGS: OpenptFlags = OpenptFlags::RDWR.union(OpenptFlags::NOCTTY).union(OpenptFlags::CLOEXEC);

/// Makes a terminal; gives its master.
pub(in super::super) fn open() -> Result<OwnedFd, StdioError> {
    let failed = |errno: rustix::io::Errno| StdioError::Terminal(errno.into());
    let master = openpt(FLAGS).map_err(failed)?;
    unlockpt(&master).map_err(failed)?;
    fchmod(slave(&master)?, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    Ok(master)
}

/// The process' three ends.
pub(in super::super) fn ends(master: &OwnedFd) -> Result<[OwnedFd; 3], StdioError> {
    let slave = slave(master)?;
    let copy = || slave.try_clone().map_err(StdioError::OtherSide);
    Ok([copy()?, copy()?, slave])
}

/// Opens the other side. By descriptor, because its path is that of another mount namespace if an OCI runtime made it.
pub(super) fn slave(master: impl AsFd) -> Result<OwnedFd, StdioError> {
    ioctl_tiocgptpeer(master, FLAGS).map_err(|errno| StdioError::OtherSide(errno.into()))
}

/// Sets its size.
pub(super) fn resize(master: impl AsFd, width: u16, height: u16) -> io::Result<()> {
    let size = Winsize { ws_col: width, ws_row: height, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(master, size)?)
}

/// The key that ends the input, while the process reads by lines.
pub(super) fn end_key(master: impl AsFd) -> Option<u8> {
    let modes = tcgetattr(master).ok()?;
    let key = modes.special_codes[SpecialCodeIndex::VEOF];
    // Zero is no key.
    (modes.local_modes.contains(LocalModes::ICANON) && key != 0).then_some(key)
}
