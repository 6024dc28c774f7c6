//! Who runs a container: what a further process, an update and the end mean for it.

use super::engine::Engine;
use super::error::SpawnFailure;
use super::host::Host;
use crate::cgroups::{Cgroup, CgroupError};
use crate::process::Process;
use crate::spawn::Control;
use crate::stdio::Stdio;
use crate::task::{ExecRequest, HandlerOptions};
use oci_spec::runtime::LinuxResources;
use std::path::PathBuf;
use std::sync::Arc;

/// One process of a container, born.
#[derive(Debug)]
pub struct Spawned {
    /// The process.
    pub process: Arc<Process>,
    /// An engine's socket: it waits there for Go. Without one the process has entered its program.
    pub control: Option<Control>,
    /// Its streams.
    pub stdio: Stdio,
}

impl Spawned {
    pub(super) fn new(engine: Engine, stdio: Stdio) -> Self {
        Self { process: engine.process, control: Some(engine.control), stdio }
    }
}

/// A container that waits to be started.
#[derive(Debug)]
pub struct Born {
    /// Its first process.
    pub init: Spawned,
    /// Its cgroup.
    pub cgroup: Cgroup,
    /// Who runs it.
    pub runner: Runner,
}

/// The container in which a further process is made.
#[derive(Debug)]
pub struct Within {
    /// Its id.
    pub id: String,
    /// Its bundle.
    pub bundle: PathBuf,
    /// The options of its handler.
    pub options: HandlerOptions,
    /// Its cgroup.
    pub cgroup: Cgroup,
    /// Its first process, whose namespaces are the container's.
    pub init: Arc<Process>,
}

/// Who runs a container.
#[derive(Debug, Clone)]
pub enum Runner {
    /// Engine programs, one a process.
    Engine,
    /// The holder of a pod's namespaces.
    Holder,
}

impl Runner {
    /// Makes a further process.
    ///
    /// # Errors
    /// When it cannot be made; nothing of it is left then.
    pub async fn exec(
        &self,
        _host: &Host,
        _within: &Within,
        _request: &ExecRequest,
    ) -> Result<Spawned, SpawnFailure> {
        match self {
            Self::Engine => Err(SpawnFailure::NoExec),
            Self::Holder => Err(SpawnFailure::ExecInHolder),
        }
    }

    /// Changes the limits of a container.
    ///
    /// # Errors
    /// When one cannot be changed.
    pub async fn update(&self, cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), CgroupError> {
        match self {
            Self::Engine | Self::Holder => cgroup.update(resources).await,
        }
    }

    /// Removes what a container has beside its processes and its cgroup.
    ///
    /// # Errors
    /// When something of it stays.
    pub async fn delete(&self) -> Result<(), SpawnFailure> {
        match self {
            Self::Engine | Self::Holder => Ok(()),
        }
    }
}
