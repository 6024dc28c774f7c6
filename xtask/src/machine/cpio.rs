//! An archive in the form that the kernel unpacks into its first root file system: `newc` of cpio.
//!
//! ```text
//!  header, 110 bytes of ASCII │ name, NUL │ to 4 bytes │ content │ to 4 bytes │ header … TRAILER!!!
//! ```

use std::io::{self, Write};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// Writes one archive; everything in it is root's.
pub(super) struct Archive<W> {
    out: W,
    entries: u32,
}

impl<W: Write> Archive<W> {
    /// Begins an archive.
    pub(super) fn new(out: W) -> Self {
        Self { out, entries: 0 }
    }

    /// A directory; those above it must have been written.
    pub(super) fn directory(&mut self, name: &str) -> io::Result<()> {
        self.entry(name, DIRECTORY | 0o755, &[])
    }

    /// A file.
    pub(super) fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entry(name, FILE | (mode & 0o7777), content)
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, name: &str, to: &str) -> io::Result<()> {
        self.entry(name, LINK | 0o777, to.as_bytes())
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.out.flush()
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.entries += 1;
        let size = u32::try_from(content.len()).map_err(io::Error::other)?;
        let name_size = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
        // inode, mode, uid, gid, links, mtime, size, device (2), device it is (2), size of the name, checksum
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        write!(self.out, "070701")?;
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        write!(self.out, "{name}\0")?;
        self.pad(110 + name.len() + 1)?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    fn pad(&mut self, written: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..written.next_multiple_of(4) - written])
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn every_part_begins_at_a_multiple_of_four() {
        let mut bytes = Vec::new();
        let mut archive = Archive::new(&mut bytes);
        archive.directory("etc").expect("a directory");
        archive.file("etc/name", 0o644, b"12345").expect("a file");
        archive.finish().expect("an end");
        let text = String::from_utf8(bytes).expect("ASCII");
        let headers: Vec<_> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert_eq!(headers, [0, 116, 116 + 120 + 8], "{text:?}");
        assert_eq!(text.len() % 4, 0);
        assert!(text.starts_with("07070100000001000041ed"), "{text:?}");
        assert!(text[116..].contains("etc/name\0\0"), "{text:?}");
    }
}
