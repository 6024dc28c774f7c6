//! The clone, and the child's way to its exec.

#![allow(unsafe_code, reason = "raw clone3, and system calls of the child between clone and exec")]

use crate::{Child, SpawnError, Step};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The cgroup a child is born into.
#[derive(Debug, Clone, Copy)]
pub enum Join<'a> {
    /// The parent's own.
    Inherit,
    /// v1: opened `tasks` files, one a hierarchy; the child writes `0` into each.
    Tasks(&'a [BorrowedFd<'a>]),
    /// v2: the cgroup's directory, for `CLONE_INTO_CGROUP`.
    Into(BorrowedFd<'a>),
}

/// The namespaces a child is born into.
#[derive(Debug, Clone, Copy, Default)]
pub struct Namespaces<'a> {
    /// `CLONE_NEW*` flags of the new ones.
    pub new: u64,
    /// A pid namespace to join instead of a new one.
    pub join_pid: Option<BorrowedFd<'a>>,
}

/// A child to be born.
#[derive(Debug)]
pub struct Birth<'a> {
    /// The program, open for reading or by path only.
    pub program: BorrowedFd<'a>,
    /// Its arguments, its own name first.
    pub args: &'a [CString],
    /// Its environment, `NAME=value`.
    pub env: &'a [CString],
    /// Descriptors and the numbers they get, in ascending order of the numbers. All others are closed. A terminal
    /// as descriptor 0 becomes the child's own: its keys and its size are signals to the child.
    pub fds: &'a [(BorrowedFd<'a>, RawFd)],
    /// Namespaces.
    pub namespaces: Namespaces<'a>,
    /// Cgroup.
    pub join: Join<'a>,
}

impl Birth<'_> {
    /// Makes the process. It gets SIGKILL when the calling **thread** ends.
    ///
    /// # Errors
    /// When there is no process; what fails inside it is told by [`Child::birth`].
    pub fn spawn(&self) -> Result<Child, SpawnError> {
        // All memory the child needs is laid out before the clone: afterwards nobody may allocate.
        let args = pointers(self.args);
        let env = pointers(self.env);
        let mut lifted: Vec<RawFd> = vec![-1; self.fds.len()];
        let (report, childs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|error| SpawnError::Pipe(error.into()))?;

        let home = match self.namespaces.join_pid {
            Some(target) => Some(PidNamespace::enter(target)?),
            None => None,
        };
        let mut pidfd: RawFd = -1;
        let mut request = libc::clone_args {
            flags: self.namespaces.new | libc::CLONE_PIDFD as u64,
            pidfd: (&raw mut pidfd) as u64,
            child_tid: 0,
            parent_tid: 0,
            exit_signal: libc::SIGCHLD as u64,
            stack: 0,
            stack_size: 0,
            tls: 0,
            set_tid: 0,
            set_tid_size: 0,
            cgroup: 0,
        };
        if let Join::Into(directory) = self.join {
            request.flags |= CLONE_INTO_CGROUP;
            request.cgroup = directory.as_raw_fd() as u64;
        }
        // SAFETY: without CLONE_VM the child gets a copy of this address space and returns here with 0, as
        // after fork. Until exec it runs only `Newborn::run`, which makes system calls on memory laid out above.
        let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut request, size_of::<libc::clone_args>()) };
        if pid == 0 {
            let newborn = Newborn {
                birth: self,
                args: &args,
                env: &env,
                lifted: &mut lifted,
                program: self.program.as_raw_fd(),
                report: childs.as_raw_fd(),
            };
            newborn.run();
        }
        let cloned = if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid as i32) };
        if let Some(home) = home {
            home.leave()?;
        }
        let pid = cloned.map_err(SpawnError::Clone)?;
        // SAFETY: the kernel has just put a new descriptor there (CLONE_PIDFD), and nobody else knows it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Ok(Child { pid, pidfd, report: File::from(report) })
    }
}

/// `CLONE_INTO_CGROUP` (clone3 only, so wider than libc's int).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A null-terminated array of the strings' addresses, as exec wants it.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

/// The pid namespace this thread's children are born into, while it is not its own.
struct PidNamespace {
    own: OwnedFd,
}

impl PidNamespace {
    fn enter(target: BorrowedFd<'_>) -> Result<Self, SpawnError> {
        let own = File::open("/proc/self/ns/pid").map_err(SpawnError::PidNamespace)?.into();
        set_pid_namespace(target)?;
        Ok(Self { own })
    }

    fn leave(self) -> Result<(), SpawnError> {
        set_pid_namespace(self.own.as_fd())
    }
}

fn set_pid_namespace(target: BorrowedFd<'_>) -> Result<(), SpawnError> {
    // SAFETY: setns takes a descriptor and a flag; for pid namespaces it only changes where children are born.
    match unsafe { libc::setns(target.as_raw_fd(), libc::CLONE_NEWPID) } {
        0 => Ok(()),
        _ => Err(SpawnError::PidNamespace(io::Error::last_os_error())),
    }
}

