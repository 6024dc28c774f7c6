//! The first process of a container.
//!
//! ```text
//!            Start             Started            Pause            done
//!  Created ────────▶ Starting ─────────▶ Running ──────▶ Pausing ──────▶ Paused
//!    │ │                │ Failed          ▲ │  ▲             │ not done     │ Resume
//!    │ │ ended          ▼                 │ │  └─────────────┘              ▼
//!    │ │             Failing ── ended ──┐ │ │ ended, from each of these   Resuming ─┐
//!    │ │                                │ └─┼──────────── done ───────────────┘      │
//!    │ └────────────────────────────────┼───┤◀───────────────────────────────────────┘
//!    │ Delete                           ▼   ▼
//!    ▼                      execs live: Ending ── the last exec's end ──▶ Stopped ── Delete ──▶ Leaving ──▶ Gone
//!  Doomed ── ended ──────────────────────────────────────────────────────────────────────────────▲
//! ```

use super::{Denied, Effect, Exec, Exit, KILL, Life, Status, Who, ending};
use Effect as E;

/// Where the first process stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::task) enum Init {
    /// It waits to be started.
    Created,
    /// It was told to start and has not answered.
    Starting,
    /// It cannot start and is about to end.
    Failing,
    /// It runs.
    Running,
    /// The freezer is closing.
    Pausing {
        /// SIGKILL was sent meanwhile.
        killed: bool,
    },
    /// It is frozen.
    Paused,
    /// The freezer is opening.
    Resuming,
    /// Deleted before it was started: it was killed, its end is awaited.
    Doomed,
    /// It has ended; execs were killed, their ends are awaited.
    Ending(Exit),
    /// It has ended.
    Stopped(Exit),
    /// Deleted; its streams may still have to end.
    Leaving(Exit),
    /// Deleted.
    Gone,
}

impl Init {
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Created | Self::Starting | Self::Failing | Self::Doomed => Status::Created,
            Self::Running | Self::Resuming | Self::Ending(_) => Status::Running,
            Self::Pausing { .. } => Status::Pausing,
            Self::Paused => Status::Paused,
            Self::Stopped(_) | Self::Leaving(_) | Self::Gone => Status::Stopped,
        }
    }

    pub(super) fn exit(&self) -> Option<Exit> {
        match self {
            Self::Stopped(exit) | Self::Leaving(exit) => Some(*exit),
            _ => None,
        }
    }

    /// Whether the process is no more, told or not.
    fn is_over(&self) -> bool {
        matches!(self, Self::Ending(_) | Self::Stopped(_) | Self::Leaving(_) | Self::Gone)
    }
}

impl Life {
    pub(super) fn start(&mut self) -> Result<Vec<Effect>, Denied> {
        match self.init {
            Init::Created => Ok(self.enter(Init::Starting, vec![E::Go(Who::Init)])),
            Init::Starting | Init::Running | Init::Pausing { .. } | Init::Paused | Init::Resuming => {
                Err(Denied::AlreadyStarted)
            }
            _ => Err(Denied::Ended),
        }
    }

    pub(super) fn started(&mut self) -> Result<Vec<Effect>, Denied> {
        match self.init {
            Init::Starting => {
                let effects = vec![E::PublishStart(Who::Init), E::AnswerStart(Who::Init)];
                Ok(self.enter(Init::Running, effects))
            }
            _ => Err(Denied::OutOfTurn),
        }
    }

    pub(super) fn failed(&mut self, why: String) -> Result<Vec<Effect>, Denied> {
        match self.init {
            // An engine is about to exit; what an OCI runtime could not start would stay.
            Init::Starting => {
                let effects = vec![E::RefuseStart(Who::Init, why), E::Signal(Who::Init, KILL)];
                Ok(self.enter(Init::Failing, effects))
            }
            _ => Err(Denied::OutOfTurn),
        }
    }

    /// A frozen process dies of SIGKILL only once it is let go (v1).
    pub(super) fn kill(&mut self, effect: Effect, signal: i32) -> Result<Vec<Effect>, Denied> {
        match self.init {
            Init::Paused if signal == KILL => Ok(vec![effect, E::Freeze(false)]),
            Init::Pausing { .. } if signal == KILL => {
                Ok(self.enter(Init::Pausing { killed: true }, vec![effect]))
            }
            ref init if init.is_over() => Err(Denied::NoProcess),
            _ => Ok(vec![effect]),
        }
    }

