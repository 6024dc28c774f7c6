//! What a node decides and where it keeps things: configuration, installed programs, state of this boot.
//!
//! ```text
//!  /etc/pinnace/config.toml ── Config::load ─┐ the administrator's word; strict
//!  name the shim was called by ── called_as ─┤ sets engine.default
//!  options of the containerd handler ─ narrow┤ may only take away
//!  annotation of the pod ─────────── engine ─┘ picks among engine.allowed
//!
//!  <prefix>/lib/pinnace/versions/0.1.0/   programs of one version   ◀─ Installation, held by descriptor
//!                       versions/0.2.0/
//!                       current ─▶ versions/0.2.0                  ◀─ Layout moves it by one rename
//!  <bin>/containerd-shim-wasm-v1 ─▶ …/current/containerd-shim-wasm-v1
//!
//!  /run/pinnace/<boot id>/                remembered until the next boot ◀─ boot_dir
//! ```
//!
//! A server reads the configuration once, at its start, and holds the directory it was started from: an
//! upgrade or a changed file reaches the next server, never a running one. Any mistake in a configuration
//! is an error that names file, key and remedy; nothing falls back silently.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod boot;
mod config;
mod error;
mod installation;
mod layout;
mod reference;
mod settings;
mod values;

pub use boot::{BootError, boot_dir};
pub use config::{Cache, Compile, Config, DEFAULT_PATH, Engine, Log, Module, Native, PATH_VARIABLE, State};
pub use error::ConfigError;
pub use installation::{Installation, InstallationError};
pub use layout::{Installed, Layout, LayoutError, PROGRAMS, SHIM_NAMES};
pub use reference::reference;
pub use values::{AbsolutePath, EngineName, LogLevel, Program};
