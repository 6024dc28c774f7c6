//! One process of a container, as its actor keeps it: what it was asked to be, what there is of it, who waits.

use super::call::{Answer, reply};
use super::keeper::{Teller, follow};
use super::request::{ExecRequest, Exit};
use crate::process::Process;
use crate::spawn::Spawned;
use crate::stdio::{self, Stdio, Tail};
use pinnace_plan::ExitCause;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A process, before, during and after its life.
#[derive(Debug)]
pub(super) struct Member {
    /// The streams as they were asked for.
    pub(super) request: stdio::Request,
    /// What to run; an exec's, until it is started.
    pub(super) exec: Option<ExecRequest>,
    /// The process, once it is born.
    pub(super) process: Option<Arc<Process>>,
    /// How its guest ended, by its engine's own word.
    pub(super) cause: Option<ExitCause>,
    pub(super) start: Option<Answer<u32>>,
    pub(super) delete: Option<Answer<(u32, Exit)>>,
    pub(super) waits: Vec<Answer<Exit>>,
    go: Option<oneshot::Sender<()>>,
    stdio: Option<Stdio>,
    /// What the process wrote last.
    tail: Option<Tail>,
}

impl Member {
    /// An exec that was asked for.
    pub(super) fn asked(exec: ExecRequest) -> Self {
        Self { exec: Some(exec.clone()), ..Self::new(exec.stdio) }
    }

    /// A container's first process.
    pub(super) fn first(request: stdio::Request, spawned: Spawned, teller: Teller) -> Self {
        let mut member = Self::new(request);
        member.born(spawned, teller);
        member
    }

    fn new(request: stdio::Request) -> Self {
        let (exec, process, cause, start, delete) = (None, None, None, None, None);
        let (go, stdio, tail) = (None, None, None);
        Self { request, exec, process, cause, start, delete, waits: Vec::new(), go, stdio, tail }
    }

    /// There is a process now, and it is followed.
    pub(super) fn born(&mut self, spawned: Spawned, teller: Teller) {
        self.go = Some(follow(Arc::clone(&spawned.process), spawned.gate, teller));
        self.process = Some(spawned.process);
        self.stdio = Some(spawned.stdio);
    }

    /// Has the process enter its program.
    pub(super) fn go(&mut self) {
        if let Some(go) = self.go.take() {
            // Whoever followed it has seen its end.
            let _heard = go.send(());
        }
    }

    /// In the host's pid namespace; 0 before there is one.
    pub(super) fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, |process| process.pid.unsigned_abs())
    }

    /// Lets the input end once the client has closed its side too.
    pub(super) fn close_stdin(&mut self) {
        if let Some(stdio) = &mut self.stdio {
            stdio.close_stdin();
        }
    }

    /// Gives the terminal another size; nothing without one.
    pub(super) fn resize(&self, (width, height): (u16, u16)) -> std::io::Result<()> {
        self.stdio.as_ref().map_or(Ok(()), |stdio| stdio.resize(width, height))
    }

    /// Closes our ends of the streams, but for what the process wrote last to a terminal or a logger.
    pub(super) fn close_streams(&mut self) {
        self.tail = self.stdio.take().map(Stdio::finish);
    }

    /// Has that end; tells when it is gone. Without it, it is as if it had gone already.
    pub(super) fn end_streams(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let gone = self.tail.take().map(Tail::stop);
        async {
            if let Some(gone) = gone {
                // Its other end says nothing, it only goes away.
                drop(gone.await);
            }
        }
    }

    pub(super) fn answer_waits(&mut self, exit: Exit) {
        for answer in self.waits.drain(..) {
            reply(answer, Ok(exit));
        }
    }

    /// Whoever has gone away (a containerd that was restarted) leaves nothing behind.
    pub(super) fn wait(&mut self, answer: Answer<Exit>) {
        self.waits.retain(|waiting| !waiting.is_closed());
        self.waits.push(answer);
    }
}
