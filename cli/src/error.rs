//! What ends the program.

use crate::image::ImageError;
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
    Image(#[from] ImageError),
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// A path that cannot be made absolute.
    #[error("cannot tell where {} is: {source}", path.display())]
    Path { path: PathBuf, source: io::Error },
    /// The programs to install do not tell their version.
    #[error("cannot learn the version of {}: {source}; name the directory of the programs with --from", program.display())]
    Version { program: PathBuf, source: io::Error },
}
