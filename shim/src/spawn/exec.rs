//! A Wasm module as another process of a Wasm container.
//!
//! ```text
//!  process    the call's, completed from the spec: capabilities, limits, OOM score
//!  inside     root and namespaces of the container's first process ── it still lives? then they are not a stranger's
//!  module     as that process would find it: volumes and tmpfs are mounted there
//!    │        no file: the container's own program may be its image's Wasm layer, others are layers of that title
//!    └ artifact as at Create
//!  streams    meanwhile
//!  engine     born in the pid namespace and the cgroup; joins the rest as it builds its walls; heard: Ready, or why not
//! ```
//!
//! Nothing is made on the host, so a failure leaves nothing but a process that has ended. What cannot be run is told in
//! the words that runc has for it, by which Docker and kubectl make 126 and 127 of it.
//!
//! A container that ends meanwhile takes the new process with it, where it has a pid namespace of its own; where not,
//! the container's owner ends it.

use super::bundle::Bundle;
use super::engine::{Descriptors, Engine, EngineError, Launch};
use super::entry::{self, Entry, View};
use super::error::SpawnFailure;
use super::host::Host;
use super::module::{ImageLayer, Module, Modules};
use super::namespaces::Namespaces;
use super::runner::{Spawned, Within};
use super::user::Users;
use super::{guest, mounts, root, walls};
use crate::process;
use crate::stdio::{Owner, Stdio};
use crate::task::{ExecRequest, RootMount};
use oci_spec::runtime::Process;
use pinnace_plan::{Living, Plan, Program, Root};
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// A process that cannot be made in a container.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The call's process is none.
    #[error("the process to execute is not one of the runtime-spec: {0}")]
    Process(#[source] serde_json::Error),
    /// It names no program.
    #[error("the process to execute has no arguments: name a .wasm file of the container")]
    NoCommand,
    /// The container has ended.
    #[error("container {id:?} has ended: nothing can be executed in it")]
    Ended {
        /// Its id.
        id: String,
    },
    /// Its root cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// No directory of PATH has it.
    #[error("exec: {program:?}: executable file not found in $PATH")]
    NotInPath {
        /// What was asked for.
        program: String,
    },
    /// There is no such file.
    #[error("exec: {program:?}: stat {program}: no such file or directory")]
    Missing {
        /// What was asked for.
        program: String,
    },
    /// There is a directory, or something else.
    #[error("exec: {program:?}: permission denied: {} is not a file", path.display())]
    NotAFile {
        /// What was asked for.
        program: String,
        /// Its path in the container.
        path: PathBuf,
    },
    /// There is a native program.
    #[error(
        "exec: {program:?}: permission denied: {} is a native program (exec format error), and in a Wasm container only WebAssembly is run: name a .wasm file", path.display()
    )]
    Native {
        /// What was asked for.
        program: String,
        /// Its path in the container.
        path: PathBuf,
    },
    /// There is a file that is not Wasm.
    #[error(
        "exec: {program:?}: permission denied: {} is not WebAssembly (exec format error); text is run only from a file named *.wat", path.display()
    )]
    NotWasm {
        /// What was asked for.
        program: String,
        /// Its path in the container.
        path: PathBuf,
    },
}

/// What a container was made of, by which further modules of it are found.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The mounts of its root.
    pub(super) rootfs: Vec<RootMount>,
    /// The layer that its own program is, if it is no file.
    pub(super) layer: Option<ImageLayer>,
}

/// Makes the process.
///
/// # Errors
/// With the step that failed; nothing of the process is left then.
pub(super) async fn exec(
    host: &Host,
    within: &Within,
    origin: &Origin,
    request: &ExecRequest,
) -> Result<Spawned, SpawnFailure> {
    let done = make(host, within, origin, request).await;
    match done {
        // Whatever failed because of that.
        Err(_) if !within.init.lives() => Err(ExecError::Ended { id: within.id.clone() }.into()),
        done => done,
    }
}

