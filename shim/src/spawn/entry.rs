//! What a process' program is, by a look into the container's root.
//!
//! ```text
//!  args[0] ─ "#function" cut off ─▶ with a slash: below the working directory
//!                                   without: each directory of PATH, then the working directory
//!      ─▶ a new container: on a bind mount of the spec: below its source; else below the root
//!         one that lives: below the root of its first process, where everything is mounted
//!      ─▶ first bytes: "\0asm" → Wasm │ ELF, "#!" → native │ else: text? → Wasm if named *.wat │ not Wasm
//! ```
//!
//! Text begins with a parenthesis behind white space and comments, and so does much that is none: hence it must be
//! named so too. Whether it is a module, a component or a mistake is the compile program's to tell.
//!
//! Every path is resolved with `RESOLVE_IN_ROOT`, so no link in an image leads out of it.

use super::mounts::is_bind;
use oci_spec::runtime::{Process, Spec};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What stands at the entrypoint.
#[derive(Debug)]
pub(super) enum Entry {
    /// A Wasm module or component, in binary or text.
    Wasm {
        /// Its path in the container.
        path: PathBuf,
        /// The file.
        file: File,
    },
    /// A native program or script.
    Native {
        /// Its path in the container.
        path: PathBuf,
    },
    /// What looks like WebAssembly text but is not named so.
    Text {
        /// Its path in the container.
        path: PathBuf,
    },
    /// A file that is none of these.
    Unknown {
        /// Its path in the container.
        path: PathBuf,
        /// Its first bytes.
        magic: Vec<u8>,
    },
    /// Something that is no regular file.
    NotAFile {
        /// Its path in the container.
        path: PathBuf,
    },
    /// Nothing.
    Missing,
}

/// Where a container's files are seen.
#[derive(Debug, Clone, Copy)]
pub(super) enum View<'a> {
    /// In a root on which nothing is mounted yet, and by the spec's mounts.
    Planned(BorrowedFd<'a>, &'a Spec),
    /// From the root of a process that lives in it.
    Living(BorrowedFd<'a>),
}

impl View<'_> {
    /// The root.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        match self {
            Self::Planned(root, _) | Self::Living(root) => *root,
        }
    }

    /// What is at a path, without opening it.
    fn find(&self, path: &Path) -> Option<OwnedFd> {
        let Self::Planned(root, spec) = self else { return find_in(self.root(), path) };
        let mounted = spec.mounts().iter().flatten().rev().find_map(|mount| {
            let below = path.strip_prefix(mount.destination()).ok()?;
            is_bind(mount).then(|| (mount.source().as_ref(), below))
        });
        let Some((source, below)) = mounted else { return find_in(*root, path) };
        let source = rustix::fs::open(source?, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        if below.as_os_str().is_empty() { Some(source) } else { find_in(source.as_fd(), below) }
    }
}

/// The command as the spec writes it: the program, and the export behind `#`, if one is named.
#[must_use]
pub(super) fn split_function(program: &str) -> (&str, Option<&str>) {
    match program.rsplit_once('#') {
        Some((path, function)) if !path.is_empty() && !function.is_empty() => (path, Some(function)),
        _ => (program, None),
    }
}

/// Looks at the program of a process.
#[must_use]
pub(super) fn look(view: View<'_>, process: &Process, program: &str) -> Entry {
    let mut entry = Entry::Missing;
    for path in candidates(program, process) {
        match view.find(&path).map(|found| regular(&found)) {
            Some(Some(file)) => return classify(path, file),
            Some(None) => entry = Entry::NotAFile { path },
            None => {}
        }
    }
    entry
}

/// Absolute paths where the program may be, in order.
fn candidates(program: &str, process: &Process) -> Vec<PathBuf> {
    let at_cwd = Path::new("/").join(process.cwd()).join(program);
    if program.contains('/') {
        return vec![at_cwd];
    }
    let path = process.env().iter().flatten().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or("");
    let searched = path.split(':').filter(|directory| directory.starts_with('/'));
    searched.map(|directory| Path::new(directory).join(program)).chain([at_cwd]).collect()
}

/// Where a path leads, without opening what is there.
fn find_in(directory: BorrowedFd<'_>, path: &Path) -> Option<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(directory, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve).ok()
}

