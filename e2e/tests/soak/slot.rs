//! One container of a client, with what is expected of it.
//!
//! ```text
//!  phase   Created ──Start──▶ Running ◀──Pause, Resume──▶ Paused        Over: seen to have ended
//!  fate    Lives ──▶ MayEnd ──▶ Ends           what is known of its end: a guest that ends by itself, a signal
//! ```
//!
//! Of one that lives every call's outcome is known. Of one that may have ended meanwhile it is not, but its exit code
//! must be one of those that it was given.

use crate::board::Entry;
use crate::kit;
use crate::plan::{Deed, Kind};
use pinnace_e2e::{Container, State};
use std::sync::Arc;

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Created,
    Running,
    Paused,
    Over,
}

/// What is known of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// There is no reason for one.
    Lives,
    /// A call that would end it may have been lost.
    MayEnd,
    /// It will.
    Ends,
}

/// What a call has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Refused,
    Either,
}

/// A container.
pub(crate) struct Slot<'node> {
    pub(crate) kind: Kind,
    pub(crate) container: Container<'node>,
    pub(crate) entry: Arc<Entry>,
    pub(crate) phase: Phase,
    pub(crate) fate: Fate,
    /// The exit codes that it may have.
    pub(crate) codes: Vec<u32>,
    /// Its input was closed.
    pub(crate) closed: bool,
    /// A call was cut off that may have made or removed it.
    pub(crate) in_doubt: bool,
}

impl<'node> Slot<'node> {
    pub(crate) fn new(kind: Kind, container: Container<'node>, entry: Arc<Entry>) -> Self {
        let codes = kit::end(kind).into_iter().collect();
        let (phase, fate) = (Phase::Created, Fate::Lives);
        Self { kind, container, entry, phase, fate, codes, closed: false, in_doubt: false }
    }

    /// It was started.
    pub(crate) fn runs(&mut self) {
        self.phase = Phase::Running;
        if kit::end(self.kind).is_some() || (self.kind == Kind::Echoes && self.closed) {
            self.fate = Fate::Ends;
        }
    }

    /// What containerd says of it.
    pub(crate) fn is(&mut self, state: State) {
        match state {
            State::Created => self.phase = Phase::Created,
            State::Running | State::Pausing if self.phase != Phase::Running => self.runs(),
            State::Paused => self.phase = Phase::Paused,
            State::Stopped => self.phase = Phase::Over,
            _ => {}
        }
    }

    /// Whether nobody knows if it still runs.
    pub(crate) fn is_dying(&self) -> bool {
        self.fate != Fate::Lives || self.entry.killed()
    }

    /// Whether it ends without anybody's doing.
    pub(crate) fn is_awaited(&self) -> bool {
        self.phase == Phase::Over || (self.phase != Phase::Paused && self.fate == Fate::Ends)
    }

    /// What it has to answer.
    pub(crate) fn expects(&self, deed: Deed) -> Verdict {
        use Phase::{Created, Over, Paused, Running};
        use Verdict::{Done, Either, Refused};
        let certain = match (deed, self.phase) {
            (Deed::State | Deed::Wait, _) => return Done,
            (Deed::Stats | Deed::Pids, Over) | (Deed::Input, _) => Either,
            (Deed::Stats | Deed::Pids, _) => Done,
            (Deed::Resize, Running) if matches!(self.kind, Kind::AtTerminal | Kind::NativeAtTerminal) => Done,
            (Deed::Resize, _) => Either,
            (Deed::Start, Created) => Done,
            (Deed::Kill(_), Over) => Refused,
            (Deed::Kill(_), _) => Done,
            (Deed::Exec | Deed::Pause, Running) => Done,
            (Deed::Resume, Paused) => Done,
            (Deed::Update, Over) => Refused,
            (Deed::Update, _) => Done,
            (Deed::Delete, Created | Over) => Done,
            (Deed::Start | Deed::Exec | Deed::Pause | Deed::Resume | Deed::Delete, _) => Refused,
        };
        if self.is_dying() && self.phase != Over { Either } else { certain }
    }
}
