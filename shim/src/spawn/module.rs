//! What a container runs: found, compiled, opened.
//!
//! ```text
//!  the entrypoint is Wasm in the root ──▶ its sha256 ──▶ artifact          no call to containerd
//!  it is anything else ──▶ the image's Wasm layer (two small calls) ──▶ its digest ──▶ artifact
//!                          no such layer ──▶ a native program: the OCI runtime's, if the node has such containers
//!                                            else an error that says what stands there instead
//! ```

use super::SpawnFailure;
use super::compile::{self, CompileError, Source};
use super::entry::{self, Entry, View};
use super::host::Host;
use oci_spec::runtime::{Process, Spec};
use pinnace_cache::{Artifact, CacheError, Layers};
use pinnace_node::{Config, InstallationError};
use pinnace_oci::{ImageError, ImageRef, WasmLayer};
use pinnace_plan::Kind;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A container that has nothing to run, or an exec. The words are those by which Docker knows what is not found from what
/// cannot be run: they come first, the reason follows.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The spec names no program.
    #[error("the container has no command: give the image an entrypoint, or name a .wasm file")]
    NoCommand,
    /// Nothing at the entrypoint, no Wasm layer.
    #[error(
        "exec: {program:?}: no such file or directory in the container's root, and its image has no Wasm layer: check the entrypoint"
    )]
    Missing {
        /// What the spec names.
        program: String,
    },
    /// A directory, or something else.
    #[error(
        "exec: {program:?}: permission denied: {} is not a file, and the image has no Wasm layer: check the entrypoint", path.display()
    )]
    NotAFile {
        /// What the spec names.
        program: String,
        /// Its path in the container.
        path: PathBuf,
    },
    /// A native program.
    #[error(
        "exec: {program:?}: permission denied: {} is a native program, not WebAssembly, and native containers are switched off here (native.enabled in {} or in the handler's options): use the runtime class of the node's own runtime for it", path.display(), file.display()
    )]
    Native {
        /// What the spec names.
        program: String,
        /// Its path in the container.
        path: PathBuf,
        /// The node's configuration.
        file: PathBuf,
    },
    /// WebAssembly text by another name.
    #[error(
        "exec: {program:?}: permission denied (exec format error): {} looks like WebAssembly text, which is run only from a file named *.wat: rename it, or make it binary with wat2wasm", path.display()
    )]
    Text {
        /// What the spec names.
        program: String,
        /// Its path in the container.
        path: PathBuf,
    },
    /// A file that is not Wasm.
    #[error(
        "exec: {program:?}: permission denied (exec format error): {} is not WebAssembly (it starts with {magic:02x?}, not with 00 61 73 6d): build it for wasm32-wasip1 or wasm32-wasip2", path.display()
    )]
    NotWasm {
        /// What the spec names.
        program: String,
        /// Its path in the container.
        path: PathBuf,
        /// Its first bytes.
        magic: Vec<u8>,
    },
    /// A module that the compiler refuses.
    #[error("exec: {program:?}: permission denied (exec format error)")]
    Invalid {
        /// What the spec or the call names.
        program: String,
        /// The compiler's words.
        source: CacheError,
    },
    /// The image could not be looked at.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The engine's programs.
    #[error(transparent)]
    Installation(#[from] InstallationError),
}

/// By which a pod asks for one of the engines its node allows.
const ENGINE_ANNOTATION: &str = "pinnace.dev/engine";

/// By which containerd's CRI tells, since 2.0, which image the user named.
const IMAGE_ANNOTATION: &str = "io.kubernetes.cri.image-name";

/// A Wasm layer of an image.
pub(super) type ImageLayer = (ImageRef, WasmLayer);

/// A module ready to be mapped by an engine.
#[derive(Debug)]
pub(super) struct Module {
    /// The engine's program.
    pub engine: OwnedFd,
    /// The program's name.
    pub engine_name: String,
    /// The guest's first argument.
    pub program: String,
    /// What the module was found as, for messages.
    pub name: String,
    /// The export to call instead of the world's entry.
    pub function: Option<String>,
    /// Its world.
    pub kind: Kind,
    /// Its native artifact.
    pub artifact: File,
    /// The layer it is, if it is no file of the root.
    pub layer: Option<ImageLayer>,
}

