//! What a container runs: found, compiled, opened.
//!
//! ```text
//!  the entrypoint is Wasm in the root ──▶ its sha256 ──▶ artifact          no call to containerd
//!  it is anything else ──▶ the image's Wasm layer (two small calls) ──▶ its digest ──▶ artifact
//!                          no such layer ──▶ an error that says what stands there instead
//! ```

use super::SpawnFailure;
use super::compile::{self, Source};
use super::entry::{self, Entry};
use super::host::Host;
use oci_spec::runtime::{Process, Spec};
use pinnace_cache::{Artifact, Layers};
use pinnace_node::{Config, InstallationError};
use pinnace_oci::ImageError;
use pinnace_plan::Kind;
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// A container that has nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The spec names no program.
    #[error("the container has no command: give the image an entrypoint, or name a .wasm file")]
    NoCommand,
    /// Nothing at the entrypoint, no Wasm layer. The words are those by which Docker and kubectl know it.
    #[error(
        "exec: {program:?}: no such file or directory in the container's root, and its image has no Wasm layer: check the entrypoint"
    )]
    Missing {
        /// What the spec names.
        program: String,
    },
    /// A native program.
    #[error(
        "{} is a native program, not WebAssembly: native containers are not supported by this version of Pinnace, use the runtime class of the node's own runtime for it", path.display()
    )]
    Native {
        /// Its path in the container.
        path: PathBuf,
    },
    /// WebAssembly text by another name.
    #[error(
        "exec format error: {} looks like WebAssembly text, which is run only from a file named *.wat: rename it, or make it binary with wat2wasm", path.display()
    )]
    Text {
        /// Its path in the container.
        path: PathBuf,
    },
    /// A file that is not Wasm.
    #[error(
        "exec format error: {} is not WebAssembly (it starts with {magic:02x?}, not with 00 61 73 6d): build it for wasm32-wasip1 or wasm32-wasip2", path.display()
    )]
    NotWasm {
        /// Its path in the container.
        path: PathBuf,
        /// Its first bytes.
        magic: Vec<u8>,
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
}

/// Finds the module of a container and has it compiled if it never was.
///
/// # Errors
/// When there is none, or it cannot be compiled.
pub(super) async fn find(
    host: &Host,
    config: &Config,
    id: &str,
    root: BorrowedFd<'_>,
    layers: Layers<'_>,
    spec: &Spec,
    process: &Process,
) -> Result<Module, SpawnFailure> {
    // An artifact needs no entrypoint, and containerd lets it through without; its guest is called by the id.
    let command = process.args().iter().flatten().next();
    let (program, function) = command.map_or((id, None), |command| entry::split_function(command));
    let annotation = |name| spec.annotations().as_ref().and_then(|all| all.get(name)).map(String::as_str);
    let engine = config.engine(annotation(ENGINE_ANNOTATION))?.as_str();
    let compiler = compile::Compiler::new(host, config, engine)?;
    let entry = command.map_or(Entry::Missing, |_| entry::look(root, spec, process, program));
    let (name, artifact) = match entry {
        Entry::Wasm { path, file } => {
            let name = path.display().to_string();
            let artifact = compiler.artifact(&name, Source::File(&file, layers)).await?;
            (name, artifact)
        }
        other => match layer(host, config, id, annotation(IMAGE_ANNOTATION), &compiler).await? {
            Some(found) => found,
            None if command.is_none() => return Err(ModuleError::NoCommand.into()),
            None => return Err(nothing(program, other).into()),
        },
    };
    let Artifact { file, kind, .. } = artifact;
    Ok(Module {
        engine: host.installation.engine_program(engine).map_err(ModuleError::from)?,
        engine_name: format!("pinnace-{engine}"),
        program: program.to_owned(),
        name,
        function: function.map(str::to_owned),
        kind,
        artifact: file,
    })
}

/// The artifact of the image's Wasm layer, if it has one.
async fn layer(
    host: &Host,
    config: &Config,
    id: &str,
    asked: Option<&str>,
    compiler: &compile::Compiler<'_>,
) -> Result<Option<(String, Artifact)>, SpawnFailure> {
    let Some(mut image) = host.images.image_of(id).await.map_err(ModuleError::from)? else {
        return Ok(None);
    };
    if let Some(asked) = asked {
        image = host.images.meant(image, asked).await.map_err(ModuleError::from)?;
    }
    let limit = config.module.max_bytes.get();
    let Some(layer) = host.images.wasm_of(&image, &host.memo, limit).await.map_err(ModuleError::from)? else {
        return Ok(None);
    };
    log::info!(
        "container {id}: image {} is {}, its module {}",
        image.name,
        image.target.digest,
        layer.digest
    );
    let name = format!("{} of image {}", layer.digest, image.name);
    let artifact = compiler.artifact(&name, Source::Layer(&image, &layer)).await?;
    Ok(Some((name, artifact)))
}

/// What to say when there is no Wasm: it depends on what stands there instead.
fn nothing(program: &str, entry: Entry) -> ModuleError {
    match entry {
        Entry::Native { path } => ModuleError::Native { path },
        Entry::Text { path } => ModuleError::Text { path },
        Entry::Unknown { path, magic } => ModuleError::NotWasm { path, magic },
        Entry::Wasm { .. } | Entry::Missing => ModuleError::Missing { program: program.to_owned() },
    }
}