async fn make(
    host: &Host,
    within: &Within,
    origin: &Origin,
    request: &ExecRequest,
) -> Result<Spawned, SpawnFailure> {
    let spec = Bundle(&within.bundle).spec()?;
    let first = Bundle(&within.bundle).process(&spec)?;
    let process = completed(&request.process, first)?;
    let config = host.config(&within.options)?;
    let inside = Inside::of(&within.init)?;
    let users = Users::of_process(within.init.pid, &process)?;
    let mounts = mounts::mounts(&spec, users.as_ref())?;
    let namespaces = Namespaces::of_process(within.init.pid, users)?;
    if !within.init.lives() {
        return Err(ExecError::Ended { id: within.id.clone() }.into());
    }

    let modules = Modules::of(host, &config, &within.id, &spec)?;
    let find = find(&modules, &inside, origin, first, &process);
    let open = async {
        let owner = Owner { namespace: &host.namespace, id: &request.exec_id };
        let mut stdio = Stdio::open(&request.stdio, owner)?;
        stdio.ready().await?;
        Ok(stdio)
    };
    let ((module, path), mut stdio) = tokio::try_join!(find, open)?;

    let (entrance, limits) = (within.cgroup.join()?, within.cgroup.memory_limit_files());
    let mut descriptors = Descriptors::new(stdio.child_fds());
    let artifact = descriptors.add(module.artifact.as_fd());
    let memory_limits = limits.iter().map(|file| descriptors.add(file.as_fd())).collect();
    let join = namespaces.join.iter().map(|(kind, fd)| (*kind, descriptors.add(fd.as_fd()))).collect();
    let living = Living {
        namespace: descriptors.add(inside.mounts.as_fd()),
        root: descriptors.add(inside.root.as_fd()),
        program: path.map(|path| Program { name: module.program.clone(), path: path.display().to_string() }),
    };
    let plan = Plan {
        id: request.exec_id.clone(),
        guest: guest::guest(&spec, &process, &module.program, &mounts),
        module: pinnace_plan::Module {
            name: module.name,
            artifact,
            kind: module.kind,
            function: module.function,
        },
        memory_limits,
        sandbox: walls::another(&spec, &process, Root::Join(living), join)?,
    };
    let fds = entrance.fds();
    let launch = Launch {
        program: module.engine.as_fd(),
        name: &module.engine_name,
        args: &plan.guest.args,
        descriptors,
        namespaces: pinnace_spawn::Namespaces {
            new: namespaces.new,
            join_pid: namespaces.join_pid.as_ref().map(AsFd::as_fd),
        },
        join: entrance.to_spawn(&fds),
        hooks: None,
    };
    let killed = within.cgroup.oom_kills();
    let engine = match Engine::launch(launch, &plan).await {
        Err(EngineError::Died { .. }) if within.cgroup.oom_kills() > killed => {
            return Err(EngineError::OutOfMemory { limit: within.cgroup.memory_limit() }.into());
        }
        launched => launched?,
    };
    stdio.release_child_ends();
    host.adjust_oom_score(engine.process.pid, process.oom_score_adj());
    if let Err(error) = within.cgroup.attach(engine.process.pid).await {
        engine.discard().await;
        return Err(error.into());
    }
    Ok(Spawned::new(engine, None, stdio))
}

/// The process of the call. What it does not say is as in the container's own, as it is with runc.
fn completed(json: &[u8], first: &Process) -> Result<Process, ExecError> {
    let mut process: Process = serde_json::from_slice(json).map_err(ExecError::Process)?;
    if process.capabilities().is_none() {
        process.set_capabilities(first.capabilities().clone());
    }
    if process.rlimits().as_ref().is_none_or(Vec::is_empty) {
        process.set_rlimits(first.rlimits().clone());
    }
    if process.oom_score_adj().is_none() {
        process.set_oom_score_adj(first.oom_score_adj());
    }
    Ok(process)
}

/// What a container's first process sees.
struct Inside {
    root: OwnedFd,
    mounts: OwnedFd,
}

impl Inside {
    /// Opens it by the process' pid: it is known to be right once the process is found to live after it.
    fn of(init: &process::Process) -> Result<Self, ExecError> {
        let open = |name: &str, flags: OFlags| {
            let path = PathBuf::from(format!("/proc/{}/{name}", init.pid));
            openat(CWD, &path, flags | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| ExecError::Open { path, source: errno.into() })
        };
        Ok(Self {
            root: open("root", OFlags::PATH | OFlags::DIRECTORY)?,
            mounts: open("ns/mnt", OFlags::RDONLY)?,
        })
    }
}

