//! A blob on its way into a sink, slice by slice; at the end it is the promised bytes or refused.

use std::io::{self, Write};
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use crate::Digest;
use crate::error::Defect;

/// One request of a blob: no answer, and so no buffer below us, is larger. Measured with 20 MB, in
/// private memory afterwards and time: 64 KiB 0.43 MB and 110 ms, 256 KiB 0.6 MB and 80 ms, 4 MB 4.4 MB
/// and 50 ms. It is read once per node, before a compilation of seconds; the memory stays.
const SLICE: u64 = 64 * 1024;

/// How far a blob has come.
#[derive(Debug)]
pub(crate) struct Blob<W> {
    digest: Digest,
    size: u64,
    sink: W,
    hash: Sha256,
    came: u64,
}

/// Why a part was not taken.
#[derive(Debug)]
pub(crate) enum NotTaken {
    Defect(Defect),
    Sink(io::Error),
}

impl<W: Write> Blob<W> {
    /// A blob that should have this digest and size, and goes into `sink`.
    pub(crate) fn new(digest: Digest, size: u64, sink: W) -> Self {
        Self { digest, size, sink, hash: Sha256::new(), came: 0 }
    }

    /// What to ask for next, until all has come.
    pub(crate) fn wanted(&self) -> Option<Range<u64>> {
        let end = self.size.min(self.came.saturating_add(SLICE));
        (self.came < end).then_some(self.came..end)
    }

    /// Takes bytes in order.
    pub(crate) fn take(&mut self, part: &[u8]) -> Result<(), NotTaken> {
        let came = self.came.saturating_add(part.len() as u64);
        if came > self.size {
            return Err(NotTaken::Defect(self.wrong_size()));
        }
        self.came = came;
        self.hash.update(part);
        self.sink.write_all(part).map_err(NotTaken::Sink)
    }

    /// The defect of a blob that ends too early or too late.
    pub(crate) fn wrong_size(&self) -> Defect {
        Defect::WrongSize { digest: self.digest, size: self.size }
    }

    /// All has come: was it the right thing?
    pub(crate) fn finish(self) -> Result<(), Defect> {
        if self.came != self.size {
            return Err(self.wrong_size());
        }
        let found = Digest::from(<[u8; 32]>::from(self.hash.finalize()));
        if found != self.digest {
            return Err(Defect::WrongDigest { expected: self.digest, found });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `stored` as the content of a blob that should be `promised`.
    fn read(promised: &[u8], stored: &[u8]) -> Result<Vec<u8>, Defect> {
        let mut sink = Vec::new();
        let mut blob = Blob::new(Digest::of(promised), promised.len() as u64, &mut sink);
        while let Some(Range { start, end }) = blob.wanted() {
            let stop = stored.len().min(end as usize);
            let part = stored.get(start as usize..stop).filter(|part| !part.is_empty());
            let Some(part) = part else { break };
            // containerd cuts an answer as it likes.
            for part in part.chunks(100_000) {
                blob.take(part).map_err(|error| match error {
                    NotTaken::Defect(defect) => defect,
                    NotTaken::Sink(error) => panic!("a vector failed: {error}"),
                })?;
            }
        }
        blob.finish().map(|()| sink)
    }

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|byte| (byte % 251) as u8).collect()
    }

    #[test]
    fn any_length_arrives_whole() {
        let slice = SLICE as usize;
        for length in [0, 1, slice - 1, slice, slice + 1, 3 * slice + 7] {
            assert_eq!(read(&content(length), &content(length)).expect("the content"), content(length));
        }
    }

    #[test]
    fn a_wrong_digest_names_both() {
        let (promised, mut stored) = (content(1000), content(1000));
        stored[500] ^= 1;
        let message = read(&promised, &stored).unwrap_err().to_string();
        for digest in [Digest::of(&promised), Digest::of(&stored)] {
            assert!(message.contains(&digest.to_string()), "{message}");
        }
    }

    #[test]
    fn too_few_and_too_many_bytes_are_refused() {
        assert!(matches!(read(&content(1000), &content(999)), Err(Defect::WrongSize { size: 1000, .. })));
        assert!(matches!(read(&content(1000), &[]), Err(Defect::WrongSize { .. })));
        let mut blob = Blob::new(Digest::of(b"ab"), 2, io::sink());
        assert!(matches!(blob.take(b"abc"), Err(NotTaken::Defect(Defect::WrongSize { .. }))));
    }

    #[test]
    fn a_full_sink_is_its_own_error() {
        let mut room = [0_u8; 2];
        let mut blob = Blob::new(Digest::of(b"abc"), 3, room.as_mut_slice());
        assert!(matches!(blob.take(b"abc"), Err(NotTaken::Sink(_))));
    }

    #[test]
    fn a_size_near_the_end_of_numbers_does_not_overflow() {
        let mut blob = Blob::new(Digest::of(b""), u64::MAX, io::sink());
        assert_eq!(blob.wanted(), Some(0..SLICE));
        blob.came = u64::MAX - 1;
        assert_eq!(blob.wanted(), Some(u64::MAX - 1..u64::MAX));
        assert!(blob.take(b"ab").is_ok() && blob.wanted().is_none());
    }
}
