//! What a stream packed with zstd holds.
//!
//! ```text
//!  frame ─▶ its content      skippable frame ─▶ nothing (zstd:chunked's index, pzstd's sizes)      … until the end
//! ```
//!
//! The decoder knows one frame; a layer is any number of them, of both kinds, as one stream. It holds what a
//! frame may point back to, at most 128 MiB: a frame that wants more is refused, as the program `zstd` does. How
//! much comes out in all is bounded by who reads.

use std::io::{self, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Whether a file that begins like this is packed with zstd.
pub(super) fn is_zstd(magic: &[u8]) -> bool {
    matches!(magic, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// The content, on its way out of its packing.
pub(super) struct Zstd<R> {
    packed: R,
    frame: FrameDecoder,
}

impl<R: Read> Zstd<R> {
    pub(super) fn new(packed: R) -> Self {
        Self { packed, frame: FrameDecoder::new() }
    }

    pub(super) fn into_inner(self) -> R {
        self.packed
    }

    /// Goes on to the next frame with content; none at the end.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            let mut first = Vec::with_capacity(1);
            self.packed.by_ref().take(1).read_to_end(&mut first)?;
            if first.is_empty() {
                return Ok(false);
            }
            match self.frame.init(first.chain(&mut self.packed)) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => self.skip(u64::from(length))?,
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.packed.by_ref().take(length), &mut io::sink())?;
        if skipped == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        while !room.is_empty() && self.frame.can_collect() == 0 {
            if !self.frame.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.frame.decode_blocks(&mut self.packed, one).map_err(io::Error::other)?;
            } else if !self.next_frame()? {
                return Ok(0);
            }
        }
        self.frame.read(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    /// What `zstd -19` makes of three lines of "hello zstd hello zstd hello zstd hello zstd".
    const HELLO: [u8; 34] = [
        0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x68, 0xad, 0x00, 0x00, 0x60, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x20, 0x7a,
        0x73, 0x74, 0x64, 0x20, 0x0a, 0x02, 0x00, 0xf5, 0xd4, 0x24, 0x8c, 0x17, 0x2f, 0x22, 0x97, 0xde, 0x0e,
    ];
    /// Five bytes that are nobody's content.
    const SKIPPED: [u8; 13] = [0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0, 1, 2, 3, 4, 5];

    fn unpacked(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        Zstd::new(packed).read_to_end(&mut content).map(|_| content)
    }

    fn packed(content: &[u8]) -> Vec<u8> {
        compress_to_vec(content, CompressionLevel::Fastest)
    }

    #[test]
    fn frames_follow_each_other_and_those_for_others_are_passed_over() {
        let hello = "hello zstd hello zstd hello zstd hello zstd\n".repeat(3);
        let large: Vec<u8> = (0..1_000_000_u32).map(|place| (place / 7) as u8).collect();
        let frames = [&SKIPPED[..], &HELLO, &packed(b""), &SKIPPED, &packed(&large), &SKIPPED].concat();
        assert!(unpacked(&frames).unwrap() == [hello.as_bytes(), &large].concat());
        assert!(unpacked(b"").unwrap().is_empty());
        assert!(is_zstd(&HELLO) && is_zstd(&SKIPPED) && !is_zstd(b"\x1f\x8b\x08\0"));
    }

    #[test]
    fn a_stream_that_breaks_off_or_wants_too_much_is_an_error() {
        for end in 1..HELLO.len() {
            assert!(unpacked(&HELLO[..end]).is_err(), "{end}");
        }
        for end in 1..SKIPPED.len() {
            assert!(unpacked(&SKIPPED[..end]).is_err(), "{end}");
        }
        assert!(unpacked(&[&HELLO[..], b"and more"].concat()).is_err());
        // A frame that may point back a terabyte: one byte says so.
        let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf0, 0x01, 0x00, 0x00];
        assert!(unpacked(&window).unwrap_err().to_string().contains("indow"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            (place, byte) in (4..HELLO.len(), any::<u8>()),
            tail in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut frame = HELLO.to_vec();
            frame[place] = byte;
            frame.extend(&tail);
            let _refused_or_not = unpacked(&frame);
            frame.truncate(place);
            let _refused_or_not = unpacked(&[&frame[..], &tail].concat());
        }
    }
}
