//! Where a container's process will be: its namespaces, cgroup and streams, made before it is known what it runs.
//!
//! Until a process has settled in it, all of it goes when it is dropped.

use super::bundle::Bundle;
use super::engine::{Engine, EngineError};
use super::error::SpawnFailure;
use super::host::Host;
use super::namespaces::Namespaces;
use super::runner::{Born, Runner, Spawned};
use super::user::Users;
use super::{cgroups_path, limits};
use crate::cgroups::{Cgroup, CgroupError, Join};
use crate::fault::{self, Phase};
use crate::hooks::Hooked;
use crate::stdio::{Owner, Stdio};
use crate::task::CreateRequest;
use oci_spec::runtime::{Process, Spec};
use pinnace_spawn::Placeholder;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// A place for a process.
pub(super) struct Place {
    pub namespaces: Namespaces,
    pub entrance: Join,
    pub stdio: Stdio,
    cgroup: Limited,
}

impl Place {
    /// Makes it as the spec asks for it.
    pub(super) async fn make(
        host: &Host,
        request: &CreateRequest,
        spec: &Spec,
        users: Option<Users>,
    ) -> Result<Self, SpawnFailure> {
        let namespaces = Namespaces::of(spec, users)?;
        let cgroup = Limited::new(host, Bundle(&request.bundle), &request.id, spec).await?;
        let entrance = cgroup.cgroup.join()?;
        let stdio = Stdio::open(&request.stdio, Owner { namespace: &host.namespace, id: &request.id })?;
        fault::point(Phase::CreatePlaced);
        Ok(Self { namespaces, entrance, stdio, cgroup })
    }

    /// The namespaces a process is born into.
    pub(super) fn birth(&self) -> pinnace_spawn::Namespaces<'_> {
        pinnace_spawn::Namespaces {
            new: self.namespaces.new,
            join_pid: self.namespaces.join_pid.as_ref().map(AsFd::as_fd),
        }
    }

    /// The files that tell how much memory a process may have.
    pub(super) fn memory_limits(&self) -> Vec<OwnedFd> {
        self.cgroup.cgroup.memory_limit_files()
    }

    /// Settles the process that was launched here, or takes all of it back.
    pub(super) async fn settle(
        mut self,
        host: &Host,
        bundle: Bundle<'_>,
        process: &Process,
        hooks: Option<Hooked>,
        (launched, runner): (Result<Engine, EngineError>, Runner),
    ) -> Result<Born, SpawnFailure> {
        let hooks = hooks.map(Arc::new);
        let engine = match launched {
            Ok(engine) => engine,
            Err(error) => {
                let out_of_memory =
                    matches!(error, EngineError::Died { .. }) && self.cgroup.cgroup.oom_kills() > 0;
                let limit = self.cgroup.cgroup.memory_limit();
                self.cgroup.stop().await;
                return Err(if out_of_memory { EngineError::OutOfMemory { limit } } else { error }.into());
            }
        };
        fault::point(Phase::EngineReady);
        self.stdio.release_child_ends();
        let pid = engine.process.pid;
        host.adjust_oom_score(pid, process.oom_score_adj());
        let settled = async {
            bundle.note_pid(pid)?;
            self.cgroup.settle(pid).await?;
            Ok(())
        };
        if let Err(error) = settled.await {
            engine.discard().await;
            self.cgroup.stop().await;
            return Err(error);
        }
        let init = Spawned::new(engine, hooks.clone(), self.stdio);
        Ok(Born { init, cgroup: self.cgroup.keep(), runner, hooks })
    }
}

/// A cgroup that is removed again unless it is kept.
struct Limited {
    cgroup: Cgroup,
    /// Keeps a scope of systemd until the engine is in it.
    placeholder: Option<Placeholder>,
    kept: bool,
}

impl Limited {
    async fn new(host: &Host, bundle: Bundle<'_>, id: &str, spec: &Spec) -> Result<Self, SpawnFailure> {
        let path = cgroups_path(&host.namespace, id, spec);
        bundle.begin_cgroup()?;
        let (cgroup, placeholder) = match Cgroup::start(&host.hierarchies, &path).await {
            Ok(started) => started,
            Err(error) => {
                bundle.forget_cgroup()?;
                return Err(error.into());
            }
        };
        let limited = Self { cgroup, placeholder, kept: false };
        bundle.note_cgroup()?;
        bundle.note_in_pod(id, spec, &path)?;
        if let Some(limits) = limits(spec) {
            limited.cgroup.limit_for_good(limits).await?;
        }
        Ok(limited)
    }

    /// The engine is ready and takes the placeholder's part.
    async fn settle(&mut self, pid: i32) -> Result<(), CgroupError> {
        self.cgroup.attach(pid).await?;
        self.placeholder = None;
        Ok(())
    }

    /// Waits until systemd has removed what it has of it; the rest goes on drop.
    async fn stop(&mut self) {
        self.placeholder = None;
        if let Err(error) = self.cgroup.stop_scope().await {
            log::warn!("cannot stop the scope of a container that was not made: {error}");
        }
    }

    fn keep(mut self) -> Cgroup {
        self.kept = true;
        self.cgroup.clone()
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        self.placeholder = None;
        if !self.kept
            && let Err(error) = self.cgroup.give_up()
        {
            log::warn!("cannot remove the cgroup of a container that was not made: {error}");
        }
    }
}
