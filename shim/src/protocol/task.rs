//! The task service: containerd's messages in, [`Tasks`] called, containerd's messages out.
//!
//! v2 and v3 of the service differ in the package's name only, so this one object serves both. A call
//! that is not served answers Unimplemented (12), but never Create: containerd 2.3 would take us for an older shim
//! and ask again. Which error becomes which code is decided in [`status`], and nowhere else.

use super::expected::Expected;
use super::{metrics, options};
use crate::cgroups::CgroupError;
use crate::stdio;
use crate::task::{CreateRequest, Exit, HandlerOptions, RootMount, Status, TaskError, Tasks};
use async_trait::async_trait;
use containerd_shim_protos::api;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::well_known_types::empty::Empty;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use containerd_shim_protos::protobuf::{EnumOrUnknown, MessageField};
use containerd_shim_protos::shim_async::Task;
use containerd_shim_protos::ttrpc::r#async::TtrpcContext;
use containerd_shim_protos::ttrpc::{self, Code, get_status};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// The service of one server.
#[derive(Debug, Clone)]
pub struct TaskService {
    tasks: Tasks,
    expected: Expected,
    shutdown: Arc<Notify>,
}

impl TaskService {
    /// `expected` is told who has come; `shutdown` is notified when containerd asks for it and no container is left.
    #[must_use]
    pub fn new(tasks: Tasks, expected: Expected, shutdown: Arc<Notify>) -> Self {
        Self { tasks, expected, shutdown }
    }
}

#[async_trait]
impl Task for TaskService {
    async fn create(
        &self,
        _: &TtrpcContext,
        request: api::CreateTaskRequest,
    ) -> ttrpc::Result<api::CreateTaskResponse> {
        self.expected.arrived(&request.id);
        if !request.checkpoint.is_empty() {
            return Err(rpc(Code::FAILED_PRECONDITION, "restoring from a checkpoint is not supported"));
        }
        let options = match request.options.as_ref() {
            Some(any) => options::read(&any.type_url, &any.value)
                .map_err(|error| rpc(Code::INVALID_ARGUMENT, error))?,
            None => HandlerOptions::default(),
        };
        let request = CreateRequest {
            id: request.id,
            bundle: PathBuf::from(request.bundle),
            rootfs: request.rootfs.into_iter().map(root_mount).collect(),
            stdio: stdio::Request {
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
                terminal: request.terminal,
            },
            options,
        };
        let pid = self.tasks.create(request).await.map_err(status)?;
        Ok(api::CreateTaskResponse { pid, ..Default::default() })
    }

    async fn start(&self, _: &TtrpcContext, request: api::StartRequest) -> ttrpc::Result<api::StartResponse> {
        no_exec(&request.id, &request.exec_id)?;
        let pid = self.tasks.start(&request.id).await.map_err(status)?;
        Ok(api::StartResponse { pid, ..Default::default() })
    }

    async fn state(&self, _: &TtrpcContext, request: api::StateRequest) -> ttrpc::Result<api::StateResponse> {
        no_exec(&request.id, &request.exec_id)?;
        let state = self.tasks.state(&request.id).await.map_err(status)?;
        let mut response = api::StateResponse {
            id: request.id,
            bundle: state.bundle.display().to_string(),
            pid: state.pid,
            status: EnumOrUnknown::new(name(state.status)),
            stdin: state.stdio.stdin,
            stdout: state.stdio.stdout,
            stderr: state.stdio.stderr,
            terminal: state.stdio.terminal,
            ..Default::default()
        };
        if let Some(exit) = state.exit {
            response.exit_status = exit.status;
            response.exited_at = timestamp(exit.at);
        }
        Ok(response)
    }

    async fn wait(&self, _: &TtrpcContext, request: api::WaitRequest) -> ttrpc::Result<api::WaitResponse> {
        no_exec(&request.id, &request.exec_id)?;
        let Exit { status: exit_status, at, .. } = self.tasks.wait(&request.id).await.map_err(status)?;
        Ok(api::WaitResponse { exit_status, exited_at: timestamp(at), ..Default::default() })
    }

    async fn kill(&self, _: &TtrpcContext, request: api::KillRequest) -> ttrpc::Result<Empty> {
        no_exec(&request.id, &request.exec_id)?;
        let signal = i32::try_from(request.signal).unwrap_or(i32::MAX);
        self.tasks.kill(&request.id, signal).await.map_err(status)?;
        Ok(Empty::new())
    }

    async fn delete(
        &self,
        _: &TtrpcContext,
        request: api::DeleteRequest,
    ) -> ttrpc::Result<api::DeleteResponse> {
        no_exec(&request.id, &request.exec_id)?;
        let (pid, exit) = self.tasks.delete(&request.id).await.map_err(status)?;
        Ok(api::DeleteResponse {
            pid,
            exit_status: exit.status,
            exited_at: timestamp(exit.at),
            ..Default::default()
        })
    }

    async fn pids(&self, _: &TtrpcContext, request: api::PidsRequest) -> ttrpc::Result<api::PidsResponse> {
        let pids = self.tasks.pids(&request.id).await.map_err(status)?;
        let processes = pids.into_iter().map(|pid| api::ProcessInfo { pid, ..Default::default() }).collect();
        Ok(api::PidsResponse { processes, ..Default::default() })
    }

