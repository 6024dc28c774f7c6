//! Another process of a container, step by step.
//!
//! ```text
//!  ExecDraft ──add──▶ added ──start──▶ running ──exit──▶ stopped ──delete──▶ gone
//!                       └───────delete───────────────────────────────────────▲
//! ```
//!
//! As with a container, dropping one in any state removes it.

use crate::client::{Client, request};
use crate::container::{Container, Ended};
use crate::stdio::{Input, Pipe};
use containerd_client::services::v1::{
    CloseIoRequest, DeleteProcessRequest, ExecProcessRequest, GetRequest, KillRequest, ResizePtyRequest,
    StartRequest, WaitRequest,
};
use containerd_client::types::v1::Process;
use prost_types::Any;
use serde_json::{Value, json};
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use tonic::Status;

const PROCESS_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";

/// The plan of another process. Without any word it is as the container's own, with other arguments.
#[derive(Debug)]
pub struct ExecDraft<'container, 'node> {
    container: &'container Container<'node>,
    id: String,
    process: Value,
    stdin: bool,
    terminal: bool,
}

/// Another process of a container.
#[derive(Debug)]
pub struct Exec<'container, 'node> {
    container: &'container Container<'node>,
    id: String,
    pid: u32,
    asked: Instant,
    stdin: Option<Input>,
    stdout: Pipe,
    stderr: Pipe,
    deleted: bool,
}

impl<'container, 'node> ExecDraft<'container, 'node> {
    pub(crate) fn new(container: &'container Container<'node>, args: Vec<String>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("exec-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        // Of a container that is gone meanwhile there is no bundle: then containerd says so.
        let spec = fs::read(container.bundle().join("config.json")).unwrap_or_else(|_| b"{}".to_vec());
        let spec: Value = serde_json::from_slice(&spec).expect("a spec");
        let mut process = spec["process"].clone();
        process["args"] = json!(args);
        Self { container, id, process, stdin: false, terminal: false }
    }

    /// Anything in the process.
    #[must_use]
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.process);
        self
    }

    /// With a stdin that the test writes to; else it is `/dev/null`.
    #[must_use]
    pub fn with_stdin(mut self) -> Self {
        self.stdin = true;
        self
    }

    /// With a terminal, and somebody who types on it; nothing comes to stderr then, not even its end.
    #[must_use]
    pub fn with_terminal(mut self) -> Self {
        self.terminal = true;
        self.with_stdin().edit(|process| process["terminal"] = json!(true))
    }

    /// Adds it, starts it, waits for it, deletes it.
    ///
    /// # Panics
    /// If any of these fails.
    #[must_use]
    #[track_caller]
    pub fn run(self) -> Ended {
        let mut exec = self.start().expect("start of an exec");
        let code = exec.wait();
        let (stdout, stderr) = (exec.stdout().to_end(), exec.stderr().to_end());
        assert_eq!(exec.delete().expect("delete"), code, "Delete tells the exit code that Wait told");
        Ended { code, stdout, stderr }
    }

    /// Adds it and starts it.
    ///
    /// # Errors
    /// With containerd's answer; nothing of it is left then.
    pub fn start(self) -> Result<Exec<'container, 'node>, Status> {
        let mut exec = self.add()?;
        exec.start()?;
        Ok(exec)
    }

    /// Adds it.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn add(self) -> Result<Exec<'container, 'node>, Status> {
        let value = serde_json::to_vec(&self.process).expect("a process as JSON");
        self.add_as(value)
    }

    /// Adds it with this text instead of a process.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn add_as(self, process: Vec<u8>) -> Result<Exec<'container, 'node>, Status> {
        let (id, container) = (self.id, self.container);
        let place = |name: &str| container.io().join(format!("{}-{id}-{name}", container.id()));
        let stdin = self.stdin.then(|| Input::new(place("in")));
        let (stdout, stderr) = (Pipe::new(place("out")), Pipe::new(place("err")));
        let add = ExecProcessRequest {
            container_id: container.id().to_owned(),
            exec_id: id.clone(),
            stdin: stdin.as_ref().map(|input| input.path().display().to_string()).unwrap_or_default(),
            stdout: stdout.path().display().to_string(),
            stderr: if self.terminal { String::new() } else { stderr.path().display().to_string() },
            terminal: self.terminal,
            spec: Some(Any { type_url: PROCESS_TYPE.to_owned(), value: process }),
        };
        let (client, asked) = (container.client(), Instant::now());
        client.answer(client.tasks().exec(request(add)))?;
        Ok(Exec { container, id, pid: 0, asked, stdin, stdout, stderr, deleted: false })
    }
}

