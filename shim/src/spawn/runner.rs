//! Who runs a container: what a further process, an update and the end mean for it.

use super::engine::Engine;
use super::error::SpawnFailure;
use super::exec::Origin;
use super::host::Host;
use crate::cgroups::Cgroup;
use crate::hooks::Hooked;
use crate::native;
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
    /// What it waits for before it enters its program.
    pub gate: Gate,
    /// Its streams.
    pub stdio: Stdio,
}

/// What stands between a process and its program.
#[derive(Debug)]
pub enum Gate {
    /// Go, which an engine waits for at its socket; behind it the container's hooks.
    Engine(Control, Option<Arc<Hooked>>),
    /// The OCI runtime's `start`.
    Runtime(Arc<native::Container>),
    /// Nothing: it is in its program.
    Open,
}

impl Spawned {
    pub(super) fn new(engine: Engine, hooks: Option<Arc<Hooked>>, stdio: Stdio) -> Self {
        Self { process: engine.process, gate: Gate::Engine(engine.control, hooks), stdio }
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
    /// Its hooks, if they are ours to run.
    pub hooks: Option<Arc<Hooked>>,
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
    Engine(Arc<Origin>),
    /// The holder of a pod's namespaces.
    Holder,
    /// The node's OCI runtime.
    Native(Arc<native::Container>),
}

impl Runner {
    /// Makes a further process.
    ///
    /// # Errors
    /// When it cannot be made; nothing of it is left then.
    pub async fn exec(
        &self,
        host: &Host,
        within: &Within,
        request: &ExecRequest,
    ) -> Result<Spawned, SpawnFailure> {
        match self {
            Self::Engine(origin) => super::exec::exec(host, within, origin, request).await,
            Self::Holder => Err(SpawnFailure::ExecInHolder),
            Self::Native(container) => Ok(container.exec(request).await?),
        }
    }

    /// Whether its processes may have children, whose ends nobody sees.
    #[must_use]
    pub fn has_children(&self) -> bool {
        matches!(self, Self::Native(_))
    }

    /// Changes the limits of a container.
    ///
    /// # Errors
    /// When one cannot be changed.
    pub async fn update(&self, cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), SpawnFailure> {
        match self {
            Self::Engine(_) | Self::Holder => Ok(cgroup.update(resources).await?),
            Self::Native(container) => Ok(container.update(resources).await?),
        }
    }

    /// Removes what a container has beside its processes and its cgroup.
    ///
    /// # Errors
    /// When something of it stays.
    pub async fn delete(&self) -> Result<(), SpawnFailure> {
        match self {
            Self::Engine(_) | Self::Holder => Ok(()),
            Self::Native(container) => Ok(container.delete().await?),
        }
    }
}