/// The child between clone and exec.
struct Newborn<'a> {
    birth: &'a Birth<'a>,
    args: &'a [*const libc::c_char],
    env: &'a [*const libc::c_char],
    /// Room for the placed descriptors' numbers while they are out of each other's way.
    lifted: &'a mut [RawFd],
    program: RawFd,
    report: RawFd,
}

impl Newborn<'_> {
    fn run(mut self) -> ! {
        let Err(step) = self.steps();
        let mut bytes = [0u8; 5];
        bytes[0] = step as u8;
        bytes[1..].copy_from_slice(&errno().to_le_bytes());
        // SAFETY: the buffer is five bytes long; a failed write changes nothing, the process ends.
        unsafe {
            libc::write(self.report, bytes.as_ptr().cast(), bytes.len());
            libc::_exit(127)
        }
    }

    fn steps(&mut self) -> Result<std::convert::Infallible, Step> {
        // SAFETY: plain numbers. The signal follows the thread that cloned, the server's main thread.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }, Step::ParentDeath)?;
        if let Join::Tasks(files) = self.birth.join {
            for file in files {
                // SAFETY: one readable byte and its length.
                let written = unsafe { libc::write(file.as_raw_fd(), c"0".as_ptr().cast(), 1) };
                check(written as i32, Step::JoinCgroup)?;
            }
        }
        // A session of its own: no signal meant for the server's group reaches it, no terminal is its own.
        // SAFETY: no arguments.
        check(unsafe { libc::setsid() }, Step::Session)?;
        self.place_descriptors()?;
        take_terminal()?;
        reset_signals()?;
        // SAFETY: both arrays end in null and point to strings that live in this copy of the address space.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                self.program,
                c"".as_ptr(),
                self.args.as_ptr(),
                self.env.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
        }
        Err(Step::Exec)
    }

    /// First everything is lifted above all targets, then set down: no move can overwrite a source.
    fn place_descriptors(&mut self) -> Result<(), Step> {
        let fds = self.birth.fds;
        let above = fds.last().map_or(0, |(_, target)| target + 1);
        for ((fd, _), lifted) in fds.iter().zip(self.lifted.iter_mut()) {
            *lifted = lift(fd.as_raw_fd(), above)?;
        }
        self.program = lift(self.program, above)?;
        self.report = lift(self.report, above)?;
        let mut next = 0;
        for ((_, target), lifted) in fds.iter().zip(self.lifted.iter()) {
            close(next, target - 1, 0)?;
            // SAFETY: plain numbers; dup2 clears close-on-exec on the copy.
            check(unsafe { libc::dup2(*lifted, *target) }, Step::Descriptors)?;
            next = target + 1;
        }
        close(next, RawFd::MAX, libc::CLOSE_RANGE_CLOEXEC as i32)
    }
}

/// A copy of a descriptor at `above` or higher, closed by exec.
fn lift(fd: RawFd, above: RawFd) -> Result<RawFd, Step> {
    // SAFETY: plain numbers.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, above) };
    check(copy, Step::Descriptors)?;
    Ok(copy)
}

/// Closes (or marks) a range of descriptors; an empty range is fine.
fn close(first: RawFd, last: RawFd, flags: i32) -> Result<(), Step> {
    if last < first {
        return Ok(());
    }
    // SAFETY: plain numbers; nothing in this process uses the closed descriptors any more.
    check(unsafe { libc::close_range(first as u32, last as u32, flags) }, Step::Descriptors)
}

/// Makes descriptor 0 the session's terminal, if it is one. A terminal of another session is not stolen.
fn take_terminal() -> Result<(), Step> {
    // SAFETY: plain numbers.
    match unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } {
        0 => Ok(()),
        _ if matches!(errno(), libc::ENOTTY | libc::EBADF) => Ok(()),
        _ => Err(Step::Terminal),
    }
}

/// What is ignored survives exec, and so would the parent's mask: SIGPIPE is ignored by Rust programs, the others by
/// `nohup` and a shell's `&`, with which whoever started this server may have been started.
const IGNORED: [libc::c_int; 4] = [libc::SIGPIPE, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT];

fn reset_signals() -> Result<(), Step> {
    // SAFETY: the set is initialised by sigemptyset before it is used; SIG_DFL is a valid disposition.
    unsafe {
        for signal in IGNORED {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        check(libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()), Step::Signals)
    }
}

