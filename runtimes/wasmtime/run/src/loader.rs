//! No dynamic loader: this program is linked statically, and nothing may ever be loaded into it.
//!
//! The crate `getrandom` looks the system call's wrapper up by `dlsym` and opens `/dev/urandom` without it,
//! which a container need not have. A static libc finds nothing by `dlsym`, and brings a whole loader along to
//! say so. This one says so itself, and knows the one name that is asked for in earnest.

#![allow(unsafe_code, reason = "a C symbol in place of the libc's")]

use libc::{c_char, c_void};
use std::ffi::CStr;
use std::ptr;

/// As POSIX has it, for a program whose only symbol is `getrandom`.
///
/// # Safety
/// As POSIX has it: `name` ends with NUL.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlsym(_: *mut c_void, name: *const c_char) -> *mut c_void {
    // SAFETY: the caller's promise.
    match unsafe { CStr::from_ptr(name) }.to_bytes() {
        b"getrandom" => libc::getrandom as *mut c_void,
        _ => ptr::null_mut(),
    }
}
