//! A layer as it is read: what it is, how it is packed, and what is in it.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use super::members::{Member, members};
use super::zstd::{Zstd, is_zstd};
use super::{ReadError, Store, Stored};
use crate::document::Descriptor;
use crate::error::Defect;
use crate::{Digest, WasmMedia};

/// The most that is unpacked of one layer. A gigabyte of layer is rare; a bomb is not.
pub const MAX_UNPACKED: u64 = 16 << 30;

/// What a layer is declared to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    /// Wasm.
    Wasm(WasmMedia),
    /// Files for the root, as a tar.
    Files,
    /// Something else, which nobody unpacks.
    Other,
}

impl LayerKind {
    /// The kind that a media type declares.
    #[must_use]
    pub fn of(media_type: &str) -> Self {
        if let Some(media) = WasmMedia::of(media_type) {
            return Self::Wasm(media);
        }
        // As containerd tells them: by these beginnings.
        let files = ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."];
        if files.iter().any(|start| media_type.starts_with(start)) { Self::Files } else { Self::Other }
    }
}

/// How a tar is packed. What the media type says is not asked: containerd looks at the bytes, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    pub(super) fn of(store: &Store, stored: &Stored) -> Result<Self, ReadError> {
        let mut magic = Vec::new();
        stored.reader().take(4).read_to_end(&mut magic).map_err(|source| store.io(source))?;
        Ok(match magic.as_slice() {
            [0x1f, 0x8b, ..] => Self::Gzip,
            magic if is_zstd(magic) => Self::Zstd,
            _ => Self::Plain,
        })
    }

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// What a layer turned out to be once it was read to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scanned {
    pub(crate) packing: Packing,
    /// The digest of the tar itself.
    pub(crate) diff_id: Digest,
}

/// Shows every entry of a layer to `visit`, and checks the layer's digest and size.
pub(super) fn scan(
    store: &Store,
    layer: &Descriptor,
    mut visit: impl FnMut(Member<'_>) -> io::Result<()>,
) -> Result<Scanned, ReadError> {
    let stored = store.blob("layer", layer)?;
    let packing = Packing::of(store, &stored)?;
    let broken = |source| ReadError::Layer { path: store.path().to_owned(), digest: layer.digest, source };
    let packed: Hashed<Box<dyn Read>> = Hashed::new(Box::new(stored.reader()));
    let unpacking = match packing {
        Packing::Plain => Unpacking::Plain(packed),
        Packing::Gzip => Unpacking::Gzip(Box::new(MultiGzDecoder::new(packed))),
        Packing::Zstd => Unpacking::Zstd(Box::new(Zstd::new(packed))),
    };
    let (packed, diff_id) = unpack(unpacking, &mut visit).map_err(broken)?;
    let found = packed.finish().map_err(broken)?;
    if found != layer.digest {
        return Err(store.defective(Defect::WrongDigest { expected: layer.digest, found }));
    }
    Ok(Scanned { packing, diff_id })
}

type Packed<'a> = Hashed<Box<dyn Read + 'a>>;

/// A layer's tar on its way out of its packing.
enum Unpacking<'a> {
    Plain(Packed<'a>),
    Gzip(Box<MultiGzDecoder<Packed<'a>>>),
    Zstd(Box<Zstd<Packed<'a>>>),
}

impl Read for Unpacking<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(packed) => packed.read(room),
            Self::Gzip(gzip) => gzip.read(room),
            Self::Zstd(zstd) => zstd.read(room),
        }
    }
}

fn unpack<'a>(
    unpacking: Unpacking<'a>,
    visit: &mut impl FnMut(Member<'_>) -> io::Result<()>,
) -> io::Result<(Packed<'a>, Digest)> {
    let mut tar = tar::Archive::new(Hashed::new(unpacking.take(MAX_UNPACKED)));
    members(tar.entries()?, visit)?;
    // What follows the archive's end belongs to the digests, too.
    let mut unpacked = tar.into_inner();
    io::copy(&mut unpacked, &mut io::sink())?;
    if unpacked.inner.limit() == 0 {
        return Err(io::Error::other(format!("it unpacks to more than {MAX_UNPACKED} bytes")));
    }
    let diff_id = unpacked.digest();
    let packed = match unpacked.inner.into_inner() {
        Unpacking::Plain(packed) => packed,
        Unpacking::Gzip(gzip) => gzip.into_inner(),
        Unpacking::Zstd(zstd) => zstd.into_inner(),
    };
    Ok((packed, diff_id))
}

/// A reader that hashes what passes.
pub(crate) struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Hashed<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new() }
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::from(<[u8; 32]>::from(self.hash.clone().finalize()))
    }

    /// The digest of everything, also of what nobody read.
    pub(super) fn finish(mut self) -> io::Result<Digest> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.digest())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(room)?;
        self.hash.update(&room[..length]);
        Ok(length)
    }
}
