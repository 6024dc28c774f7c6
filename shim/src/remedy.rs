//! What can be done when the kernel has no more of something.
//!
//! Each step's error names its file and says how the step failed. What is missing is missing everywhere, so the remedy is
//! added here, where errors become words; also to those of engines, compilers and OCI runtimes, which come as words.

use rustix::io::Errno;

/// The kernel's answers that mean "no more".
const REMEDIES: [(Errno, &str); 8] = [
    (
        Errno::MFILE,
        "no more files can be opened here: raise LimitNOFILE of containerd's unit (ulimit -n), and restart \
         what has many open",
    ),
    (Errno::NFILE, "no more files can be opened on this machine: raise fs.file-max (sysctl)"),
    (
        Errno::AGAIN,
        "no more processes and threads can be made: raise pids.max of the cgroups above containerd (TasksMax of its \
         unit) or of the container, or kernel.pid_max and kernel.threads-max",
    ),
    (Errno::NOSPC, "it is full (df, df -i): make room there"),
    (Errno::DQUOT, "its quota is used up: make room there, or raise it"),
    (Errno::ROFS, "it is mounted read-only: remount it, or name another place"),
    (
        Errno::NOMEM,
        "there is no memory left: free some, or raise the limits of the cgroups above (memory.max)",
    ),
    (
        Errno::NOBUFS,
        "the kernel has no memory left for it: free some, or raise the limits of the cgroups above (memory.max)",
    ),
];

/// A message with the remedy for what it says is missing.
#[must_use]
pub fn with_remedy(message: String) -> String {
    // As the standard library writes them, whichever process it was.
    let told = |errno: Errno| message.contains(&format!("(os error {})", errno.raw_os_error()));
    match REMEDIES.iter().find(|(errno, _)| told(*errno)) {
        Some((_, remedy)) => format!("{message}: {remedy}"),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn what_is_missing_is_told_with_what_can_be_done() {
        for (errno, remedy) in REMEDIES {
            let told = with_remedy(format!("cannot open /x: {}", io::Error::from(errno)));
            assert!(told.starts_with("cannot open /x: ") && told.ends_with(remedy), "{told}");
        }
        let other = format!("cannot open /x: {}", io::Error::from(Errno::NOENT));
        assert_eq!(with_remedy(other.clone()), other);
        assert_eq!(with_remedy("words".to_owned()), "words");
    }
}