    pub(super) fn ended(&mut self, exit: Exit) -> Result<Vec<Effect>, Denied> {
        let mut effects = match self.init {
            ref init if init.is_over() => return Err(Denied::OutOfTurn),
            Init::Starting => {
                let why = format!("its process ended with {} before the program ran", exit.status);
                vec![E::RefuseStart(Who::Init, why)]
            }
            Init::Pausing { .. } | Init::Resuming => {
                vec![E::AnswerFreezer(Err("the container has ended".to_owned()))]
            }
            Init::Doomed => {
                let mut effects = ending(&Who::Init, exit);
                effects.push(E::EndStreams(Who::Init));
                return Ok(self.enter(Init::Leaving(exit), effects));
            }
            _ => Vec::new(),
        };
        let living = self.execs.iter().filter(|(_, exec)| **exec == Exec::Running);
        effects.extend(living.map(|(id, _)| E::Signal(Who::Exec(id.clone()), KILL)));
        self.init = Init::Ending(exit);
        effects.extend(self.last_of_all());
        Ok(effects)
    }

    /// The end of the first process is told when no other is left.
    pub(super) fn last_of_all(&mut self) -> Vec<Effect> {
        match self.init {
            Init::Ending(exit) if !self.execs.values().any(Exec::is_alive) => {
                self.enter(Init::Stopped(exit), ending(&Who::Init, exit))
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn delete(&mut self) -> Result<Vec<Effect>, Denied> {
        match self.init {
            Init::Created => Ok(self.enter(Init::Doomed, vec![E::Signal(Who::Init, KILL)])),
            Init::Stopped(exit) => Ok(self.enter(Init::Leaving(exit), vec![E::EndStreams(Who::Init)])),
            Init::Doomed | Init::Leaving(_) | Init::Gone => Err(Denied::BeingDeleted),
            ref init => Err(Denied::NotStopped(init.status())),
        }
    }

    pub(super) fn streams_gone(&mut self) -> Result<Vec<Effect>, Denied> {
        match self.init {
            Init::Leaving(exit) => {
                let effects = vec![E::CleanUp, E::PublishDelete(exit), E::AnswerDelete(Who::Init, exit)];
                Ok(self.enter(Init::Gone, effects))
            }
            _ => Err(Denied::OutOfTurn),
        }
    }

    pub(super) fn pause(&mut self) -> Result<Vec<Effect>, Denied> {
        match self.init {
            Init::Running => Ok(self.enter(Init::Pausing { killed: false }, vec![E::Freeze(true)])),
            ref init => Err(Denied::NotRunning(init.status())),
        }
    }

    pub(super) fn resume(&mut self) -> Result<Vec<Effect>, Denied> {
        match self.init {
            Init::Paused => Ok(self.enter(Init::Resuming, vec![E::Freeze(false)])),
            ref init => Err(Denied::NotRunning(init.status())),
        }
    }

    pub(super) fn frozen(&mut self, done: Result<(), String>) -> Result<Vec<Effect>, Denied> {
        let (before, after, killed) = match self.init {
            Init::Pausing { killed } => (Init::Running, Init::Paused, killed),
            Init::Resuming => (Init::Paused, Init::Running, false),
            // Let go to be killed, or ended meanwhile.
            _ => return Err(Denied::OutOfTurn),
        };
        Ok(match done {
            Ok(()) => {
                let mut effects = vec![E::PublishFrozen(after == Init::Paused), E::AnswerFreezer(Ok(()))];
                if killed {
                    effects.push(E::Freeze(false));
                }
                self.enter(after, effects)
            }
            Err(why) => self.enter(before, vec![E::AnswerFreezer(Err(why))]),
        })
    }

    pub(super) fn update(&self) -> Result<Vec<Effect>, Denied> {
        match self.init {
            Init::Created | Init::Starting | Init::Running | Init::Paused => Ok(Vec::new()),
            ref init => Err(Denied::NotRunning(init.status())),
        }
    }

    fn enter(&mut self, init: Init, effects: Vec<Effect>) -> Vec<Effect> {
        self.init = init;
        effects
    }
}
