//! A container that exists, step by step.
//!
//! ```text
//!  Draft ──create──▶ created ──start──▶ running ──exit──▶ stopped ──delete──▶ gone
//!                       └────────kill────────────────────────▲
//! ```
//!
//! Dropping one in any state removes it, so a failing test does not hide its reason behind a leak.

mod control;

use crate::client::{Client, request};
use crate::cost::{self, Cost};
use crate::draft::{bundle, forget};
use crate::exec::ExecDraft;
use crate::node::Node;
use crate::stdio::{Input, Pipe};
use containerd_client::services::v1::{
    CloseIoRequest, CreateTaskRequest, DeleteTaskRequest, GetRequest, KillRequest, ListPidsRequest,
    MetricsRequest, ResizePtyRequest, StartRequest, WaitRequest,
};
use containerd_client::types::Mount;
use containerd_client::types::v1::Process;
pub use containerd_client::types::v1::Status as State;
use prost_types::Any;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use tonic::Status;

const SIGKILL: u32 = 9;

/// How a container ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; 128+n for signal n.
    pub code: u32,
    /// Everything it wrote to stdout.
    pub stdout: String,
    /// Everything it wrote to stderr.
    pub stderr: String,
}

/// A container with a task.
#[derive(Debug)]
pub struct Container<'node> {
    node: &'node Node,
    id: String,
    pid: u32,
    asked: Instant,
    created: Instant,
    streams: Streams,
    deleted: bool,
}

/// Its streams, and how containerd is told of them.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: Option<Input>,
    pub(crate) stdout: Option<Pipe>,
    pub(crate) stderr: Option<Pipe>,
    /// Where the output goes instead of FIFOs.
    pub(crate) url: Option<String>,
    pub(crate) terminal: bool,
}

impl<'node> Container<'node> {
    /// One without a task yet.
    pub(crate) fn new(node: &'node Node, id: String, streams: Streams) -> Self {
        let now = Instant::now();
        Self { node, id, pid: 0, asked: now, created: now, streams, deleted: false }
    }

    /// Creates its task.
    pub(crate) fn create(&mut self, rootfs: Vec<Mount>) -> Result<(), Status> {
        let place = |pipe: &Option<Pipe>| pipe.as_ref().map(|pipe| pipe.path().display().to_string());
        let streams = &self.streams;
        let url = || streams.url.clone().unwrap_or_default();
        let create = CreateTaskRequest {
            container_id: self.id.clone(),
            rootfs,
            stdin: streams.stdin.as_ref().map(|input| input.path().display().to_string()).unwrap_or_default(),
            stdout: place(&streams.stdout).unwrap_or_else(url),
            stderr: if streams.terminal { String::new() } else { place(&streams.stderr).unwrap_or_else(url) },
            terminal: streams.terminal,
            ..Default::default()
        };
        self.asked = Instant::now();
        self.pid = self.client().answer(self.client().tasks().create(request(create)))?.pid;
        self.created = Instant::now();
        Ok(())
    }

    /// The container's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The process that Create returned.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// containerd's directory for it.
    #[must_use]
    pub fn bundle(&self) -> PathBuf {
        bundle(self.node.dir(), &self.id)
    }

