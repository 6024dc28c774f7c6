//! From a bundle to a sandboxed process that waits for Go.
//!
//! ```text
//!  bundle      config.json; a pod's own container goes to [`hold`]
//!  users       its user namespace, if it has one
//!  root        a detached mount
//!  module      what to run: a file of the root, or the image's Wasm layer; a native program goes to [`native`]
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
mod devices;
mod engine;
mod entry;
mod error;
mod exec;
mod fellows;
mod guest;
mod hold;
mod host;
mod id_maps;
mod module;
mod mounts;
mod namespaces;
mod place;
mod root;
mod runner;
mod user;
mod walls;

pub(crate) use bundle::note;
pub use bundle::{Bundle, BundleError, Noted};
pub use control::Control;
pub use engine::EngineError;
pub use error::SpawnFailure;
pub use exec::{ExecError, Origin};
pub use fellows::Fellow;
pub use host::{Host, HostError};
pub use runner::{Born, Gate, Runner, Spawned, Within};

use crate::cgroups::{self, default_path};
use crate::hooks::Hooked;
use crate::native;
use crate::task::CreateRequest;
use engine::{Descriptors, Engine, Launch};
use entry::View;
use oci_spec::runtime::{LinuxResources, Spec};
use pinnace_plan::Plan;
use place::Place;
use std::os::fd::AsFd;
use std::sync::Arc;
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
    if hold::is_pod(&spec) {
        limits(&spec).map_or(Ok(()), cgroups::check)?;
        return hold::hold(host, request, &spec, process).await;
    }
    let users = Users::of(&spec, process)?;
    let root = root::detached(&request.rootfs, &bundle.root_path(&spec), &bundle.rootfs(), users.as_ref())?;
    let view = View::Planned(root.as_fd(), &spec);
    let entry = module::entry(view, process);
    if module::is_native(host, &config, &request.id, &spec, &entry).await? {
        return Ok(native::create(host, &config, request, &spec, root).await?);
    }
    let hooks = Hooked::of(&spec, &request.id, &request.bundle)?;
    let hooked = hooks.as_ref().map(|hooks| hooks.to_plan(&bundle.root_path(&spec))).transpose()?.flatten();
    limits(&spec).map_or(Ok(()), cgroups::check)?;
    let layers = root::Layers::of(&request.rootfs);
    // While containerd answers about the image, the place is made, and its logger gets ready.
    let find = module::find(host, &config, &request.id, (view, entry), layers.to_cache(), &spec, process);
    let make = async {
        let mounts = mounts::mounts(&spec, users.as_ref())?;
        let devices = devices::devices(&spec, users.as_ref())?;
        let mut place = Place::make(host, request, &spec, users).await?;
        place.stdio.ready().await?;
        Ok((mounts, devices, place))
    };
    let (module, (mounts, devices, place)) = tokio::try_join!(find, make)?;

    let origin = Origin { rootfs: request.rootfs.clone(), layer: module.layer };
    let mut descriptors = Descriptors::new(place.stdio.child_fds());
    let root_number = descriptors.add(root.as_fd());
    let artifact = descriptors.add(module.artifact.as_fd());
    let limits = place.memory_limits();
    let memory_limits = limits.iter().map(|file| descriptors.add(file.as_fd())).collect();
    let join = place.namespaces.join.iter().map(|(kind, fd)| (*kind, descriptors.add(fd.as_fd()))).collect();
    let numbered = mounts.iter().map(|placed| placed.to_plan(|fd| descriptors.add(fd)));
    let numbered = numbered.chain(devices).collect();
    let root = walls::files(&spec, root_number, numbered, hooked);
    let plan = Plan {
        id: request.id.clone(),
        guest: guest::guest(&spec, process, &module.program, &mounts),
        module: pinnace_plan::Module {
            name: module.name,
            artifact,
            kind: module.kind,
            function: module.function,
        },
        memory_limits,
        sandbox: walls::first(&spec, process, root, join)?,
    };
    let entrance = place.entrance.fds();
    let launch = Launch {
        program: module.engine.as_fd(),
        name: &module.engine_name,
        args: &plan.guest.args,
        descriptors,
        namespaces: place.birth(),
        join: place.entrance.to_spawn(&entrance),
        hooks: hooks.as_ref(),
    };
    let launched = Engine::launch(launch, &plan).await;
    place.settle(host, bundle, process, hooks, (launched, Runner::Engine(Arc::new(origin)))).await
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
