//! Native containers: the node's own OCI runtime (runc, crun, youki) makes them, as a program.
//!
//! ```text
//!  create   root mounted on <bundle>/rootfs      (none given: Docker has mounted it)
//!           runtime create ──▶ init, which waits, with the container's streams as its own
//!                    └ the runtime ends, and init becomes the server's child: a Process like an engine's
//!  start    runtime start         exec   runtime exec --detach ──▶ another such child
//!  update   runtime update        delete runtime delete --force, root unmounted
//!
//!  signals, pids, figures, pause and resume: by the process' descriptor and its cgroup, as for Wasm
//! ```
//!
//! Every command of the runtime has a memory file of its own ([`errand`]) for its log, whose last error is
//! the answer, in the runtime's own words: Docker and kubectl know an exit of 126 or 127 by them.
//!
//! A native container does not die with the server. So the bundle says by what it was made ([`note`]), and containerd's
//! `delete` undoes it from there ([`clean_up`]). Nothing here is looked for, or watched, before the first native
//! container comes.

mod errand;
mod error;
mod log;
mod note;
mod program;
mod rootfs;
mod runtime;

pub use error::NativeError;

use crate::cgroups::Cgroup;
use crate::fault::{self, Phase};
use crate::process::{Process, orphans};
use crate::spawn::{Born, Bundle, Gate, Host, Runner, Spawned, cgroups_path};
use crate::stdio::{ConsoleSocket, Owner, Request, Stdio};
use crate::task::{CreateRequest, ExecRequest};
use errand::{Desk, Errand};
use note::Remains;
use oci_spec::runtime::{LinuxResources, Spec};
use pinnace_node::Config;
use runtime::{Runtime, SHORT, Streams};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A container that an OCI runtime made.
#[derive(Debug, Clone)]
pub struct Container {
    remains: Remains,
    namespace: String,
    cgroup: Cgroup,
}

/// Makes a container of `root`, which hangs in no mount table yet.
///
/// # Errors
/// When it cannot be made, in the runtime's words if it is the runtime that says so; nothing of it is left then.
pub async fn create(
    host: &Host,
    config: &Config,
    request: &CreateRequest,
    spec: &Spec,
    root: OwnedFd,
) -> Result<Born, NativeError> {
    let bundle = Bundle(&request.bundle);
    let cgroup = cgroup(host, &request.id, spec)?;
    let remains = Remains {
        runtime: Runtime::of(config, host.oci_root(), cgroup.is_scope())?,
        id: request.id.clone(),
        bundle: request.bundle.clone(),
        mounted: !request.rootfs.is_empty(),
    };
    let namespace = host.namespace.clone();
    let container = Arc::new(Container { remains, namespace, cgroup: cgroup.clone() });
    cgroup.refuse_processes()?;
    let mut stdio = Stdio::expect(&request.stdio, container.owner())?;
    stdio.ready().await?;
    container.remains.note()?;
    let made = async {
        fault::point(Phase::NativeNoted);
        bundle.note_cgroup()?;
        let path = cgroups_path(&host.namespace, &request.id, spec);
        if let Some(place) = bundle.note_in_pod(&request.id, spec, &path)? {
            container.remains.note_in(place)?;
        }
        if container.remains.mounted {
            rootfs::attach(root, &request.rootfs, &bundle.rootfs())?;
        }
        fault::point(Phase::NativeMounted);
        container.make(&mut stdio, &request.stdio).await
    };
    match made.await {
        Ok(process) => {
            let init = Spawned { process, gate: Gate::Runtime(Arc::clone(&container)), stdio };
            // The OCI runtime runs the hooks.
            Ok(Born { init, cgroup, runner: Runner::Native(container), hooks: None })
        }
        Err(error) => {
            if let Err(error) = container.delete().await {
                ::log::warn!("native container {}, which was not made: {error}", request.id);
            }
            container.abandon_cgroup();
            Err(error)
        }
    }
}

/// The cgroup that the runtime is going to make. One that depends on where the runtime itself runs would not be found.
fn cgroup(host: &Host, id: &str, spec: &Spec) -> Result<Cgroup, NativeError> {
    let given = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
    let cgroup = Cgroup::open(&host.hierarchies, &cgroups_path(&host.namespace, id, spec))?;
    match given {
        Some(path) if path.is_absolute() || cgroup.is_scope() => Ok(cgroup),
        given => {
            let given = given.map_or_else(String::new, |path| path.display().to_string());
            Err(NativeError::CgroupsPath { given })
        }
    }
}

impl Container {
    /// Has the runtime make it; gives its init.
    async fn make(&self, stdio: &mut Stdio, request: &Request) -> Result<Arc<Process>, NativeError> {
        // The name by which `delete` finds it.
        let bundle = &self.remains.bundle;
        let args = ["--bundle".into(), bundle.into()];
        self.born("create", &args, &Bundle(bundle).pid_file(), stdio, request, &Errand::new()?).await
    }

    /// Has its init enter its program.
    ///
    /// # Errors
    /// With the runtime's words.
    pub async fn start(&self) -> Result<(), NativeError> {
        let runtime = &self.remains.runtime;
        runtime.run(&Errand::new()?, "start", [self.id()], Streams::Own(None), None).await
    }

