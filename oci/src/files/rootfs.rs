//! What the layers of an image make together, as names only.
//!
//! Layers are applied as containerd does: later ones over earlier ones, whiteouts (`.wh.name`, `.wh..wh..opq`)
//! take away what is below, parents are followed through links within the root. Contents stay where they are;
//! one file is read by going through its layer again.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};

use tar::EntryType;

use super::archive::clean;
use super::layer::{Scanned, scan};
use super::members::Member;
use super::{Manifest, ReadError, Store};
use crate::document::Descriptor;

/// Names of 64 bytes and less count one, longer ones more: about 100 MB of memory at most.
const MAX_WEIGHT: usize = 500_000;
/// The kernel's own bounds of a path, and of links in it.
const MAX_PATH: usize = 4096;
const MAX_LINKS: usize = 40;

/// The root filesystem of an image.
#[derive(Debug, Default)]
pub struct Rootfs {
    nodes: BTreeMap<String, (usize, Node)>,
    scanned: Vec<Scanned>,
    weight: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Directory,
    /// The layer it came with is beside it; a hard link's content may lie under another name and layer.
    File {
        layer: usize,
        name: String,
    },
    Link(String),
    Device,
}

impl Rootfs {
    /// Reads the layers that give files.
    ///
    /// # Errors
    /// When one is missing, broken, larger than bounds, or not what its digest says.
    pub fn read(store: &Store, manifest: &Manifest) -> Result<Self, ReadError> {
        let mut rootfs = Self::default();
        for (layer, descriptor) in manifest.files().enumerate() {
            let mut crowded = false;
            let scanned = scan(store, descriptor, |member| {
                rootfs.member(layer, &member);
                crowded = rootfs.weight > MAX_WEIGHT;
                if crowded { Err(io::Error::other("too many entries")) } else { Ok(()) }
            });
            if crowded {
                return Err(ReadError::Entries { path: store.path().to_owned(), limit: MAX_WEIGHT });
            }
            rootfs.scanned.push(scanned?);
        }
        Ok(rootfs)
    }

    /// What each layer of files turned out to be, lowest first.
    pub(crate) fn scanned(&self) -> &[Scanned] {
        &self.scanned
    }

    fn member(&mut self, layer: usize, member: &Member<'_>) {
        let bounded = |path: &&str| path.len() <= MAX_PATH;
        let Some(name) = member.name.as_deref().filter(bounded).and_then(clean) else { return };
        let target = member.target.as_deref().filter(bounded);
        let node = match member.kind {
            EntryType::Directory => Node::Directory,
            EntryType::Regular | EntryType::Continuous => Node::File { layer, name: name.clone() },
            EntryType::Symlink => target.map_or(Node::Device, |target| Node::Link(target.to_owned())),
            EntryType::Link => {
                let original = target.and_then(|target| self.resolve(target, false));
                let original = original.and_then(|original| self.nodes.get(&original));
                original.map_or(Node::Device, |(_, node)| node.clone())
            }
            _ => Node::Device,
        };
        self.apply(layer, &name, node);
    }

    fn apply(&mut self, layer: usize, name: &str, node: Node) {
        self.weight += 1 + name.len() / 64;
        let (parent, base) = name.rsplit_once('/').unwrap_or(("", name));
        let Some(parent) = self.resolve(parent, true) else { return };
        if let Some(removed) = base.strip_prefix(".wh.") {
            if removed == ".wh..opq" {
                self.remove_below(&parent, layer);
            } else {
                let path = join(&parent, removed);
                if self.nodes.get(&path).is_some_and(|(of, _)| *of < layer) {
                    self.nodes.remove(&path);
                }
                self.remove_below(&path, layer);
            }
            return;
        }
        for (end, _) in parent.match_indices('/').chain([(parent.len(), "")]) {
            if end > 0 {
                self.nodes.entry(parent[..end].to_owned()).or_insert((layer, Node::Directory));
            }
        }
        let path = join(&parent, base);
        if node != Node::Directory {
            self.remove_below(&path, usize::MAX);
        }
        self.nodes.insert(path, (layer, node));
    }

    /// Removes what is below a directory and came with a layer under `layer`.
    fn remove_below(&mut self, directory: &str, layer: usize) {
        let start = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let below = self.nodes.range(start.clone()..).take_while(|(path, _)| path.starts_with(&start));
        let gone: Vec<_> = below.filter(|(_, (of, _))| *of < layer).map(|(path, _)| path.clone()).collect();
        for path in gone {
            self.nodes.remove(&path);
        }
    }