impl Exec<'_, '_> {
    /// Tells the size of the client's window.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn resize(&self, width: u32, height: u32) -> Result<(), Status> {
        let resize = ResizePtyRequest {
            container_id: self.container.id().to_owned(),
            exec_id: self.id.clone(),
            width,
            height,
        };
        let client = self.container.client();
        client.answer(client.tasks().resize_pty(request(resize))).map(drop)
    }

    /// Its id in the container.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The process that Start returned.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Starts it.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn start(&mut self) -> Result<u32, Status> {
        let start = StartRequest { container_id: self.container.id().to_owned(), exec_id: self.id.clone() };
        self.pid = self.client().answer(self.client().tasks().start(request(start)))?.pid;
        Ok(self.pid)
    }

    /// Starts it beside whatever the caller does; the receiver gets containerd's answer.
    #[must_use]
    pub fn start_beside(&self) -> Receiver<Result<u32, Status>> {
        let (told, answer) = mpsc::channel();
        let mut tasks = self.client().tasks();
        let start = StartRequest { container_id: self.container.id().to_owned(), exec_id: self.id.clone() };
        self.client().runtime().spawn(async move {
            let started = tasks.start(request(start)).await.map(|answer| answer.into_inner().pid);
            // Nobody listens any more: then nobody wants to know.
            let _unheard = told.send(started);
        });
        answer
    }

    /// What State says.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn process(&self) -> Result<Process, Status> {
        let get = GetRequest { container_id: self.container.id().to_owned(), exec_id: self.id.clone() };
        let answer = self.client().answer(self.client().tasks().get(request(get)))?;
        Ok(answer.process.unwrap_or_default())
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn kill(&self, signal: u32) -> Result<(), Status> {
        let kill = KillRequest {
            container_id: self.container.id().to_owned(),
            exec_id: self.id.clone(),
            signal,
            all: false,
        };
        self.client().answer(self.client().tasks().kill(request(kill))).map(drop)
    }

    /// Waits for its exit.
    ///
    /// # Panics
    /// If Wait fails.
    #[track_caller]
    pub fn wait(&self) -> u32 {
        self.try_wait().expect("wait")
    }

    /// Waits for its exit.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn try_wait(&self) -> Result<u32, Status> {
        let wait = WaitRequest { container_id: self.container.id().to_owned(), exec_id: self.id.clone() };
        Ok(self.client().answer(self.client().tasks().wait(request(wait)))?.exit_status)
    }

    /// Deletes it; gives the exit code.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn delete(&mut self) -> Result<u32, Status> {
        let delete =
            DeleteProcessRequest { container_id: self.container.id().to_owned(), exec_id: self.id.clone() };
        let answer = self.client().answer(self.client().tasks().delete_process(request(delete)))?;
        self.deleted = true;
        Ok(answer.exit_status)
    }

    /// Writes to its stdin.
    ///
    /// # Panics
    /// If it was drafted without one.
    pub fn write(&mut self, text: &str) {
        self.stdin.as_mut().expect("an exec with stdin").write(text);
    }

    /// Ends its stdin, as a client does: its own end, then CloseIO.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn close_stdin(&mut self) -> Result<(), Status> {
        if let Some(stdin) = &mut self.stdin {
            stdin.close();
        }
        let close = CloseIoRequest {
            container_id: self.container.id().to_owned(),
            exec_id: self.id.clone(),
            stdin: true,
        };
        self.client().answer(self.client().tasks().close_io(request(close))).map(drop)
    }

    /// Its stdout.
    #[must_use]
    pub fn stdout(&self) -> &Pipe {
        &self.stdout
    }

    /// Its stderr.
    #[must_use]
    pub fn stderr(&self) -> &Pipe {
        &self.stderr
    }

    /// The time from asking for Exec to the first byte of stdout, if there was one.
    #[must_use]
    pub fn to_first_byte(&self) -> Option<Duration> {
        Some(self.stdout.first_byte()?.duration_since(self.asked))
    }

    fn client(&self) -> &Client {
        self.container.client()
    }
}

impl Drop for Exec<'_, '_> {
    fn drop(&mut self) {
        if self.deleted {
            return;
        }
        // One that was not started has nothing to wait for.
        if self.kill(9).is_ok() {
            let wait = WaitRequest { container_id: self.container.id().to_owned(), exec_id: self.id.clone() };
            let _ended = self.client().answer(self.client().tasks().wait(request(wait)));
        }
        // Without its container it is gone.
        let _deleted = self.delete();
    }
}
