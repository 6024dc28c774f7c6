//! Every way in which a native container is not made, or not run.

use crate::cgroups::CgroupError;
use crate::spawn::BundleError;
use crate::stdio::StdioError;
use std::io;
use std::path::PathBuf;

/// Why the OCI runtime could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named as what they hold")]
pub enum NativeError {
    /// The runtime is not there.
    #[error(
        "the OCI runtime {name} for native containers is not in {searched}: install it, or name another in \
         native.runtime of {}, or have them refused by native.enabled = false", file.display()
    )]
    Missing { name: String, searched: String, file: PathBuf },
    /// Where its processes are could not be told.
    #[error(
        "linux.cgroupsPath of a native container must be an absolute path or of the form slice:prefix:name, but it \
         is {given:?}"
    )]
    CgroupsPath { given: String },
    /// Its cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Its streams.
    #[error(transparent)]
    Stdio(#[from] StdioError),
    /// Its bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A file of a command's.
    #[error("cannot {step} {}: {source}", path.display())]
    File { step: &'static str, path: PathBuf, source: io::Error },
    /// What a further process is to be.
    #[error("the process of an exec is not as the runtime-spec has it")]
    Process(#[source] serde_json::Error),
    /// Limits that cannot be written down.
    #[error("cannot write the limits for the OCI runtime")]
    Resources(#[source] serde_json::Error),
    /// The runtime could not be executed.
    #[error(
        "cannot run the OCI runtime {}: {source}; name an executable of this host in native.runtime",
        program.display()
    )]
    Run { program: PathBuf, source: io::Error },
    /// It says why not. The words before its own are those of containerd's own shim.
    #[error("OCI runtime {command} failed: {said}")]
    Refused { command: &'static str, said: String },
    /// It does not say why not.
    #[error(
        "OCI runtime {command} failed: {} ended with status {status} and gave no reason: try it by hand, it must take \
         the commands of runc", program.display()
    )]
    Silent { command: &'static str, program: PathBuf, status: u32 },
    /// It takes too long.
    #[error("OCI runtime {command} failed: {} was ended, it took more than {seconds} s", program.display())]
    Late { command: &'static str, program: PathBuf, seconds: u64 },
    /// It does not say whom it made.
    #[error("OCI runtime {command} failed: {} holds no pid", path.display())]
    NoPid { command: &'static str, path: PathBuf },
    /// Whom it made cannot be watched.
    #[error("cannot watch process {pid} of a native container")]
    Watch { pid: i32, source: io::Error },
    /// Children of others, who come to this server, could not be heard of.
    #[error("cannot hear of processes that end")]
    Orphans(#[source] io::Error),
    /// No terminal came.
    #[error("the OCI runtime sent no terminal")]
    NoTerminal,
    /// The bundle does not say what made it.
    #[error("{} does not say which OCI runtime made the container: {source}", path.display())]
    Note { path: PathBuf, source: serde_json::Error },
}

impl NativeError {
    /// Whether the container asks for what this version does not do, rather than for something wrong.
    #[must_use]
    pub fn unsupported(&self) -> bool {
        matches!(self, Self::Stdio(error) if error.is_unsupported())
    }

    pub(super) fn file(step: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { step, path, source }
    }
}
