//! What can go wrong between a module and its artifact.

use crate::cage::CageError;
use pinnace_plan::WireError;
use pinnace_spawn::SpawnError;
use std::{io, path::PathBuf};

/// An artifact that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A directory cannot be made or opened.
    #[error("cannot open the directory {}: {source}; set `{key}` to one that root can write", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The key of the node's configuration that names it.
        key: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Others could put their code there.
    #[error("{} must belong to root alone: chown root, chmod go-w, or set `{key}` to another place", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// The key of the node's configuration that names it.
        key: &'static str,
    },
    /// Code there cannot be mapped.
    #[error("{} is on a file system mounted noexec, so compiled code there cannot run: remount it, or set `cache.dir`", path.display())]
    NoExec {
        /// The directory.
        path: PathBuf,
    },
    /// A step on a file of the cache failed.
    #[error("cannot {step} {}: {source}", path.display())]
    File {
        /// What was to be done.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The module is larger than the node allows.
    #[error("{name} is larger than {max} bytes: make it smaller, or raise `module.max_bytes` of the node")]
    TooLarge {
        /// The module.
        name: String,
        /// The bound.
        max: u64,
    },
    /// The module cannot be read.
    #[error("cannot read {name}: {source}")]
    Read {
        /// The module.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A module or request cannot be put into a sealed memory file.
    #[error("cannot put {name} into a sealed memory file: {source}")]
    Seal {
        /// The module.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The compile process got no control group.
    #[error(transparent)]
    Cage(#[from] CageError),
    /// The compile process was not born.
    #[error("cannot start the compilation of {name}: {source}")]
    Spawn {
        /// The module.
        name: String,
        /// Why.
        source: SpawnError,
    },
    /// Talking to the compile process failed.
    #[error("cannot hear the compilation of {name}: {source}")]
    Control {
        /// The module.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// What it said is no record.
    #[error("the compilation of {name} answered nonsense: {source}")]
    Wire {
        /// The module.
        name: String,
        /// Why.
        source: WireError,
    },
    /// The module cannot be compiled; the message is whole.
    #[error("{message}")]
    Refused {
        /// Which module, why, and what to do.
        message: String,
    },
    /// It took too long.
    #[error(
        "compiling {name} took longer than {seconds} s and was ended: make it smaller, or raise `compile.timeout_seconds` of the node"
    )]
    Timeout {
        /// The module.
        name: String,
        /// The bound.
        seconds: u64,
    },
    /// It took too much memory.
    #[error(
        "compiling {name} took more than {bytes} bytes of memory and was killed: make it smaller, or raise `compile.memory_bytes` of the node"
    )]
    OutOfMemory {
        /// The module.
        name: String,
        /// The bound.
        bytes: u64,
    },
    /// What it made is larger than everything the cache may hold.
    #[error(
        "the compiled code of {name} does not fit the cache's {max} bytes: make it smaller, or raise `cache.max_bytes` of the node"
    )]
    ArtifactTooLarge {
        /// The module.
        name: String,
        /// The bound.
        max: u64,
    },
    /// Whoever wanted it does not any more.
    #[error(
        "the compilation of {name} was ended, because nobody waits for it any more: create the container again"
    )]
    GivenUp {
        /// The module.
        name: String,
    },
    /// The process ended without an answer.
    #[error(
        "the compilation of {name} died without an answer ({how}); should it want memory, raise `compile.memory_bytes` of the node"
    )]
    Died {
        /// The module.
        name: String,
        /// Its end.
        how: String,
    },
}

impl CacheError {
    /// Whether it says something of the module, not of this attempt: then it holds for all who wait.
    pub(crate) fn is_verdict(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::Timeout { .. }
                | Self::OutOfMemory { .. }
                | Self::ArtifactTooLarge { .. }
                | Self::Died { .. }
        )
    }
}
