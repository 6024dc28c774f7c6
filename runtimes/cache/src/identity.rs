//! Which file is it? So that a module in a root filesystem is not hashed again at each start.
//!
//! ```text
//!  known by its identity ───────────────────────────────────────────▶ the digest it had
//!  else: written back ─▶ hashed ─▶ still the same identity? ─▶ the digest, remembered until the next boot
//!                                    no, or none ────────────▶ the digest
//! ```
//!
//! An identity is (device, inode, size, mtime, ctime). The kernel alone sets a ctime, so a file that was
//! changed has another one, with these exceptions, which have no identity:
//!
//! - A change in the same tick of the kernel's clock: only files that have been still for two seconds have one.
//! - A change through a shared mapping moves the ctime only when it makes a clean page dirty. So the file is written
//!   back before it is hashed: what is changed later finds clean pages.
//! - Another file system with the same device number: numbers of tmpfs, overlay and network mounts are used again
//!   (a new tmpfs was seen with the number of an overlay that was gone), and so are those of loop devices and disks
//!   that come and go; two images made by the same recipe agree in everything else. Hence only the file systems
//!   that hold `/` and the cache itself: who takes these away takes the cache away too, or reboots.
//! - A ctime that somebody wrote to the disk behind the kernel's back: of those two file systems nobody does.
//!
//! An overlay shows one device for all its files and the inode of the layer's file; with all layers on one
//! file system the pair is unique, but for a file copied up, which keeps the inode of its origin. Such a copy is
//! younger than the upper directory, so in an overlay only files older than that have an identity. Its sizes and times
//! are those of the layer's file, unless that has its content in yet another layer (`metacopy`): such overlays
//! have none. Its files cannot be written back through it; the kernel leaves it open what happens when somebody
//! changes a layer in use, and a change by any call but a mapping that was dirty before is seen all the same.

use crate::{Cache, CacheError, Digest, hash_file, stamp::Stamp};
use rustix::fs::{AtFlags, CWD, FileType, Stat, StatxFlags, fdatasync, fstat, fstatfs, stat, statfs, statx};
use std::{
    fs,
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

/// How long a file must have been left alone.
const STILL_SECONDS: i64 = 2;

/// Local file systems with lasting inode numbers, by their magic: ext2 to ext4, xfs, f2fs.
const LASTING: [i64; 3] = [0xEF53, 0x5846_5342, 0xF2F5_2010];

/// Overlay's magic.
const OVERLAY: i64 = 0x794c_7630;

/// The identity of an open file in a root filesystem, if it has one. `certain` are the devices whose numbers mean the
/// same until the next boot.
fn identity(file: impl AsFd, layers: Layers<'_>, certain: &[u64]) -> Option<Stamp> {
    let seen = fstat(&file).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs() as i64;
    if FileType::from_raw_mode(seen.st_mode) != FileType::RegularFile || seen.st_ctime + STILL_SECONDS >= now
    {
        return None;
    }
    let kind = fstatfs(&file).ok()?.f_type as i64;
    let device = match layers {
        Layers::Plain => LASTING.contains(&kind).then_some(seen.st_dev)?,
        Layers::Overlay { lower, upper } => {
            let device = one_device(lower, upper).filter(|_| kind == OVERLAY && !metacopy())?;
            if upper.is_some_and(|upper| !is_older(&seen, upper)) {
                return None;
            }
            device
        }
    };
    certain.contains(&device).then(|| Stamp::new("known", device, &seen))
}

/// Whether overlays keep a file's times apart from its content unless they are told not to.
fn metacopy() -> bool {
    // No such file: a kernel that cannot.
    fs::read("/sys/module/overlay/parameters/metacopy").is_ok_and(|value| value.starts_with(b"Y"))
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

/// What is known of a file whose digest is not: its identity, if it has one.
#[derive(Debug)]
pub struct Unknown(Option<Stamp>);

/// A file that was read.
#[derive(Debug)]
pub struct Hashed {
    /// Its digest.
    pub digest: Digest,
    /// What it was before, if it was written back.
    before: Option<Stamp>,
}

impl Unknown {
    /// Reads the file, of at most `max` bytes. `name` is what messages call it.
    ///
    /// # Errors
    /// If it cannot be read, or is too large.
    pub fn hash(self, file: impl AsFd, max: u64, name: &str) -> Result<Hashed, CacheError> {
        let before = self.0.filter(|_| fdatasync(&file).is_ok());
        let (digest, _) = hash_file(&file, max, name)?;
        Ok(Hashed { digest, before })
    }
}

impl Cache {
    /// The digest of a file in a root filesystem, if it is remembered.
    ///
    /// # Errors
    /// What is known of it else: [`Unknown::hash`] reads it, [`Cache::learn`] keeps what came of that.
    pub fn known(&self, file: impl AsFd, layers: Layers<'_>) -> Result<Digest, Unknown> {
        let identity = identity(&file, layers, &self.certain_devices());
        let recalled = identity.as_ref().and_then(|identity| self.recall(identity)?.parse().ok());
        recalled.ok_or(Unknown(identity))
    }

    /// Remembers the digest of a file, if it is still what it was before it was read.
    pub fn learn(&self, file: impl AsFd, layers: Layers<'_>, hashed: &Hashed) {
        if let Some(before) = &hashed.before
            && identity(&file, layers, &self.certain_devices()).as_ref() == Some(before)
        {
            self.remember(before, &hashed.digest.to_string());
        }
    }

    /// The devices whose numbers mean the same until the next boot.
    fn certain_devices(&self) -> Vec<u64> {
        [stat("/"), fstat(self.artifacts())].into_iter().flatten().map(|seen| seen.st_dev).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::cache;
    use std::fs::File;

    /// The device of a file, as one that is certain.
    fn everywhere(file: impl AsFd) -> [u64; 1] {
        [fstat(file).unwrap().st_dev]
    }

    #[test]
    fn a_device_that_may_be_another_tomorrow_gives_no_identity() {
        let shell = File::open("/bin/sh").unwrap();
        let [device] = everywhere(&shell);
        assert_eq!(identity(&shell, Layers::Plain, &[]), None);
        assert_eq!(identity(&shell, Layers::Plain, &[device + 1]), None);
    }

    #[test]
    fn a_file_that_changes_is_never_taken_for_what_it_was() {
        let place = cache(u64::MAX);
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |max| {
            let hashed = place.cache.known(&file, Layers::Plain).expect_err("unknown").hash(&file, max, "it");
            hashed.inspect(|hashed| place.cache.learn(&file, Layers::Plain, hashed))
        };
        for text in ["one", "two", "six"] {
            fs::write(file.path(), text).unwrap();
            let digest = read(10).unwrap().digest;
            assert_eq!(digest, hash_file(&file, 10, "it").unwrap().0);
        }
        assert!(read(2).is_err());
    }

    #[test]
    fn a_file_that_was_just_written_has_no_identity() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(identity(&file, Layers::Plain, &everywhere(&file)), None);
    }

    #[test]
    fn only_lasting_file_systems_give_identities() {
        for path in ["/proc/version", "/dev/null", "/etc"] {
            let file = File::open(path).unwrap();
            assert_eq!(identity(&file, Layers::Plain, &everywhere(&file)), None, "{path}");
        }
        let shell = File::open("/bin/sh").unwrap();
        let overlay = Layers::Overlay { lower: &[Path::new("/usr")], upper: None };
        assert_eq!(identity(&shell, overlay, &everywhere(&shell)), None, "it is on no overlay");
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
}
