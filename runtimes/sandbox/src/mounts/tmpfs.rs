//! A fresh tmpfs, attached nowhere yet.

use super::attr;
use crate::SandboxError;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen,
};
use std::os::fd::{AsFd, OwnedFd};

/// Makes the tmpfs for `destination` with the options of the spec and the attributes `set`.
pub(crate) fn make(
    destination: &str,
    options: &[(String, Option<String>)],
    set: u64,
) -> Result<OwnedFd, SandboxError> {
    let failed =
        |errno: Errno| SandboxError::Tmpfs { destination: destination.to_owned(), source: errno.into() };
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed)?;
    for (key, value) in options {
        let (option, result) = match value {
            Some(value) => {
                (format!("{key}={value}"), fsconfig_set_string(context.as_fd(), key.as_str(), value.as_str()))
            }
            None => (key.clone(), fsconfig_set_flag(context.as_fd(), key.as_str())),
        };
        result.map_err(|errno| SandboxError::TmpfsOption {
            destination: destination.to_owned(),
            option,
            source: errno.into(),
        })?;
    }
    fsconfig_create(context.as_fd()).map_err(failed)?;
    let attributes = MountAttrFlags::from_bits_retain((attr::ALWAYS | set) as u32);
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed)
}
