//! The root file system of a guest, put together from files of this machine and written as one archive.
//!
//! Its `/bin`, `/sbin` and `/lib` are links into `/usr`, as in every Debian since 2023; what a package still
//! has there lands where the links point. A program brings the libraries that it has here, under their paths.

use super::cpio::Archive;
use crate::error::Error;
use crate::run;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// What lies at a path of the guest.
enum Entry {
    Directory,
    Link(String),
    Text(String),
    File(PathBuf),
}

/// A root file system.
pub(super) struct Root {
    /// By paths without a leading slash. The order of paths puts what is above before what is below.
    entries: BTreeMap<PathBuf, Entry>,
}

impl Root {
    /// One that has only the directories which every guest needs.
    pub(super) fn new() -> Self {
        let mut root = Self { entries: BTreeMap::new() };
        for name in ["bin", "sbin", "lib", "lib64"] {
            root.entries.insert(name.into(), Entry::Link(format!("usr/{name}")));
            root.directory(Path::new("/usr").join(name));
        }
        for dir in ["/dev", "/proc", "/sys", "/run", "/tmp", "/root", "/etc", "/mnt", "/var/lib", "/var/log"]
        {
            root.directory(dir);
        }
        root
    }

    /// An empty directory.
    pub(super) fn directory(&mut self, at: impl AsRef<Path>) {
        self.put(at.as_ref(), Entry::Directory);
    }

    /// A file of these words; executable if they begin as a script does.
    pub(super) fn text(&mut self, at: impl AsRef<Path>, text: impl Into<String>) {
        self.put(at.as_ref(), Entry::Text(text.into()));
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, at: impl AsRef<Path>, to: impl Into<String>) {
        self.put(at.as_ref(), Entry::Link(to.into()));
    }

    /// A file of this machine.
    pub(super) fn file(&mut self, at: impl AsRef<Path>, from: impl Into<PathBuf>) {
        self.put(at.as_ref(), Entry::File(from.into()));
    }

    /// A program of this machine, with the libraries it is linked to. They replace the guest's own: a machine
    /// is never older than the guests.
    pub(super) fn program(&mut self, at: impl AsRef<Path>, from: impl Into<PathBuf>) -> Result<(), Error> {
        let from = from.into();
        let ldd = run::program("ldd").arg(&from).output();
        // It fails for what is not dynamic, and that needs nothing.
        let told = ldd.map_err(|source| Error::Start { program: "ldd".to_owned(), source })?;
        for library in libraries(&String::from_utf8_lossy(&told.stdout)) {
            self.file(library, library);
        }
        self.file(at, from);
        Ok(())
    }

    /// What `keep` wants of a directory of this machine, as the guest's own root.
    pub(super) fn tree(&mut self, from: &Path, keep: &impl Fn(&Path) -> bool) -> Result<(), Error> {
        self.below(from, Path::new("/"), keep)
    }

    fn below(&mut self, from: &Path, at: &Path, keep: &impl Fn(&Path) -> bool) -> Result<(), Error> {
        for entry in fs::read_dir(from).map_err(Error::file("read", from))?.flatten() {
            let (path, at) = (entry.path(), at.join(entry.file_name()));
            let kind = entry.file_type().map_err(Error::file("stat", &path))?;
            if !keep(&at) {
                continue;
            }
            if kind.is_dir() {
                self.directory(&at);
                self.below(&path, &at, keep)?;
            } else if kind.is_symlink() {
                let to = fs::read_link(&path).map_err(Error::file("readlink", &path))?;
                self.link(&at, to.to_string_lossy());
            } else {
                self.file(&at, path);
            }
        }
        Ok(())
    }

    /// Writes the archive.
    pub(super) fn write(&self, to: &Path) -> Result<(), Error> {
        let file = File::create(to).map_err(Error::file("create", to))?;
        let mut archive = Archive::new(BufWriter::with_capacity(1 << 20, file));
        for (path, entry) in &self.entries {
            let name = path.to_string_lossy();
            let written = match entry {
                Entry::Directory => archive.directory(&name),
                Entry::Link(target) => archive.link(&name, target),
                Entry::Text(text) => {
                    let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
                    archive.file(&name, mode, text.as_bytes())
                }
                Entry::File(from) => {
                    let content = fs::read(from).map_err(Error::file("read", from))?;
                    let mode = fs::metadata(from).map_err(Error::file("stat", from))?.permissions().mode();
                    archive.file(&name, mode, &content)
                }
            };
            written.map_err(Error::file("write", to))?;
        }
        archive.finish().map_err(Error::file("write", to))
    }

    fn put(&mut self, at: &Path, entry: Entry) {
        let place = merged(at);
        for above in place.ancestors().skip(1).filter(|above| *above != Path::new("")) {
            self.entries.entry(above.to_owned()).or_insert(Entry::Directory);
        }
        match entry {
            // A directory never replaces what is there, for example a link to one.
            Entry::Directory => drop(self.entries.entry(place).or_insert(entry)),
            _ => drop(self.entries.insert(place, entry)),
        }
    }
}

/// The place of an absolute path where `/bin`, `/sbin` and `/lib` are links.
fn merged(path: &Path) -> PathBuf {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_)));
    let place: PathBuf = parts.collect();
    let linked = ["bin", "sbin", "lib", "lib64"].iter().any(|dir| place.starts_with(dir));
    if linked { Path::new("usr").join(place) } else { place }
}

/// The files that `ldd` names; none for a static program.
fn libraries(words: &str) -> impl Iterator<Item = &str> {
    words.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::{libraries, merged};
    use std::path::Path;

    #[test]
    fn what_packages_have_outside_of_usr_lands_in_it() {
        assert_eq!(merged(Path::new("/lib/systemd/systemd")), Path::new("usr/lib/systemd/systemd"));
        assert_eq!(merged(Path::new("/usr/lib/x")), Path::new("usr/lib/x"));
        assert_eq!(merged(Path::new("/library")), Path::new("library"));
    }

    #[test]
    fn ldd_names_files_with_and_without_an_arrow() {
        let words =
            "\tlinux-vdso.so.1 (0x7ffe)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x7f)\n\t/lib64/ld.so.2 (0x7f)\n";
        assert_eq!(libraries(words).collect::<Vec<_>>(), ["/lib/x/libc.so.6", "/lib64/ld.so.2"]);
        assert_eq!(libraries("\tnot a dynamic executable\n").count(), 0);
    }
}
