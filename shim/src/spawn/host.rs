//! What every Create of this server uses: configuration, programs, caches, hierarchies.

use crate::cgroups::{CgroupError, Hierarchies};
use crate::task::HandlerOptions;
use pinnace_cache::{Cache, CacheError};
use pinnace_node::{BootError, Config, ConfigError, Installation, InstallationError};
use pinnace_oci::{Containerd, ImageError, Memo};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

/// A server that cannot make containers.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The node's configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The directory of the programs.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// The state directory.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The cgroup hierarchies.
    #[error(transparent)]
    Cgroups(#[from] CgroupError),
    /// containerd's name space.
    #[error(transparent)]
    Images(#[from] ImageError),
}

/// One server's host.
#[derive(Debug)]
pub struct Host {
    pub(crate) hierarchies: Hierarchies,
    pub(super) installation: Installation,
    pub(super) cache: Arc<Cache>,
    pub(super) memo: Memo,
    pub(super) images: Containerd,
    pub(super) boot_dir: PathBuf,
    pub(crate) namespace: String,
    config: Config,
    oom_score: Once,
}

impl Host {
    /// Reads and opens everything once. `program` is the name the shim was called by.
    ///
    /// # Errors
    /// When a part of it is unusable; the error says which.
    pub fn open(program: &OsStr, address: &Path, namespace: &str) -> Result<Self, HostError> {
        let config =
            Config::load(std::env::var_os(pinnace_node::PATH_VARIABLE).as_deref())?.called_as(program);
        let boot_dir = pinnace_node::boot_dir(config.state.dir.as_path())?;
        let cache = Cache::open(config.cache.dir.as_path(), &boot_dir, config.cache.max_bytes.get())?;
        Ok(Self {
            hierarchies: Hierarchies::discover()?,
            installation: Installation::of_this_program()?,
            memo: Memo::new(config.cache.dir.as_path().join("images")),
            images: Containerd::new(address, namespace)?,
            cache: Arc::new(cache),
            boot_dir,
            namespace: namespace.to_owned(),
            config,
            oom_score: Once::new(),
        })
    }

    /// The least important lines of the log.
    #[must_use]
    pub fn log_level(&self) -> log::LevelFilter {
        self.config.log.level.into()
    }

    /// Where the OCI runtime keeps its state of native containers.
    pub(crate) fn oci_root(&self) -> PathBuf {
        self.boot_dir.join("oci").join(&self.namespace)
    }

    /// The node's configuration as the handler's options narrow it.
    pub(super) fn config(&self, options: &HandlerOptions) -> Result<Config, ConfigError> {
        match options {
            HandlerOptions { body: Some(text), .. } => {
                self.config.narrow(text, "options of the containerd handler")
            }
            HandlerOptions { path: Some(path), .. } => self.config.narrow_by_file(Path::new(path)),
            HandlerOptions { body: None, path: None, systemd_cgroup } => {
                let mut config = self.config.clone();
                config.systemd_cgroup = *systemd_cgroup;
                Ok(config)
            }
        }
    }

    /// Sets a process' OOM score. Lowering it needs a capability that root may lack: that is said once.
    pub(super) fn adjust_oom_score(&self, pid: i32, score: Option<i32>) {
        let Some(score) = score else { return };
        if let Err(error) = std::fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string()) {
            self.oom_score.call_once(|| {
                log::warn!(
                    "cannot set oom_score_adj to {score} (needs CAP_SYS_RESOURCE to lower it): {error}"
                );
            });
        }
    }
}
