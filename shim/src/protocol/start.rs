//! `start`: an address on standard output that somebody listens on.
//!
//! ```text
//!   lock the sockets' directory
//!   bind ──ok──▶ listen ──▶ unlock ──▶ fork ──▶ child: the server
//!    │                                    └───▶ parent: print the address
//!    └─in use──▶ connect ──refused──▶ nobody: unlink, bind again
//!                   └──ok──▶ unlock ──▶ Reserve(id) ──welcome──▶ print the address
//!                                            └──leaving──▶ from the start
//! ```
//!
//! Two races, two answers. *Starts against each other* (one sees the other's socket bound but not yet listening,
//! or both unlink a dead one): they hold a lock on the directory of the sockets meanwhile, some tens of
//! microseconds; it leaves no file behind and dies with its holder. *A start against a server that is about to
//! exit*: the place is reserved before the address is printed, see [`expected`](super::expected).
//!
//! Nothing is ever written to standard error here: containerd reads both streams as one answer.

use super::address::{self, Address, AddressError};
use super::bootstrap::Request;
use super::expected::Expected;
use super::flags::{Environment, Flags};
use super::join::{self, Answer, JoinError};
use super::process::{self, ProcessError, Side};
use super::socket::{self, Claim, SocketError};
use crate::fault::{self, Phase};
use crate::log;
use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

pub use super::process::close_inherited;

/// How `start` went on.
#[derive(Debug)]
pub enum Started {
    /// The address is printed: this process has nothing left to do but to exit with 0.
    Replied,
    /// This process is the server now.
    Server(Box<Served>),
}

/// What a server begins with.
#[derive(Debug)]
pub struct Served {
    /// Its socket, already listening.
    pub listener: UnixListener,
    /// Where that is.
    pub address: Address,
    /// containerd's namespace.
    pub namespace: String,
    /// The container it was started for.
    pub id: String,
    /// That one's bundle.
    pub bundle: PathBuf,
    /// How it was asked for: options, where events go, log level.
    pub request: Request,
    /// Who will come; `id` for a beginning.
    pub expected: Expected,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing can be read from containerd.
    #[error("cannot read containerd's request from standard input: {0}")]
    Input(io::Error),
    /// The bundle is gone.
    #[error("cannot tell the current directory, which should be the bundle: {0}")]
    Bundle(io::Error),
    /// No address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A server that hangs.
    #[error("{}: {source}; end that server, or restart containerd", path.display())]
    Join {
        /// Its socket.
        path: PathBuf,
        /// What it did.
        source: JoinError,
    },
    /// Servers came and went.
    #[error("{}: every server found there was about to exit", path.display())]
    Restless {
        /// The socket.
        path: PathBuf,
    },
    /// The address cannot be noted.
    #[error("cannot write the address into the bundle {}: {source}", bundle.display())]
    Note {
        /// The bundle.
        bundle: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The reply cannot be encoded.
    #[error("cannot encode the reply: {0}")]
    Encode(containerd_shim_protos::protobuf::Error),
    /// containerd does not take the reply.
    #[error("cannot write the reply: {0}")]
    Reply(io::Error),
    /// No process for the server.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// How often a server may be found that is about to exit.
const ATTEMPTS: u32 = 16;
/// More than options ever take.
const LONGEST_INPUT: u64 = 4 << 20;

/// Runs `start` in the bundle. Must be called while this process has a single thread.
///
/// # Errors
/// When no server can be had; nothing is left behind then but the bundle's `address`.
pub fn start(flags: &Flags, environment: &Environment) -> Result<Started, StartError> {
    let mut input = Vec::new();
    io::stdin().lock().take(LONGEST_INPUT).read_to_end(&mut input).map_err(StartError::Input)?;
    let request = Request::read(&input, flags, environment);
    let bundle = env::current_dir().map_err(StartError::Bundle)?;
    let group = address::group(&bundle, &flags.id)?;
    let directory = request.socket_directory.as_deref();
    let address = Address::of(directory, &request.grpc_address, &flags.namespace, &group)?;

    fault::point(Phase::StartBegun);
    // Whatever can fail comes before the socket.
    let reply = request.protocol.reply(&address.to_string()).map_err(StartError::Encode)?;
    address.write(&bundle).map_err(|source| StartError::Note { bundle: bundle.clone(), source })?;
    let Some(listener) = listener_or_place(address.path(), &flags.id)? else {
        return print(&reply);
    };
    fault::point(Phase::StartBound);
    let side = process::split().inspect_err(|_| discard(address.path()))?;
    if side == Side::Starter {
        return print(&reply);
    }
    process::become_server().inspect_err(|_| discard(address.path()))?;
    fault::point(Phase::ServerBorn);
    // The node's configuration will say more about the level.
    log::init(::log::LevelFilter::Info);
    log::attach(&bundle);
    process::raise_oom_score();
    let expected = Expected::default();
    let _fresh = expected.expect(&flags.id);
    let (namespace, id) = (flags.namespace.clone(), flags.id.clone());
    Ok(Started::Server(Box::new(Served { listener, address, namespace, id, bundle, request, expected })))
}

/// Removes the socket of a bundle's server if that was killed, and says whether it was; `delete` comes after every
/// kind of end.
pub fn remove_dead_socket(flags: &Flags, bundle: &Path) -> bool {
    noted_or_made(flags, bundle).is_ok_and(|address| socket::remove_dead(address.path(), join::answers))
}

/// The address in the bundle. When a Create fails because its server died, containerd removes the bundle while
/// `delete` runs for that death: then the one of a container without a group, which most are.
fn noted_or_made(flags: &Flags, bundle: &Path) -> Result<Address, AddressError> {
    Address::read(bundle).or_else(|_| Address::of(None, &flags.address, &flags.namespace, &flags.id))
}

/// A socket of our own, or a reserved place at the server that has it.
fn listener_or_place(path: &Path, id: &str) -> Result<Option<UnixListener>, StartError> {
    for _ in 0..ATTEMPTS {
        let stream = match socket::claim(path)? {
            Claim::Bound(listener) => return Ok(Some(listener)),
            Claim::Taken(stream) => stream,
        };
        match join::reserve(stream, id) {
            Ok(Answer::Welcome) => return Ok(None),
            Ok(Answer::Leaving) => {}
            Err(source) => return Err(StartError::Join { path: path.to_owned(), source }),
        }
    }
    Err(StartError::Restless { path: path.to_owned() })
}

fn print(reply: &[u8]) -> Result<Started, StartError> {
    let mut out = io::stdout().lock();
    out.write_all(reply).and_then(|()| out.flush()).map_err(StartError::Reply)?;
    Ok(Started::Replied)
}

/// Takes back a socket that will have no server.
fn discard(path: &Path) {
    // The start fails anyway, with its own reason; and the next one clears away a dead socket.
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_known_by_its_bundle_and_without_it() {
        let bundle = tempfile::tempdir().expect("a directory");
        let (namespace, id) = ("n".to_owned(), "a".to_owned());
        let flags = Flags { namespace, id, address: "/c.sock".to_owned(), ..Flags::default() };
        let own = Address::of(None, "/c.sock", "n", "a").expect("an address");
        assert_eq!(noted_or_made(&flags, bundle.path()).expect("an address"), own);
        let group = Address::of(None, "/c.sock", "n", "group").expect("an address");
        group.write(bundle.path()).expect("a note");
        assert_eq!(noted_or_made(&flags, bundle.path()).expect("an address"), group);
        let gone = bundle.path().join("gone");
        assert_eq!(noted_or_made(&flags, &gone).expect("an address"), own);
    }
}
