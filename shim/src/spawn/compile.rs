//! A module's native artifact: from the cache, or compiled once for all who wait.
//!
//! ```text
//!  digest: the layer's own, or remembered ────────────────────────────┐
//!          else the file is read                            aside      ├─▶ Cache::find ── hit ──▶ Artifact
//!          a hit that was not checked since the last boot   aside ─────┘       └ miss
//!  miss: sealed copy (a layer is hashed while it comes) ─▶ obtain      aside
//! ```
//!
//! Aside is a thread of its own, as long as it lasts: megabytes take their time to be read, and others wait for the
//! server meanwhile. The compile process dies with the thread that made it.

use super::host::Host;
use crate::aside::aside;
use pinnace_cache::{Artifact, Cache, CacheError, Digest, FingerprintError, Input, Key, Layers};
use pinnace_node::{Config, InstallationError};
use pinnace_oci::{ImageError, ImageRef, WasmLayer};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// A module that has no artifact.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The cache or the compiler says why.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No memory file for a layer.
    #[error("cannot keep the Wasm layer of the image")]
    Keep(#[source] io::Error),
    /// No pipe to end it by.
    #[error("cannot make a pipe for a compilation")]
    Pipe(#[source] io::Error),
    /// The engine has no fingerprint.
    #[error(transparent)]
    Fingerprint(#[from] FingerprintError),
    /// The layer cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The compile program is not there.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// No thread to read or compile it on.
    #[error("cannot start a thread for a module: {0}")]
    Thread(#[source] io::Error),
    /// No second descriptor of it.
    #[error("cannot hand {name} to a thread: {source}")]
    Hand {
        /// The module.
        name: String,
        /// Why.
        source: io::Error,
    },
}

/// Where a module's bytes are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// In a file of the container's root.
    File(&'a File, Layers<'a>),
    /// In a layer of its image.
    Layer(&'a ImageRef, &'a WasmLayer),
}

/// Artifacts for one engine.
#[derive(Debug)]
pub(super) struct Compiler<'a> {
    host: &'a Host,
    config: &'a Config,
    engine: &'a str,
    fingerprint: String,
}

impl<'a> Compiler<'a> {
    /// For the engine of this name.
    ///
    /// # Errors
    /// When it is not installed, or has no fingerprint.
    pub(super) fn new(host: &'a Host, config: &'a Config, engine: &'a str) -> Result<Self, CompileError> {
        let installation = &host.installation;
        let program = installation.compile_program(engine)?;
        let fingerprint = host.cache.fingerprint(engine, program, installation.path())?;
        Ok(Self { host, config, engine, fingerprint })
    }

    /// The artifact of a module. `name` is what messages call it.
    ///
    /// # Errors
    /// When the module cannot be read or compiled.
    pub(super) async fn artifact(&self, name: &str, source: Source<'_>) -> Result<Artifact, CompileError> {
        let max = self.config.module.max_bytes.get();
        let cache = &self.host.cache;
        let digest = match source {
            Source::Layer(_, layer) => Digest(*layer.digest.bytes()),
            Source::File(file, layers) => match cache.known(file, layers) {
                Ok(digest) => digest,
                Err(unknown) => {
                    let (copy, named) = (copy(file, name)?, name.to_owned());
                    let hashed = aside(move || unknown.hash(&copy, max, &named)).await;
                    let hashed = hashed.map_err(CompileError::Thread)??;
                    cache.learn(file, layers, &hashed);
                    hashed.digest
                }
            },
        };
        let key = Key::new(digest, &self.fingerprint);
        if let Some(artifact) = self.find(key).await? {
            return Ok(artifact);
        }
        let module = match source {
            Source::File(file, _) => Module::File(copy(file, name)?, max, name.to_owned()),
            Source::Layer(image, layer) => Module::Input(self.fetch(image, layer, digest, name).await?),
        };
        log::info!("compiling {name} for {}", self.engine);
        self.compile(module).await
    }

    async fn find(&self, key: Key) -> Result<Option<Artifact>, CompileError> {
        let cache = Arc::clone(&self.host.cache);
        if cache.was_checked(&key) {
            return Ok(cache.find(&key)?);
        }
        Ok(aside(move || cache.find(&key)).await.map_err(CompileError::Thread)??)
    }

    async fn fetch(
        &self,
        image: &ImageRef,
        layer: &WasmLayer,
        digest: Digest,
        name: &str,
    ) -> Result<Input, CompileError> {
        let kept = pinnace_spawn::memory_file("pinnace-layer").map_err(CompileError::Keep)?;
        self.host.images.read_layer(image, layer, &kept).await?;
        Ok(Input::verified(kept, digest, layer.size, name)?)
    }

    /// Whoever stops waiting, because something else of the container failed, ends the compile process too.
    async fn compile(&self, module: Module) -> Result<Artifact, CompileError> {
        let (waited_for, waiting) = io::pipe().map_err(CompileError::Pipe)?;
        let job = Job {
            program: self.host.installation.compile_program(self.engine)?,
            args: vec![CString::new(format!("pinnace-{}-compile", self.engine)).unwrap_or_default()],
            cache: Arc::clone(&self.host.cache),
            fingerprint: self.fingerprint.clone(),
            bounds: self.config.compile.clone(),
            module,
            waited_for,
        };
        let done = aside(move || job.run()).await.map_err(CompileError::Thread)?;
        drop(waiting);
        done
    }
}

/// A second descriptor of a file, for a thread.
fn copy(file: &File, name: &str) -> Result<File, CompileError> {
    file.try_clone().map_err(|source| CompileError::Hand { name: name.to_owned(), source })
}

/// What is to be compiled.
enum Module {
    /// A file, with its bound and its name.
    File(File, u64, String),
    /// What was fetched.
    Input(Input),
}

/// One compilation, with everything it needs on its thread.
struct Job {
    program: OwnedFd,
    args: Vec<CString>,
    cache: Arc<Cache>,
    fingerprint: String,
    bounds: pinnace_node::Compile,
    module: Module,
    waited_for: PipeReader,
}

impl Job {
    fn run(self) -> Result<Artifact, CompileError> {
        let compiler = pinnace_cache::Compiler {
            program: self.program.as_fd(),
            args: &self.args,
            memory_bytes: self.bounds.memory_bytes.get(),
            cpus: self.bounds.cpus.get(),
            timeout: Duration::from_secs(self.bounds.timeout_seconds.get()),
            concurrent: self.bounds.concurrent.get(),
            waited_for: Some(self.waited_for.as_fd()),
            cgroup: Some(self.bounds.cgroup.as_path()),
        };
        let input = match self.module {
            Module::File(file, max, name) => Input::copy(file, max, &name)?,
            Module::Input(input) => input,
        };
        Ok(pinnace_cache::obtain(&self.cache, &self.fingerprint, &input, compiler)?)
    }
}
