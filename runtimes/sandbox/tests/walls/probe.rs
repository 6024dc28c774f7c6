//! System calls as an attacker makes them, with the error number as the answer.

use std::ffi::CString;
use std::io;

/// Makes the call `number`; the answer is its result, or the error number.
pub(crate) fn call(number: libc::c_long, arguments: &[u64]) -> Result<i64, i32> {
    let argument = |index: usize| arguments.get(index).copied().unwrap_or(0);
    // SAFETY: whoever calls passes what the call needs, or what it must refuse before it looks.
    let result = unsafe {
        libc::syscall(number, argument(0), argument(1), argument(2), argument(3), argument(4), argument(5))
    };
    if result < 0 { Err(errno()) } else { Ok(result) }
}

pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The error number of a refused operation.
pub(crate) fn refusal<T>(result: io::Result<T>) -> i32 {
    match result {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(-1),
    }
}

/// Opens `path` at `directory`.
pub(crate) fn open_at(directory: i32, path: &str, flags: i32) -> Result<i32, i32> {
    let path = CString::new(path).expect("no NUL");
    // SAFETY: the path is a C string that lives over the call.
    let fd = unsafe { libc::openat(directory, path.as_ptr(), flags | libc::O_CLOEXEC, 0o600) };
    if fd < 0 { Err(errno()) } else { Ok(fd) }
}

/// Maps a page of `fd` (-1: anonymous memory) with `protection`.
pub(crate) fn map(fd: i32, protection: i32) -> Result<*mut libc::c_void, i32> {
    let flags = libc::MAP_PRIVATE | if fd < 0 { libc::MAP_ANONYMOUS } else { 0 };
    // SAFETY: a fresh mapping at an address of the kernel's choice.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, fd, 0) };
    if page == libc::MAP_FAILED { Err(errno()) } else { Ok(page) }
}

/// A value of `prctl`.
pub(crate) fn prctl(option: i32) -> i32 {
    // SAFETY: the options asked for here take no pointer.
    unsafe { libc::prctl(option, 0, 0, 0, 0) }
}
