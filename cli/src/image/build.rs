//! `pinnace image build`: one Wasm file becomes an image of the form that is asked for.
//!
//! ```text
//!  hello.wasm ─ --as file ──▶ linux on this machine: /hello.wasm in a root filesystem
//!             └ --as wasm ──▶ wasip1/wasm or wasip2/wasm: the module as a layer
//!  one --platform: a manifest │ several, or --index: an index with one entry each
//! ```
//!
//! The first is what every builder, registry and node takes. Text stays text as a file, where anybody can
//! read it; as a layer it is made binary, because the layer's type promises that.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use pinnace_oci::build::{Image, Index, Package};
use pinnace_oci::{WasmMedia, files};

use super::output::Output;
use super::world::{Kind, World};
use super::{ImageError, copy, default_name, pair};

/// What the image shall be.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The module or component, a .wasm or .wat file
    #[arg(value_name = "FILE")]
    wasm: PathBuf,
    #[command(flatten)]
    output: Output,
    /// The image's whole name [default: docker.io/library/<FILE's name>:latest]
    #[arg(long)]
    name: Option<String>,
    /// How the image carries the Wasm
    #[arg(long = "as", value_name = "FORM", value_enum, default_value_t = Carried::File)]
    carried: Carried,
    /// The type of the image's configuration
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Config::Image)]
    config: Config,
    /// A platform; several make an index [default: linux on this machine, of a layer wasip1/wasm or wasip2/wasm]
    #[arg(long, value_name = "OS/ARCH", value_parser = pair('/'))]
    platform: Vec<(String, String)>,
    /// Put a single platform into an index, too
    #[arg(long)]
    index: bool,
    /// Put an attestation beside it in an index, as build tools do
    #[arg(long)]
    attest: bool,
    /// What containers run, word by word [default: the Wasm]
    #[arg(long, value_name = "WORD", num_args = 1)]
    entrypoint: Vec<String>,
    /// Arguments unless the user gives others, word by word
    #[arg(long, value_name = "WORD", num_args = 1, allow_hyphen_values = true)]
    cmd: Vec<String>,
    /// A variable of the environment
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair('='))]
    env: Vec<(String, String)>,
    /// The working directory
    #[arg(long, value_name = "PATH")]
    workdir: Option<String>,
    /// The user, or user and group
    #[arg(long, value_name = "UID[:GID]")]
    user: Option<String>,
    /// A label of the configuration
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair('='))]
    label: Vec<(String, String)>,
    /// An annotation of the manifest
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair('='))]
    annotation: Vec<(String, String)>,
    /// Another file, or a directory with all that is in it, at this path of the root filesystem
    #[arg(long, value_name = "FROM=PATH", value_parser = pair('='))]
    copy: Vec<(String, String)>,
}

/// Where the Wasm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Carried {
    /// A file in the root filesystem: runs everywhere
    File,
    /// A layer of type application/wasm
    Wasm,
    /// A layer of type application/vnd.bytecodealliance.wasm.component.layer.v0+wasm
    Component,
    /// A layer of type application/vnd.wasm.content.layer.v1+wasm
    Content,
}

/// What the configuration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Config {
    /// application/vnd.oci.image.config.v1+json, as all images have it
    Image,
    /// application/vnd.wasm.config.v0+json, of Wasm artifacts: has no entrypoint and no environment
    Wasm,
}

impl Carried {
    fn layer(self) -> Option<WasmMedia> {
        match self {
            Self::File => None,
            Self::Wasm => Some(WasmMedia::Wasm),
            Self::Component => Some(WasmMedia::Component),
            Self::Content => Some(WasmMedia::Content),
        }
    }
}

impl Build {
    pub(super) fn run(&self) -> Result<String, ImageError> {
        let (package, name) = self.package()?;
        self.output.write(&package, &name)
    }

