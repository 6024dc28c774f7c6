//! What ends the program.

use pinnace_cache::CacheError;
use pinnace_node::{BootError, ConfigError, InstallationError, LayoutError};
use std::{io, path::PathBuf};

/// Every message names its file and remedy already.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Boot(#[from] BootError),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// The programs to install do not tell their version.
    #[error("cannot learn the version of {}: {source}; name the directory of the programs with --from", program.display())]
    Version { program: PathBuf, source: io::Error },
}
