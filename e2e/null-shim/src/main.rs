//! A shim that answers the task API and runs nothing, by the stock crate and its own start path.
//!
//! "Start" writes a line to the container's stdout and is the end of the container, so the same measurement
//! fits as for shims that run something.

#![forbid(unsafe_code)]

use async_trait::async_trait;
use containerd_shim::asynchronous::{ExitSignal, Shim, run, spawn};
use containerd_shim::publisher::RemotePublisher;
use containerd_shim::{Config, Error, Flags, StartOpts, TtrpcResult};
use containerd_shim_protos::api;
use containerd_shim_protos::shim_async::Task;
use containerd_shim_protos::ttrpc::r#async::TtrpcContext;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::{Arc, Mutex};

#[derive(Clone)]
struct Service {
    exit: Arc<ExitSignal>,
    stdout: Arc<Mutex<String>>,
}

#[async_trait]
impl Shim for Service {
    type T = Self;

    async fn new(_runtime: &str, _flags: &Flags, _config: &mut Config) -> Self {
        Self { exit: Arc::default(), stdout: Arc::default() }
    }

    async fn start_shim(&mut self, options: StartOpts) -> Result<String, Error> {
        let group = options.id.clone();
        spawn(options, &group, Vec::new()).await
    }

    async fn delete_shim(&mut self) -> Result<api::DeleteResponse, Error> {
        Ok(api::DeleteResponse::new())
    }

    async fn wait(&mut self) {
        self.exit.wait().await;
    }

    async fn create_task_service(&self, _publisher: RemotePublisher) -> Self {
        self.clone()
    }
}

#[async_trait]
impl Task for Service {
    async fn create(
        &self,
        _context: &TtrpcContext,
        request: api::CreateTaskRequest,
    ) -> TtrpcResult<api::CreateTaskResponse> {
        if let Ok(mut stdout) = self.stdout.lock() {
            *stdout = request.stdout;
        }
        Ok(api::CreateTaskResponse { pid: std::process::id(), ..Default::default() })
    }

    async fn start(&self, _context: &TtrpcContext, _request: api::StartRequest) -> TtrpcResult<api::StartResponse> {
        let path = self.stdout.lock().map(|path| path.clone()).unwrap_or_default();
        if let Ok(mut fifo) = OpenOptions::new().write(true).open(path) {
            // Nobody listens: then nobody measures.
            let _unheard = fifo.write_all(b"hello from nobody\n");
        }
        Ok(api::StartResponse { pid: std::process::id(), ..Default::default() })
    }

    async fn state(&self, _context: &TtrpcContext, request: api::StateRequest) -> TtrpcResult<api::StateResponse> {
        let pid = std::process::id();
        let status = api::Status::STOPPED.into();
        Ok(api::StateResponse { id: request.id, pid, status, ..Default::default() })
    }

    async fn wait(&self, _context: &TtrpcContext, _request: api::WaitRequest) -> TtrpcResult<api::WaitResponse> {
        Ok(api::WaitResponse::default())
    }

    async fn kill(&self, _context: &TtrpcContext, _request: api::KillRequest) -> TtrpcResult<api::Empty> {
        Ok(api::Empty::default())
    }

    async fn delete(&self, _context: &TtrpcContext, _request: api::DeleteRequest) -> TtrpcResult<api::DeleteResponse> {
        Ok(api::DeleteResponse { pid: std::process::id(), ..Default::default() })
    }

    async fn connect(
        &self,
        _context: &TtrpcContext,
        _request: api::ConnectRequest,
    ) -> TtrpcResult<api::ConnectResponse> {
        let pid = std::process::id();
        Ok(api::ConnectResponse { shim_pid: pid, task_pid: pid, ..Default::default() })
    }

    async fn shutdown(&self, _context: &TtrpcContext, _request: api::ShutdownRequest) -> TtrpcResult<api::Empty> {
        self.exit.signal();
        Ok(api::Empty::default())
    }
}

#[tokio::main]
async fn main() {
    run::<Service>("io.containerd.null.v1", None).await;
}
