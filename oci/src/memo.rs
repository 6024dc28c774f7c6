//! What is known of an image, on disk: one small file per target digest.
//!
//! ```text
//!  <directory>/<64 hex digits of the target>      pinnace image 1\n <sha256 of the rest>\n <JSON>
//! ```
//!
//! A target digest fixes everything below it, so an entry is never wrong, only lost. The directory
//! belongs to root alone. Whatever else is found there – a link, another's file, a torn or changed one –
//! is as good as nothing: the image is read again and the entry replaced. A memo that cannot be written
//! costs the next start some calls, never this one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use crate::{Digest, WasmLayer};

/// Raised whenever the same image would be read differently.
const HEADER: &str = "pinnace image 1";

/// An entry has about 250 bytes.
const MAX_ENTRY: u64 = 4096;

/// When there are more than these, the oldest half goes: a node sees fewer images in months.
const MAX_ENTRIES: usize = 2048;

/// A directory of what is known of images.
#[derive(Debug, Clone)]
pub struct Memo {
    directory: PathBuf,
}

impl Memo {
    /// Names the directory; the first entry makes it.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// What is known of the image with this target: its Wasm layer, or that it has none.
    pub(crate) fn get(&self, target: Digest) -> Option<Option<WasmLayer>> {
        let entry = self.directory.join(target.hex());
        match read(&entry) {
            Ok(text) => {
                let layer = parse(&text);
                if layer.is_none() {
                    log::warn!("ignoring the damaged image memo {entry:?}");
                }
                layer
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                log::warn!("ignoring the image memo {entry:?}: {error}");
                None
            }
        }
    }

    /// Remembers it.
    pub(crate) fn put(&self, target: Digest, layer: Option<WasmLayer>) {
        if let Err(error) = self.write(target, layer) {
            log::warn!("cannot remember an image in {:?}: {error}", self.directory);
        }
    }

    fn write(&self, target: Digest, layer: Option<WasmLayer>) -> io::Result<()> {
        DirBuilder::new().mode(0o700).recursive(true).create(&self.directory)?;
        private(&fs::symlink_metadata(&self.directory)?)?;
        self.bound()?;

        static NEXT: AtomicU64 = AtomicU64::new(0);
        let unique = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = self.directory.join(format!("new-{}-{unique}", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(render(layer)?.as_bytes()))
            .and_then(|()| fs::rename(&temporary, self.directory.join(target.hex())));
        if written.is_err() {
            let _gone_already = fs::remove_file(&temporary);
        }
        written
    }

    /// Removes the older half when there are too many, remains of killed writers among them.
    fn bound(&self) -> io::Result<()> {
        let paths: Vec<_> =
            fs::read_dir(&self.directory)?.map(|e| Ok(e?.path())).collect::<io::Result<_>>()?;
        if paths.len() < MAX_ENTRIES {
            return Ok(());
        }
        let mut aged: Vec<_> = paths
            .into_iter()
            .filter_map(|path| Some((fs::symlink_metadata(&path).ok()?.mtime(), path)))
            .collect();
        aged.sort();
        for (_, path) in aged.iter().take(MAX_ENTRIES / 2) {
            // Another server may be doing the same.
            let _removed_by_another = fs::remove_file(path);
        }
        Ok(())
    }
}

fn read(entry: &Path) -> io::Result<String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(entry)?;
    let metadata = file.metadata()?;
    private(&metadata)?;
    if !metadata.is_file() || metadata.len() > MAX_ENTRY {
        return Err(io::Error::other("it is not a small regular file"));
    }
    bounded(file)
}

fn bounded(file: File) -> io::Result<String> {
    let mut text = String::new();
    file.take(MAX_ENTRY).read_to_string(&mut text)?;
    Ok(text)
}

/// Ours, and not for others to write.
fn private(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.uid() != geteuid().as_raw() || metadata.mode() & 0o022 != 0 || metadata.is_symlink() {
        return Err(io::Error::other("it is a link, or another user may write to it"));
    }
    Ok(())
}