    /// Starts it.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn start(&self) -> Result<u32, Status> {
        let start = StartRequest { container_id: self.id.clone(), ..Default::default() };
        Ok(self.client().answer(self.client().tasks().start(request(start)))?.pid)
    }

    /// What State says.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn process(&self) -> Result<Process, Status> {
        let get = GetRequest { container_id: self.id.clone(), ..Default::default() };
        let answer = self.client().answer(self.client().tasks().get(request(get)))?;
        Ok(answer.process.unwrap_or_default())
    }

    /// The state alone.
    ///
    /// # Panics
    /// If there is none to be had.
    #[must_use]
    #[track_caller]
    pub fn state(&self) -> State {
        self.process().expect("a state").status()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn kill(&self, signal: u32) -> Result<(), Status> {
        let kill = KillRequest { container_id: self.id.clone(), signal, ..Default::default() };
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
        let wait = WaitRequest { container_id: self.id.clone(), ..Default::default() };
        Ok(self.client().answer(self.client().tasks().wait(request(wait)))?.exit_status)
    }

    /// Waits for its exit beside whatever the caller does; the receiver gets the moment the answer came.
    #[must_use]
    pub fn watch(&self) -> Receiver<Instant> {
        let (told, ended) = mpsc::channel();
        let mut tasks = self.client().tasks();
        let wait = WaitRequest { container_id: self.id.clone(), ..Default::default() };
        self.client().runtime().spawn(async move {
            if tasks.wait(request(wait)).await.is_ok() {
                // Nobody listens any more: then nobody wants to know.
                let _unheard = told.send(Instant::now());
            }
        });
        ended
    }

    /// Starts it, waits for its end, deletes it.
    ///
    /// # Panics
    /// If any of these fails.
    #[must_use]
    #[track_caller]
    pub fn run_to_end(mut self) -> Ended {
        self.start().expect("start");
        let code = self.wait();
        let (stdout, stderr) = (self.stdout_to_end(), self.stderr_to_end());
        assert_eq!(self.delete().expect("delete"), code, "Delete tells the exit code that Wait told");
        Ended { code, stdout, stderr }
    }

    /// Deletes the task, and with it containerd's container; gives the exit code.
    ///
    /// # Errors
    /// With containerd's answer; the container is still there then.
    pub fn delete(&mut self) -> Result<u32, Status> {
        let code = self.delete_task()?;
        self.deleted = true;
        forget(self.client(), &self.id);
        Ok(code)
    }

    /// Deletes the task alone; [`Container::forget`] must follow.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn delete_task(&self) -> Result<u32, Status> {
        let delete = DeleteTaskRequest { container_id: self.id.clone() };
        Ok(self.client().answer(self.client().tasks().delete(request(delete)))?.exit_status)
    }

    /// Removes containerd's records of a container whose task is gone.
    pub fn forget(mut self) {
        self.deleted = true;
        forget(self.client(), &self.id);
    }

    /// The host's process ids in it.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn pids(&self) -> Result<Vec<u32>, Status> {
        let list = ListPidsRequest { container_id: self.id.clone() };
        let answer = self.client().answer(self.client().tasks().list_pids(request(list)))?;
        Ok(answer.processes.into_iter().map(|process| process.pid).collect())
    }

    /// What Stats gives: a message of the cgroup's version.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn metrics(&self) -> Result<Any, Status> {
        let metrics = MetricsRequest { filters: vec![format!("id=={}", self.id)] };
        let answer = self.client().answer(self.client().tasks().metrics(request(metrics)))?;
        let metric = answer.metrics.into_iter().next().and_then(|metric| metric.data);
        metric.ok_or_else(|| Status::not_found(format!("no metrics of {}", self.id)))
    }

    /// Writes to its stdin.
    ///
    /// # Panics
    /// If it was drafted without one.
    pub fn write(&mut self, text: &str) {
        self.streams.stdin.as_mut().expect("a container with stdin").write(text);
    }

    /// Ends its stdin, as a client does: its own end, then CloseIO.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn close_stdin(&mut self) -> Result<(), Status> {
        if let Some(stdin) = &mut self.streams.stdin {
            stdin.close();
        }
        let close = CloseIoRequest { container_id: self.id.clone(), stdin: true, ..Default::default() };
        self.client().answer(self.client().tasks().close_io(request(close))).map(drop)
    }

    /// Leaves its stdin as a client that detaches does, for [`Container::attach_stdin`] to come back.
    pub fn detach_stdin(&mut self) {
        if let Some(stdin) = &mut self.streams.stdin {
            stdin.close();
        }
    }

    /// Opens its stdin again.
    pub fn attach_stdin(&mut self) {
        if let Some(stdin) = &mut self.streams.stdin {
            stdin.open();
        }
    }

    /// Tells the size of the client's window.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn resize(&self, width: u32, height: u32) -> Result<(), Status> {
        let resize = ResizePtyRequest { container_id: self.id.clone(), width, height, ..Default::default() };
        self.client().answer(self.client().tasks().resize_pty(request(resize))).map(drop)
    }

    /// Its stdout.
    ///
    /// # Panics
    /// If its output goes elsewhere.
    #[must_use]
    pub fn stdout(&self) -> &Pipe {
        self.streams.stdout.as_ref().expect("a container with FIFOs")
    }

    /// Its stderr.
    ///
    /// # Panics
    /// If its output goes elsewhere.
    #[must_use]
    pub fn stderr(&self) -> &Pipe {
        self.streams.stderr.as_ref().expect("a container with FIFOs")
    }

    /// Another process in it, with these arguments.
    ///
    /// # Panics
    /// If its bundle cannot be read.
    #[must_use]
    pub fn exec<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> ExecDraft<'_, 'node> {
        ExecDraft::new(self, args.into_iter().map(str::to_owned).collect())
    }

    /// How long Create took.
    #[must_use]
    pub fn create_took(&self) -> Duration {
        self.created.duration_since(self.asked)
    }

    /// The time from asking for Create to the first byte of stdout, if there was one.
    #[must_use]
    pub fn to_first_byte(&self) -> Option<Duration> {
        let first = self.streams.stdout.as_ref().and_then(Pipe::first_byte)?;
        Some(first.duration_since(self.asked))
    }

    /// What it costs while it runs: its shim, and every process below.
    #[must_use]
    pub fn cost(&self) -> Vec<Cost> {
        cost::family(self.pid)
    }

    fn stdout_to_end(&self) -> String {
        self.streams.stdout.as_ref().map(Pipe::to_end).unwrap_or_default()
    }

    fn stderr_to_end(&self) -> String {
        self.streams.stderr.as_ref().map(Pipe::to_end).unwrap_or_default()
    }

    /// The directory of its FIFOs.
    pub(crate) fn io(&self) -> PathBuf {
        self.node.dir().join("io")
    }

    pub(crate) fn client(&self) -> &'node Client {
        self.node.client()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if self.deleted {
            return;
        }
        // Whatever state it is in: a stopped one answers Kill with NotFound, and that is as good.
        let _gone = self.kill(SIGKILL);
        let wait = WaitRequest { container_id: self.id.clone(), ..Default::default() };
        let _ended = self.client().answer(self.client().tasks().wait(request(wait)));
        if let Err(status) = self.delete() {
            eprintln!("{}: not deleted: {status}", self.id);
            if std::thread::panicking() {
                return;
            }
            panic!("{}: could not be deleted: {status}", self.id);
        }
    }
}