    fn package(&self) -> Result<(Package, String), ImageError> {
        let image = self.image()?;
        let mut images: Vec<_> =
            self.platform.iter().map(|(os, architecture)| image.clone().platform(os, architecture)).collect();
        if images.is_empty() {
            images.push(image);
        }
        let package = match images.as_slice() {
            [single] if !self.index && !self.attest => single.package()?,
            _ => {
                let index = images.into_iter().fold(Index::new(), Index::image);
                if self.attest { index.attested() } else { index }.package()?
            }
        };
        let name = match &self.name {
            Some(name) => name.clone(),
            None => default_name(self.file()?),
        };
        Ok((package, name))
    }

    fn image(&self) -> Result<Image, ImageError> {
        let wasm = read(&self.wasm)?;
        let text = files::is_text(&wasm);
        if !text && !wasm.starts_with(b"\0asm") {
            return Err(ImageError::NotWasm { path: self.wasm.clone() });
        }
        let binary = if text { self.translated(&wasm)? } else { wasm.clone() };
        let world =
            World::of(&binary).map_err(|reason| ImageError::Invalid { path: self.wasm.clone(), reason })?;
        let program = format!("/{}", self.file()?);
        let mut image = match self.carried.layer() {
            None => Image::rootfs().file(&program, wasm, 0o755),
            Some(WasmMedia::Component) if world.kind == Kind::Module => {
                return Err(ImageError::NotComponent { path: self.wasm.clone() });
            }
            Some(media) => {
                let os = if world.kind == Kind::Module { "wasip1" } else { "wasip2" };
                Image::artifact(media, binary).platform(os, "wasm")
            }
        };
        for (from, to) in &self.copy {
            image = copy::copy(image, Path::new(from), to)?;
        }
        for (name, value) in &self.annotation {
            image = image.annotation(name, value);
        }
        match self.config {
            Config::Image => Ok(self.configured(image, program)),
            Config::Wasm if self.carried == Carried::File => Err(ImageError::Unpacked),
            Config::Wasm => match self.configures() {
                Some(option) => Err(ImageError::Unsaid { option }),
                None => Ok(image.wasm_config()),
            },
        }
    }

    fn configured(&self, mut image: Image, program: String) -> Image {
        for (name, value) in &self.env {
            image = image.env(name, value);
        }
        for (name, value) in &self.label {
            image = image.label(name, value);
        }
        if let Some(path) = &self.workdir {
            image = image.workdir(path);
        }
        if let Some(user) = &self.user {
            image = image.user(user);
        }
        // containerd starts nothing without arguments, so an artifact has an entrypoint too.
        let entrypoint = if self.entrypoint.is_empty() { vec![program] } else { self.entrypoint.clone() };
        image.entrypoint(entrypoint).cmd(self.cmd.clone())
    }

    /// An option that only a configuration of an image can hold.
    fn configures(&self) -> Option<&'static str> {
        let given = [
            ("--entrypoint", !self.entrypoint.is_empty()),
            ("--cmd", !self.cmd.is_empty()),
            ("--env", !self.env.is_empty()),
            ("--label", !self.label.is_empty()),
            ("--workdir", self.workdir.is_some()),
            ("--user", self.user.is_some()),
        ];
        given.into_iter().find_map(|(option, given)| given.then_some(option))
    }

    fn translated(&self, text: &[u8]) -> Result<Vec<u8>, ImageError> {
        let invalid =
            |error: wat::Error| ImageError::Invalid { path: self.wasm.clone(), reason: error.to_string() };
        wat::parse_bytes(text).map(|binary| binary.into_owned()).map_err(invalid)
    }

    fn file(&self) -> Result<&str, ImageError> {
        let name = self.wasm.file_name().and_then(|name| name.to_str());
        name.ok_or_else(|| ImageError::Nameless { path: self.wasm.clone() })
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    fs::read(path).map_err(|source| ImageError::Read { path: path.to_owned(), source })
}