/// A regular file that was found, to read. Nothing else is ever opened: a FIFO would make the server wait for
/// its writer, and a device of the image would be the host's.
fn regular(found: &OwnedFd) -> Option<File> {
    let mode = rustix::fs::fstat(found).ok()?.st_mode;
    let regular = FileType::from_raw_mode(mode) == FileType::RegularFile;
    regular.then(|| File::open(format!("/proc/self/fd/{}", found.as_raw_fd())).ok()).flatten()
}

fn classify(path: PathBuf, file: File) -> Entry {
    let mut magic = [0u8; 4];
    let length = file.read_at(&mut magic, 0).unwrap_or(0);
    match &magic[..length] {
        b"\0asm" => Entry::Wasm { path, file },
        b"\x7fELF" | [b'#', b'!', ..] => Entry::Native { path },
        _ if is_text(&file) => match path.extension().is_some_and(|extension| extension == "wat") {
            true => Entry::Wasm { path, file },
            false => Entry::Text { path },
        },
        other => Entry::Unknown { path, magic: other.to_vec() },
    }
}

/// How far a look for the beginning of text goes: a licence may come first, but no book.
const PREFACE: usize = 64 << 10;

/// Whether a file begins as WebAssembly text does.
fn is_text(file: &File) -> bool {
    let mut start = vec![0; PREFACE];
    let length = file.read_at(&mut start, 0).unwrap_or(0);
    start.get(..length).and_then(after_comments) == Some(b'(')
}

