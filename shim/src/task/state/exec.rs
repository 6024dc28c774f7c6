//! A further process of a container.
//!
//! ```text
//!          Start             Started              ended               Delete
//!  Added ────────▶ Starting ─────────▶ Running ─────────▶ Stopped ───────────▶ Leaving ── streams gone ──▶ (gone)
//!    │                 │ Failed                              ▲
//!    │ Delete          └─────────────────────────────────────┘ no exit is told of a process that never was
//!    ▼
//!  (gone)
//! ```

use super::{Denied, Effect, Exit, Init, KILL, Life, Status, Who, ending};
use std::time::UNIX_EPOCH;

/// Where an exec stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::task) enum Exec {
    /// Asked for.
    Added,
    /// Being made.
    Starting,
    /// It runs.
    Running,
    /// It has ended, or could not be started.
    Stopped(Exit),
    /// Deleted; its streams may still have to end.
    Leaving(Exit),
}

/// How an exec ended that never was a process: containerd's own word for an exit nobody saw.
const NEVER: Exit = Exit { status: 255, at: UNIX_EPOCH, out_of_memory: false };

impl Exec {
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Added | Self::Starting => Status::Created,
            Self::Running => Status::Running,
            Self::Stopped(_) | Self::Leaving(_) => Status::Stopped,
        }
    }

    pub(super) fn exit(&self) -> Option<Exit> {
        match self {
            Self::Stopped(exit) | Self::Leaving(exit) => Some(*exit),
            _ => None,
        }
    }

    /// Whether it is, or is about to be, a process.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }
}

impl Life {
    pub(super) fn add(&mut self, id: String) -> Result<Vec<Effect>, Denied> {
        match &self.init {
            Init::Created | Init::Starting | Init::Running if self.execs.contains_key(&id) => {
                Err(Denied::Exists)
            }
            Init::Created | Init::Starting | Init::Running => {
                self.execs.insert(id.clone(), Exec::Added);
                Ok(vec![Effect::PublishAdded(id)])
            }
            init => Err(Denied::NotRunning(init.status())),
        }
    }

    pub(super) fn start_exec(&mut self, id: String) -> Result<Vec<Effect>, Denied> {
        match (self.exec(&id)?, &self.init) {
            (Exec::Added, Init::Running) => {
                Ok(self.exec_enters(id, Exec::Starting, |who| vec![Effect::Go(who)]))
            }
            (Exec::Added, init) => Err(Denied::NotRunning(init.status())),
            (Exec::Starting | Exec::Running, _) => Err(Denied::AlreadyStarted),
            (Exec::Stopped(_) | Exec::Leaving(_), _) => Err(Denied::Ended),
        }
    }

    /// One that comes to life while the first process ends dies with it.
    pub(super) fn exec_started(&mut self, id: String) -> Result<Vec<Effect>, Denied> {
        let too_late = matches!(self.init, Init::Ending(_));
        match self.exec(&id)? {
            Exec::Starting => Ok(self.exec_enters(id, Exec::Running, |who| {
                let mut effects = vec![Effect::PublishStart(who.clone()), Effect::AnswerStart(who.clone())];
                if too_late {
                    effects.push(Effect::Signal(who, KILL));
                }
                effects
            })),
            _ => Err(Denied::OutOfTurn),
        }
    }

    pub(super) fn exec_failed(&mut self, id: String, why: String) -> Result<Vec<Effect>, Denied> {
        match self.exec(&id)? {
            Exec::Starting => {
                let mut effects = self.exec_enters(id, Exec::Stopped(NEVER), |who| {
                    vec![
                        Effect::CloseStreams(who.clone()),
                        Effect::RefuseStart(who.clone(), why),
                        Effect::AnswerWaits(who, NEVER),
                    ]
                });
                effects.extend(self.last_of_all());
                Ok(effects)
            }
            _ => Err(Denied::OutOfTurn),
        }
    }

    pub(super) fn kill_exec(&mut self, id: String, signal: i32) -> Result<Vec<Effect>, Denied> {
        match self.exec(&id)? {
            Exec::Added | Exec::Starting => Err(Denied::NotStarted),
            Exec::Running => Ok(vec![Effect::Signal(Who::Exec(id), signal)]),
            Exec::Stopped(_) | Exec::Leaving(_) => Err(Denied::NoProcess),
        }
    }

    pub(super) fn exec_ended(&mut self, id: String, exit: Exit) -> Result<Vec<Effect>, Denied> {
        match self.exec(&id)? {
            Exec::Running => {
                let mut effects = self.exec_enters(id, Exec::Stopped(exit), |who| ending(&who, exit));
                effects.extend(self.last_of_all());
                Ok(effects)
            }
            // Its program was never entered.
            Exec::Starting => {
                let why = format!("its process ended with {} before the program ran", exit.status);
                self.exec_failed(id, why)
            }
            _ => Err(Denied::OutOfTurn),
        }
    }

    pub(super) fn delete_exec(&mut self, id: String) -> Result<Vec<Effect>, Denied> {
        match self.exec(&id)? {
            Exec::Added => {
                self.execs.remove(&id);
                let who = Who::Exec(id);
                Ok(vec![Effect::AnswerWaits(who.clone(), NEVER), Effect::AnswerDelete(who, NEVER)])
            }
            Exec::Stopped(exit) => {
                let exit = *exit;
                Ok(self.exec_enters(id, Exec::Leaving(exit), |who| vec![Effect::EndStreams(who)]))
            }
            Exec::Leaving(_) => Err(Denied::BeingDeleted),
            exec => Err(Denied::NotStopped(exec.status())),
        }
    }

    pub(super) fn exec_streams_gone(&mut self, id: String) -> Result<Vec<Effect>, Denied> {
        match self.exec(&id)? {
            Exec::Leaving(exit) => {
                let exit = *exit;
                self.execs.remove(&id);
                Ok(vec![Effect::AnswerDelete(Who::Exec(id), exit)])
            }
            _ => Err(Denied::OutOfTurn),
        }
    }

    fn exec(&self, id: &str) -> Result<&Exec, Denied> {
        self.execs.get(id).ok_or(Denied::NoSuchExec)
    }

    fn exec_enters(
        &mut self,
        id: String,
        exec: Exec,
        effects: impl FnOnce(Who) -> Vec<Effect>,
    ) -> Vec<Effect> {
        self.execs.insert(id.clone(), exec);
        effects(Who::Exec(id))
    }
}
