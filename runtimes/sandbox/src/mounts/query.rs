//! `statmount` and `listmount` (Linux 6.8): what a mount is, and whether others are on it, without reading a list of
//! all mounts. Where the kernel lacks them, callers have another way.
#![allow(unsafe_code, reason = "statmount and listmount have no safe wrapper")]

use rustix::fs::{AtFlags, StatxFlags, statx};
use std::io;
use std::os::fd::BorrowedFd;

/// The same numbers on every architecture.
const SYS_STATMOUNT: libc::c_long = 457;
const SYS_LISTMOUNT: libc::c_long = 458;
/// Asks for the name of the file system.
const STATMOUNT_FS_TYPE: u64 = 0x20;
/// Asks `statx` for a mount number that is never used again, which these calls want.
const STATX_MNT_ID_UNIQUE: u32 = 0x4000;

/// `struct mnt_id_req`, first version.
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    mount: u64,
    parameter: u64,
}

/// `struct statmount`: what is asked for here, what is not, and room for one name.
#[repr(C, align(8))]
struct Answer {
    before: [u8; 36],
    fs_type: u32,
    rest: [u8; 472],
    strings: [u8; 64],
}

/// Whether the kernel has these calls.
pub(super) fn available() -> bool {
    // No mount has this number.
    !matches!(list(0), Err(error) if error.raw_os_error() == Some(libc::ENOSYS))
}

/// The name of the file system of the mount that `file` is on.
pub(super) fn file_system(file: BorrowedFd<'_>) -> io::Result<String> {
    let request = request(unique_id(file)?, STATMOUNT_FS_TYPE);
    let mut answer = Answer { before: [0; 36], fs_type: 0, rest: [0; 472], strings: [0; 64] };
    // SAFETY: both structures live over the call, and the size passed is the answer's.
    let result =
        unsafe { libc::syscall(SYS_STATMOUNT, &raw const request, &raw mut answer, size_of::<Answer>(), 0) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let name = answer.strings.get(answer.fs_type as usize..).unwrap_or_default();
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Whether nothing is mounted on the attached mount of `top`, at any depth.
pub(super) fn nothing_on(top: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(list(unique_id(top)?)? == 0)
}

/// How many mounts are on `mount`; more than one is one.
fn list(mount: u64) -> io::Result<i64> {
    let request = request(mount, 0);
    let mut first = 0_u64;
    // SAFETY: the request and the place for one number live over the call.
    let result = unsafe { libc::syscall(SYS_LISTMOUNT, &raw const request, &raw mut first, 1, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn request(mount: u64, parameter: u64) -> Request {
    Request { size: size_of::<Request>() as u32, spare: 0, mount, parameter }
}

fn unique_id(file: BorrowedFd<'_>) -> io::Result<u64> {
    let wanted = StatxFlags::from_bits_retain(STATX_MNT_ID_UNIQUE);
    let status = statx(file, c"", AtFlags::EMPTY_PATH, wanted)?;
    // An older kernel answers with what it has.
    if status.stx_mask & STATX_MNT_ID_UNIQUE == 0 {
        return Err(io::Error::from_raw_os_error(libc::ENOSYS));
    }
    Ok(status.stx_mnt_id)
}

#[cfg(test)]
mod tests {
    use super::{Answer, Request};
    use std::mem::offset_of;

    #[test]
    fn structures_are_the_kernel_s() {
        assert_eq!(size_of::<Request>(), 24);
        assert_eq!(offset_of!(Answer, fs_type), 36);
        assert_eq!(offset_of!(Answer, strings), 512);
    }
}
