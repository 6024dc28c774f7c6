//! From a bundle to a sandboxed engine process that waits for Go.
//!
//! ```text
//!  bundle      config.json
//!  users       its user namespace, if it has one
//!  root        a detached mount
//!  module      what to run: a file of the root, or the image's Wasm layer
//!    └ compile   its native artifact: from the cache, or compiled once for all who wait
//!  place       meanwhile: namespaces, cgroup, streams     ── from here on a failure takes back what was made
//!  mounts, guest, walls                  the spec as a plan
//!  engine      plan sealed, process born in its place, heard: Ready, or why not
//! ```
//!
//! [`create`] is that list. It is all or nothing: a failure names its step, its file and the remedy.

mod bundle;
mod compile;
mod control;
mod engine;
mod entry;
mod error;
mod guest;
mod host;
mod id_maps;
mod module;
mod mounts;
mod namespaces;
mod root;
mod runner;
mod user;
mod walls;

pub use bundle::{Bundle, BundleError};
pub use control::Control;
pub use engine::EngineError;
pub use error::SpawnFailure;
pub use host::{Host, HostError};
pub use runner::{Born, Runner, Spawned, Within};

use crate::cgroups::{self, Cgroup, CgroupError, Join, default_path};
use crate::stdio::{Owner, Stdio};
use crate::task::CreateRequest;
use engine::{Descriptors, Engine, Launch};
use mounts::Placed;
use namespaces::Namespaces;
use oci_spec::runtime::{LinuxResources, Spec};
use pinnace_plan::{Mount, Plan};
use pinnace_spawn::Placeholder;
use std::os::fd::{AsFd, OwnedFd};
use user::Users;

/// Makes a container.
///
/// # Errors
/// With the step that failed; nothing of the container is left then.
pub async fn create(host: &Host, request: &CreateRequest) -> Result<Born, SpawnFailure> {
    let bundle = Bundle(&request.bundle);
    let spec = bundle.spec()?;
    let process = bundle.process(&spec)?;
    let config = host.config(&request.options)?;
    cgroups::agree(config.systemd_cgroup, &cgroups_path(&host.namespace, &request.id, &spec))?;
    limits(&spec).map_or(Ok(()), cgroups::check)?;
    let users = Users::of(&spec, process)?;
    let root = root::detached(&request.rootfs, &bundle.root_path(&spec), &bundle.rootfs(), users.as_ref())?;
    let layers = root::Layers::of(&request.rootfs);
    // While containerd answers about the image, the place is made, and its logger gets ready.
    let find = module::find(host, &config, &request.id, root.as_fd(), layers.to_cache(), &spec, process);
    let make = async {
        let mut place = Place::make(host, request, &spec, users).await?;
        place.stdio.ready().await?;
        Ok(place)
    };
    let (module, mut place) = tokio::try_join!(find, make)?;

    let mut descriptors = Descriptors::new(place.stdio.child_fds());
    let root_number = descriptors.add(root.as_fd());
    let artifact = descriptors.add(module.artifact.as_fd());
    let memory_limits = place.memory_limits.iter().map(|file| descriptors.add(file.as_fd())).collect();
    let join = place.namespaces.join.iter().map(|(kind, fd)| (*kind, descriptors.add(fd.as_fd()))).collect();
    let mounts: Vec<Mount> =
        place.mounts.iter().map(|placed| placed.to_plan(|fd| descriptors.add(fd))).collect();
    let plan = Plan {
        id: request.id.clone(),
        guest: guest::guest(&spec, process, &module.program, &place.mounts),
        module: pinnace_plan::Module {
            name: module.name,
            artifact,
            kind: module.kind,
            function: module.function,
        },
        memory_limits,
        sandbox: walls::first(&spec, process, mounts, root_number, join)?,
    };
    let entrance = place.entrance.fds();
    let launch = Launch {
        program: module.engine.as_fd(),
        name: &module.engine_name,
        descriptors,
        namespaces: pinnace_spawn::Namespaces {
            new: place.namespaces.new,
            join_pid: place.namespaces.join_pid.as_ref().map(AsFd::as_fd),
        },
        join: place.entrance.to_spawn(&entrance),
    };
    let engine = match Engine::launch(launch, &plan).await {
        Ok(engine) => engine,
        Err(error) => {
            let out_of_memory =
                matches!(error, EngineError::Died { .. }) && place.cgroup.cgroup.oom_kills() > 0;
            place.cgroup.stop().await;
            return Err(if out_of_memory { EngineError::OutOfMemory } else { error }.into());
        }
    };
    place.stdio.release_child_ends();
    let pid = engine.process.pid;
    host.adjust_oom_score(pid, process.oom_score_adj());
    let settled = match bundle.note_pid(pid) {
        Ok(()) => place.cgroup.settle(pid).await.map_err(SpawnFailure::from),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = settled {
        engine.discard().await;
        place.cgroup.stop().await;
        return Err(error);
    }
    let init = Spawned::new(engine, place.stdio);
    Ok(Born { init, cgroup: place.cgroup.keep(), runner: Runner::Engine })
}

/// Where a container's process will be, made before it is known what it runs.
struct Place {
    mounts: Vec<Placed>,
    namespaces: Namespaces,
    cgroup: Limited,
    memory_limits: Vec<OwnedFd>,
    entrance: Join,
    stdio: Stdio,
}

impl Place {
    async fn make(
        host: &Host,
        request: &CreateRequest,
        spec: &Spec,
        users: Option<Users>,
    ) -> Result<Self, SpawnFailure> {
        let mounts = mounts::mounts(spec, users.as_ref())?;
        let namespaces = Namespaces::of(spec, users)?;
        let cgroup = Limited::new(host, Bundle(&request.bundle), &request.id, spec).await?;
        let memory_limits = cgroup.cgroup.memory_limit_files();
        let entrance = cgroup.cgroup.join()?;
        let stdio = Stdio::open(&request.stdio, Owner { namespace: &host.namespace, id: &request.id })?;
        Ok(Self { mounts, namespaces, cgroup, memory_limits, entrance, stdio })
    }
}

/// The path of a container's cgroup, as its spec gives it or as its id makes it.
#[must_use]
pub fn cgroups_path(namespace: &str, id: &str, spec: &Spec) -> String {
    let given = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
    given.map_or_else(|| default_path(namespace, id), |path| path.display().to_string())
}

fn limits(spec: &Spec) -> Option<&LinuxResources> {
    spec.linux().as_ref().and_then(|linux| linux.resources().as_ref())
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
        let (cgroup, placeholder) = Cgroup::start(&host.hierarchies, &path).await?;
        let limited = Self { cgroup, placeholder, kept: false };
        bundle.note_cgroup()?;
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