/// What stands at the entrypoint of a spec.
pub(super) fn entry(view: View<'_>, process: &Process) -> Entry {
    let command = process.args().iter().flatten().next();
    let program = command.map(|command| entry::split_function(command).0);
    program.map_or(Entry::Missing, |program| entry::look(view, process, program))
}

/// Whether a container is the OCI runtime's to run: its entrypoint is a native program, and its image has no Wasm
/// layer.
///
/// # Errors
/// When its image cannot be looked at.
pub(super) async fn is_native(
    host: &Host,
    config: &Config,
    id: &str,
    spec: &Spec,
    entry: &Entry,
) -> Result<bool, ModuleError> {
    if !config.native.enabled || !matches!(entry, Entry::Native { .. }) {
        return Ok(false);
    }
    let layer = own_layer(host, config, id, annotation(spec, IMAGE_ANNOTATION)).await?;
    Ok(layer.is_none())
}

/// Finds the module of a container and has it compiled if it never was.
///
/// # Errors
/// When there is none, or it cannot be compiled.
pub(super) async fn find(
    host: &Host,
    config: &Config,
    id: &str,
    (view, entry): (View<'_>, Entry),
    layers: Layers<'_>,
    spec: &Spec,
    process: &Process,
) -> Result<Module, SpawnFailure> {
    // An artifact needs no entrypoint, and containerd lets it through without; its guest is called by the id.
    let command = process.args().iter().flatten().next();
    let called @ (program, _) = command.map_or((id, None), |command| entry::split_function(command));
    let modules = Modules::of(host, config, id, spec)?;
    match entry {
        Entry::Wasm { path, file } => modules.file(called, view, layers, &path, &file).await,
        other => match modules.own_layer().await.map_err(ModuleError::from)? {
            Some(layer) => modules.layer(called, layer).await,
            None if command.is_none() => Err(ModuleError::NoCommand.into()),
            None => Err(nothing(config, program, other).into()),
        },
    }
}

/// Modules of one container, compiled for its engine. A program is called by its name, and the function of it.
#[derive(Debug)]
pub(super) struct Modules<'a> {
    host: &'a Host,
    config: &'a Config,
    id: &'a str,
    /// The image that the user named, where containerd tells.
    named: Option<&'a str>,
    engine: &'a str,
    compiler: compile::Compiler<'a>,
}

impl<'a> Modules<'a> {
    /// Of the container with this spec.
    ///
    /// # Errors
    /// When its engine is not allowed, or not installed.
    pub(super) fn of(
        host: &'a Host,
        config: &'a Config,
        id: &'a str,
        spec: &'a Spec,
    ) -> Result<Self, SpawnFailure> {
        let engine = config.engine(annotation(spec, ENGINE_ANNOTATION))?.as_str();
        let compiler = compile::Compiler::new(host, config, engine)?;
        Ok(Self { host, config, id, named: annotation(spec, IMAGE_ANNOTATION), engine, compiler })
    }

