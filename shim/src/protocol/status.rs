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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::CgroupPath;
    use crate::spawn::SpawnFailure;
    use crate::task::{Of, Status};
    use std::io;
    use std::path::PathBuf;

    fn code(error: TaskError) -> Code {
        match status(error) {
            ttrpc::Error::RpcStatus(status) => status.code(),
            other => panic!("{other}"),
        }
    }

    fn of() -> Of {
        Of::first("c")
    }

    fn malformed() -> serde_json::Error {
        serde_json::from_str::<u8>("{").expect_err("no number")
    }

    fn full() -> io::Error {
        io::Error::from_raw_os_error(libc::ENOSPC)
    }

    fn cgroup(source: CgroupError) -> TaskError {
        TaskError::Cgroup { id: "c".to_owned(), source }
    }

    fn update(source: SpawnFailure) -> TaskError {
        TaskError::Update { id: "c".to_owned(), source: Box::new(source) }
    }

    fn write() -> CgroupError {
        CgroupError::Write { path: PathBuf::from("/c"), value: "1".to_owned(), source: full() }
    }

    fn bad_limit() -> CgroupError {
        CgroupError::BadLimit { field: "memory.limit", value: "-2".to_owned(), remedy: "give another" }
    }

    /// What containerd's clients do with them: NotFound is as good as done, AlreadyExists and FailedPrecondition are
    /// their own mistake, and Unimplemented has containerd 2.3 take the server for an older one.
    #[test]
    fn each_error_has_its_code() {
        let signal = |kind| TaskError::Signal { of: of(), signal: 9, source: io::Error::from(kind) };
        let (id, why) = (|| "c".to_owned(), || "so".to_owned());
        let table = [
            (TaskError::NotFound { of: of() }, Code::NOT_FOUND),
            (TaskError::NoProcess { of: of() }, Code::NOT_FOUND),
            (TaskError::Exists { of: of() }, Code::ALREADY_EXISTS),
            (TaskError::AlreadyStarted { of: of() }, Code::FAILED_PRECONDITION),
            (TaskError::Ended { of: of() }, Code::FAILED_PRECONDITION),
            (TaskError::NotStarted { of: of() }, Code::FAILED_PRECONDITION),
            (TaskError::NotStopped { of: of(), status: Status::Running }, Code::FAILED_PRECONDITION),
            (TaskError::NotRunning { id: id(), status: Status::Stopped }, Code::FAILED_PRECONDITION),
            (TaskError::Host { why: why() }, Code::FAILED_PRECONDITION),
            (TaskError::ExecProcess { exec_id: id(), source: malformed() }, Code::INVALID_ARGUMENT),
            (TaskError::Resources { id: id(), source: malformed() }, Code::INVALID_ARGUMENT),
            (TaskError::Create(SpawnFailure::ExecInHolder), Code::UNKNOWN),
            (TaskError::Start { of: of(), why: why() }, Code::UNKNOWN),
            (TaskError::Freezer { id: id(), why: why() }, Code::UNKNOWN),
            (TaskError::Resize { of: of(), source: full() }, Code::UNKNOWN),
            (signal(io::ErrorKind::InvalidInput), Code::INVALID_ARGUMENT),
            (signal(io::ErrorKind::PermissionDenied), Code::UNKNOWN),
            (update(SpawnFailure::Cgroup(bad_limit())), Code::INVALID_ARGUMENT),
            (update(SpawnFailure::Cgroup(write())), Code::UNKNOWN),
            (cgroup(CgroupError::Gone { path: CgroupPath::parse("/c").expect("a path") }), Code::NOT_FOUND),
            (cgroup(write()), Code::UNKNOWN),
        ];
        for (error, expected) in table {
            let message = chain(&error);
            assert_eq!(code(error), expected, "{message}");
        }
    }

    #[test]
    fn what_is_missing_reaches_the_client_with_a_remedy() {
        let ttrpc::Error::RpcStatus(status) = status(cgroup(write())) else { panic!("no status") };
        assert!(status.message.contains("/c") && status.message.ends_with("make room there"), "{status:?}");
    }
}
