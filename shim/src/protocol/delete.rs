//! `delete`: what containerd executes whenever the connection to a server is closed.
//!
//! It runs after every normal end too, so it is quick when there is nothing to do; and it may run while the
//! server lives on with other containers, so it touches what belongs to this id, and else only what the dead left:
//!
//! ```text
//!  the container's cgroup     emptied with SIGKILL, removed     (engines die with their server; this is for
//!                                                                one that was about to be born)
//!  its scope of systemd       stopped, if systemd still has it
//!  its poststop hooks         run
//!  a native container         deleted by the OCI runtime that made it, its root unmounted
//!  the server's socket        removed if nobody listens on it
//!    └ a pod's containers     ended as it is: if the socket was there, the server was killed, and containerd 2.3
//!                             executes no `delete` for them
//!  cgroups of compilations    removed if nobody compiles in them
//! ```
//!
//! Of a Wasm container there are no mounts to undo: they live in its own mount namespace.

use super::flags::Flags;
use super::start;
use crate::cgroups::{Cgroup, CgroupError, Hierarchies};
use crate::fault::{self, Phase};
use crate::hooks::{Hooked, Moment};
use crate::native::{self, NativeError};
use crate::spawn::{Bundle, Fellow, Noted, cgroups_path};
use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::protobuf::Message;
use oci_spec::runtime::Spec;
use pinnace_node::{Config, PATH_VARIABLE};
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

/// A clean-up that was not finished; containerd keeps the bundle and tells its log.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The cgroup is still there.
    #[error("cannot clean up the cgroup of container {id:?}")]
    Cgroup {
        /// The container.
        id: String,
        /// The step that failed.
        source: CgroupError,
    },
    /// A native container is still there.
    #[error("cannot clean up the native container {id:?}")]
    Native {
        /// The container.
        id: String,
        /// The step that failed.
        source: NativeError,
    },
    /// The answer could not be given.
    #[error("cannot write the answer")]
    Answer(#[source] io::Error),
}

/// The status of a process that was killed.
const KILLED: u32 = 137;

/// Cleans up after the flags' container and writes a `DeleteResponse` to `out`.
///
/// # Errors
/// When something of the container is left.
pub fn run(flags: &Flags, bundle: &Path, out: &mut impl Write) -> Result<(), DeleteError> {
    fault::point(Phase::CleanBegun);
    clean_up(&flags.namespace, &flags.id, bundle)?;
    fault::point(Phase::CleanEnded);
    if start::remove_dead_socket(flags, bundle) {
        for Fellow { id, place, cgroups_path } in Bundle(bundle).fellows() {
            end_processes(&cgroups_path).map_err(|source| DeleteError::Cgroup { id: id.clone(), source })?;
            native::clean_up(&place).map_err(|source| DeleteError::Native { id, source })?;
        }
    }
    // A compilation dies with its server, but not its cgroup. Without a readable configuration nobody compiles.
    if let Ok(config) = Config::load(std::env::var_os(PATH_VARIABLE).as_deref())
        && let Ok(state) = pinnace_node::boot_dir(config.state.dir.as_path())
    {
        pinnace_cache::sweep(config.compile.cgroup.as_path(), &state);
    }
    fault::point(Phase::CleanDone);
    let response = DeleteResponse {
        pid: Bundle(bundle).noted_pid().unwrap_or(0),
        exit_status: KILLED,
        exited_at: super::task::timestamp(SystemTime::now()),
        ..Default::default()
    };
    let bytes = response.write_to_bytes().map_err(|error| DeleteError::Answer(error.into()))?;
    out.write_all(&bytes).and_then(|()| out.flush()).map_err(DeleteError::Answer)
}

/// Ends what is left of one container.
fn clean_up(namespace: &str, id: &str, bundle: &Path) -> Result<(), DeleteError> {
    // Without a readable configuration, or without a cgroup of its own, it never had a process.
    let noted = Bundle(bundle).cgroup();
    let spec = (noted != Noted::Nothing).then(|| Bundle(bundle).spec().ok()).flatten();
    if let Some(spec) = &spec {
        let path = cgroups_path(namespace, id, spec);
        let cleaned = if noted == Noted::Ours { end_processes(&path) } else { remove_empty(&path) };
        cleaned.map_err(|source| DeleteError::Cgroup { id: id.to_owned(), source })?;
    }
    let native =
        native::clean_up(bundle).map_err(|source| DeleteError::Native { id: id.to_owned(), source })?;
    if let (false, Noted::Ours, Some(spec)) = (native, noted, &spec) {
        last_hooks(id, bundle, spec);
    }
    Ok(())
}

/// Those that Delete would have run; an OCI runtime runs those of its containers itself.
fn last_hooks(id: &str, bundle: &Path, spec: &Spec) {
    // What is wrong with them was told at Create.
    let Ok(Some(hooks)) = Hooked::of(spec, id, bundle) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ran = runtime.map(|runtime| runtime.block_on(hooks.run(Moment::Delete, None)));
    if let Err(error) = ran {
        log::warn!("cannot run the poststop hooks of container {id}: {error}");
    }
}

/// What a Create had made of a cgroup when its server was killed. One with processes is another's.
fn remove_empty(cgroups_path: &str) -> Result<(), CgroupError> {
    if let Err(error) = Cgroup::open(&Hierarchies::discover()?, cgroups_path)?.give_up() {
        log::debug!("{error}");
    }
    Ok(())
}

fn end_processes(cgroups_path: &str) -> Result<(), CgroupError> {
    let cgroup = Cgroup::open(&Hierarchies::discover()?, cgroups_path)?;
    cgroup.kill()?;
    if cgroup.is_scope() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|source| CgroupError::Runtime { source })?.block_on(cgroup.stop_scope())?;
    }
    cgroup.remove_beside();
    cgroup.remove()
}
