//! The control socket: one record each way, and the news that the server is dead.

use crate::inherited;
use pinnace_plan::{Command, Report, WireError, decode_record, encode_record, fds};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvFlags, SendFlags, SocketType, recv, send, sockopt};
use serde::Serialize;
use std::io;
use std::os::fd::OwnedFd;

/// Room for any command: each is a few bytes, and a guest's process sleeps on this stack for as long as it lives.
const COMMAND: usize = 64;

/// The socket to the server.
#[derive(Debug)]
pub struct Control {
    socket: OwnedFd,
}

/// Why the server cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It hung up: it is dead, or has given this container up.
    #[error("the server hung up")]
    HungUp,
    /// The socket failed.
    #[error("the control socket failed")]
    Socket(#[from] io::Error),
    /// A record could not be read or written.
    #[error("the control record is unusable")]
    Record(#[from] WireError),
    /// It said something else than what was due.
    #[error("the server sent a command that was not due")]
    OutOfTurn,
}

impl Control {
    /// The socket the program was born with, or `None`: it was started by hand.
    #[must_use]
    pub fn inherit() -> Option<Self> {
        let socket = inherited::take(fds::CONTROL).ok()?;
        match sockopt::socket_type(&socket) {
            Ok(kind) if kind == SocketType::SEQPACKET => Some(Self { socket }),
            _ => None,
        }
    }

    /// Sends one record.
    ///
    /// # Errors
    /// When the server is gone, or the record is too long.
    pub fn send<T: Serialize>(&self, record: &T) -> Result<(), ControlError> {
        let bytes = encode_record(record)?;
        send(&self.socket, &bytes, SendFlags::NOSIGNAL).map_err(io::Error::from)?;
        Ok(())
    }

    /// Waits for a command.
    ///
    /// # Errors
    /// When the server is gone, or says something else.
    pub fn wait(&self) -> Result<Command, ControlError> {
        let mut buffer = [0; COMMAND];
        let (_, length) =
            rustix::io::retry_on_intr(|| recv(&self.socket, &mut buffer[..], RecvFlags::empty()))
                .map_err(io::Error::from)?;
        match buffer.get(..length) {
            None | Some([]) => Err(ControlError::HungUp),
            Some(bytes) => Ok(decode_record(bytes)?),
        }
    }

    /// Lets the server do what it does while the container's files are mounted and not entered.
    ///
    /// # Errors
    /// When it is gone, has given the container up, or says something else.
    pub fn turn(&self) -> Result<(), ControlError> {
        self.send(&Report::Mounted)?;
        match self.wait()? {
            Command::Proceed => Ok(()),
            Command::Go => Err(ControlError::OutOfTurn),
        }
    }

    /// Fails if the server is gone. Its death before the death signal was set would go unnoticed.
    ///
    /// # Errors
    /// When it hung up.
    pub fn check(&self) -> Result<(), ControlError> {
        let mut sockets = [PollFd::new(&self.socket, PollFlags::empty())];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut sockets, Some(&now)).map_err(io::Error::from)?;
        if sockets[0].revents().contains(PollFlags::HUP) { Err(ControlError::HungUp) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, socketpair};

    fn pair() -> (Control, OwnedFd) {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .expect("a socket pair");
        (Control { socket: ours }, theirs)
    }

    #[test]
    fn a_record_goes_each_way() {
        let (control, server) = pair();
        control.send(&Report::Ready { warnings: Vec::new() }).expect("sent");
        let mut buffer = [0; 64];
        let (_, length) = recv(&server, &mut buffer[..], RecvFlags::empty()).expect("received");
        assert_eq!(
            decode_record::<Report>(&buffer[..length]).expect("a report"),
            Report::Ready { warnings: Vec::new() }
        );
        let go = encode_record(&Command::Go).expect("encodes");
        send(&server, &go, SendFlags::empty()).expect("sent");
        assert_eq!(control.wait().expect("a command"), Command::Go);
    }

    #[test]
    fn a_dead_server_is_noticed() {
        let (control, server) = pair();
        control.check().expect("it lives");
        drop(server);
        assert!(matches!(control.check(), Err(ControlError::HungUp)));
        assert!(matches!(control.wait(), Err(ControlError::HungUp)));
    }
}