fn check(result: i32, step: Step) -> Result<(), Step> {
    if result < 0 { Err(step) } else { Ok(()) }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    fn strings(list: &[&str]) -> Vec<CString> {
        list.iter().map(|string| CString::new(*string).expect("no NUL")).collect()
    }

    fn wait(child: &Child) -> i32 {
        let status = rustix::process::waitid(
            rustix::process::WaitId::PidFd(child.pidfd.as_fd()),
            rustix::process::WaitIdOptions::EXITED,
        );
        status.expect("waits").expect("ended").exit_status().expect("exited")
    }

    fn shell(script: &str, fds: &[(BorrowedFd<'_>, RawFd)]) -> (Child, i32) {
        let program = File::open("/bin/sh").expect("a shell");
        let birth = Birth {
            program: program.as_fd(),
            args: &strings(&["sh", "-c", script]),
            env: &strings(&["GREETING=hello"]),
            fds,
            namespaces: Namespaces::default(),
            join: Join::Inherit,
        };
        let child = birth.spawn().expect("spawns");
        let code = wait(&child);
        (child, code)
    }

    #[test]
    fn descriptors_land_on_their_numbers_and_no_other_is_left() {
        let null = File::open("/dev/null").expect("null");
        let mut out = tempfile::tempfile().expect("a file");
        let _unrelated = File::open("/dev/zero").expect("zero");
        let script = "echo $GREETING; cd /proc/self/fd; for fd in *; do [ -e $fd ] && echo $fd; done";
        let (mut child, code) =
            shell(script, &[(null.as_fd(), 0), (out.as_fd(), 1), (out.as_fd(), 2), (null.as_fd(), 5)]);
        child.birth().expect("was born");
        assert_eq!(code, 0);
        let mut said = String::new();
        out.rewind().expect("rewinds");
        out.read_to_string(&mut said).expect("reads");
        let mut lines = said.lines();
        assert_eq!(lines.next(), Some("hello"));
        let numbers: Vec<_> = lines.filter(|line| matches!(*line, "3" | "4" | "5" | "6" | "7")).collect();
        assert!(numbers.contains(&"5"), "{said}");
        assert!(!numbers.contains(&"4") && !numbers.contains(&"6"), "{said}");
    }

    #[test]
    fn swapped_descriptors_do_not_overwrite_each_other() {
        let mut a = tempfile::tempfile().expect("a file");
        let mut b = tempfile::tempfile().expect("a file");
        // Targets that are each other's current numbers, whatever these are.
        let (low, high) = if a.as_raw_fd() < b.as_raw_fd() { (&a, &b) } else { (&b, &a) };
        let fds = [(high.as_fd(), low.as_raw_fd()), (low.as_fd(), high.as_raw_fd())];
        // By path, because a shell's own `>&` takes one digit.
        let to = |file: &File| format!("/proc/self/fd/{}", file.as_raw_fd());
        let script = format!("echo low >{}; echo high >{}", to(low), to(high));
        let (_, code) = shell(&script, &fds);
        assert_eq!(code, 0);
        let swapped = a.as_raw_fd() < b.as_raw_fd();
        let read = |file: &mut File| {
            let mut text = String::new();
            file.rewind().expect("rewinds");
            file.read_to_string(&mut text).expect("reads");
            text
        };
        let (first, second) = (read(&mut a), read(&mut b));
        assert_eq!((first.trim(), second.trim()), if swapped { ("high", "low") } else { ("low", "high") });
    }

    #[test]
    fn a_terminal_as_input_is_the_childs_own() {
        use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let mut master = File::from(openpt(flags).expect("a terminal"));
        unlockpt(&master).expect("unlocked");
        let slave = ioctl_tiocgptpeer(&master, flags).expect("its other side");
        let program = File::open("/bin/sh").expect("a shell");
        let birth = Birth {
            program: program.as_fd(),
            args: &strings(&["sh", "-c", "echo mine >/dev/tty; read line"]),
            env: &[],
            fds: &[(slave.as_fd(), 0)],
            namespaces: Namespaces::default(),
            join: Join::Inherit,
        };
        let child = birth.spawn().expect("spawns");
        let mut said = [0; 6];
        master.read_exact(&mut said).expect("reads");
        assert_eq!(&said, b"mine\r\n");
        std::io::Write::write_all(&mut master, b"\x03").expect("writes");
        let ended = rustix::process::waitid(
            rustix::process::WaitId::PidFd(child.pidfd.as_fd()),
            rustix::process::WaitIdOptions::EXITED,
        );
        let status = ended.expect("waits").expect("ended");
        assert_eq!(status.terminating_signal(), Some(libc::SIGINT));
    }

    #[test]
    fn a_program_that_cannot_be_executed_is_told_by_its_step() {
        let text = tempfile::tempfile().expect("a file");
        let birth = Birth {
            program: text.as_fd(),
            args: &strings(&["x"]),
            env: &[],
            fds: &[],
            namespaces: Namespaces::default(),
            join: Join::Inherit,
        };
        let mut child = birth.spawn().expect("clones");
        assert_eq!(wait(&child), 127);
        let error = child.birth().expect_err("no exec");
        assert!(matches!(error, SpawnError::Child { step: Step::Exec, .. }), "{error}");
    }

    #[test]
    fn a_cgroup_that_cannot_be_joined_is_told_by_its_step() {
        let read_only = File::open("/dev/null").expect("null");
        let program = File::open("/bin/sh").expect("a shell");
        let files = [read_only.as_fd()];
        let birth = Birth {
            program: program.as_fd(),
            args: &strings(&["sh"]),
            env: &[],
            fds: &[],
            namespaces: Namespaces::default(),
            join: Join::Tasks(&files),
        };
        let mut child = birth.spawn().expect("clones");
        assert_eq!(wait(&child), 127);
        assert!(matches!(child.birth(), Err(SpawnError::Child { step: Step::JoinCgroup, .. })));
    }
}
