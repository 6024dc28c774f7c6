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
mod user;
mod walls;

pub use bundle::{Bundle, BundleError};
pub use engine::{Engine, EngineError};
pub use error::SpawnFailure;
pub use host::{Host, HostError};

use crate::cgroups::{self, Cgroup, CgroupError, Join, SystemdError, default_path};
use crate::stdio::{Owner, Stdio};
use crate::task::CreateRequest;
use engine::{Descriptors, Launch};
use mounts::Placed;
use namespaces::Namespaces;
use oci_spec::runtime::{LinuxResources, Spec};
use pinnace_plan::{Mount, Plan};
use std::os::fd::{AsFd, OwnedFd};
use user::Users;

/// A container that waits for Go.
#[derive(Debug)]
pub struct Born {
    /// Its process.
    pub engine: Engine,
    /// Its streams.
    pub stdio: Stdio,
    /// Its cgroup.
    pub cgroup: Cgroup,
}

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
        let mut place = Place::make(host, request, &spec, users)?;
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
        sandbox: walls::sandbox(&spec, process, mounts, root_number, join)?,
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
        scope: place.cgroup.0.is_scope().then(|| (&place.cgroup.0, limits(&spec))),
    };
    let engine = match Engine::launch(launch, &plan).await {
        Ok(engine) => engine,
        Err(error) => {
            let out_of_memory = matches!(error, EngineError::Died { .. }) && place.cgroup.0.oom_kills() > 0;
            // A unit of the name that was there is another's, and lives on.
            if !matches!(&error, EngineError::Scope(CgroupError::Systemd(SystemdError::Exists { .. }))) {
                place.cgroup.stop().await;
            }
            return Err(if out_of_memory { EngineError::OutOfMemory } else { error }.into());
        }
    };
    place.stdio.release_child_ends();
    host.adjust_oom_score(engine.pid, process.oom_score_adj());
    if let Err(error) = bundle.note_pid(engine.pid) {
        engine.discard().await;
        place.cgroup.stop().await;
        return Err(error.into());
    }
    Ok(Born { engine, stdio: place.stdio, cgroup: place.cgroup.keep() })
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
    fn make(
        host: &Host,
        request: &CreateRequest,
        spec: &Spec,
        users: Option<Users>,
    ) -> Result<Self, SpawnFailure> {
        let mounts = mounts::mounts(spec, users.as_ref())?;
        let namespaces = Namespaces::of(spec, users)?;
        let cgroup = Limited::new(host, Bundle(&request.bundle), &request.id, spec)?;
        let memory_limits = cgroup.0.memory_limit_files();
        let entrance = cgroup.0.join()?;
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
struct Limited(Cgroup, bool);

impl Limited {
    fn new(host: &Host, bundle: Bundle<'_>, id: &str, spec: &Spec) -> Result<Self, SpawnFailure> {
        let path = cgroups_path(&host.namespace, id, spec);
        let limited = Self(Cgroup::create(&host.hierarchies, &path)?, false);
        bundle.note_cgroup()?;
        if let Some(limits) = limits(spec) {
            limited.0.limit(limits)?;
        }
        Ok(limited)
    }

    /// What systemd has of it; the directories go on drop.
    async fn stop(&self) {
        if let Err(error) = self.0.stop_scope().await {
            log::warn!("cannot stop the scope of a container that was not made: {error}");
        }
    }

    fn keep(mut self) -> Cgroup {
        self.1 = true;
        self.0.clone()
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        if !self.1
            && let Err(error) = self.0.remove()
        {
            log::warn!("cannot remove the cgroup of a container that was not made: {error}");
        }
    }
}
