//! Where tests stop this program, to kill it or another just there: the feature `faults`, which no release has.
//!
//! ```text
//!  a server, `start`, `delete`                        the harness, on the socket that PINNACE_FAULT_SOCKET names
//!    reaches a phase; a child born there is stopped
//!      ── "<phase> <pid> <child or 0>" ──▶              nobody waits for it: answers at once
//!    waits                                              waited for: kills whom it wants, then answers
//!      ◀── a byte, or the end ──
//! ```
//!
//! Without the feature every point is an empty function: a test looks for the variable's name in the release.

use crate::process::Process;

/// A moment in which a process may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `start` was executed, and there is no socket yet.
    StartBegun,
    /// Its socket listens, and there is no server yet.
    StartBound,
    /// The server is born; its starter has answered, or is about to.
    ServerBorn,
    /// Create has come.
    CreateAsked,
    /// Cgroup, namespaces and streams are there.
    CreatePlaced,
    /// A process of an engine's or a holder's is born; it is stopped.
    EngineBorn,
    /// It said that it is ready.
    EngineReady,
    /// A native container is noted in its bundle.
    NativeNoted,
    /// Its root is mounted.
    NativeMounted,
    /// The OCI runtime has made its process, which is not yet ours.
    NativeBorn,
    /// The container is made, and nobody knows it.
    CreateDone,
    /// Start has come.
    StartAsked,
    /// An engine was told to go, or an OCI runtime is about to be.
    GoSent,
    /// The program is entered, and nobody knows it.
    StartDone,
    /// A further process was asked for and is about to be made.
    ExecAsked,
    /// It is made, and nobody knows it.
    ExecDone,
    /// A signal was asked for.
    KillAsked,
    /// It was sent.
    KillDone,
    /// A process has ended and is reaped, and nobody knows it.
    ExitSeen,
    /// Its end was told.
    ExitTold,
    /// Pause or Resume has come.
    FreezerAsked,
    /// The freezer has done it.
    FreezerDone,
    /// Other limits were asked for.
    UpdateAsked,
    /// They are set, or not.
    UpdateDone,
    /// Delete has come, and its streams are gone.
    DeleteAsked,
    /// The OCI runtime has forgotten the container.
    DeleteForgotten,
    /// Its cgroup is removed.
    DeleteRemoved,
    /// All of it is removed, and nobody knows it.
    DeleteDone,
    /// `delete` was executed.
    CleanBegun,
    /// It has ended what was left of the container.
    CleanEnded,
    /// It has removed what the server left.
    CleanDone,
}

/// This program has come this far.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn point(_: Phase) {}

/// This program has come this far, with a child that has only just been born.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn birth(_: Phase, _: &Process) {}

/// This program has come this far.
#[cfg(feature = "faults")]
pub fn point(phase: Phase) {
    armed::announce(phase, 0);
}

/// This program has come this far, with a child that has only just been born.
#[cfg(feature = "faults")]
pub fn birth(phase: Phase, child: &Process) {
    armed::stopped(child, || armed::announce(phase, child.pid));
}

#[cfg(feature = "faults")]
mod armed {
    use super::Phase;
    use crate::process::Process;
    use std::env;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    const SOCKET: &str = "PINNACE_FAULT_SOCKET";

    /// Waits until the harness lets us go on. Where it does not listen any more nobody is waited for.
    pub(super) fn announce(phase: Phase, child: i32) {
        let Some(socket) = env::var_os(SOCKET) else { return };
        let Ok(mut harness) = UnixStream::connect(socket) else { return };
        let told = writeln!(harness, "{phase:?} {} {child}", std::process::id());
        let _go_on = told.and_then(|()| harness.read(&mut [0]));
    }

    /// Holds a child meanwhile. One that has died is as good.
    pub(super) fn stopped(child: &Process, meanwhile: impl FnOnce()) {
        let _gone = child.signal(libc::SIGSTOP);
        meanwhile();
        let _gone = child.signal(libc::SIGCONT);
    }
}
