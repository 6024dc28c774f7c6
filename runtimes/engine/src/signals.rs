//! Signals end the guest at once, also in a loop that never calls the host.
//!
//! The program is often process 1 of its pid namespace, where the kernel drops every signal whose action is
//! the default. So each signal that ends a process by default gets a handler that ends it with the code a
//! shell would show, 128 + n. No checks in compiled code, no thread, no signal descriptor.
//!
//! An engine that takes faults of guest code (SIGSEGV, SIGFPE, …) installs its own handlers later and passes
//! on what is not its own.

#![allow(unsafe_code, reason = "sigaction and _exit in a handler have no safe form")]

use libc::c_int;

/// Faults and other signals that end a process by default, real-time ones left out.
const DEADLY: [c_int; 21] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGUSR1,
    libc::SIGSEGV,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGSTKFLT,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGSYS,
];

/// Ends the process. Async-signal-safe: one system call.
extern "C" fn end(signal: c_int) {
    // SAFETY: _exit takes any value and does not return.
    unsafe { libc::_exit(128 + signal) }
}

/// Installs the handlers; called first of all in a runner. A failed installation leaves the default, which
/// is no worse than before.
pub(crate) fn install() {
    for signal in DEADLY.into_iter().chain(libc::SIGRTMIN()..=libc::SIGRTMAX()) {
        handle(signal, end as *const () as usize);
    }
    // A write to a pipe that nobody reads is an error to the guest, not its end.
    handle(libc::SIGPIPE, libc::SIG_IGN);
    // The server may have been started with signals blocked.
    // SAFETY: an empty set is valid and lives over the call.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

fn handle(signal: c_int, handler: usize) {
    // SAFETY: all-zero is a valid sigaction; every field that counts is set here.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    // On the alternate stack where there is one: a fault may be an overflow.
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: the handler only calls _exit, or is SIG_IGN; no old action is asked for.
    unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
}
