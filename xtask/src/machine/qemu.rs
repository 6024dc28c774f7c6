//! One guest: booted, watched, ended.
//!
//! ```text
//!  first serial port  ── this terminal: what the guest prints, and for a shell what is typed
//!  second serial port ── a file: "exit N", written by the guest just before it powers off
//! ```
//!
//! The guest is emulated (TCG): that works wherever qemu does, as any user, with or without `/dev/kvm`.

use crate::error::Error;
use crate::run;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What boots.
pub(super) struct Guest<'a> {
    /// The emulator, ready for arguments.
    pub(super) qemu: Command,
    /// The kernel.
    pub(super) kernel: &'a Path,
    /// The archive that the kernel unpacks.
    pub(super) archive: &'a Path,
    /// Further words of its command line.
    pub(super) words: &'a str,
    /// Whether this terminal's keys go to the guest.
    pub(super) interactive: bool,
    /// How long it may take; a shell has no end.
    pub(super) limit: Duration,
}

impl Guest<'_> {
    /// Boots it and returns its exit code once it has powered off.
    pub(super) fn run(mut self, dir: &Path) -> Result<u8, Error> {
        let result = dir.join("result");
        // Without the check that the timer ticks: on a busy machine it does not in time, and the kernel gives up.
        let append =
            format!("console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off no_timer_check {}", self.words);
        self.qemu
            .args(["-accel", "tcg,thread=multi", "-cpu", "max,la57=off", "-smp", "2", "-m", "2048"])
            .args(["-display", "none", "-vga", "none", "-nic", "none", "-no-reboot"])
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.archive)
            .args(["-append", &append])
            .args(["-serial", if self.interactive { "mon:stdio" } else { "stdio" }])
            .arg("-serial")
            .arg(format!("file:{}", result.display()));
        if !self.interactive {
            self.qemu.stdin(Stdio::null());
        }
        let child = self.qemu.spawn().map_err(|source| Error::Start {
            program: self.qemu.get_program().to_string_lossy().into_owned(),
            source,
        })?;
        let limit = if self.interactive { Duration::MAX } else { self.limit };
        Running(child).end(limit)?;
        let told = fs::read_to_string(&result).map_err(Error::file("read", &result))?;
        code(&told).ok_or_else(|| Error::Missing {
            what: "the guest's exit code".to_owned(),
            remedy: "see above how it ended; `cargo xtask machine` gives a shell in it".to_owned(),
        })
    }
}

/// A qemu that does not outlive us.
struct Running(Child);

impl Running {
    fn end(&mut self, limit: Duration) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().map_err(Error::file("wait", "qemu"))? {
                run::say(format!("the guest ran {:.0} s", began.elapsed().as_secs_f32()));
                let failed = || Error::Failed { program: "qemu".to_owned(), status };
                return status.success().then_some(()).ok_or_else(failed);
            }
            if began.elapsed() >= limit {
                return Err(Error::Missing {
                    what: format!("an end of the guest within {} s", limit.as_secs()),
                    remedy: "see above how far it came; a longer limit is given by --limit".to_owned(),
                });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless it took too long.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The code in what the guest wrote.
fn code(told: &str) -> Option<u8> {
    told.lines().find_map(|line| line.trim().strip_prefix("exit ")?.parse().ok())
}

/// The emulator from a prefix, with its own loader and libraries.
pub(super) fn unpacked(prefix: &Path) -> Command {
    let libraries: Vec<PathBuf> =
        ["lib", "usr/lib"].iter().map(|dir| prefix.join(dir).join("x86_64-linux-gnu")).collect();
    let mut qemu = run::program(libraries[0].join("ld-linux-x86-64.so.2"));
    qemu.arg("--library-path")
        .arg(libraries.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(":"));
    qemu.arg(prefix.join("usr/bin/qemu-system-x86_64"));
    qemu.env("QEMU_MODULE_DIR", prefix.join("usr/lib/x86_64-linux-gnu/qemu"));
    for firmware in ["usr/share/qemu", "usr/share/seabios"] {
        qemu.arg("-L").arg(prefix.join(firmware));
    }
    qemu
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn a_guest_that_did_not_finish_has_no_code() {
        assert_eq!(code("exit 0\r\n"), Some(0));
        assert_eq!(code("exit 101\n"), Some(101));
        assert_eq!(code(""), None);
        assert_eq!(code("exit "), None);
    }
}
