//! Every key of `/etc/pinnace/config.toml`, with its default, unit and reason: the one place.
//!
//! `docs/configuration.md` is made from this file; the types and the strict reader too.

use crate::{
    AbsolutePath, ConfigError, EngineName, LogLevel, Program,
    settings::{settings, written},
};
use std::{
    ffi::OsStr,
    io::{self, Read},
    num::{NonZeroU32, NonZeroU64},
    path::{Path, PathBuf},
};

/// Where the file is, unless [`PATH_VARIABLE`] names another.
pub const DEFAULT_PATH: &str = "/etc/pinnace/config.toml";

/// Environment variable of the shim that names another file. Shims inherit containerd's own environment, so
/// only who controls containerd's unit can set it.
pub const PATH_VARIABLE: &str = "PINNACE_CONFIG";

settings! {
    /// Which engine runs a guest.
    engine: Engine {
        /// The engine of a container that asks for none. A shim called `containerd-shim-<engine>-v1` takes its
        /// name instead, options of the handler come before that, and the pod's annotation `pinnace.dev/engine`
        /// before all.
        default: EngineName = name("wasmtime"), "an engine's name", free;
        /// The engines that may be asked for. An engine is a program that sees hostile input, so one that is
        /// merely installed is not yet allowed.
        allowed: Vec<EngineName> = vec![name("wasmtime")], "a list of engines' names", subset;
    }

    /// Compiled modules, shared by all containers of the node.
    cache: Cache {
        /// Where they are kept over restarts. The directory must belong to root alone, and its file system must
        /// not be mounted `noexec`: artifacts are mapped, not read. Where containerd's directory is a disk of its
        /// own, a directory on that disk is best: only there, and on the disk of `/`, is the digest of a `.wasm`
        /// file remembered; elsewhere the file is hashed at each start (1 ms per MB).
        dir: AbsolutePath = path("/var/lib/pinnace"), "a path", fixed;
        /// How much they may take together; the least recently used go first. An artifact is about twice the
        /// size of its Wasm, so this holds some hundred large images and does not fill a small node's disk.
        max_bytes: NonZeroU64 = bytes(4 << 30), "bytes", fixed;
    }

    /// What is remembered until the next boot: locks, fingerprints, digests already checked.
    state: State {
        /// Best on a tmpfs; a directory per boot is made in it.
        dir: AbsolutePath = path("/run/pinnace"), "a path", fixed;
    }

    /// The bounds of one compilation. A hostile image may try to take the node by being hard to compile.
    compile: Compile {
        /// Memory of one compilation. A module of 30 MB takes 650 MB.
        memory_bytes: NonZeroU64 = bytes(2 << 30), "bytes", smaller;
        /// Processors one compilation may use; also its number of threads, as far as the node has so many.
        cpus: NonZeroU32 = count(2), "processors", smaller;
        /// How long one compilation may take. Below the two minutes a kubelet waits for a container, so that its
        /// user reads our reason, not a deadline's.
        timeout_seconds: NonZeroU64 = bytes(90), "seconds", smaller;
        /// How many compilations run at once on the node; the others wait their turn.
        concurrent: NonZeroU32 = count(2), "compilations", fixed;
        /// The control group they run in, below the root of every hierarchy. It is the node's own: limits of a
        /// pod must not kill a compilation that serves the whole node.
        cgroup: AbsolutePath = path("/pinnace-compile"), "a path in the cgroup tree", fixed;
    }

    /// What is accepted as a module.
    module: Module {
        /// The largest Wasm file. It is read before it can be judged, so there must be a bound; interpreters with
        /// their libraries reach 60 MB.
        max_bytes: NonZeroU64 = bytes(256 << 20), "bytes", smaller;
    }

    /// Containers that are no Wasm: a pod's sidecars, init containers, `kubectl debug`. The node's own OCI runtime
    /// runs them, under the same server; [native.md](native.md) says how.
    native: Native {
        /// Whether they are run at all. With `false` a container whose entrypoint is a native program is refused, and
        /// only Wasm runs by this handler.
        enabled: bool = true, "`true` or `false`", off;
        /// The OCI runtime: runc, crun, youki, or one that takes the same commands. A name is looked for in
        /// containerd's `PATH`, as containerd itself would, then in the usual directories; it is first looked for when
        /// a native container comes.
        runtime: Program = program("runc"), "a name or an absolute path", fixed;
        /// More of the runtime's own options, before its command.
        args: Vec<String> = Vec::new(), "a list of arguments", fixed;
    }

    /// The shim's lines in containerd's log.
    log: Log {
        /// The least important lines that are written; containerd's own debug switch makes it `debug`.
        level: LogLevel = LogLevel::Info, "`error`, `warn`, `info`, `debug` or `trace`", free;
    }
}

/// The one key of a handler's options that the node's file does not have: it must agree with the kubelet's or
/// dockerd's cgroup driver, and its name is the one runc's handler gave it.
const SYSTEMD_CGROUP: &str = "SystemdCgroup";

