//! The directory of artifacts: what is in it, and what is believed of it.

use crate::{
    CacheError, Digest, Key,
    digest::hash_file,
    lock::{Lock, Place},
    stamp::Stamp,
};
use pinnace_plan::Kind;
use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, Stat, StatVfsMountFlags, Timespec, Timestamps, fstat, fstatvfs,
        linkat, open, openat, readlinkat, stat, symlinkat, unlinkat, utimensat,
    },
    io::Errno,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{DirBuilder, File},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::DirBuilderExt,
    },
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// A native artifact that holds what its record says.
#[derive(Debug)]
pub struct Artifact {
    /// Open for reading only; it stays mapped and readable when its entry is evicted.
    pub file: File,
    /// The world its compiler saw.
    pub kind: Kind,
    /// In bytes.
    pub length: u64,
    /// Of the artifact, not of its module.
    pub digest: Digest,
}

/// What is written beside an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    length: u64,
    digest: Digest,
    pub(crate) kind: Kind,
}

/// What follows the key in the name of a record.
pub(crate) const RECORD: &str = ".record";

/// How exact the last use is kept: a busy image does not write to the disk at each start.
const TOUCH_SECONDS: i64 = 60;

/// The node's artifacts.
#[derive(Debug)]
pub struct Cache {
    artifacts: OwnedFd,
    state: OwnedFd,
    pub(crate) path: PathBuf,
    state_path: PathBuf,
    pub(crate) max_bytes: u64,
}

impl Cache {
    /// Opens `<dir>/artifacts`, made at need, for at most `max_bytes`; `state` is the directory of this boot.
    ///
    /// # Errors
    /// If a directory cannot be made, belongs to somebody else, can be written by others, or cannot hold code.
    pub fn open(dir: &Path, state: &Path, max_bytes: u64) -> Result<Self, CacheError> {
        let path = dir.join("artifacts");
        let artifacts = private_directory(&path, "cache.dir")?;
        let mount = fstatvfs(&artifacts).map_err(|error| file_error("look at", &path, error))?;
        can_hold_code(mount.f_flag, &path)?;
        let state_path = state.to_owned();
        let state = private_directory(state, "state.dir")?;
        Ok(Self { artifacts, state, path, state_path, max_bytes })
    }

    /// The artifact of a key, if there is one that holds. What is foreign, short or corrupt is a miss, told in
    /// the log, and replaced by the compile that follows.
    ///
    /// # Errors
    /// If the disk fails, not if the entry does.
    pub fn find(&self, key: &Key) -> Result<Option<Artifact>, CacheError> {
        let name = key.to_string();
        let Some((record, used)) = self.record(&format!("{name}{RECORD}"))? else { return Ok(None) };
        let Some(file) = self.read(&name)? else { return Ok(None) };
        let seen = fstat(&file).map_err(|error| self.error("look at", &name, error))?;
        if !is_ours(&seen) || seen.st_size as u64 != record.length {
            log::warn!(
                "{} is not what its record says: it is compiled anew",
                self.path.join(&name).display()
            );
            return Ok(None);
        }
        if !self.is_checked(&name, &seen) {
            let shown = self.path.join(&name).display().to_string();
            let (digest, _) = hash_file(&file, record.length, &shown)?;
            if digest != record.digest {
                log::warn!("{shown} is corrupt: it is compiled anew");
                return Ok(None);
            }
            self.mark_checked(&name, &seen);
        }
        self.touch(&format!("{name}{RECORD}"), used);
        Ok(Some(Artifact {
            file: file.into(),
            kind: record.kind,
            length: record.length,
            digest: record.digest,
        }))
    }

    /// Whether an artifact of this key was found to hold since the last boot: then [`Cache::find`] does not read it,
    /// but for one that was replaced.
    #[must_use]
    pub fn was_checked(&self, key: &Key) -> bool {
        readlinkat(&self.state, format!("checked-{key}"), Vec::with_capacity(128)).is_ok()
    }

