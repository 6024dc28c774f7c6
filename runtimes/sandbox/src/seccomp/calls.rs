//! The system calls that engines and compilers need, and those that only an attacker makes.
//!
//! The engine's list is what Wasmtime with WASI was seen to make, and what a libc, an async runtime and a resolver
//! of one thread may make beside it. It has no way to a new process or program, to another process'
//! memory, to a namespace, a mount or a driver. A call that is on no list fails with ENOSYS rather than
//! killing: libcs and runtimes try newer calls first and fall back on that error.

use super::decision::{Alternatives, Condition, Width};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use syscalls::Sysno as Call;

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
    /// If it makes a TCP or UDP socket, of either version of IP: all that WASI has.
    Internet,
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
            Self::Internet => FAMILIES
                .iter()
                .flat_map(|&family| TYPES.map(|kind| [(Eq, 0, family), (MaskedEq(TYPE), 1, kind)]))
                .map(|both| {
                    both.map(|(op, index, value)| Condition { index, width: Width::Int, op, value }).into()
                })
                .collect(),
            Self::Bits { index, mask, value } => vec![one(index, Width::Long, MaskedEq(mask), value)],
        }
    }
}

use When::{Always, Bits, Internet, Null, OneOf, Own};

const fn int(number: i32) -> u64 {
    number as u64
}

/// What [`When::Internet`] asks of the arguments of `socket`.
pub(super) const FAMILIES: [u64; 2] = [int(libc::AF_INET), int(libc::AF_INET6)];
pub(super) const TYPES: [u64; 2] = [int(libc::SOCK_STREAM), int(libc::SOCK_DGRAM)];
/// The bits of the type; the others are flags.
pub(super) const TYPE: u64 = 0xf;

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
/// Of terminals what asks, and nothing that changes one. Newer libcs ask by `TCGETS2`.
const IOCTL: &[u64] = &[libc::FIONREAD, libc::FIONBIO, libc::TCGETS, libc::TCGETS2, libc::TIOCGWINSZ];
const PRCTL: &[u64] = &[int(libc::PR_SET_NO_NEW_PRIVS), int(libc::PR_SET_NAME)];

/// `clone` for whoever needs threads: of this process, in its namespaces. The flags of clone3 cannot be seen by
/// a filter: it fails, and libc uses this one.
pub(super) const THREAD: When = Bits {
    index: 0,
    mask: int(libc::CLONE_THREAD) | int(libc::CLONE_VM) | NEW_NAMESPACES,
    value: int(libc::CLONE_THREAD) | int(libc::CLONE_VM),
};

