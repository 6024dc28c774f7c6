//! The OCI runtime of a container: which program, with what state, and how it is asked.

use super::errand::Errand;
use super::{NativeError, log, program};
use crate::process::launch::launch;
use pinnace_node::Config;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tokio::time::timeout;

/// How long a command may take that waits for nobody's program: `create`, `start` and `exec` run hooks.
pub(super) const SHORT: Duration = Duration::from_secs(10);

/// What it gets of the server's environment. Never what would have it talk to somebody: `LISTEN_FDS`, `NOTIFY_SOCKET`.
const ENVIRONMENT: [&str; 6] =
    ["PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR", "DBUS_SYSTEM_BUS_ADDRESS", "GOMAXPROCS"];

/// A runtime as one container uses it, from its making to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Runtime {
    program: PathBuf,
    args: Vec<String>,
    /// Where it keeps its state.
    root: PathBuf,
    systemd_cgroup: bool,
}

/// A command's streams.
#[derive(Debug)]
pub(super) enum Streams {
    /// Those of the process that it makes.
    Container([OwnedFd; 3]),
    /// Something to read, or nothing; what it complains goes to its errand.
    Own(Option<OwnedFd>),
}

impl Runtime {
    /// The one that the node's configuration names.
    pub(super) fn of(config: &Config, root: PathBuf, systemd_cgroup: bool) -> Result<Self, NativeError> {
        let name = config.native.runtime.as_str();
        let path = std::env::var_os("PATH");
        let program = program::find(name, path.as_deref()).map_err(|searched| NativeError::Missing {
            name: name.to_owned(),
            searched,
            file: config.file().to_owned(),
        })?;
        Ok(Self { program, args: config.native.args.clone(), root, systemd_cgroup })
    }

    /// One at a place of the test's.
    #[cfg(test)]
    pub(super) fn at(program: PathBuf, root: PathBuf) -> Self {
        Self { program, args: Vec::new(), root, systemd_cgroup: false }
    }

    /// Removes its state of a container, now that there is no such program any more.
    pub(super) fn abandon(&self, id: &str) -> Result<(), NativeError> {
        let state = self.root.join(id);
        match fs::remove_dir_all(&state) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(NativeError::file("remove", state)(error))
            }
            _ => Ok(()),
        }
    }

    /// Has it carry out a command, and waits for that; for ever, or not longer than `limit`.
    pub(super) async fn run(
        &self,
        errand: &Errand,
        command: &'static str,
        args: impl IntoIterator<Item = OsString>,
        streams: Streams,
        limit: Option<Duration>,
    ) -> Result<(), NativeError> {
        let (streams, own_stderr) = match streams {
            Streams::Container(streams) => (streams, None),
            Streams::Own(stdin) => {
                let stderr = errand.stderr.try_clone().map_err(NativeError::file("copy", "a memory file"))?;
                (null(stdin, stderr.into())?, Some(&errand.stderr))
            }
        };
        let args: Vec<OsString> =
            self.global(errand).into_iter().chain([command.into()]).chain(args).collect();
        let failed = |source| NativeError::Run { program: self.program.clone(), source };
        let kept = ENVIRONMENT.iter().filter_map(|name| Some((OsStr::new(name), std::env::var_os(name)?)));
        let mut command_line = Command::new(&self.program);
        command_line.args(args).env_clear().envs(kept);
        let process = launch(command_line, streams).map_err(failed)?;
        let status = match limit {
            None => process.ended().await,
            Some(limit) => match timeout(limit, process.ended()).await {
                Ok(status) => status,
                Err(_elapsed) => {
                    process.signal(libc::SIGKILL).map_err(failed)?;
                    process.ended().await;
                    let (program, seconds) = (self.program.clone(), limit.as_secs());
                    return Err(NativeError::Late { command, program, seconds });
                }
            },
        };
        if status == 0 {
            return Ok(());
        }
        let said = log::last_error(&errand.log).or_else(|| log::last_words(own_stderr?));
        Err(match said {
            Some(said) => NativeError::Refused { command, said },
            None => NativeError::Silent { command, program: self.program.clone(), status },
        })
    }

    /// What stands before every command.
    fn global(&self, errand: &Errand) -> Vec<OsString> {
        let mut args: Vec<OsString> = self.args.iter().map(OsString::from).collect();
        args.extend(["--root".into(), self.root.clone().into()]);
        args.extend(["--log".into(), errand.log_path().into(), "--log-format".into(), "json".into()]);
        args.extend(self.systemd_cgroup.then(|| "--systemd-cgroup".into()));
        args
    }
}

/// Streams of a command that has nothing to do with the container's.
fn null(stdin: Option<OwnedFd>, stderr: OwnedFd) -> Result<[OwnedFd; 3], NativeError> {
    let null = || {
        File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map_err(NativeError::file("open", "/dev/null"))
    };
    let stdin = match stdin {
        Some(stdin) => stdin,
        None => null()?.into(),
    };
    Ok([stdin, null()?.into(), stderr])
}
