//! The system calls that engines and compilers need, and those that only an attacker makes.
//!
//! The engine's list is what Wasmtime with WASI was seen to make, and what a libc, an async runtime and a resolver
//! of one thread may make beside it. It has no way to a new process or program, to another process'
//! memory, to a namespace, a mount or a driver. A call that is on no list fails with ENOSYS rather than
//! killing: libcs and runtimes try newer calls first and fall back on that error.

use super::decision::{Alternatives, Condition, Width};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};

/// When a call of a list goes through.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// Always.
    Always,
    /// If the argument, a 32-bit one, is one of these.
    OneOf(u8, &'static [u64]),
    /// If the argument, a pointer, is null.
    Null(u8),
    /// If the argument is our own process.
    Own(u8),
    /// If these bits of the argument are exactly so.
    Bits { index: u8, mask: u64, value: u64 },
}

impl When {
    /// The alternatives, one of which must hold; none means always.
    pub(super) fn alternatives(self) -> Alternatives {
        let one = |index, width, op, value| vec![Condition { index, width, op, value }];
        match self {
            Self::Always => Vec::new(),
            Self::OneOf(index, values) => {
                values.iter().map(|&value| one(index, Width::Int, Eq, value)).collect()
            }
            Self::Null(index) => vec![one(index, Width::Long, Eq, 0)],
            Self::Own(index) => vec![one(index, Width::Int, Eq, std::process::id().into())],
            Self::Bits { index, mask, value } => vec![one(index, Width::Long, MaskedEq(mask), value)],
        }
    }
}

use When::{Always, Bits, Null, OneOf, Own};

const fn int(number: i32) -> u64 {
    number as u64
}

const FCNTL: &[u64] = &[
    int(libc::F_DUPFD),
    int(libc::F_DUPFD_CLOEXEC),
    int(libc::F_GETFD),
    int(libc::F_SETFD),
    int(libc::F_GETFL),
    int(libc::F_SETFL),
    int(libc::F_ADD_SEALS),
    int(libc::F_GET_SEALS),
];
const IOCTL: &[u64] = &[libc::FIONREAD, libc::FIONBIO, libc::TCGETS, libc::TIOCGWINSZ];
const PRCTL: &[u64] = &[int(libc::PR_SET_NO_NEW_PRIVS), int(libc::PR_SET_NAME)];

/// What any engine of one thread may call. Names that the architecture lacks are passed over.
pub(super) const ENGINE: &[(&str, When)] = &[
    // Memory. That none of it becomes executable is the seal's.
    ("brk", Always),
    ("madvise", Always),
    ("membarrier", Always),
    ("memfd_create", Always),
    ("mmap", Always),
    ("mprotect", Always),
    ("mremap", Always),
    ("munmap", Always),
    // Open files.
    ("close", Always),
    ("copy_file_range", Always),
    ("dup", Always),
    ("dup2", Always),
    ("dup3", Always),
    ("fadvise64", Always),
    ("fallocate", Always),
    ("fcntl", OneOf(1, FCNTL)),
    ("fdatasync", Always),
    ("fstat", Always),
    ("fstatfs", Always),
    ("fsync", Always),
    ("ftruncate", Always),
    ("getdents64", Always),
    ("ioctl", OneOf(1, IOCTL)),
    ("lseek", Always),
    ("pread64", Always),
    ("preadv", Always),
    ("preadv2", Always),
    ("pwrite64", Always),
    ("pwritev", Always),
    ("pwritev2", Always),
    ("read", Always),
    ("readv", Always),
    ("sync_file_range", Always),
    ("write", Always),
    ("writev", Always),
    // Paths below a preopened directory.
    ("faccessat", Always),
    ("faccessat2", Always),
    ("fchmodat", Always),
    ("linkat", Always),
    ("mkdirat", Always),
    ("newfstatat", Always),
    ("openat", Always),
    ("openat2", Always),
    ("readlinkat", Always),
    ("renameat", Always),
    ("renameat2", Always),
    ("statx", Always),
    ("symlinkat", Always),
    ("unlinkat", Always),
    ("utimensat", Always),
    // Waiting and time.
    ("clock_getres", Always),
    ("clock_gettime", Always),
    ("clock_nanosleep", Always),
    ("epoll_create1", Always),
    ("epoll_ctl", Always),
    ("epoll_pwait", Always),
    ("epoll_pwait2", Always),
    ("epoll_wait", Always),
    ("eventfd2", Always),
    ("futex", Always),
    ("gettimeofday", Always),
    ("nanosleep", Always),
    ("pipe2", Always),
    ("poll", Always),
    ("ppoll", Always),
    ("sched_yield", Always),
    ("timerfd_create", Always),
    ("timerfd_gettime", Always),
    ("timerfd_settime", Always),
    // The network, of the container's namespace; no other family has a place in WASI.
    ("accept4", Always),
    ("bind", Always),
    ("connect", Always),
    ("getpeername", Always),
    ("getsockname", Always),
    ("getsockopt", Always),
    ("listen", Always),
    ("recvfrom", Always),
    ("recvmmsg", Always),
    ("recvmsg", Always),
    ("sendmmsg", Always),
    ("sendmsg", Always),
    ("sendto", Always),
    ("setsockopt", Always),
    ("shutdown", Always),
    ("socket", OneOf(0, &[int(libc::AF_INET), int(libc::AF_INET6)])),
    ("socketpair", OneOf(0, &[int(libc::AF_UNIX)])),
    // Signals, to ourselves only; and the end.
    ("exit", Always),
    ("exit_group", Always),
    ("restart_syscall", Always),
    ("rt_sigaction", Always),
    ("rt_sigprocmask", Always),
    ("rt_sigreturn", Always),
    ("sigaltstack", Always),
    ("tgkill", Own(0)),
    // Itself.
    ("getcpu", Always),
    ("getegid", Always),
    ("geteuid", Always),
    ("getgid", Always),
    ("getpid", Always),
    ("getrandom", Always),
    ("getrusage", Always),
    ("gettid", Always),
    ("getuid", Always),
    ("prlimit64", Null(2)),
    ("rseq", Always),
    ("sched_getaffinity", Always),
    ("set_robust_list", Always),
    ("sysinfo", Always),
    ("uname", Always),
    // Until the seal takes them away.
    ("prctl", OneOf(0, PRCTL)),
    ("seccomp", Always),
];

