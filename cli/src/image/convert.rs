//! `pinnace image convert`: any image with Wasm becomes one that runs everywhere.

use std::path::PathBuf;

use clap::Args;
use pinnace_oci::Platform;
use pinnace_oci::convert::{everywhere, portable};
use pinnace_oci::files::{Named, Store};

use super::output::Output;
use super::{ImageError, default_name};

/// What to convert.
#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// The image: an OCI archive, an OCI layout, or the output of `docker save`
    #[arg(value_name = "IN")]
    input: PathBuf,
    #[command(flatten)]
    output: Output,
    /// The name or digest of the image, if IN holds several
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// The new image's whole name [default: the old one's, else docker.io/library/<IN's name>:latest]
    #[arg(long)]
    name: Option<String>,
    /// An architecture of nodes; several make an index [default: amd64 and arm64]
    #[arg(long, value_name = "ARCH")]
    arch: Vec<String>,
}

impl Convert {
    pub(super) fn run(&self) -> Result<String, ImageError> {
        let store = Store::open(&self.input)?;
        let named = self.chosen(store.images()?)?;
        let image = store.image(&named)?;
        let linux =
            |architecture: &String| Platform { os: "linux".to_owned(), architecture: architecture.clone() };
        let platforms: Vec<_> =
            if self.arch.is_empty() { everywhere() } else { self.arch.iter().map(linux).collect() };
        let package = portable(&store, &image, &platforms)?;
        self.output.write(&package, &self.named(&named))
    }

    fn chosen(&self, images: Vec<Named>) -> Result<Named, ImageError> {
        let path = self.input.clone();
        let called = |named: &Named| named.name.clone().unwrap_or_else(|| named.target.digest.to_string());
        let names =
            || images.iter().map(called).take(20).collect::<Vec<_>>().join(", ").escape_debug().to_string();
        match (&self.image, images.as_slice()) {
            (_, []) => Err(ImageError::Empty { path }),
            (Some(name), images) => {
                let is = |named: &&Named| {
                    named.name.as_ref() == Some(name) || named.target.digest.to_string() == *name
                };
                let found = images.iter().find(is).cloned();
                found.ok_or_else(|| ImageError::NoSuch { path, name: name.clone(), names: names() })
            }
            (None, [first, others @ ..]) if others.iter().all(|other| other.target == first.target) => {
                Ok(first.clone())
            }
            _ => Err(ImageError::Several { path, names: names() }),
        }
    }

    fn named(&self, named: &Named) -> String {
        let whole = named.name.as_ref().filter(|name| name.contains('/'));
        let file = self.input.file_name().and_then(|name| name.to_str()).unwrap_or("converted");
        self.name.as_ref().or(whole).cloned().unwrap_or_else(|| default_name(file))
    }
}
