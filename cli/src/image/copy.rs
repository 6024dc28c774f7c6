//! Files and directories of this machine on their way into an image: their content and names, nothing else.
//!
//! Owners, times and the umask of who made them stay here; of the mode only whether a file can be executed
//! goes along. A link goes as a link.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pinnace_oci::build::Image;

use super::ImageError;

/// Adds what is at `from` to the image as `to`.
pub(super) fn copy(image: Image, from: &Path, to: &str) -> Result<Image, ImageError> {
    // What the user names may be a link; what is found below is taken as it is.
    let metadata = fs::metadata(from).map_err(|source| cannot(from, source))?;
    add(image, from, to, &metadata)
}

fn add(mut image: Image, from: &Path, to: &str, metadata: &Metadata) -> Result<Image, ImageError> {
    let refused = || ImageError::NotCopied { path: from.to_owned() };
    if metadata.is_file() {
        let mode = if metadata.mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        return Ok(image.file(to, super::build::read(from)?, mode));
    }
    if metadata.is_symlink() {
        let target = fs::read_link(from).map_err(|source| cannot(from, source))?;
        return Ok(image.symlink(to, target.to_str().ok_or_else(refused)?));
    }
    if !metadata.is_dir() {
        return Err(refused());
    }
    if !to.trim_matches('/').is_empty() {
        image = image.directory(to);
    }
    for entry in fs::read_dir(from).map_err(|source| cannot(from, source))? {
        let entry = entry.map_err(|source| cannot(from, source))?;
        let path = entry.path();
        let metadata = entry.metadata().map_err(|source| cannot(&path, source))?;
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| ImageError::NotCopied { path: path.clone() })?;
        image = add(image, &path, &format!("{}/{name}", to.trim_end_matches('/')), &metadata)?;
    }
    Ok(image)
}

fn cannot(path: &Path, source: std::io::Error) -> ImageError {
    ImageError::Read { path: path.to_owned(), source }
}
