//! Which file is it? So that a module in a root filesystem is not hashed again at each start.
//!
//! An identity is (device, inode, size, mtime, ctime). The kernel alone sets a ctime, so a file that was
//! changed has another one, unless the change fell into the same tick of its clock: hence only files that have
//! been still for two seconds have an identity. A device's number must mean the same device tomorrow, which
//! numbers of tmpfs, overlay and network mounts do not (a new tmpfs was seen with the number of an overlay that
//! was gone): hence only file systems on a block device, and only until the next boot.
//!
//! An overlay shows one device for all its files and the inode of the layer's file; with all layers on one
//! file system the pair is unique, but for a file copied up, which keeps the inode of its origin. Such a copy is
//! younger than the upper directory, so in an overlay only files older than that have an identity.

use crate::{Cache, Digest};
use rustix::fs::{
    AtFlags, CWD, FileType, Stat, StatxFlags, fstat, fstatfs, readlinkat, stat, statfs, statx, symlinkat,
};
use std::{
    os::fd::AsFd,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// What a root filesystem is made of.
#[derive(Debug, Clone, Copy)]
pub enum Layers<'a> {
    /// A directory or mount as it is: no overlay, or one whose layers are not known.
    Plain,
    /// An overlay of these layers, with this writable one, if any.
    Overlay {
        /// The read-only layers.
        lower: &'a [&'a Path],
        /// The writable one.
        upper: Option<&'a Path>,
    },
}

/// A file that can be known again until the next boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity(String);

/// How long a file must have been left alone.
const STILL_SECONDS: i64 = 2;

/// Local file systems with lasting inode numbers, by their magic: ext2 to ext4, xfs, f2fs.
const LASTING: [i64; 3] = [0xEF53, 0x5846_5342, 0xF2F5_2010];

/// Overlay's magic.
const OVERLAY: i64 = 0x794c_7630;

impl Identity {
    /// The identity of an open file in a root filesystem, if it has one.
    #[must_use]
    pub fn of(file: impl AsFd, layers: Layers<'_>) -> Option<Self> {
        let seen = fstat(&file).ok()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs() as i64;
        if FileType::from_raw_mode(seen.st_mode) != FileType::RegularFile
            || seen.st_ctime + STILL_SECONDS >= now
        {
            return None;
        }
        let kind = fstatfs(&file).ok()?.f_type as i64;
        let device = match layers {
            Layers::Plain => (LASTING.contains(&kind)).then_some(seen.st_dev)?,
            Layers::Overlay { lower, upper } => {
                let device = one_device(lower, upper).filter(|_| kind == OVERLAY)?;
                if upper.is_some_and(|upper| !is_older(&seen, upper)) {
                    return None;
                }
                device
            }
        };
        Some(Self(format!(
            "known-{device:x}-{:x}-{:x}-{:x}.{:x}-{:x}.{:x}",
            seen.st_ino, seen.st_size, seen.st_mtime, seen.st_mtime_nsec, seen.st_ctime, seen.st_ctime_nsec
        )))
    }
}

/// The device all layers share, if they do and it lasts.
fn one_device(lower: &[&Path], upper: Option<&Path>) -> Option<u64> {
    let mut layers = lower.iter().copied().chain(upper);
    let first = layers.next()?;
    let device = stat(first).ok()?.st_dev;
    let lasts = LASTING.contains(&(statfs(first).ok()?.f_type as i64));
    (lasts && layers.all(|layer| stat(layer).is_ok_and(|seen| seen.st_dev == device))).then_some(device)
}

/// Whether a file was last changed before this directory was made.
fn is_older(file: &Stat, directory: &Path) -> bool {
    let Ok(seen) = statx(CWD, directory, AtFlags::empty(), StatxFlags::BTIME) else { return false };
    let born = seen.stx_btime;
    StatxFlags::from_bits_retain(seen.stx_mask).contains(StatxFlags::BTIME)
        && (file.st_ctime, file.st_ctime_nsec as u32) < (born.tv_sec, born.tv_nsec)
}

impl Cache {
    /// The digest a file had when it was last hashed, if that is remembered.
    #[must_use]
    pub fn known_digest(&self, file: &Identity) -> Option<Digest> {
        let text = readlinkat(self.state(), &file.0, Vec::with_capacity(80)).ok()?;
        text.to_str().ok()?.parse().ok()
    }

    /// Remembers a file's digest until the next boot. It is best effort.
    pub fn remember_digest(&self, file: &Identity, digest: Digest) {
        // A link's text is written and read in one call each, so there is no half of one.
        let _ = symlinkat(digest.to_string(), self.state(), &file.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::cache;
    use std::fs::{self, File};

    #[test]
    fn a_file_that_was_just_written_has_no_identity() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Identity::of(&file, Layers::Plain), None);
    }

    #[test]
    fn only_lasting_file_systems_give_identities() {
        for path in ["/proc/version", "/dev/null", "/etc"] {
            assert_eq!(Identity::of(File::open(path).unwrap(), Layers::Plain), None, "{path}");
        }
        let shell = File::open("/bin/sh").unwrap();
        let overlay = Layers::Overlay { lower: &[Path::new("/usr")], upper: None };
        assert_eq!(Identity::of(&shell, overlay), None, "it is on no overlay");
    }

    #[test]
    fn layers_on_different_devices_have_none_in_common() {
        assert_eq!(one_device(&[Path::new("/usr"), Path::new("/proc")], None), None);
        assert_eq!(one_device(&[], None), None);
        assert_eq!(one_device(&[Path::new("/proc")], None), None);
    }

    #[test]
    fn a_copy_in_the_upper_layer_is_younger_than_that_layer() {
        let upper = tempfile::tempdir().unwrap();
        let copied = upper.path().join("module.wasm");
        fs::write(&copied, "x").unwrap();
        assert!(!is_older(&stat(&copied).unwrap(), upper.path()));
        assert!(is_older(&stat("/bin/sh").unwrap(), upper.path()));
    }

    #[test]
    fn a_known_file_needs_no_hashing_and_another_is_not_known() {
        let place = cache(u64::MAX);
        let identity = |inode: u32| Identity(format!("known-1-{inode:x}-2-3.4-5.6"));
        assert_eq!(place.cache.known_digest(&identity(1)), None);
        place.cache.remember_digest(&identity(1), Digest([7; 32]));
        assert_eq!(place.cache.known_digest(&identity(1)), Some(Digest([7; 32])));
        assert_eq!(place.cache.known_digest(&identity(2)), None);
    }
}
