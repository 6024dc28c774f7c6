//! How a holder hears that it is time to end, and how it sleeps until then.
//!
//! As process 1 of a pid namespace it gets no signal whose action is the default, so those that end a pod have a
//! handler; every other is the kernel's to drop, as for any init.

#![allow(unsafe_code, reason = "sigaction, _exit in a handler and pause have no safe form")]

use libc::c_int;

/// Ends the process. Async-signal-safe: one system call.
extern "C" fn end(_signal: c_int) {
    // SAFETY: _exit takes any value and does not return.
    unsafe { libc::_exit(0) }
}

/// From here on SIGTERM and SIGINT end the process with 0, and whatever becomes its child is reaped by the kernel.
pub(crate) fn install() {
    handle(libc::SIGTERM, end as *const () as usize);
    handle(libc::SIGINT, end as *const () as usize);
    handle(libc::SIGCHLD, libc::SIG_IGN);
}

fn handle(signal: c_int, handler: usize) {
    // SAFETY: all-zero is a valid sigaction: no flags, nothing blocked meanwhile.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    // SAFETY: the handler only calls _exit, or is SIG_IGN; no old action is asked for.
    unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
}

/// Sleeps until a signal ends the process.
pub(crate) fn sleep() -> ! {
    crate::memory::give_back();
    loop {
        // SAFETY: takes nothing.
        unsafe { libc::pause() };
    }
}
