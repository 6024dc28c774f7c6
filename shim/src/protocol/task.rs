//! The task service: containerd's messages in, [`Tasks`] called, containerd's messages out.
//!
//! v2 and v3 of the service differ in the package's name only, so this one object serves both. A call
//! that is not served answers Unimplemented (12), but never Create: containerd 2.3 would take us for an older shim
//! and ask again. Which error becomes which code is decided in [`status`](super::status), and nowhere else.

use super::expected::Expected;
use super::status::{rpc, status};
use super::{metrics, options};
use crate::stdio;
use crate::task::{CreateRequest, ExecRequest, Exit, HandlerOptions, Listed, RootMount, Status, Tasks};
use async_trait::async_trait;
use containerd_shim_protos::api;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::well_known_types::empty::Empty;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use containerd_shim_protos::protobuf::{
    CodedOutputStream, EnumOrUnknown, Error as ProtobufError, MessageField,
};
use containerd_shim_protos::shim_async::Task;
use containerd_shim_protos::ttrpc::r#async::TtrpcContext;
use containerd_shim_protos::ttrpc::{self, Code};
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
        let pid = self.tasks.start(&request.id, &request.exec_id).await.map_err(status)?;
        Ok(api::StartResponse { pid, ..Default::default() })
    }

    async fn state(&self, _: &TtrpcContext, request: api::StateRequest) -> ttrpc::Result<api::StateResponse> {
        let state = self.tasks.state(&request.id, &request.exec_id).await.map_err(status)?;
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
        let Exit { status: exit_status, at, .. } =
            self.tasks.wait(&request.id, &request.exec_id).await.map_err(status)?;
        Ok(api::WaitResponse { exit_status, exited_at: timestamp(at), ..Default::default() })
    }

    async fn kill(&self, _: &TtrpcContext, request: api::KillRequest) -> ttrpc::Result<Empty> {
        let signal = i32::try_from(request.signal).unwrap_or(i32::MAX);
        let killed = match request.all {
            true => self.tasks.kill_all(&request.id, signal).await,
            false => self.tasks.kill(&request.id, &request.exec_id, signal).await,
        };
        killed.map_err(status)?;
        Ok(Empty::new())
    }

    async fn delete(
        &self,
        _: &TtrpcContext,
        request: api::DeleteRequest,
    ) -> ttrpc::Result<api::DeleteResponse> {
        let (pid, exit) = self.tasks.delete(&request.id, &request.exec_id).await.map_err(status)?;
        Ok(api::DeleteResponse {
            pid,
            exit_status: exit.status,
            exited_at: timestamp(exit.at),
            ..Default::default()
        })
    }

    async fn pids(&self, _: &TtrpcContext, request: api::PidsRequest) -> ttrpc::Result<api::PidsResponse> {
        let pids = self.tasks.pids(&request.id).await.map_err(status)?;
        let processes = pids.into_iter().map(listed).collect::<ttrpc::Result<_>>()?;
        Ok(api::PidsResponse { processes, ..Default::default() })
    }

    async fn stats(&self, _: &TtrpcContext, request: api::StatsRequest) -> ttrpc::Result<api::StatsResponse> {
        let stats = self.tasks.stats(&request.id).await.map_err(status)?;
        let any: Any = metrics::to_any(&stats).map_err(|error| rpc(Code::INTERNAL, error))?;
        Ok(api::StatsResponse { stats: MessageField::some(any), ..Default::default() })
    }

    async fn close_io(&self, _: &TtrpcContext, request: api::CloseIORequest) -> ttrpc::Result<Empty> {
        if request.stdin {
            self.tasks.close_stdin(&request.id, &request.exec_id).await.map_err(status)?;
        }
        Ok(Empty::new())
    }

    /// Never fails: a restarted containerd asks for ids this server may not know.
    async fn connect(
        &self,
        _: &TtrpcContext,
        request: api::ConnectRequest,
    ) -> ttrpc::Result<api::ConnectResponse> {
        let task_pid = self.tasks.state(&request.id, "").await.map_or(0, |state| state.pid);
        Ok(api::ConnectResponse { shim_pid: std::process::id(), task_pid, ..Default::default() })
    }

    /// containerd asks after every Delete; only the last one means it.
    async fn shutdown(&self, _: &TtrpcContext, _: api::ShutdownRequest) -> ttrpc::Result<Empty> {
        if self.tasks.is_empty() {
            self.shutdown.notify_one();
        }
        Ok(Empty::new())
    }

    async fn pause(&self, _: &TtrpcContext, request: api::PauseRequest) -> ttrpc::Result<Empty> {
        self.tasks.pause(&request.id).await.map_err(status)?;
        Ok(Empty::new())
    }

    async fn resume(&self, _: &TtrpcContext, request: api::ResumeRequest) -> ttrpc::Result<Empty> {
        self.tasks.resume(&request.id).await.map_err(status)?;
        Ok(Empty::new())
    }

    async fn checkpoint(&self, _: &TtrpcContext, _: api::CheckpointTaskRequest) -> ttrpc::Result<Empty> {
        Err(rpc(Code::UNIMPLEMENTED, "a checkpoint of a Wasm container cannot be made"))
    }

    async fn exec(&self, _: &TtrpcContext, request: api::ExecProcessRequest) -> ttrpc::Result<Empty> {
        let exec = ExecRequest {
            exec_id: request.exec_id,
            process: request.spec.into_option().map(|any| any.value).unwrap_or_default(),
            stdio: stdio::Request {
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
                terminal: request.terminal,
            },
        };
        self.tasks.exec(&request.id, exec).await.map_err(status)?;
        Ok(Empty::new())
    }

    async fn resize_pty(&self, _: &TtrpcContext, request: api::ResizePtyRequest) -> ttrpc::Result<Empty> {
        // A terminal counts in 16 bits.
        let short = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
        let size = (short(request.width), short(request.height));
        self.tasks.resize(&request.id, &request.exec_id, size).await.map_err(status)?;
        Ok(Empty::new())
    }

    async fn update(&self, _: &TtrpcContext, request: api::UpdateTaskRequest) -> ttrpc::Result<Empty> {
        let resources = request.resources.into_option().map(|any| any.value).unwrap_or_default();
        self.tasks.update(&request.id, &resources).await.map_err(status)?;
        Ok(Empty::new())
    }
}

/// A process of a container, with its exec id as containerd's own shim gives it (`containerd.runc.v1`, oci.proto;
/// one field, so it is written by hand).
fn listed(process: Listed) -> ttrpc::Result<api::ProcessInfo> {
    let details = process.exec_id.map(|exec_id| {
        let mut value = Vec::new();
        let mut stream = CodedOutputStream::vec(&mut value);
        stream.write_string(1, &exec_id).and_then(|()| stream.flush())?;
        drop(stream);
        Ok(Any { type_url: "containerd.runc.v1.ProcessDetails".to_owned(), value, ..Any::default() })
    });
    let encoded = |error: ProtobufError| rpc(Code::INTERNAL, error);
    Ok(api::ProcessInfo {
        pid: process.pid,
        info: details.transpose().map_err(encoded)?.into(),
        ..Default::default()
    })
}

fn root_mount(mount: api::Mount) -> RootMount {
    RootMount { kind: mount.type_, source: mount.source, options: mount.options }
}

fn name(status: Status) -> api::Status {
    match status {
        Status::Created => api::Status::CREATED,
        Status::Running => api::Status::RUNNING,
        Status::Pausing => api::Status::PAUSING,
        Status::Paused => api::Status::PAUSED,
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
