//! What is remembered until the next boot: a directory named by the boot's id.
//!
//! Fingerprints depend on the processor's features, digests already checked on memory that was not cut off from
//! power, identities of files on mounts that still stand: none outlives a boot. A directory per boot says so
//! once, instead of in every file, and holds also where the state directory is not on a tmpfs.

use rustix::fs::{Mode, mkdir};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A state directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The kernel does not tell the boot's id.
    #[error("cannot read {BOOT_ID}: {0}")]
    BootId(io::Error),
    /// A directory cannot be made or looked at.
    #[error("cannot make the state directory {}: {source}; set `state.dir` to a place that can be written", path.display())]
    Make {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could put their files there.
    #[error("the state directory {} must belong to root alone (chown root, chmod 700)", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
}

/// The directory below `state_dir` for this boot, made at need, those of earlier boots removed.
///
/// # Errors
/// If it cannot be made, or belongs to somebody else.
pub fn boot_dir(state_dir: &Path) -> Result<PathBuf, BootError> {
    let id = fs::read_to_string(BOOT_ID).map_err(BootError::BootId)?;
    let dir = state_dir.join(id.trim());
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| BootError::Make { path, source }
    };
    match mkdir(&dir, Mode::RWXU) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => return ours(&dir).map(|()| dir),
        Err(rustix::io::Errno::NOENT) => {
            DirBuilder::new().recursive(true).mode(0o755).create(state_dir).map_err(failed(state_dir))?;
            match mkdir(&dir, Mode::RWXU) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(failed(&dir)(error.into())),
            }
        }
        Err(error) => return Err(failed(&dir)(error.into())),
    }
    forget_others(state_dir, &dir);
    ours(&dir).map(|()| dir)
}

/// Only we may write there: what is remembered is believed.
fn ours(dir: &Path) -> Result<(), BootError> {
    let seen = fs::symlink_metadata(dir).map_err(|source| BootError::Make { path: dir.into(), source })?;
    let me = rustix::process::geteuid().as_raw();
    if seen.is_dir() && seen.uid() == me && seen.mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(BootError::NotOurs { path: dir.into() })
    }
}

/// Earlier boots' directories have no more readers; one that cannot be removed does no harm.
fn forget_others(state_dir: &Path, this: &Path) {
    let looks_like_an_id =
        |name: &str| name.len() == 36 && name.bytes().all(|c| c == b'-' || c.is_ascii_hexdigit());
    for entry in fs::read_dir(state_dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path != this && entry.file_name().to_str().is_some_and(looks_like_an_id) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_once_private_and_forgets_earlier_boots() {
        let temp = tempfile::tempdir().unwrap();
        let state = temp.path().join("run/pinnace");
        let old = state.join("00000000-1111-2222-3333-444444444444");
        fs::create_dir_all(&old).unwrap();
        fs::create_dir_all(state.join("other")).unwrap();
        let dir = boot_dir(&state).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        assert!(!old.exists() && state.join("other").exists());
        fs::write(dir.join("kept"), "").unwrap();
        assert_eq!(boot_dir(&state).unwrap(), dir);
        assert!(dir.join("kept").exists());
    }

    #[test]
    fn a_directory_others_may_enter_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let dir = boot_dir(temp.path()).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(boot_dir(temp.path()), Err(BootError::NotOurs { .. })));
        fs::remove_dir(&dir).unwrap();
        std::os::unix::fs::symlink("/tmp", &dir).unwrap();
        assert!(boot_dir(temp.path()).is_err());
    }
}
