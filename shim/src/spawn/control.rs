//! The server's end of a control socket.
//!
//! One record each way: commands go out, reports come in. A peer that hangs up has died; the records it
//! sent before are still read, so a cause is never lost to the order in which the kernel wakes us.

use pinnace_plan::{WireError, decode_record, encode_record};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use serde::{Serialize, de::DeserializeOwned};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::unix::AsyncFd;

/// A control socket that failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It could not be made.
    #[error("cannot make a control socket")]
    Make(#[source] io::Error),
    /// A command could not be sent.
    #[error("cannot send a command to the engine")]
    Send(#[source] io::Error),
    /// A record could not be received.
    #[error("cannot receive a record of the engine")]
    Receive(#[source] io::Error),
    /// A record is not what it should be.
    #[error("the engine sent a bad record")]
    Wire(#[from] WireError),
}

/// The server's end.
#[derive(Debug)]
pub struct Control {
    socket: AsyncFd<OwnedFd>,
}

impl Control {
    /// Makes a pair: the server's end and the engine's.
    ///
    /// # Errors
    /// When the kernel has no socket for us.
    pub fn pair() -> Result<(Self, OwnedFd), ControlError> {
        let make = || -> io::Result<_> {
            let flags = SocketFlags::CLOEXEC;
            let (ours, theirs) =
                rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
            rustix::io::ioctl_fionbio(&ours, true)?;
            Ok((Self { socket: crate::process::watch::readable(ours)? }, theirs))
        };
        make().map_err(ControlError::Make)
    }

    /// Sends one record. The queue of a fresh socket has room for every command there is.
    ///
    /// # Errors
    /// When the peer is gone.
    pub fn send<T: Serialize>(&self, record: &T) -> Result<(), ControlError> {
        let bytes = encode_record(record)?;
        let sent = rustix::net::send(self.socket.get_ref().as_fd(), &bytes, SendFlags::NOSIGNAL);
        sent.map(drop).map_err(|error| ControlError::Send(error.into()))
    }

    /// The next record; `None` once the peer has hung up.
    ///
    /// # Errors
    /// When the socket fails, or the record is malformed.
    pub async fn receive<T: DeserializeOwned>(&self) -> Result<Option<T>, ControlError> {
        loop {
            let mut ready = self.socket.readable().await.map_err(ControlError::Receive)?;
            match ready.try_io(|socket| receive(socket.get_ref())) {
                Ok(bytes) => return decode(bytes),
                Err(_would_block) => {}
            }
        }
    }

    /// The next record that has come already; `None` if there is none.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub fn received<T: DeserializeOwned>(&self) -> Result<Option<T>, ControlError> {
        match receive(self.socket.get_ref()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            bytes => decode(bytes),
        }
    }
}

fn decode<T: DeserializeOwned>(bytes: io::Result<Vec<u8>>) -> Result<Option<T>, ControlError> {
    match bytes {
        Ok(bytes) if bytes.is_empty() => Ok(None),
        Ok(bytes) => Ok(Some(decode_record(&bytes)?)),
        Err(error) => Err(ControlError::Receive(error)),
    }
}

/// One record's bytes; none once the peer has hung up.
fn receive(socket: &OwnedFd) -> io::Result<Vec<u8>> {
    // Most records are a few bytes, failures a line; the size is asked for instead of kept ready.
    let peek = || rustix::net::recv(socket, &mut [0u8; 0][..], RecvFlags::PEEK | RecvFlags::TRUNC);
    let (_, length) = match peek() {
        // A peer that dies with our command unread leaves this error before its own last records, once.
        Err(rustix::io::Errno::CONNRESET) => peek()?,
        peeked => peeked?,
    };
    let mut bytes = vec![0u8; length.min(pinnace_plan::MAX_RECORD)];
    let (_, length) = rustix::net::recv(socket, &mut bytes[..], RecvFlags::empty())?;
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinnace_plan::{Command, ExitCause, Report};

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime").block_on(future)
    }

    #[test]
    fn reports_sent_before_death_are_read_after_it() {
        block_on(async {
            let (ours, theirs) = Control::pair().expect("a pair");
            ours.send(&Command::Go).expect("sent");
            let report = encode_record(&Report::Exit(ExitCause::Trapped)).expect("encodes");
            rustix::net::send(&theirs, &report, SendFlags::empty()).expect("sent");
            drop(theirs);
            assert_eq!(ours.receive::<Report>().await.expect("read"), Some(Report::Exit(ExitCause::Trapped)));
            assert_eq!(ours.receive::<Report>().await.expect("read"), None);
            assert_eq!(ours.received::<Report>().expect("read"), None);
        });
    }

    #[test]
    fn nothing_received_is_no_hang_up() {
        block_on(async {
            let (ours, _theirs) = Control::pair().expect("a pair");
            assert_eq!(ours.received::<Report>().expect("none yet"), None);
        });
    }
}