/// What any engine of one thread may call.
pub(super) const ENGINE: &[(Call, When)] = &[
    // Memory. That none of it becomes executable is the seal's.
    (Call::brk, Always),
    (Call::madvise, Always),
    (Call::membarrier, Always),
    (Call::memfd_create, Always),
    (Call::mmap, Always),
    (Call::mprotect, Always),
    (Call::mremap, Always),
    (Call::munmap, Always),
    // Open files.
    (Call::close, Always),
    (Call::copy_file_range, Always),
    (Call::dup, Always),
    #[cfg(target_arch = "x86_64")]
    (Call::dup2, Always),
    (Call::dup3, Always),
    (Call::fadvise64, Always),
    (Call::fallocate, Always),
    (Call::fcntl, OneOf(1, FCNTL)),
    (Call::fdatasync, Always),
    (Call::fstat, Always),
    (Call::fstatfs, Always),
    (Call::fsync, Always),
    (Call::ftruncate, Always),
    (Call::getdents64, Always),
    (Call::ioctl, OneOf(1, IOCTL)),
    (Call::lseek, Always),
    (Call::pread64, Always),
    (Call::preadv, Always),
    (Call::preadv2, Always),
    (Call::pwrite64, Always),
    (Call::pwritev, Always),
    (Call::pwritev2, Always),
    (Call::read, Always),
    (Call::readv, Always),
    (Call::sync_file_range, Always),
    (Call::write, Always),
    (Call::writev, Always),
    // Paths below a preopened directory.
    (Call::faccessat, Always),
    (Call::faccessat2, Always),
    (Call::linkat, Always),
    (Call::mkdirat, Always),
    #[cfg(target_arch = "x86_64")]
    (Call::newfstatat, Always),
    #[cfg(target_arch = "aarch64")]
    (Call::fstatat, Always),
    (Call::openat, Always),
    (Call::openat2, Always),
    (Call::readlinkat, Always),
    (Call::renameat, Always),
    (Call::renameat2, Always),
    (Call::statx, Always),
    (Call::symlinkat, Always),
    (Call::unlinkat, Always),
    (Call::utimensat, Always),
    // Waiting and time.
    (Call::clock_getres, Always),
    (Call::clock_gettime, Always),
    (Call::clock_nanosleep, Always),
    (Call::epoll_create1, Always),
    (Call::epoll_ctl, Always),
    (Call::epoll_pwait, Always),
    (Call::epoll_pwait2, Always),
    #[cfg(target_arch = "x86_64")]
    (Call::epoll_wait, Always),
    (Call::eventfd2, Always),
    (Call::futex, Always),
    (Call::gettimeofday, Always),
    (Call::nanosleep, Always),
    (Call::pipe2, Always),
    #[cfg(target_arch = "x86_64")]
    (Call::poll, Always),
    (Call::ppoll, Always),
    (Call::sched_yield, Always),
    (Call::timerfd_create, Always),
    (Call::timerfd_gettime, Always),
    (Call::timerfd_settime, Always),
    // The network, of the container's namespace; nothing raw, whatever the capabilities.
    (Call::accept4, Always),
    (Call::bind, Always),
    (Call::connect, Always),
    (Call::getpeername, Always),
    (Call::getsockname, Always),
    (Call::getsockopt, Always),
    (Call::listen, Always),
    (Call::recvfrom, Always),
    (Call::recvmmsg, Always),
    (Call::recvmsg, Always),
    (Call::sendmmsg, Always),
    (Call::sendmsg, Always),
    (Call::sendto, Always),
    (Call::setsockopt, Always),
    (Call::shutdown, Always),
    (Call::socket, Internet),
    (Call::socketpair, OneOf(0, &[int(libc::AF_UNIX)])),
    // Signals, to ourselves only; and the end.
    (Call::exit, Always),
    (Call::exit_group, Always),
    (Call::restart_syscall, Always),
    (Call::rt_sigaction, Always),
    (Call::rt_sigprocmask, Always),
    (Call::rt_sigreturn, Always),
    (Call::sigaltstack, Always),
    (Call::tgkill, Own(0)),
    // Itself.
    (Call::getcpu, Always),
    (Call::getegid, Always),
    (Call::geteuid, Always),
    (Call::getgid, Always),
    (Call::getpid, Always),
    (Call::getrandom, Always),
    (Call::getrusage, Always),
    (Call::gettid, Always),
    (Call::getuid, Always),
    (Call::prlimit64, Null(2)),
    (Call::rseq, Always),
    (Call::sched_getaffinity, Always),
    (Call::set_robust_list, Always),
    (Call::sysinfo, Always),
    (Call::uname, Always),
    // Until the seal takes them away.
    (Call::prctl, OneOf(0, PRCTL)),
    (Call::seccomp, Always),
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
pub(super) const COMPILER: &[(Call, When)] = &[
    (Call::brk, Always),
    (Call::madvise, Always),
    (Call::mmap, NOT_EXECUTABLE),
    (Call::mprotect, NOT_EXECUTABLE),
    (Call::mremap, Always),
    (Call::munmap, Always),
    (Call::close, Always),
    (Call::dup, Always),
    (Call::fcntl, OneOf(1, FCNTL)),
    (Call::fdatasync, Always),
    (Call::fstat, Always),
    (Call::fsync, Always),
    (Call::ftruncate, Always),
    (Call::lseek, Always),
    (Call::pread64, Always),
    (Call::pwrite64, Always),
    (Call::read, Always),
    (Call::readv, Always),
    (Call::write, Always),
    (Call::writev, Always),
    (Call::clock_getres, Always),
    (Call::clock_gettime, Always),
    (Call::clock_nanosleep, Always),
    (Call::futex, Always),
    (Call::gettimeofday, Always),
    (Call::nanosleep, Always),
    #[cfg(target_arch = "x86_64")]
    (Call::poll, Always),
    (Call::ppoll, Always),
    (Call::sched_getaffinity, Always),
    (Call::sched_yield, Always),
    (Call::recvfrom, Always),
    (Call::recvmsg, Always),
    (Call::sendmsg, Always),
    (Call::sendto, Always),
    (Call::clone, THREAD),
    (Call::exit, Always),
    (Call::exit_group, Always),
    (Call::prctl, OneOf(0, &[int(libc::PR_SET_NAME)])),
    (Call::restart_syscall, Always),
    (Call::rseq, Always),
    (Call::rt_sigaction, Always),
    (Call::rt_sigprocmask, Always),
    (Call::rt_sigreturn, Always),
    (Call::set_robust_list, Always),
    (Call::sigaltstack, Always),
    (Call::tgkill, Own(0)),
    (Call::getcpu, Always),
    (Call::getpid, Always),
    (Call::getrandom, Always),
    (Call::getrusage, Always),
    (Call::gettid, Always),
    (Call::prlimit64, Null(2)),
    (Call::sysinfo, Always),
    (Call::uname, Always),
];

/// What a holder may call: memory for its two records, the records, and waiting until it is told to end.
pub(super) const HOLDER: &[(Call, When)] = &[
    (Call::brk, Always),
    (Call::madvise, Always),
    (Call::mmap, NOT_EXECUTABLE),
    (Call::mremap, Always),
    (Call::munmap, Always),
    (Call::recvfrom, Always),
    (Call::sendto, Always),
    #[cfg(target_arch = "x86_64")]
    (Call::pause, Always),
    (Call::ppoll, Always),
    (Call::exit, Always),
    (Call::exit_group, Always),
    (Call::restart_syscall, Always),
    (Call::rt_sigreturn, Always),
];

/// What nothing here ever tries by mistake: who calls it has taken the process over, and it dies at once.
pub(super) const HOSTILE: &[Call] = &[
    Call::add_key,
    Call::bpf,
    Call::chroot,
    Call::delete_module,
    Call::execve,
    Call::execveat,
    Call::finit_module,
    #[cfg(target_arch = "x86_64")]
    Call::fork,
    Call::fsmount,
    Call::fsopen,
    Call::init_module,
    Call::io_uring_setup,
    #[cfg(target_arch = "x86_64")]
    Call::ioperm,
    #[cfg(target_arch = "x86_64")]
    Call::iopl,
    Call::kcmp,
    Call::kexec_file_load,
    Call::kexec_load,
    Call::keyctl,
    #[cfg(target_arch = "x86_64")]
    Call::mknod,
    Call::mknodat,
    Call::mount,
    Call::mount_setattr,
    Call::move_mount,
    Call::name_to_handle_at,
    Call::open_by_handle_at,
    Call::open_tree,
    Call::perf_event_open,
    Call::pidfd_getfd,
    Call::pivot_root,
    Call::process_vm_readv,
    Call::process_vm_writev,
    Call::ptrace,
    Call::reboot,
    Call::request_key,
    Call::setns,
    Call::swapoff,
    Call::swapon,
    Call::umount2,
    Call::unshare,
    Call::userfaultfd,
    #[cfg(target_arch = "x86_64")]
    Call::vfork,
];