    /// An empty file without a name, for a compiler to write to.
    pub(crate) fn blank(&self) -> Result<OwnedFd, CacheError> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        openat(&self.artifacts, ".", flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| self.error("make a file without a name (O_TMPFILE) in", "", error))
    }

    /// Makes an entry of a compiler's output, which nobody can write to any more: whoever could is dead. The
    /// lock of the key keeps others from replacing it meanwhile.
    pub(crate) fn insert(
        &self,
        key: &Key,
        _lock: &Lock<'_>,
        output: &OwnedFd,
        kind: Kind,
    ) -> Result<Artifact, CacheError> {
        let name = key.to_string();
        let record_name = format!("{name}{RECORD}");
        let (digest, length) = hash_file(output, u64::MAX, &name)?;
        let record = Record { length, digest, kind };
        let bytes = pinnace_plan::encode(&record)
            .map_err(|error| self.error("write", &record_name, io::Error::other(error)))?;
        let written = self.blank()?;
        File::from(written.try_clone().map_err(|error| self.error("write", &record_name, error))?)
            .write_all(&bytes)
            .map_err(|error| self.error("write", &record_name, error))?;
        // A record is there only while its artifact is: gone first, back last.
        self.remove(&record_name)?;
        self.remove(&name)?;
        self.link(output, &name)?;
        self.link(&written, &record_name)?;
        let missing = || self.error("open", &name, Errno::NOENT);
        let file = self.read(&name)?.ok_or_else(missing)?;
        let seen = fstat(&file).map_err(|error| self.error("look at", &name, error))?;
        self.mark_checked(&name, &seen);
        Ok(Artifact { file: file.into(), kind, length, digest })
    }

    /// Where locks and markers are.
    pub(crate) fn place(&self) -> Place<'_> {
        Place { directory: self.state.as_fd(), path: &self.state_path }
    }

    pub(crate) fn state(&self) -> BorrowedFd<'_> {
        self.state.as_fd()
    }

    pub(crate) fn artifacts(&self) -> BorrowedFd<'_> {
        self.artifacts.as_fd()
    }

    /// Removes a name, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), CacheError> {
        match unlinkat(&self.artifacts, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.error("remove", name, error)),
        }
    }

    /// A record and its last use. One that is no record is none.
    pub(crate) fn record(&self, name: &str) -> Result<Option<(Record, i64)>, CacheError> {
        let Some(file) = self.read(name)? else { return Ok(None) };
        let seen = fstat(&file).map_err(|error| self.error("look at", name, error))?;
        let mut bytes = Vec::new();
        File::from(file)
            .take(1024)
            .read_to_end(&mut bytes)
            .map_err(|error| self.error("read", name, error))?;
        match pinnace_plan::decode(&bytes) {
            Ok(record) if is_ours(&seen) => Ok(Some((record, seen.st_mtime))),
            _ => {
                log::warn!("{} is no record: its module is compiled anew", self.path.join(name).display());
                Ok(None)
            }
        }
    }

    pub(crate) fn error(&self, step: &'static str, name: &str, error: impl Into<io::Error>) -> CacheError {
        file_error(step, &self.path.join(name), error)
    }

    /// Opens a file for reading; none if it is not there, or is no file at all.
    fn read(&self, name: &str) -> Result<Option<OwnedFd>, CacheError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&self.artifacts, name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
            Err(error) => Err(self.error("open", name, error)),
        }
    }

    /// Gives a file without a name one.
    fn link(&self, file: &OwnedFd, name: &str) -> Result<(), CacheError> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        linkat(CWD, path, &self.artifacts, name, AtFlags::SYMLINK_FOLLOW)
            .map_err(|error| self.error("link", name, error))
    }

    /// Whether this very file was found to hold since the last boot.
    fn is_checked(&self, name: &str, seen: &Stat) -> bool {
        let text = readlinkat(&self.state, format!("checked-{name}"), Vec::with_capacity(128));
        text.is_ok_and(|text| text.to_bytes() == version(seen).to_string().as_bytes())
    }

    /// Remembers it, best effort, as the text of a link: written and read in one call each.
    fn mark_checked(&self, name: &str, seen: &Stat) {
        let name = format!("checked-{name}");
        let _ = unlinkat(&self.state, &name, AtFlags::empty());
        let _ = symlinkat(version(seen).to_string(), &self.state, &name);
    }

    /// Remembers a use, best effort and no more than once a minute.
    fn touch(&self, record: &str, used: i64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
        if (now - used).abs() >= TOUCH_SECONDS {
            let now = Timespec { tv_sec: now, tv_nsec: 0 };
            let times = Timestamps { last_access: now, last_modification: now };
            let _ = utimensat(&self.artifacts, record, &times, AtFlags::SYMLINK_NOFOLLOW);
        }
    }
}

/// Which content of which file: a replaced or rewritten one differs.
fn version(seen: &Stat) -> Stamp {
    Stamp::new("is", seen.st_dev, seen)
}

/// A plain file of ours that nobody else can write.
fn is_ours(seen: &Stat) -> bool {
    FileType::from_raw_mode(seen.st_mode) == FileType::RegularFile
        && seen.st_uid == rustix::process::geteuid().as_raw()
        && seen.st_mode & 0o022 == 0
}

/// Opens a directory of ours, made at need; refuses one that others can write, or replace in the one above.
fn private_directory(path: &Path, key: &'static str) -> Result<OwnedFd, CacheError> {
    let failed = |source: io::Error| CacheError::Directory { path: path.into(), key, source };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let above = path.parent().unwrap_or(path);
    let directory = match open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            DirBuilder::new().recursive(true).mode(0o755).create(above).map_err(failed)?;
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
            open(path, flags, Mode::empty())
        }
        other => other,
    };
    let directory = directory.map_err(|error| failed(error.into()))?;
    let me = rustix::process::geteuid().as_raw();
    let seen = fstat(&directory).map_err(|error| failed(error.into()))?;
    if seen.st_uid != me || seen.st_mode & 0o022 != 0 {
        return Err(CacheError::NotOurs { path: path.into(), key });
    }
    let seen = stat(above).map_err(|error| failed(error.into()))?;
    // Where the sticky bit is set, others cannot rename what is ours.
    let sticky = seen.st_mode & 0o1000 != 0;
    if ![0, me].contains(&seen.st_uid) || (seen.st_mode & 0o022 != 0 && !sticky) {
        return Err(CacheError::NotOurs { path: above.into(), key });
    }
    Ok(directory)
}

/// Artifacts are mapped executable, which the kernel refuses on a noexec mount.
fn can_hold_code(mount: StatVfsMountFlags, path: &Path) -> Result<(), CacheError> {
    if mount.contains(StatVfsMountFlags::NOEXEC) {
        return Err(CacheError::NoExec { path: path.into() });
    }
    Ok(())
}

fn file_error(step: &'static str, path: &Path, error: impl Into<io::Error>) -> CacheError {
    CacheError::File { step, path: path.into(), source: error.into() }
}

#[cfg(test)]
pub(crate) mod tests;
