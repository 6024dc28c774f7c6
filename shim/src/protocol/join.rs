//! A place reserved in a running server, from a `start` that has no runtime: one ttrpc call by hand.
//!
//! A frame is ten bytes of header (length, stream, type, flags; big-endian) and a protobuf message. See
//! [`expected`](super::expected) for why the place must be reserved before the address is printed.

use containerd_shim_protos::protobuf::{Error as ProtobufError, Message};
use containerd_shim_protos::ttrpc::proto::{MESSAGE_LENGTH_MAX, MESSAGE_TYPE_REQUEST};
use containerd_shim_protos::ttrpc::{Code, Request, Response};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The service by which a server takes reservations, beside containerd's.
pub(super) const SERVICE: &str = "pinnace.shim.v1.Group";
/// Its method; the payload is the container's id, the answer empty or FAILED_PRECONDITION.
pub(super) const METHOD: &str = "Reserve";

/// How long a server may take to answer. Its longest piece of work is a Create.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a server says to one more container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It stays until the container has come.
    Welcome,
    /// It is about to exit, or has just done so.
    Leaving,
}

/// A server that gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The request could not be written down.
    #[error("cannot encode the reservation: {0}")]
    Encode(ProtobufError),
    /// The answer is none.
    #[error("the answer to the reservation is malformed")]
    Malformed,
    /// It hangs, or the connection broke in an unusual way.
    #[error("the server does not answer: {0}")]
    Silent(io::Error),
}

/// Asks the server at the other end to stay for `id`.
pub(super) fn reserve(stream: UnixStream, id: &str) -> Result<Answer, JoinError> {
    let request = frame(METHOD, id).map_err(JoinError::Encode)?;
    match exchange(stream, &request) {
        Ok(answer) => read(&answer),
        Err(error) if is_gone(&error) => Ok(Answer::Leaving),
        // What a socket's time limit is called.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(JoinError::Silent(ErrorKind::TimedOut.into()))
        }
        Err(error) => Err(JoinError::Silent(error)),
    }
}

/// It exited with our call unread.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// Whether the server at the other end lives: then it answers, if only that it does not know the call. One that is
/// slow to answer lives too.
pub(super) fn answers(stream: UnixStream) -> bool {
    let Ok(request) = frame("Lives", "") else { return true };
    exchange(stream, &request).map_or_else(|error| !is_gone(&error), |_| true)
}

fn frame(method: &str, id: &str) -> Result<Vec<u8>, ProtobufError> {
    let request = Request {
        service: SERVICE.to_owned(),
        method: method.to_owned(),
        payload: id.as_bytes().to_vec(),
        ..Request::default()
    };
    let message = request.write_to_bytes()?;
    let mut frame = Vec::with_capacity(HEADER + message.len());
    frame.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend(1u32.to_be_bytes());
    frame.extend([MESSAGE_TYPE_REQUEST, 0]);
    frame.extend(message);
    Ok(frame)
}

const HEADER: usize = 10;

fn exchange(mut stream: UnixStream, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut header = [0; HEADER];
    stream.read_exact(&mut header)?;
    let [a, b, c, d, ..] = header;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > MESSAGE_LENGTH_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// A server that does not know the call (another version's, or another program's) cannot reserve, but it lives.
fn read(answer: &[u8]) -> Result<Answer, JoinError> {
    let response = Response::parse_from_bytes(answer).map_err(|_| JoinError::Malformed)?;
    match response.status.code.enum_value_or_default() {
        Code::FAILED_PRECONDITION => Ok(Answer::Leaving),
        _ => Ok(Answer::Welcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use containerd_shim_protos::protobuf::MessageField;
    use containerd_shim_protos::ttrpc::Status;
    use proptest::prelude::*;

    fn response(code: Code) -> Vec<u8> {
        let status = Status { code: code.into(), ..Status::default() };
        let response = Response { status: MessageField::some(status), ..Response::default() };
        response.write_to_bytes().expect("encodes")
    }

    #[test]
    fn answers_are_understood() {
        let table = [
            (Code::OK, Answer::Welcome),
            (Code::FAILED_PRECONDITION, Answer::Leaving),
            (Code::UNIMPLEMENTED, Answer::Welcome),
            (Code::INVALID_ARGUMENT, Answer::Welcome),
        ];
        for (code, answer) in table {
            assert_eq!(read(&response(code)).expect("an answer"), answer, "{code:?}");
        }
    }

    #[test]
    fn a_server_that_goes_away_is_leaving() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        drop(theirs);
        assert_eq!(reserve(ours, "a").expect("an answer"), Answer::Leaving);
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&answer);
        }
    }
}
