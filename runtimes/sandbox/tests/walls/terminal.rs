//! A terminal that is a process' own: it can be read, written and asked about, and nothing else. What is typed on it
//! is its user's, who may be logged in on the host.

use crate::harness::{Test, inside};
use crate::probe::call;
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::stdio::{dup2_stdin, stdin};
use rustix::termios::{isatty, tcgetattr, tcgetwinsize};
use std::os::fd::IntoRawFd;

pub(crate) const TESTS: &[Test] = &[
    ("terminal::it_can_be_asked", asked),
    ("terminal::nothing_is_typed_on_it_nor_changed_about_it", changed),
];

/// Probes with a controlling terminal as stdin, as the server's clone gives it.
fn on_a_terminal(probe: fn()) {
    inside(
        |_| {
            setsid().expect("a session");
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
            let master = openpt(flags).expect("a terminal");
            unlockpt(&master).expect("unlocked");
            let slave = ioctl_tiocgptpeer(&master, flags).expect("its other side");
            ioctl_tiocsctty(&slave).expect("controlling");
            dup2_stdin(&slave).expect("stdin");
            // Open as long as the process lives.
            let _master = master.into_raw_fd();
        },
        |_| {
            pinnace_sandbox::filter(&None, &[]).expect("filter");
            probe();
        },
    );
}

fn asked() {
    on_a_terminal(|| {
        assert!(isatty(stdin()));
        tcgetattr(stdin()).expect("its modes");
        tcgetwinsize(stdin()).expect("its size");
        assert_eq!(rustix::io::ioctl_fionread(stdin()), Ok(0));
    });
}

fn changed() {
    /// `TIOCVHANGUP`, which libc does not name.
    const HANG_UP: u64 = 0x5437;
    on_a_terminal(|| {
        let letter = b'x';
        for (name, request) in [
            ("TIOCSTI", libc::TIOCSTI),
            // The kernel looks at the lower half only.
            ("TIOCSTI, wide", libc::TIOCSTI | 1 << 32),
            ("TIOCLINUX", libc::TIOCLINUX),
            ("TIOCSCTTY", libc::TIOCSCTTY),
            ("TIOCNOTTY", libc::TIOCNOTTY),
            ("TIOCSPGRP", libc::TIOCSPGRP),
            ("TIOCSWINSZ", libc::TIOCSWINSZ),
            ("TIOCSETD", libc::TIOCSETD),
            ("TIOCCONS", libc::TIOCCONS),
            ("TIOCVHANGUP", HANG_UP),
            ("TIOCGPTPEER", libc::TIOCGPTPEER),
            ("TCSETS", libc::TCSETS),
            ("TCSETSW", libc::TCSETSW),
            ("TCSETSF", libc::TCSETSF),
            ("TCSBRK", libc::TCSBRK),
            ("TCXONC", libc::TCXONC),
            ("TCFLSH", libc::TCFLSH),
        ] {
            let answer = call(libc::SYS_ioctl, &[0, request, (&raw const letter) as u64]);
            assert_eq!(answer, Err(libc::ENOSYS), "{name}");
        }
        assert_eq!(rustix::io::ioctl_fionread(stdin()), Ok(0), "something was typed");
    });
}