const NEW_NAMESPACES: u64 = int(libc::CLONE_NEWNS)
    | int(libc::CLONE_NEWUTS)
    | int(libc::CLONE_NEWIPC)
    | int(libc::CLONE_NEWUSER)
    | int(libc::CLONE_NEWPID)
    | int(libc::CLONE_NEWNET)
    | int(libc::CLONE_NEWCGROUP);

/// Never executable: `mmap`, `mprotect`.
const NOT_EXECUTABLE: When = Bits { index: 2, mask: int(libc::PROT_EXEC), value: 0 };

/// What a compiler may call: threads, memory, and the descriptors it was given. It opens nothing.
pub(super) const COMPILER: &[(&str, When)] = &[
    ("brk", Always),
    ("madvise", Always),
    ("mmap", NOT_EXECUTABLE),
    ("mprotect", NOT_EXECUTABLE),
    ("mremap", Always),
    ("munmap", Always),
    ("close", Always),
    ("dup", Always),
    ("fcntl", OneOf(1, FCNTL)),
    ("fdatasync", Always),
    ("fstat", Always),
    ("fsync", Always),
    ("ftruncate", Always),
    ("lseek", Always),
    ("pread64", Always),
    ("pwrite64", Always),
    ("read", Always),
    ("readv", Always),
    ("write", Always),
    ("writev", Always),
    ("clock_getres", Always),
    ("clock_gettime", Always),
    ("clock_nanosleep", Always),
    ("futex", Always),
    ("gettimeofday", Always),
    ("nanosleep", Always),
    ("poll", Always),
    ("ppoll", Always),
    ("sched_getaffinity", Always),
    ("sched_yield", Always),
    ("recvfrom", Always),
    ("recvmsg", Always),
    ("sendmsg", Always),
    ("sendto", Always),
    // Threads of this process. The flags of clone3 cannot be seen by a filter: it fails, and libc uses this one.
    (
        "clone",
        Bits {
            index: 0,
            mask: int(libc::CLONE_THREAD) | int(libc::CLONE_VM) | NEW_NAMESPACES,
            value: int(libc::CLONE_THREAD) | int(libc::CLONE_VM),
        },
    ),
    ("exit", Always),
    ("exit_group", Always),
    ("prctl", OneOf(0, &[int(libc::PR_SET_NAME)])),
    ("restart_syscall", Always),
    ("rseq", Always),
    ("rt_sigaction", Always),
    ("rt_sigprocmask", Always),
    ("rt_sigreturn", Always),
    ("set_robust_list", Always),
    ("sigaltstack", Always),
    ("tgkill", Own(0)),
    ("getcpu", Always),
    ("getpid", Always),
    ("getrandom", Always),
    ("getrusage", Always),
    ("gettid", Always),
    ("prlimit64", Null(2)),
    ("sysinfo", Always),
    ("uname", Always),
];

/// What nothing here ever tries by mistake: who calls it has taken the process over, and it dies at once.
pub(super) const HOSTILE: &[&str] = &[
    "add_key",
    "bpf",
    "chroot",
    "delete_module",
    "execve",
    "execveat",
    "finit_module",
    "fork",
    "fsmount",
    "fsopen",
    "init_module",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "mknod",
    "mknodat",
    "mount",
    "mount_setattr",
    "move_mount",
    "name_to_handle_at",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "reboot",
    "request_key",
    "setns",
    "swapoff",
    "swapon",
    "umount2",
    "unshare",
    "userfaultfd",
    "vfork",
];
