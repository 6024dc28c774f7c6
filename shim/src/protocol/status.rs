//! Errors as ttrpc has them.

use crate::cgroups::CgroupError;
use crate::remedy::with_remedy;
use crate::task::{TaskError, chain};
use containerd_shim_protos::ttrpc::{self, Code, get_status};

/// The one place where an error gets its ttrpc code.
pub(super) fn status(error: TaskError) -> ttrpc::Error {
    let code = match &error {
        TaskError::NotFound { .. } | TaskError::NoProcess { .. } => Code::NOT_FOUND,
        TaskError::Exists { .. } => Code::ALREADY_EXISTS,
        TaskError::AlreadyStarted { .. }
        | TaskError::Ended { .. }
        | TaskError::NotStarted { .. }
        | TaskError::NotStopped { .. }
        | TaskError::NotRunning { .. }
        | TaskError::Host { .. } => Code::FAILED_PRECONDITION,
        TaskError::ExecProcess { .. } | TaskError::Resources { .. } => Code::INVALID_ARGUMENT,
        TaskError::Cgroup { source: CgroupError::Gone { .. }, .. } => Code::NOT_FOUND,
        TaskError::Update { source, .. } if source.is_bad_limit() => Code::INVALID_ARGUMENT,
        TaskError::Signal { source, .. } if source.kind() == std::io::ErrorKind::InvalidInput => {
            Code::INVALID_ARGUMENT
        }
        TaskError::Create(failure) if failure.unsupported() => Code::FAILED_PRECONDITION,
        TaskError::Create(_)
        | TaskError::Start { .. }
        | TaskError::Freezer { .. }
        | TaskError::Resize { .. }
        | TaskError::Signal { .. }
        | TaskError::Update { .. }
        | TaskError::Cgroup { .. } => Code::UNKNOWN,
    };
    rpc(code, with_remedy(chain(&error)))
}

/// A code with its text.
pub(super) fn rpc(code: Code, message: impl ToString) -> ttrpc::Error {
    ttrpc::Error::RpcStatus(get_status(code, message))
}