/// The module, and its path if it is a file of the container.
async fn find(
    modules: &Modules<'_>,
    inside: &Inside,
    origin: &Origin,
    first: &Process,
    process: &Process,
) -> Result<(Module, Option<PathBuf>), SpawnFailure> {
    let command = process.args().iter().flatten().next().filter(|command| !command.is_empty());
    let called @ (program, _) = entry::split_function(command.ok_or(ExecError::NoCommand)?);
    let view = View::Living(inside.root.as_fd());
    match entry::look(view, process, program) {
        Entry::Wasm { path, file } => {
            let layers = root::Layers::of(&origin.rootfs);
            let module = modules.file(called, view, layers.to_cache(), &path, &file).await?;
            Ok((module, Some(path)))
        }
        Entry::Missing => match layer(modules, origin, first, program).await {
            Some(layer) => Ok((modules.layer(called, layer).await?, None)),
            None => Err(missing(program).into()),
        },
        other => Err(unfit(program, other).into()),
    }
}

/// The layer of the image that a program without a file is.
async fn layer(modules: &Modules<'_>, origin: &Origin, first: &Process, program: &str) -> Option<ImageLayer> {
    let own = first.args().iter().flatten().next().map(|own| entry::split_function(own).0);
    match &origin.layer {
        // The very one that runs, wherever the image's name leads by now.
        Some(layer) if own == Some(program) => Some(layer.clone()),
        _ => modules.titled(program).await.unwrap_or_else(|error| {
            // Most who ask for a program that is not there want to hear just that.
            log::debug!("no layer is looked for by the title {program:?}: {error}");
            None
        }),
    }
}

fn missing(program: &str) -> ExecError {
    let program = program.to_owned();
    if program.contains('/') { ExecError::Missing { program } } else { ExecError::NotInPath { program } }
}

fn unfit(program: &str, entry: Entry) -> ExecError {
    let name = program.to_owned();
    match entry {
        Entry::Native { path } => ExecError::Native { program: name, path },
        Entry::NotAFile { path } => ExecError::NotAFile { program: name, path },
        Entry::Text { path } | Entry::Unknown { path, .. } | Entry::Wasm { path, .. } => {
            ExecError::NotWasm { program: name, path }
        }
        Entry::Missing => missing(program),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() -> Process {
        serde_json::from_value(serde_json::json!({
            "cwd": "/", "user": {"uid": 0, "gid": 0}, "oomScoreAdj": 7, "env": ["A=1"],
            "capabilities": {"bounding": ["CAP_KILL"]},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}]
        }))
        .expect("a process")
    }

    fn of(process: serde_json::Value) -> Process {
        completed(process.to_string().as_bytes(), &first()).expect("a process")
    }

    #[test]
    fn what_a_process_does_not_say_is_the_container_s() {
        let user = serde_json::json!({"uid": 1, "gid": 1});
        let bare = of(serde_json::json!({"cwd": "/", "user": user, "args": ["x"]}));
        assert_eq!(bare.capabilities(), first().capabilities());
        assert_eq!((bare.rlimits(), bare.oom_score_adj()), (first().rlimits(), Some(7)));
        // Who it is, where it is and its environment are its own.
        assert_eq!((bare.user().uid(), bare.env()), (1, &None));
        let own = of(serde_json::json!({
            "cwd": "/", "user": user, "capabilities": {}, "oomScoreAdj": 0,
            "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
        }));
        assert_eq!(own.capabilities().as_ref().and_then(|sets| sets.bounding().as_ref()), None);
        assert_eq!((own.rlimits().as_ref().map(Vec::len), own.oom_score_adj()), (Some(1), Some(0)));
        assert!(matches!(completed(b"{", &first()), Err(ExecError::Process(_))));
    }

    #[test]
    fn what_cannot_be_run_is_told_in_the_words_of_clients() {
        let path = || PathBuf::from("/bin/sh");
        for (error, words) in [
            (missing("sh"), "exec: \"sh\": executable file not found in $PATH"),
            (missing("/bin/sh"), "exec: \"/bin/sh\": stat /bin/sh: no such file or directory"),
            (missing("./a b"), "exec: \"./a b\": stat ./a b: no such file or directory"),
            (
                unfit("sh", Entry::Native { path: path() }),
                "exec: \"sh\": permission denied: /bin/sh is a native",
            ),
            (
                unfit("/", Entry::NotAFile { path: "/".into() }),
                "exec: \"/\": permission denied: / is not a file",
            ),
            (
                unfit("x", Entry::Unknown { path: path(), magic: Vec::new() }),
                "exec: \"x\": permission denied: ",
            ),
        ] {
            assert!(error.to_string().starts_with(words), "{error}");
        }
    }
}