    async fn stats(&self, _: &TtrpcContext, request: api::StatsRequest) -> ttrpc::Result<api::StatsResponse> {
        let stats = self.tasks.stats(&request.id).await.map_err(status)?;
        let any: Any = metrics::to_any(&stats).map_err(|error| rpc(Code::INTERNAL, error))?;
        Ok(api::StatsResponse { stats: MessageField::some(any), ..Default::default() })
    }

    async fn close_io(&self, _: &TtrpcContext, request: api::CloseIORequest) -> ttrpc::Result<Empty> {
        no_exec(&request.id, &request.exec_id)?;
        if request.stdin {
            self.tasks.close_stdin(&request.id).await.map_err(status)?;
        }
        Ok(Empty::new())
    }

    /// Never fails: a restarted containerd asks for ids this server may not know.
    async fn connect(
        &self,
        _: &TtrpcContext,
        request: api::ConnectRequest,
    ) -> ttrpc::Result<api::ConnectResponse> {
        let task_pid = self.tasks.state(&request.id).await.map_or(0, |state| state.pid);
        Ok(api::ConnectResponse { shim_pid: std::process::id(), task_pid, ..Default::default() })
    }

    /// containerd asks after every Delete; only the last one means it.
    async fn shutdown(&self, _: &TtrpcContext, _: api::ShutdownRequest) -> ttrpc::Result<Empty> {
        if self.tasks.is_empty() {
            self.shutdown.notify_one();
        }
        Ok(Empty::new())
    }

    async fn pause(&self, _: &TtrpcContext, _: api::PauseRequest) -> ttrpc::Result<Empty> {
        Err(unimplemented("pause"))
    }

    async fn resume(&self, _: &TtrpcContext, _: api::ResumeRequest) -> ttrpc::Result<Empty> {
        Err(unimplemented("resume"))
    }

    async fn checkpoint(&self, _: &TtrpcContext, _: api::CheckpointTaskRequest) -> ttrpc::Result<Empty> {
        Err(unimplemented("checkpoint"))
    }

    async fn exec(&self, _: &TtrpcContext, _: api::ExecProcessRequest) -> ttrpc::Result<Empty> {
        Err(unimplemented("exec"))
    }

    async fn resize_pty(&self, _: &TtrpcContext, _: api::ResizePtyRequest) -> ttrpc::Result<Empty> {
        Err(unimplemented("resizing a terminal"))
    }

    async fn update(&self, _: &TtrpcContext, _: api::UpdateTaskRequest) -> ttrpc::Result<Empty> {
        Err(unimplemented("update"))
    }
}

/// The one place where an error gets its ttrpc code.
fn status(error: TaskError) -> ttrpc::Error {
    let code = match &error {
        TaskError::NoSuchTask { .. } | TaskError::NoSuchExec { .. } | TaskError::NoProcess { .. } => {
            Code::NOT_FOUND
        }
        TaskError::Exists { .. } => Code::ALREADY_EXISTS,
        TaskError::AlreadyStarted { .. } | TaskError::Ended { .. } | TaskError::NotStopped { .. } => {
            Code::FAILED_PRECONDITION
        }
        TaskError::Cgroup { source: CgroupError::Gone { .. }, .. } => Code::NOT_FOUND,
        TaskError::Signal { source, .. } if source.kind() == std::io::ErrorKind::InvalidInput => {
            Code::INVALID_ARGUMENT
        }
        TaskError::Create(failure) if failure.unsupported() => Code::FAILED_PRECONDITION,
        TaskError::Host { .. } => Code::FAILED_PRECONDITION,
        TaskError::Create(_)
        | TaskError::Start { .. }
        | TaskError::Signal { .. }
        | TaskError::Cgroup { .. } => Code::UNKNOWN,
    };
    rpc(code, chain(&error))
}

/// An error with its causes in one line: it is all that `kubectl describe` and `docker run` will show.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn rpc(code: Code, message: impl ToString) -> ttrpc::Error {
    ttrpc::Error::RpcStatus(get_status(code, message))
}

fn unimplemented(what: &str) -> ttrpc::Error {
    rpc(Code::UNIMPLEMENTED, format!("{what} is not supported by this version of Pinnace"))
}

/// There are no execs, so none can be found.
fn no_exec(id: &str, exec_id: &str) -> ttrpc::Result<()> {
    if exec_id.is_empty() {
        return Ok(());
    }
    Err(status(TaskError::NoSuchExec { id: id.to_owned(), exec_id: exec_id.to_owned() }))
}

fn root_mount(mount: api::Mount) -> RootMount {
    RootMount { kind: mount.type_, source: mount.source, options: mount.options }
}

fn name(status: Status) -> api::Status {
    match status {
        Status::Created => api::Status::CREATED,
        Status::Running => api::Status::RUNNING,
        Status::Stopped => api::Status::STOPPED,
    }
}

/// A time as protobuf has it.
pub(super) fn timestamp(at: SystemTime) -> MessageField<Timestamp> {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut timestamp = Timestamp::new();
    timestamp.seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    timestamp.nanos = i32::try_from(since.subsec_nanos()).unwrap_or(0);
    MessageField::some(timestamp)
}
