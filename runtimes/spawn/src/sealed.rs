//! Memory files that nobody can change any more: what a child reads is what its parent wrote.

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;

/// An empty memory file that can be sealed. `name` is what `/proc` calls it.
///
/// # Errors
/// When the kernel has none for us.
pub fn memory_file(name: &str) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know that a memory file can be not executable.
    match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => Ok(memfd_create(name, flags)?.into()),
        made => Ok(made?.into()),
    }
}

/// Takes every way to change a memory file away, and leaves it to be read from its start.
///
/// # Errors
/// When it cannot be sealed, because it was not made for it.
pub fn seal(mut file: File) -> io::Result<OwnedFd> {
    file.rewind()?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file.into())
}

/// A sealed memory file with these bytes.
///
/// # Errors
/// As [`memory_file`] and [`seal`], and when there is no memory for the bytes.
pub fn sealed(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = memory_file(name)?;
    file.write_all(bytes)?;
    seal(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_sealed_is_read_from_its_start_and_cannot_be_changed() {
        let mut file = File::from(sealed("test", b"plan").expect("sealed"));
        let mut text = String::new();
        file.read_to_string(&mut text).expect("reads");
        assert_eq!(text, "plan");
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(1).is_err());
    }
}
