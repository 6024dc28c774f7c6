//! `pinnace image`: making images, making them portable, and telling what they are.
//!
//! ```text
//!  hello.wasm ──build──▶ an image of the form that is asked for ──convert──▶ one that runs everywhere
//!                          └──inspect──▶ what it is, what its Wasm needs, where it runs
//! ```
//!
//! Nothing here needs containerd, root or a network, and the same input gives the same bytes.

mod build;
mod convert;
mod copy;
mod inspect;
mod output;
mod report;
#[cfg(test)]
mod tests;
mod world;

use std::io;
use std::path::PathBuf;

use clap::Subcommand;
use pinnace_oci::build::BuildError;
use pinnace_oci::convert::ConvertError;
use pinnace_oci::files::ReadError;

use crate::error::CliError;

#[derive(Debug, Subcommand)]
pub(crate) enum Image {
    /// Make an image of one Wasm file
    Build(Box<build::Build>),
    /// Make of any image with Wasm one that runs everywhere: linux, the module as a file
    Convert(convert::Convert),
    /// Tell what an image is, what its Wasm needs, and where it runs
    Inspect(inspect::Inspect),
}

/// Why a subcommand did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("cannot read {path:?}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path:?} is neither Wasm nor its text: name a .wasm or .wat file")]
    NotWasm { path: PathBuf },
    #[error("{path:?} is not valid Wasm: {reason}")]
    Invalid { path: PathBuf, reason: String },
    #[error("{path:?} is a module, and the layer's type is for components: use --as wasm")]
    NotComponent { path: PathBuf },
    #[error("{path:?} has no file name to name the image by; rename it, or give --name and --entrypoint")]
    Nameless { path: PathBuf },
    #[error("{path:?} is neither file, directory nor link, or its name is not UTF-8; leave it out of --copy")]
    NotCopied { path: PathBuf },
    #[error("a configuration for Wasm has no place for {option}: leave it out, or use --config image")]
    Unsaid { option: &'static str },
    #[error("a file in the root needs --config image: nobody unpacks layers by a configuration for Wasm")]
    Unpacked,
    #[error("{path:?} holds no image")]
    Empty { path: PathBuf },
    #[error("{path:?} holds several images: name one with --image, as {names}")]
    Several { path: PathBuf, names: String },
    #[error("{path:?} holds no image {name:?}; it holds {names}")]
    NoSuch { path: PathBuf, name: String, names: String },
    #[error(transparent)]
    Store(#[from] ReadError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Convert(#[from] ConvertError),
    #[error("cannot write {path:?}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path:?} is there already: remove it, or name another directory")]
    Exists { path: PathBuf },
    #[error("a layout is a directory and cannot go to stdout: name a directory, or leave out --layout")]
    LayoutToStdout,
}

impl Image {
    pub(crate) fn run(self) -> Result<String, CliError> {
        let text = match self {
            Self::Build(build) => build.run(),
            Self::Convert(convert) => convert.run(),
            Self::Inspect(inspect) => inspect.run(),
        };
        Ok(text?)
    }
}

/// Names of images are lowercase.
fn default_name(file: &str) -> String {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    format!("docker.io/library/{}:latest", stem.to_lowercase())
}

/// Parses `one<separator>other`.
fn pair(
    separator: char,
) -> impl Fn(&str) -> Result<(String, String), String> + Clone + Send + Sync + 'static {
    move |text| match text.split_once(separator) {
        Some((one, other)) if !one.is_empty() => Ok((one.to_owned(), other.to_owned())),
        _ => Err(format!("two words with a `{separator}` between them")),
    }
}