/// A file longer than this is not a configuration.
const MAX_LENGTH: u64 = 64 * 1024;

impl Config {
    /// Reads the node's file: `named` (the value of [`PATH_VARIABLE`]) or [`DEFAULT_PATH`]. All defaults hold if
    /// the latter does not exist; a named file must.
    ///
    /// # Errors
    /// On a file that cannot be read, on anything in it that is not known or not right.
    pub fn load(named: Option<&OsStr>) -> Result<Self, ConfigError> {
        let file = named.map_or_else(|| DEFAULT_PATH.into(), PathBuf::from);
        match read(&file) {
            Ok(text) => Self::parse(&text, &file),
            Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
                Ok(Self { file, ..Self::default() })
            }
            Err(source) => Err(ConfigError::Read { path: file, source }),
        }
    }

    /// Reads the text of a node's file; `file` is its name in messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let origin = file.display().to_string();
        let mut config = Self { file: file.into(), ..Self::default() };
        config.take(table(text, &origin)?, &origin, false)?;
        config.allowed(config.engine.default.as_str(), &origin)?;
        Ok(config)
    }

    /// The configuration for a shim called by this name: `containerd-shim-<engine>-v1` sets the engine's default,
    /// `containerd-shim-wasm-v1` (and any other name) leaves it.
    #[must_use]
    pub fn called_as(mut self, program: &OsStr) -> Self {
        let called = Path::new(program)
            .file_name()
            .and_then(OsStr::to_str)
            .and_then(|name| name.strip_prefix("containerd-shim-")?.strip_suffix("-v1"))
            .filter(|engine| *engine != "wasm")
            .and_then(|engine| EngineName::try_from(engine.to_owned()).ok());
        if let Some(engine) = called {
            self.engine.default = engine;
        }
        self
    }

    /// The configuration narrowed by the options of a containerd handler, which come as TOML text (the field
    /// `config_body` of `runtimeoptions.v1.Options`); `origin` says in messages where they stand.
    ///
    /// # Errors
    /// As [`Config::load`], and on options that would allow more than the node does.
    pub fn narrow(&self, text: &str, origin: &str) -> Result<Self, ConfigError> {
        let mut narrowed = self.clone();
        let mut table = table(text, origin)?;
        narrowed.systemd_cgroup = match table.remove(SYSTEMD_CGROUP) {
            None => None,
            Some(toml::Value::Boolean(systemd)) => Some(systemd),
            Some(other) => {
                return Err(ConfigError::Value {
                    origin: origin.into(),
                    key: SYSTEMD_CGROUP,
                    unit: "`true` or `false`",
                    message: format!("it is {other}"),
                });
            }
        };
        narrowed.take(table, origin, true)?;
        Ok(narrowed)
    }

    /// As [`Config::narrow`], with options in a file (the field `config_path`).
    ///
    /// # Errors
    /// As [`Config::narrow`], and on a file that cannot be read.
    pub fn narrow_by_file(&self, file: &Path) -> Result<Self, ConfigError> {
        let text = read(file).map_err(|source| ConfigError::Read { path: file.into(), source })?;
        self.narrow(&text, &file.display().to_string())
    }

    /// The engine for one container; `asked` is the value of its annotation `pinnace.dev/engine`.
    ///
    /// # Errors
    /// If the node does not allow it.
    pub fn engine(&self, asked: Option<&str>) -> Result<&EngineName, ConfigError> {
        match asked {
            Some(engine) => self.allowed(engine, "annotation `pinnace.dev/engine`"),
            None => self.allowed(self.engine.default.as_str(), "`engine.default`"),
        }
    }

    /// The file this was read from.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The whole configuration as TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    fn allowed(&self, engine: &str, origin: &str) -> Result<&EngineName, ConfigError> {
        self.engine.allowed.iter().find(|name| name.as_str() == engine).ok_or_else(|| {
            ConfigError::EngineNotAllowed {
                origin: origin.into(),
                engine: engine.into(),
                allowed: written(&self.engine.allowed),
                file: self.file.display().to_string(),
            }
        })
    }
}

fn table(text: &str, origin: &str) -> Result<toml::Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        ConfigError::Syntax {
            origin: origin.into(),
            line: before.matches('\n').count() + 1,
            message: error.message().to_owned(),
        }
    })
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(file)?.take(MAX_LENGTH + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_LENGTH {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than 64 KiB"));
    }
    Ok(text)
}

// The defaults' own notation; a test puts every default through the strict types.

fn name(literal: &'static str) -> EngineName {
    EngineName::literal(literal)
}

fn program(literal: &'static str) -> Program {
    Program::literal(literal)
}

fn path(literal: &'static str) -> AbsolutePath {
    AbsolutePath::literal(literal)
}

fn bytes(literal: u64) -> NonZeroU64 {
    NonZeroU64::new(literal).unwrap_or(NonZeroU64::MIN)
}

fn count(literal: u32) -> NonZeroU32 {
    NonZeroU32::new(literal).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests;
