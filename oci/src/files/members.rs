//! The members of a tar, with bounds where the format has none.
//!
//! A name too long for a header stands in a member before it, of any length that a stream can be packed to; it
//! is held in memory, so here it is bounded. What no image has and readers understand differently is refused:
//! sparse files, and sizes that a PAX record changes (only files over 8 GiB need that).

use std::io::{self, Read};

use tar::{Entries, EntryType, PaxExtensions};

/// Names have 4 KiB at most, extended attributes 64.
const MAX_EXTENSION: u64 = 1 << 20;

/// One member.
pub(super) struct Member<'a> {
    /// Its whole name; none if it is not UTF-8.
    pub(super) name: Option<String>,
    /// Where a link leads; none if it is not UTF-8.
    pub(super) target: Option<String>,
    pub(super) kind: EntryType,
    /// Where its content begins in the tar.
    pub(super) start: u64,
    pub(super) size: u64,
    pub(super) content: &'a mut dyn Read,
}

/// What members before the next one say about it.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
}

/// Shows every member to `visit`, in order.
pub(super) fn members<E: From<io::Error>>(
    entries: Entries<'_, impl Read>,
    mut visit: impl FnMut(Member<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut ahead = Ahead::default();
    for entry in entries.raw(true) {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => ahead.name = Some(text(extension(&mut entry)?)),
            EntryType::GNULongLink => ahead.target = Some(text(extension(&mut entry)?)),
            EntryType::XHeader => ahead.pax(&extension(&mut entry)?)?,
            EntryType::XGlobalHeader => {}
            EntryType::GNUSparse => return Err(io::Error::other("it holds a sparse file").into()),
            _ => {
                let Ahead { name, target } = std::mem::take(&mut ahead);
                let name = name.unwrap_or_else(|| entry.path_bytes().into_owned());
                let target = target.or_else(|| entry.link_name_bytes().map(|target| target.into_owned()));
                visit(Member {
                    name: String::from_utf8(name).ok(),
                    target: target.and_then(|target| String::from_utf8(target).ok()),
                    kind,
                    start: entry.raw_file_position(),
                    size: entry.size(),
                    content: &mut entry,
                })?;
            }
        }
    }
    Ok(())
}

impl Ahead {
    fn pax(&mut self, records: &[u8]) -> io::Result<()> {
        for record in PaxExtensions::new(records) {
            let record = record?;
            match record.key_bytes() {
                b"path" => self.name = Some(record.value_bytes().to_vec()),
                b"linkpath" => self.target = Some(record.value_bytes().to_vec()),
                b"size" => return Err(io::Error::other("a PAX record changes a size")),
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(io::Error::other("it holds a sparse file"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn extension(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Vec<u8>> {
    if entry.size() > MAX_EXTENSION {
        return Err(io::Error::other(format!("a name or record has more than {MAX_EXTENSION} bytes")));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map(|_| bytes)
}

/// GNU's long names end with a zero.
fn text(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use tar::{Archive, Builder, Header};

    fn names(tar: &[u8]) -> io::Result<Vec<(String, Option<String>)>> {
        let mut names = Vec::new();
        members(Archive::new(tar).entries()?, |member| {
            names.push((member.name.expect("a name"), member.target));
            Ok::<_, io::Error>(())
        })?;
        Ok(names)
    }

    /// A tar of members of this kind and content.
    fn tar(members: &[(EntryType, &str, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (kind, name, content) in members {
            let mut header = Header::new_ustar();
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, *content).expect("a member");
        }
        builder.into_inner().expect("a tar")
    }

    #[test]
    fn long_names_of_both_kinds_are_whole() {
        let long = format!("{}name", "d/".repeat(200));
        let header = |kind| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(0);
            header
        };
        let mut builder = Builder::new(Vec::new());
        builder.append_data(&mut header(EntryType::Regular), &long, io::empty()).expect("a file");
        builder.append_link(&mut header(EntryType::Symlink), "link", &long).expect("a link");
        let gnu = builder.into_inner().expect("a tar");
        assert_eq!(names(&gnu).expect("names"), [(long.clone(), None), ("link".to_owned(), Some(long))]);
        let pax = tar(&[(EntryType::XHeader, "x", b"12 path=a/b\n"), (EntryType::Regular, "short", b"")]);
        assert_eq!(names(&pax).expect("names"), [("a/b".to_owned(), None)]);
    }

    #[test]
    fn what_could_fill_memory_or_be_read_differently_is_refused() {
        let large = vec![b'x'; MAX_EXTENSION as usize + 1];
        for (members, words) in [
            ((EntryType::XHeader, &large[..]), "more than 1048576 bytes"),
            ((EntryType::GNULongName, &large[..]), "more than 1048576 bytes"),
            ((EntryType::GNULongLink, &large[..]), "more than 1048576 bytes"),
            ((EntryType::XHeader, b"10 size=9\n"), "changes a size"),
            ((EntryType::XHeader, b"22 GNU.sparse.major=1\n"), "sparse"),
            ((EntryType::GNUSparse, b""), "sparse"),
            ((EntryType::XHeader, b"not a record"), ""),
        ] {
            let (kind, content) = members;
            let refused =
                names(&tar(&[(kind, "x", content), (EntryType::Regular, "a", b"")])).expect_err(words);
            assert!(refused.to_string().contains(words), "{refused}");
        }
    }
}
