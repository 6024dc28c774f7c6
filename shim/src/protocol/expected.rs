//! Containers that will come: why a server whose last container is gone may not leave yet.
//!
//! ```text
//!   start of another container                    server
//!   connect, Reserve(id) ─────────────────────▶ expect(id) ──▶ stay
//!   prints the address, exits                     │  Shutdown after the last Delete: retire() ──▶ refused
//!   containerd connects, Create(id) ──────────▶ arrived(id)
//!                                                 Shutdown: retire() ──▶ socket removed, no more guests
//!   connect, Reserve(id) ─────────────────────▶ expect(id) ──▶ refused: that start binds a new socket
//! ```
//!
//! The server has one thread and nothing here awaits, so a reservation comes either before the retirement or
//! after it. containerd may die between `start` and Create; so a reservation lapses.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a container may take from `start` to Create. containerd calls one right after the other.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The reservations of one server.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    retired: bool,
    /// Few at any time: each waits for one Create.
    ids: Vec<(String, Instant)>,
}

impl Expected {
    /// Takes a reservation; `false` when the server is about to exit.
    #[must_use]
    pub fn expect(&self, id: &str) -> bool {
        self.lock().expect(id, Instant::now())
    }

    /// The container has come (its Create was called), however that ended.
    pub fn arrived(&self, id: &str) {
        self.lock().ids.retain(|(expected, _)| expected != id);
    }

    /// Ends this server's time: removes its socket and takes no more reservations. To be called when no
    /// container is left; after it, the server must exit.
    ///
    /// # Errors
    /// While containers are expected: how long at most until they no longer are.
    pub fn retire(&self, socket: &Path) -> Result<(), Duration> {
        self.lock().may_retire(Instant::now())?;
        self.leave(socket);
        Ok(())
    }

    /// The same whoever is expected: for a server that is told to end by a signal.
    pub fn leave(&self, socket: &Path) {
        if std::mem::replace(&mut self.lock().retired, true) {
            // By now the socket may be a successor's.
            return;
        }
        match fs::remove_file(socket) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                log::warn!("cannot remove the socket {}: {error}", socket.display());
            }
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn expect(&mut self, id: &str, now: Instant) -> bool {
        if !self.retired {
            self.ids.retain(|(expected, _)| expected != id);
            self.ids.push((id.to_owned(), now));
        }
        !self.retired
    }

    fn may_retire(&mut self, now: Instant) -> Result<(), Duration> {
        self.ids.retain(|(_, since)| now.duration_since(*since) < PATIENCE);
        let wait =
            self.ids.iter().map(|(_, since)| PATIENCE.saturating_sub(now.duration_since(*since))).max();
        wait.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_keeps_the_server_until_its_container_has_come() {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("s");
        fs::write(&socket, "").expect("written");
        let expected = Expected::default();
        assert!(expected.expect("a") && expected.expect("b"));
        assert!(expected.retire(&socket).is_err());
        expected.arrived("a");
        assert!(expected.retire(&socket).is_err());
        assert!(socket.exists());
        expected.arrived("b");
        expected.arrived("never announced");
        expected.retire(&socket).expect("nobody is expected");
        assert!(!socket.exists());
    }

    #[test]
    fn a_retired_server_takes_nobody_and_leaves_its_successors_socket() {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("s");
        let expected = Expected::default();
        expected.retire(&socket).expect("nobody is expected");
        assert!(!expected.expect("late"));
        fs::write(&socket, "").expect("written");
        expected.retire(&socket).expect("still nobody");
        assert!(socket.exists());
    }

    #[test]
    fn a_signal_waits_for_nobody() {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("s");
        fs::write(&socket, "").expect("written");
        let expected = Expected::default();
        assert!(expected.expect("a"));
        expected.leave(&socket);
        assert!(!socket.exists() && !expected.expect("b"));
    }

    #[test]
    fn a_reservation_lapses() {
        let mut state = State::default();
        let start = Instant::now();
        assert!(state.expect("a", start) && state.expect("b", start + PATIENCE / 2));
        assert_eq!(state.may_retire(start + PATIENCE / 2), Err(PATIENCE));
        assert_eq!(state.may_retire(start + PATIENCE), Err(PATIENCE / 2));
        assert_eq!(state.may_retire(start + PATIENCE * 2), Ok(()));
    }

    #[test]
    fn a_second_start_of_one_id_is_one_reservation() {
        let mut state = State::default();
        let start = Instant::now();
        assert!(state.expect("a", start) && state.expect("a", start + PATIENCE / 2));
        assert_eq!(state.ids.len(), 1);
        assert_eq!(state.may_retire(start + PATIENCE), Err(PATIENCE / 2));
    }
}
