//! A guest that is a booted Debian: systemd and D-Bus from their packages, and one unit of ours.
//!
//! ```text
//!  systemd ─▶ sysinit, sockets ─▶ dbus.socket ─▶ pinnace.service: the job, in a cgroup that is delegated to it
//! ```
//!
//! Packages are unpacked, not installed: what their scripts would have written, users for example, is written here.

use super::root::Root;
use crate::error::Error;
use std::path::Path;

/// What nobody reads in a guest, and the kernel with its modules, which is loaded otherwise.
const WITHOUT: [&str; 7] = [
    "/boot",
    "/lib/modules",
    "/usr/include",
    "/usr/lib/x86_64-linux-gnu/perl",
    "/usr/lib/x86_64-linux-gnu/perl-base",
    "/usr/share",
    "/lib/udev",
];

/// Of these, what is needed all the same.
const WITH: [&str; 2] = ["/usr/share", "/usr/share/dbus-1"];

/// What has nothing to do in a guest and would be waited for.
const MASKED: [&str; 9] = [
    "systemd-udevd.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udev-trigger.service",
    "systemd-journal-flush.service",
    "systemd-update-utmp.service",
    "systemd-random-seed.service",
    "systemd-sysusers.service",
    "systemd-firstboot.service",
];

/// As `containerd.service` has it: what containers do is not systemd's to limit, and not to clean up.
const UNIT: &str = "[Unit]
Requires=dbus.socket
After=dbus.socket basic.target
[Service]
Type=oneshot
Delegate=yes
KillMode=process
OOMPolicy=continue
TasksMax=infinity
LimitNOFILE=1048576
Environment=HOME=/root TERM=linux
ExecStart=/pinnace/report /pinnace/job
";

/// The kernel's words that make systemd run the unit and nothing that is not needed for it.
pub(super) const WORDS: &str = "systemd.unit=pinnace.service systemd.show_status=false";

/// And those that make it mount what it had before cgroup v2.
pub(super) const WORDS_V1: &str = "systemd.unified_cgroup_hierarchy=0";

/// Puts the distribution and the unit into the root.
pub(super) fn fill(root: &mut Root, debian: &Path) -> Result<(), Error> {
    let under = |at: &Path, dirs: &[&str]| dirs.iter().any(|dir| at.starts_with(dir));
    root.tree(debian, &|at| !under(at, &WITHOUT) || at == Path::new(WITH[0]) || at.starts_with(WITH[1]))?;
    root.text("/etc/systemd/system/pinnace.service", UNIT);
    root.text("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    root.text("/etc/os-release", "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"a guest of Pinnace's tests\"\n");
    root.text(
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/nonexistent:/bin/false\n\
         nobody:x:65534:65534:nobody:/:/bin/false\n",
    );
    root.text(
        "/etc/group",
        "root:x:0:\ntty:x:5:\nmessagebus:x:100:\nsystemd-journal:x:101:\nutmp:x:43:\nnogroup:x:65534:\n",
    );
    for unit in MASKED {
        root.link(Path::new("/etc/systemd/system").join(unit), "/dev/null");
    }
    Ok(())
}