    /// A file of the container; `layers` are those of its root.
    ///
    /// # Errors
    /// When it cannot be read or compiled.
    pub(super) async fn file(
        &self,
        called: (&str, Option<&str>),
        view: View<'_>,
        layers: Layers<'_>,
        path: &Path,
        file: &File,
    ) -> Result<Module, SpawnFailure> {
        let name = path.display().to_string();
        // What is mounted below the root is made of something else.
        let device = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).ok().map(|seen| seen.st_dev);
        let layers = if device(file.as_fd()) == device(view.root()) { layers } else { Layers::Plain };
        let artifact = self.artifact(called, &name, Source::File(file, layers)).await?;
        self.module(called, name, artifact, None)
    }

    /// A layer of its image.
    ///
    /// # Errors
    /// When it cannot be read or compiled.
    pub(super) async fn layer(
        &self,
        called: (&str, Option<&str>),
        (image, layer): ImageLayer,
    ) -> Result<Module, SpawnFailure> {
        let (id, digest) = (self.id, layer.digest);
        log::info!("container {id}: image {} is {}, its module {digest}", image.name, image.target.digest);
        let name = format!("{digest} of image {}", image.name);
        let artifact = self.artifact(called, &name, Source::Layer(&image, &layer)).await?;
        self.module(called, name, artifact, Some((image, layer)))
    }

    /// The Wasm layer of its image, if that has one.
    ///
    /// # Errors
    /// When containerd cannot tell, or the image has more than one.
    pub(super) async fn own_layer(&self) -> Result<Option<ImageLayer>, ImageError> {
        own_layer(self.host, self.config, self.id, self.named).await
    }

    /// The Wasm layer of its image that has this title.
    ///
    /// # Errors
    /// As [`Self::own_layer`].
    pub(super) async fn titled(&self, title: &str) -> Result<Option<ImageLayer>, ImageError> {
        let Some(image) = own_image(self.host, self.id, self.named).await? else { return Ok(None) };
        let found = self.host.images.titled(&image, title, self.config.module.max_bytes.get()).await?;
        Ok(found.map(|layer| (image, layer)))
    }

    async fn artifact(
        &self,
        (program, _): (&str, Option<&str>),
        name: &str,
        source: Source<'_>,
    ) -> Result<Artifact, SpawnFailure> {
        self.compiler.artifact(name, source).await.map_err(|error| match error {
            // What is not the module's fault, like a cage that cannot be built, does not name it.
            CompileError::Cache(CacheError::Refused { message }) if message.contains(name) => {
                let (program, source) = (program.to_owned(), CacheError::Refused { message });
                ModuleError::Invalid { program, source }.into()
            }
            other => other.into(),
        })
    }

    fn module(
        &self,
        (program, function): (&str, Option<&str>),
        name: String,
        artifact: Artifact,
        layer: Option<ImageLayer>,
    ) -> Result<Module, SpawnFailure> {
        let Artifact { file, kind, .. } = artifact;
        Ok(Module {
            engine: self.host.installation.engine_program(self.engine).map_err(ModuleError::from)?,
            engine_name: format!("pinnace-{}", self.engine),
            program: program.to_owned(),
            name,
            function: function.map(str::to_owned),
            kind,
            artifact: file,
            layer,
        })
    }
}

fn annotation<'a>(spec: &'a Spec, name: &str) -> Option<&'a str> {
    spec.annotations().as_ref()?.get(name).map(String::as_str)
}

/// A container's image; `named` is the one that the user named, where containerd tells.
async fn own_image(host: &Host, id: &str, named: Option<&str>) -> Result<Option<ImageRef>, ImageError> {
    match (host.images.image_of(id).await?, named) {
        (Some(image), Some(named)) => host.images.meant(image, named).await.map(Some),
        (image, _) => Ok(image),
    }
}

/// The Wasm layer of it, if it has one.
async fn own_layer(
    host: &Host,
    config: &Config,
    id: &str,
    named: Option<&str>,
) -> Result<Option<ImageLayer>, ImageError> {
    let Some(image) = own_image(host, id, named).await? else { return Ok(None) };
    let found = host.images.wasm_of(&image, &host.memo, config.module.max_bytes.get()).await?;
    Ok(found.map(|layer| (image, layer)))
}

/// What to say when there is no Wasm: it depends on what stands there instead.
fn nothing(config: &Config, program: &str, entry: Entry) -> ModuleError {
    let program = program.to_owned();
    match entry {
        Entry::Native { path } => ModuleError::Native { program, path, file: config.file().to_owned() },
        Entry::Text { path } => ModuleError::Text { program, path },
        Entry::Unknown { path, magic } => ModuleError::NotWasm { program, path, magic },
        Entry::NotAFile { path } => ModuleError::NotAFile { program, path },
        Entry::Wasm { .. } | Entry::Missing => ModuleError::Missing { program },
    }
}
