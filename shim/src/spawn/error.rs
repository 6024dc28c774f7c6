//! Every way in which a container is not made.

use super::bundle::BundleError;
use super::compile::CompileError;
use super::devices::DeviceError;
use super::engine::EngineError;
use super::exec::ExecError;
use super::module::ModuleError;
use super::mounts::MountError;
use super::namespaces::NamespaceError;
use super::root::RootError;
use super::user::UserError;
use super::walls::WallError;
use crate::cgroups::CgroupError;
use crate::hooks::HookError;
use crate::native::NativeError;
use crate::stdio::StdioError;
use pinnace_node::{ConfigError, InstallationError};

/// Why a container could not be made: one variant per step, each with its own message.
#[derive(Debug, thiserror::Error)]
pub enum SpawnFailure {
    /// Its configuration.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The options of its handler.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Its module.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The module's compilation.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Its mounts.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// Its devices.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Its walls.
    #[error(transparent)]
    Wall(#[from] WallError),
    /// Its namespaces.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// Its user namespace.
    #[error(transparent)]
    User(#[from] UserError),
    /// Its cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Its streams.
    #[error(transparent)]
    Stdio(#[from] StdioError),
    /// The program that holds a pod.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// Its hooks.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// Its process.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The node's OCI runtime.
    #[error(transparent)]
    Native(#[from] NativeError),
    /// A further process of it.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// A further process of a pod's own container.
    #[error("a pod's own container runs nothing: execute in one of the pod's containers")]
    ExecInHolder,
}

impl SpawnFailure {
    /// Whether a limit is none that the kernel could keep.
    #[must_use]
    pub fn is_bad_limit(&self) -> bool {
        matches!(self, Self::Cgroup(CgroupError::BadLimit { .. } | CgroupError::AboveSwap { .. }))
    }

    /// Whether the container asks for what this version does not do, rather than for something wrong.
    #[must_use]
    pub fn unsupported(&self) -> bool {
        match self {
            Self::Hook(error) => matches!(error, HookError::Inside { .. } | HookError::Pod { .. }),
            Self::Stdio(error) => error.is_unsupported(),
            Self::Native(error) => error.unsupported(),
            Self::Module(error) => matches!(error, ModuleError::Native { .. }),
            _ => false,
        }
    }
}