    /// Makes a further process, which is in its program when it is there.
    ///
    /// # Errors
    /// With the runtime's words; nothing of it is left then.
    pub async fn exec(&self, request: &ExecRequest) -> Result<Spawned, NativeError> {
        let mut stdio = Stdio::expect(&request.stdio, self.owner())?;
        stdio.ready().await?;
        let (errand, desk) = (Errand::new()?, Desk::new(&self.remains.bundle)?);
        let file = desk.give("process.json", &process(request)?)?;
        let args = ["--detach".into(), "--process".into(), file.into()];
        let process = self.born("exec", &args, &desk.pid_file(), &mut stdio, &request.stdio, &errand).await?;
        Ok(Spawned { process, gate: Gate::Open, stdio })
    }

    /// Changes limits.
    ///
    /// # Errors
    /// With the runtime's words.
    pub async fn update(&self, resources: &LinuxResources) -> Result<(), NativeError> {
        let text = serde_json::to_vec(resources).map_err(NativeError::Resources)?;
        let stdin =
            pinnace_spawn::sealed("resources", &text).map_err(NativeError::file("make", "a memory file"))?;
        let args = ["--resources".into(), "-".into(), self.id()];
        let runtime = &self.remains.runtime;
        runtime.run(&Errand::new()?, "update", args, Streams::Own(Some(stdin)), Some(SHORT)).await
    }

    /// Has the runtime forget it, whatever lives of it, and unmounts its root.
    ///
    /// # Errors
    /// When something of it stays; then it can be tried again.
    pub async fn delete(&self) -> Result<(), NativeError> {
        self.remains.undo(SHORT).await
    }

    /// Ends what its init leaves behind where that was not the first of a pid namespace: nothing of the container
    /// outlives it, or holds its streams open.
    pub fn end_others(&self) {
        if let Err(error) = self.cgroup.signal_all(libc::SIGKILL) {
            ::log::debug!("native container {}: {error}", self.remains.id);
        }
    }

    /// Removes the cgroup that a runtime left which died while it made the container, and so does not know it.
    fn abandon_cgroup(&self) {
        self.end_others();
        self.cgroup.remove_beside();
        if let Err(error) = self.cgroup.give_up() {
            ::log::debug!("native container {}: {error}", self.remains.id);
        }
    }

    /// Has the runtime make a process with these streams, or with a terminal of its own making.
    async fn born(
        &self,
        command: &'static str,
        args: &[OsString],
        pid_file: &Path,
        stdio: &mut Stdio,
        request: &Request,
        errand: &Errand,
    ) -> Result<Arc<Process>, NativeError> {
        orphans::reap_from_now().map_err(NativeError::Orphans)?;
        let console = request.terminal.then(|| ConsoleSocket::new(&self.remains.bundle)).transpose()?;
        let mut args = args.to_vec();
        args.extend(["--pid-file".into(), pid_file.into()]);
        args.extend(console.iter().flat_map(|socket| ["--console-socket".into(), socket.path().into()]));
        args.push(self.id());
        let streams = match console {
            None => Streams::Container(copies(stdio).map_err(NativeError::file("copy", "the streams"))?),
            Some(_) => Streams::Own(None),
        };
        let _expected = orphans::expected();
        let run = self.remains.runtime.run(errand, command, args, streams, None);
        match console {
            None => run.await?,
            Some(socket) => stdio.adopt(terminal(&socket, run).await?)?,
        }
        fault::point(Phase::NativeBorn);
        let pid = errand::pid(command, pid_file)?;
        let process = Process::of_pid(pid).map_err(|source| NativeError::Watch { pid, source })?;
        stdio.release_child_ends();
        Ok(Arc::new(process))
    }

    fn id(&self) -> OsString {
        (&self.remains.id).into()
    }

    fn owner(&self) -> Owner<'_> {
        Owner { namespace: &self.namespace, id: &self.remains.id }
    }
}

/// Undoes the native container of a bundle whose server was killed, and says whether it is one.
///
/// # Errors
/// When something of it stays.
pub fn clean_up(bundle: &Path) -> Result<bool, NativeError> {
    let Some(remains) = Remains::noted(bundle)? else { return Ok(false) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(NativeError::Orphans)?.block_on(remains.undo(HURRIED))?;
    Ok(true)
}

/// How long the runtime may take there: containerd gives `delete` five seconds for everything.
const HURRIED: Duration = Duration::from_secs(3);

/// Waits for the terminal that a command of the runtime's makes, and for the command.
async fn terminal(
    socket: &ConsoleSocket,
    run: impl Future<Output = Result<(), NativeError>>,
) -> Result<OwnedFd, NativeError> {
    let (mut run, mut receive) = (std::pin::pin!(run), std::pin::pin!(socket.receive()));
    tokio::select! {
        done = &mut run => {
            done?;
            // Sent before it ended, so it is there.
            match timeout(SHORT, receive).await {
                Ok(master) => Ok(master?),
                Err(_elapsed) => Err(NativeError::NoTerminal),
            }
        }
        master = &mut receive => {
            run.await?;
            Ok(master?)
        }
    }
}

/// The container's ends of its streams, for the command that hands them on.
fn copies(stdio: &Stdio) -> std::io::Result<[OwnedFd; 3]> {
    let [stdin, stdout, stderr] = stdio.child_fds();
    Ok([stdin.try_clone_to_owned()?, stdout.try_clone_to_owned()?, stderr.try_clone_to_owned()?])
}

/// What an exec is to run, with the terminal that the call asks for.
fn process(request: &ExecRequest) -> Result<Vec<u8>, NativeError> {
    let mut process: serde_json::Map<_, _> =
        serde_json::from_slice(&request.process).map_err(NativeError::Process)?;
    process.insert("terminal".to_owned(), request.stdio.terminal.into());
    serde_json::to_vec(&process).map_err(NativeError::Process)
}