fn render(layer: Option<WasmLayer>) -> io::Result<String> {
    let body = serde_json::to_string(&layer)?;
    Ok(format!("{HEADER}\n{}\n{body}", Digest::of(body.as_bytes())))
}

fn parse(text: &str) -> Option<Option<WasmLayer>> {
    let (digest, body) = text.strip_prefix(HEADER)?.strip_prefix('\n')?.split_once('\n')?;
    (digest.parse() == Ok(Digest::of(body.as_bytes()))).then(|| serde_json::from_str(body).ok())?
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::WasmMedia;

    fn memo() -> (tempfile::TempDir, Memo, PathBuf) {
        let place = tempfile::tempdir().expect("a temporary directory");
        let directory = place.path().join("state/images");
        (place, Memo::new(&directory), directory)
    }

    fn layer() -> Option<WasmLayer> {
        Some(WasmLayer { digest: Digest::of(b"wasm"), size: 4, media: WasmMedia::Component })
    }

    fn target() -> Digest {
        Digest::of(b"target")
    }

    #[test]
    fn remembers_a_layer_and_that_there_is_none() {
        let (_place, memo, directory) = memo();
        assert_eq!(memo.get(target()), None, "an absent directory knows nothing");
        memo.put(target(), layer());
        memo.put(Digest::of(b"native"), None);
        assert_eq!(memo.get(target()), Some(layer()));
        assert_eq!(memo.get(Digest::of(b"native")), Some(None));
        assert_eq!(memo.get(Digest::of(b"another")), None);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&directory.join(target().hex())), 0o600);
        assert_eq!(fs::read_dir(directory).unwrap().count(), 2, "no temporary file is left");
    }

    #[test]
    fn any_changed_byte_loses_the_entry_and_the_next_write_mends_it() {
        let (_place, memo, directory) = memo();
        memo.put(target(), layer());
        let entry = directory.join(target().hex());
        let good = fs::read(&entry).unwrap();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            fs::write(&entry, &bad).unwrap();
            assert_eq!(memo.get(target()), None, "byte {place}");
        }
        for length in 0..good.len() {
            fs::write(&entry, &good[..length]).unwrap();
            assert_eq!(memo.get(target()), None, "cut to {length}");
        }
        fs::write(&entry, vec![b'x'; 1 << 20]).unwrap();
        assert_eq!(memo.get(target()), None);
        memo.put(target(), layer());
        assert_eq!(memo.get(target()), Some(layer()));
    }

    #[test]
    fn links_and_what_others_may_write_are_not_read() {
        let (_place, memo, directory) = memo();
        memo.put(target(), layer());
        let entry = directory.join(target().hex());
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(memo.get(target()), None);
        fs::set_permissions(&entry, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(memo.get(target()), Some(layer()));
        let elsewhere = directory.join("elsewhere");
        fs::rename(&entry, &elsewhere).unwrap();
        symlink(&elsewhere, &entry).unwrap();
        assert_eq!(memo.get(target()), None);
        fs::remove_file(&entry).unwrap();
        fs::create_dir(&entry).unwrap();
        assert_eq!(memo.get(target()), None);
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_not_used() {
        let (_place, memo, directory) = memo();
        fs::create_dir_all(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        memo.put(target(), layer());
        assert_eq!(fs::read_dir(directory).unwrap().count(), 0);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let (_place, memo, directory) = memo();
        fs::create_dir_all(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH;
        for number in 0..MAX_ENTRIES {
            let file = File::create(directory.join(format!("{number}"))).unwrap();
            if number % 2 == 0 {
                file.set_modified(old).unwrap();
            }
        }
        memo.put(target(), layer());
        let left: Vec<_> = fs::read_dir(&directory).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), MAX_ENTRIES / 2 + 1);
        assert!(!left.iter().any(|name| name == "0") && left.iter().any(|name| name == "1"));
        assert_eq!(memo.get(target()), Some(layer()));
    }
}
