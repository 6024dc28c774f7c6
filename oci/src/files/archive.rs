//! Where the files of a tar archive lie, without reading them.
//!
//! Names are cleaned of `./` and doubled slashes; one with `..`, and what is neither file nor link, is passed
//! over: nobody asks for it. A file that stands there twice is refused, since readers differ on which counts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use tar::EntryType;

use super::members::{Member, members};
use super::{ReadError, Stored};

/// Images have dozens of blobs; archives of many images hundreds.
const MAX_ENTRIES: usize = 100_000;
/// A link that leads to a link that …: `docker save` makes chains of one.
const MAX_LINKS: usize = 8;

/// The index of an archive.
#[derive(Debug)]
pub(super) struct Archive {
    files: BTreeMap<String, Place>,
}

#[derive(Debug)]
enum Place {
    Here(Stored),
    /// The same as another, as `docker save` writes a layer that two images share.
    Link(String),
}

impl Archive {
    pub(super) fn open(path: &Path, file: File) -> Result<Self, ReadError> {
        let io = |source| ReadError::Io { path: path.to_owned(), source };
        let broken = |source| ReadError::NotTar { path: path.to_owned(), source };
        let length = file.metadata().map_err(io)?.len();
        let mut magic = [0; 4];
        let read = file.read_at(&mut magic, 0).map_err(io)?;
        if let Some(tool) = compressed(&magic[..read]) {
            return Err(ReadError::Compressed { path: path.to_owned(), tool });
        }
        let file = Arc::new(file);
        let mut tar = tar::Archive::new(BufReader::new(&*file));
        let mut files = BTreeMap::new();
        let mut count = 0;
        let entries = tar.entries_with_seek().map_err(broken)?;
        members(entries, |member| {
            count += 1;
            if count > MAX_ENTRIES {
                return Err(Failure::Read(ReadError::Entries { path: path.to_owned(), limit: MAX_ENTRIES }));
            }
            let Some(name) = member.name.as_deref().and_then(clean) else { return Ok(()) };
            let target = member.target.as_deref();
            let place = match member.kind {
                EntryType::Regular | EntryType::Continuous => {
                    let Member { start, size, .. } = member;
                    if start.checked_add(size).is_none_or(|end| end > length) {
                        let (path, name) = (path.to_owned(), cut(&name));
                        return Err(Failure::Read(ReadError::Truncated { path, name }));
                    }
                    Some(Place::Here(Stored::in_file(Arc::clone(&file), start, size)))
                }
                EntryType::Symlink => target.and_then(|to| beside(&name, to)).map(Place::Link),
                EntryType::Link => target.and_then(clean).map(Place::Link),
                _ => None,
            };
            let Some(place) = place else { return Ok(()) };
            if files.insert(name.clone(), place).is_some() {
                return Err(Failure::Read(ReadError::Twice { path: path.to_owned(), name: cut(&name) }));
            }
            Ok(())
        })
        .map_err(|failure| match failure {
            Failure::Tar(source) => broken(source),
            Failure::Read(error) => error,
        })?;
        Ok(Self { files })
    }

    /// The file of this name, through links within the archive.
    pub(super) fn file(&self, name: &str) -> Option<Stored> {
        let mut name = clean(name)?;
        for _ in 0..=MAX_LINKS {
            match self.files.get(&name)? {
                Place::Here(stored) => return Some(stored.clone()),
                Place::Link(to) => name.clone_from(to),
            }
        }
        None
    }
}

/// The tar is broken, or what is in it is refused.
enum Failure {
    Tar(io::Error),
    Read(ReadError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Tar(error)
    }
}

/// What unpacks a file that begins like this.
fn compressed(magic: &[u8]) -> Option<&'static str> {
    match magic {
        [0x1f, 0x8b, ..] => Some("gunzip"),
        [0x28, 0xb5, 0x2f, 0xfd] => Some("unzstd"),
        [0xfd, b'7', b'z', b'X'] => Some("unxz"),
        [b'B', b'Z', b'h', _] => Some("bunzip2"),
        _ => None,
    }
}

/// A name from the root without `.`; none if it climbs or is the root.
pub(super) fn clean(name: &str) -> Option<String> {
    let parts: Vec<_> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| parts.join("/"))
}

/// Where a symbolic link of an archive leads, from the directory it stands in.
fn beside(name: &str, to: &str) -> Option<String> {
    let mut parts: Vec<_> = name.split('/').collect();
    parts.pop();
    for part in to.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    clean(&parts.join("/"))
}

/// A hostile name, for a message.
pub(super) fn cut(name: &str) -> String {
    name.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_and_climb_nowhere() {
        for (name, cleaned) in [
            ("a/b", Some("a/b")),
            ("./a//b/.", Some("a/b")),
            ("/a", Some("a")),
            ("../a", None),
            ("a/../b", None),
            ("", None),
            ("./", None),
        ] {
            assert_eq!(clean(name).as_deref(), cleaned, "{name}");
        }
    }

    #[test]
    fn links_lead_beside_and_not_out() {
        for (name, to, found) in [
            ("x/layer.tar", "../y/layer.tar", Some("y/layer.tar")),
            ("x/layer.tar", "other.tar", Some("x/other.tar")),
            ("layer.tar", "../y", None),
            ("x/layer.tar", "../..", None),
        ] {
            assert_eq!(beside(name, to).as_deref(), found, "{name} to {to}");
        }
    }
}