/// The first byte that is neither white space nor part of a comment. Block comments nest.
fn after_comments(mut text: &[u8]) -> Option<u8> {
    let mut depth = 0usize;
    loop {
        text = match (depth, text) {
            (_, [b'(', b';', rest @ ..]) => {
                depth += 1;
                rest
            }
            (1.., [b';', b')', rest @ ..]) => {
                depth -= 1;
                rest
            }
            (1.., [_, rest @ ..]) | (0, [b' ' | b'\t' | b'\r' | b'\n', rest @ ..]) => rest,
            (0, [b';', b';', rest @ ..]) => {
                let end = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r')?;
                &rest[end..]
            }
            (_, rest) => return rest.first().copied(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> Spec {
        serde_json::from_value(json).expect("a spec")
    }

    fn simple(program: &str, env: &[&str]) -> Spec {
        spec(serde_json::json!({
            "ociVersion": "1.1.0", "root": {"path": "rootfs"},
            "process": {"cwd": "/srv", "args": [program], "env": env, "user": {"uid": 0, "gid": 0}}
        }))
    }

    fn seen(directory: &Path, spec: &Spec) -> Entry {
        let process = spec.process().as_ref().expect("a process");
        let program = process.args().as_ref().expect("args")[0].clone();
        let root = File::open(directory).expect("opens");
        let planned = look(View::Planned(root.as_fd(), spec), process, &program);
        if spec.mounts().is_none() {
            // Where nothing is mounted a container that lives looks the same.
            let living = look(View::Living(root.as_fd()), process, &program);
            assert_eq!(std::mem::discriminant(&living), std::mem::discriminant(&planned));
        }
        planned
    }

    #[test]
    fn a_function_is_named_behind_the_hash() {
        assert_eq!(split_function("/a.wasm#greet"), ("/a.wasm", Some("greet")));
        assert_eq!(split_function("/a.wasm"), ("/a.wasm", None));
        assert_eq!(split_function("/a.wasm#"), ("/a.wasm#", None));
        assert_eq!(split_function("#x"), ("#x", None));
    }

    #[test]
    fn programs_are_found_by_path_then_in_the_working_directory() {
        let root = tempfile::tempdir().expect("a directory");
        for directory in ["bin", "srv"] {
            std::fs::create_dir(root.path().join(directory)).expect("made");
        }
        std::fs::write(root.path().join("srv/a.wasm"), b"\0asm\x01\0\0\0").expect("written");
        let found = seen(root.path(), &simple("a.wasm", &["PATH=/bin:relative"]));
        assert!(matches!(&found, Entry::Wasm { path, .. } if path == Path::new("/srv/a.wasm")), "{found:?}");
        std::fs::write(root.path().join("bin/a.wasm"), b"\x7fELF").expect("written");
        assert!(matches!(seen(root.path(), &simple("a.wasm", &["PATH=/bin"])), Entry::Native { .. }));
        assert!(matches!(seen(root.path(), &simple("./a.wasm", &[])), Entry::Wasm { .. }));
        assert!(matches!(seen(root.path(), &simple("/none.wasm", &[])), Entry::Missing));
    }

    #[test]
    fn text_is_known_by_its_name_and_its_first_token() {
        let root = tempfile::tempdir().expect("a directory");
        let classified = |name: &str, text: &[u8]| {
            std::fs::write(root.path().join(name), text).expect("written");
            seen(root.path(), &simple(&format!("/{name}"), &[]))
        };
        for text in ["(module)", " \t\r\n( module)", ";; a\n;; b\r(module)", "(; a (; b ;) ;; ;)(component)"]
        {
            assert!(matches!(classified("a.wat", text.as_bytes()), Entry::Wasm { .. }), "{text}");
            assert!(matches!(classified("a.wasm", text.as_bytes()), Entry::Text { .. }), "{text}");
        }
        for text in
            ["", "module", ";; (module)", "(; (module)", "(; (; ;) (module)", ";(module)", "; ;\n(module)"]
        {
            assert!(matches!(classified("a.wat", text.as_bytes()), Entry::Unknown { .. }), "{text}");
        }
        assert!(matches!(classified("a.wat", b"\0asm\x01\0\0\0"), Entry::Wasm { .. }));
        assert!(matches!(classified("a.wat", b"#!/bin/sh\n"), Entry::Native { .. }));
        let long = format!("{}(module)", " ".repeat(PREFACE));
        assert!(matches!(classified("a.wat", long.as_bytes()), Entry::Unknown { .. }));
    }

    #[test]
    fn links_lead_nowhere_out_of_the_root() {
        let outside = tempfile::tempdir().expect("a directory");
        std::fs::write(outside.path().join("a.wasm"), b"\0asm").expect("written");
        let root = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink(outside.path().join("a.wasm"), root.path().join("a.wasm"))
            .expect("linked");
        std::os::unix::fs::symlink("../../../../../../../..", root.path().join("up")).expect("linked");
        assert!(matches!(seen(root.path(), &simple("/a.wasm", &[])), Entry::Missing));
        let up = format!("/up{}/a.wasm", outside.path().display());
        assert!(matches!(seen(root.path(), &simple(&up, &[])), Entry::Missing));
    }

    #[test]
    fn a_volume_can_hold_the_program() {
        let (root, volume) =
            (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        std::fs::write(volume.path().join("a.wasm"), b"\0asm").expect("written");
        let mut json = serde_json::to_value(simple("/vol/a.wasm", &[])).expect("json");
        json["mounts"] = serde_json::json!([
            {"destination": "/vol", "type": "bind", "source": volume.path(), "options": ["rbind"]}
        ]);
        assert!(matches!(seen(root.path(), &spec(json)), Entry::Wasm { .. }));
    }

    #[test]
    fn fifos_and_directories_are_not_programs() {
        let root = tempfile::tempdir().expect("a directory");
        nix::unistd::mkfifo(&root.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("made");
        std::fs::create_dir(root.path().join("dir")).expect("made");
        for path in ["/fifo", "/dir", "/"] {
            let seen = seen(root.path(), &simple(path, &[]));
            assert!(matches!(&seen, Entry::NotAFile { path: found } if found == Path::new(path)), "{seen:?}");
        }
        // A file of that name further on is taken.
        std::fs::create_dir_all(root.path().join("srv")).expect("made");
        std::fs::write(root.path().join("srv/dir"), b"\0asm").expect("written");
        assert!(matches!(seen(root.path(), &simple("dir", &["PATH=/"])), Entry::Wasm { .. }));
    }

    #[test]
    fn a_fifo_mounted_over_the_program_is_not_waited_for() {
        let (root, outside) =
            (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let fifo = outside.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("made");
        for program in ["/a.wasm", "/a.wasm/below"] {
            let mut json = serde_json::to_value(simple(program, &[])).expect("json");
            json["mounts"] = serde_json::json!([
                {"destination": "/a.wasm", "type": "bind", "source": fifo, "options": ["bind"]}
            ]);
            let seen = seen(root.path(), &spec(json));
            assert!(matches!(seen, Entry::NotAFile { .. } | Entry::Missing), "{program}: {seen:?}");
        }
    }
}
