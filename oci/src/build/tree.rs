//! A root filesystem as one tar layer: sorted, owned by root, as old as the epoch.

use std::collections::BTreeMap;
use std::io;

use tar::{EntryType, Header};

use super::BuildError;

#[derive(Debug, Clone)]
enum Node {
    Directory,
    File { bytes: Vec<u8>, mode: u32 },
    Symlink { target: String },
    Link { target: String },
}

/// Paths without a leading slash, so that a directory sorts before what is in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(super) fn file(&mut self, path: &str, bytes: Vec<u8>, mode: u32) {
        self.insert(path, Node::File { bytes, mode });
    }

    pub(super) fn directory(&mut self, path: &str) {
        self.insert(path, Node::Directory);
    }

    pub(super) fn symlink(&mut self, path: &str, target: &str) {
        self.insert(path, Node::Symlink { target: target.to_owned() });
    }

    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.insert(path, Node::Link { target: target.trim_matches('/').to_owned() });
    }

    /// Adds a file and of the directories above it only those that `there` does not know: one that a lower
    /// layer has keeps its mode and owner, and a link to one stays a link.
    pub(crate) fn file_above(&mut self, path: &str, bytes: Vec<u8>, mode: u32, there: impl Fn(&str) -> bool) {
        self.file(path, bytes, mode);
        self.nodes.retain(|path, node| !matches!(node, Node::Directory) || !there(path));
    }

    fn insert(&mut self, path: &str, node: Node) {
        let path = path.trim_matches('/');
        for (end, _) in path.match_indices('/') {
            self.nodes.entry(path[..end].to_owned()).or_insert(Node::Directory);
        }
        self.nodes.insert(path.to_owned(), node);
    }

    pub(crate) fn tar(&self) -> Result<Vec<u8>, BuildError> {
        let mut archive = tar::Builder::new(Vec::new());
        // A link comes after what it names, whatever their names are.
        let (links, others): (Vec<_>, Vec<_>) =
            self.nodes.iter().partition(|(_, node)| matches!(node, Node::Link { .. }));
        for (path, node) in others.into_iter().chain(links) {
            append(&mut archive, path, node)
                .map_err(|source| BuildError::Layer { path: path.clone(), source })?;
        }
        archive.into_inner().map_err(BuildError::Write)
    }
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, node: &Node) -> io::Result<()> {
    match node {
        Node::Directory => {
            archive.append_data(&mut header(EntryType::Directory, 0o755, 0), path, io::empty())
        }
        Node::File { bytes, mode } => archive.append_data(
            &mut header(EntryType::Regular, *mode, bytes.len() as u64),
            path,
            bytes.as_slice(),
        ),
        Node::Symlink { target } => {
            archive.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)
        }
        Node::Link { target } => archive.append_link(&mut header(EntryType::Link, 0o777, 0), path, target),
    }
}

/// A header in which only what is said here differs from one build to another: nothing.
pub(super) fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}