    /// Where a path leads within the root, without a slash in front. What is not there is where it would be.
    pub(crate) fn resolve(&self, path: &str, follow_last: bool) -> Option<String> {
        let mut ahead: VecDeque<String> = parts(path).collect();
        let mut at: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = ahead.pop_front() {
            if part == ".." {
                at.pop();
                continue;
            }
            at.push(part);
            if at.len() > 256 {
                return None;
            }
            let Some((_, Node::Link(target))) = self.nodes.get(&at.join("/")) else { continue };
            if !follow_last && ahead.is_empty() {
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            at.pop();
            if target.starts_with('/') {
                at.clear();
            }
            for part in parts(target).rev() {
                ahead.push_front(part);
            }
        }
        Some(at.join("/"))
    }

    pub(crate) fn has_directory(&self, path: &str) -> bool {
        matches!(self.nodes.get(path), Some((_, Node::Directory)))
    }

    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.locate(path).is_some()
    }

    /// Where a regular file's content lies: its layer among those of files, and its name there.
    pub(super) fn locate(&self, path: &str) -> Option<(String, usize, &str)> {
        let path = self.resolve(path, true)?;
        match self.nodes.get(&path)? {
            (_, Node::File { layer, name }) => Some((path, *layer, name)),
            _ => None,
        }
    }
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = String> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned)
}

fn join(parent: &str, base: &str) -> String {
    if parent.is_empty() { base.to_owned() } else { format!("{parent}/{base}") }
}

/// Shows the content of one entry of a layer to `take`; of two with this name, each.
pub(super) fn read_entry(
    store: &Store,
    layer: &Descriptor,
    name: &str,
    mut take: impl FnMut(&mut dyn Read) -> io::Result<()>,
) -> Result<(), ReadError> {
    scan(store, layer, |member| {
        let here = member.name.as_deref().and_then(clean).is_some_and(|found| found == name);
        let regular = matches!(member.kind, EntryType::Regular | EntryType::Continuous);
        if here && regular { take(member.content) } else { Ok(()) }
    })
    .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root of these layers: `d name/`, `name`, `name -> target`.
    fn root(layers: &[&[&str]]) -> Rootfs {
        let mut rootfs = Rootfs::default();
        for (layer, names) in layers.iter().enumerate() {
            for name in *names {
                if let Some((name, target)) = name.split_once(" -> ") {
                    rootfs.apply(layer, name, Node::Link(target.to_owned()));
                } else if let Some(name) = name.strip_suffix('/') {
                    rootfs.apply(layer, name, Node::Directory);
                } else {
                    rootfs.apply(layer, name, Node::File { layer, name: (*name).to_owned() });
                }
            }
        }
        rootfs
    }

    fn layer_of(rootfs: &Rootfs, path: &str) -> Option<usize> {
        rootfs.locate(path).map(|(_, layer, _)| layer)
    }

    #[test]
    fn later_layers_cover_and_remove() {
        for (layers, path, layer) in [
            (&[&["a"][..], &["a"]][..], "/a", Some(1)),
            (&[&["a"], &[".wh.a"]], "/a", None),
            (&[&["d/", "d/a"], &[".wh.d"]], "/d/a", None),
            (&[&["d/", "d/a"], &["d/.wh..wh..opq", "d/b"]], "/d/a", None),
            (&[&["d/", "d/a"], &["d/b", "d/.wh..wh..opq"]], "/d/b", Some(1)),
            (&[&["d/", "d/a"], &["d/.wh.b"]], "/d/a", Some(0)),
            (&[&["d/", "d/a"], &["d"]], "/d/a", None),
            (&[&["d/a"], &["d/"]], "/d/a", Some(0)),
            // A whiteout is about lower layers only.
            (&[&["a", ".wh.a"]], "/a", Some(0)),
        ] {
            assert_eq!(layer_of(&root(layers), path), layer, "{layers:?}");
        }
    }

    #[test]
    fn links_are_followed_within_the_root() {
        for (layers, path, found) in [
            (&[&["usr/bin/a", "bin -> usr/bin"][..]][..], "/bin/a", Some("usr/bin/a")),
            (&[&["usr/bin/", "bin -> /usr/bin"], &["bin/a"]], "/usr/bin/a", Some("usr/bin/a")),
            (&[&["a", "l -> ../../../a"]], "/l", Some("a")),
            (&[&["a -> b", "b -> a"]], "/a", None),
            (&[&["a -> missing"]], "/a", None),
            (&[&["d/", "d/l -> ../a", "a"]], "/d/l", Some("a")),
        ] {
            let rootfs = root(layers);
            assert_eq!(rootfs.locate(path).map(|(path, ..)| path).as_deref(), found, "{layers:?} {path}");
        }
    }
}
