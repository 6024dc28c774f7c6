//! Programs that stop where a test wants to kill somebody: built with the feature `faults`, never released.
//!
//! ```text
//!  node.faults().arm("GoSent") ──▶ Armed ──hit()──▶ Hit      the program is in that phase, and stays there
//!                                                     │ kill whom you like
//!                                                     ▼ drop: it goes on, if it lives
//! ```
//!
//! Each phase that a program comes to is announced at the socket that `PINNACE_FAULT_SOCKET` names (`shim/src/fault.rs`);
//! who is not waited for goes on at once. So a phase that was hit is a fact, and not a matter of luck.

use crate::wait::{PATIENCE, within};
use std::io::{BufRead, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The variable by which the programs find the socket.
pub(crate) const VARIABLE: &str = "PINNACE_FAULT_SOCKET";

/// Those of one node.
#[derive(Debug)]
pub struct Faults {
    socket: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<&'static str>,
    hit: Option<Hit>,
    over: bool,
}

/// A phase that is waited for.
#[derive(Debug)]
pub struct Armed<'node> {
    faults: &'node Faults,
    phase: &'static str,
}

/// A program that has stopped. Dropped, it goes on.
#[derive(Debug)]
pub struct Hit {
    /// The program.
    pub pid: u32,
    /// A child of it that was only just born and is stopped too, or 0.
    pub child: u32,
    _held: UnixStream,
}

impl Faults {
    pub(crate) fn listen(dir: &Path) -> Self {
        let socket = dir.join("f.sock");
        let listener = UnixListener::bind(&socket).expect("a socket for faults");
        let state = Arc::<Mutex<State>>::default();
        let heard = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if hear(&heard, stream).is_none() && locked(&heard).over {
                    return;
                }
            }
        });
        Self { socket, state }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Waits for the first program that comes to this phase, from now on.
    #[must_use]
    pub fn arm(&self, phase: &'static str) -> Armed<'_> {
        locked(&self.state).armed = Some(phase);
        Armed { faults: self, phase }
    }
}

impl Armed<'_> {
    /// The program that came there.
    ///
    /// # Panics
    /// If none comes.
    #[must_use]
    #[track_caller]
    pub fn hit(self) -> Hit {
        within(PATIENCE, || locked(&self.faults.state).hit.take())
            .unwrap_or_else(|| panic!("nobody came to the phase {}", self.phase))
    }
}

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        locked(&self.faults.state).armed = None;
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        locked(&self.state).over = true;
        // To have the listener look.
        let _heard = UnixStream::connect(&self.socket);
    }
}

/// Keeps a program that is waited for; any other goes on when its stream closes here. `None`: there were no words.
fn hear(state: &Mutex<State>, stream: UnixStream) -> Option<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (phase, pid, child) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let mut state = locked(state);
    if state.armed.take_if(|armed| *armed == phase).is_some() {
        state.hit = Some(Hit { pid, child, _held: stream });
    }
    Some(())
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
