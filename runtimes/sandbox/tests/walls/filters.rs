//! System calls: what an engine needs goes through, all else does not, and what is hostile ends the process.

use crate::harness::{End, Test, inside, newborn, try_enter};
use crate::probe::{call, map, open_at, prctl};
use pinnace_plan::{Arg, ArgOp, Seccomp, SeccompAction, SeccompRule};
use std::os::fd::AsRawFd;

pub(crate) const TESTS: &[Test] = &[
    ("filters::a_filter_is_in_force", in_force),
    ("filters::what_an_engine_needs_goes_through", needed_calls),
    ("filters::what_it_does_not_need_does_not", unneeded_calls),
    ("filters::hostile_calls_end_the_process", hostile_calls),
    ("filters::the_other_word_size_ends_the_process", other_word_size),
    ("filters::the_spec_s_profile_adds_refusals", profile_adds),
    ("filters::the_spec_s_default_refuses_the_rest", profile_default),
    ("filters::the_spec_s_killing_default_kills", profile_kills),
    ("filters::an_engine_s_own_calls_are_added", engine_calls),
    ("filters::after_the_seal_nothing_becomes_executable", seal),
    ("filters::a_profile_cannot_keep_the_seal_away", seal_despite_profile),
];

/// Enters, filters, and probes.
fn filtered(profile: Option<Seccomp>, probe: impl FnOnce()) {
    inside(
        |_| {},
        |_| {
            pinnace_sandbox::filter(&profile, &[]).expect("filter");
            probe();
        },
    );
}

fn in_force() {
    filtered(None, || {
        // Asking is refused too; what was set cannot be seen from here but by what fails.
        assert_eq!(prctl(libc::PR_GET_SECCOMP), -1);
    });
}

fn needed_calls() {
    filtered(None, || {
        let file = open_at(libc::AT_FDCWD, "/tmp/file", libc::O_CREAT | libc::O_RDWR).expect("open");
        call(libc::SYS_ftruncate, &[file as u64, 4096]).expect("ftruncate");
        map(file, libc::PROT_READ).expect("mmap");
        let code = map(-1, libc::PROT_READ | libc::PROT_EXEC).expect("code, until the seal");
        call(libc::SYS_munmap, &[code as u64, 4096]).expect("munmap");
        call(libc::SYS_memfd_create, &[c"memory".as_ptr() as u64, 0]).expect("memfd_create");
        call(libc::SYS_fcntl, &[file as u64, libc::F_DUPFD_CLOEXEC as u64, 0]).expect("dup");
        for family in [libc::AF_INET, libc::AF_INET6] {
            for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC] {
                call(libc::SYS_socket, &[family as u64, kind as u64]).expect("socket");
            }
        }
        std::os::unix::net::UnixStream::pair().expect("socketpair");
        let listener = std::net::UdpSocket::bind("0.0.0.0:0").expect("bind");
        listener.local_addr().expect("getsockname");
        std::thread::sleep(std::time::Duration::from_millis(1));
        let _ = std::time::SystemTime::now();
        // Below a preopened directory, as WASI does it.
        use rustix::fs::{AtFlags, CWD, mkdirat, renameat, unlinkat};
        mkdirat(CWD, "/tmp/directory", 0o700.into()).expect("mkdirat");
        std::fs::read_dir("/tmp").expect("getdents64").count();
        renameat(CWD, "/tmp/file", CWD, "/tmp/directory/file").expect("renameat");
        unlinkat(CWD, "/tmp/directory/file", AtFlags::empty()).expect("unlinkat");
        let mut bytes = [0_u8; 8];
        call(libc::SYS_getrandom, &[bytes.as_mut_ptr() as u64, 8, 0]).expect("getrandom");
    });
}

fn unneeded_calls() {
    filtered(None, || {
        let gone = Err(libc::ENOSYS);
        for family in [
            libc::AF_UNIX,
            libc::AF_NETLINK,
            libc::AF_PACKET,
            libc::AF_ALG,
            libc::AF_VSOCK,
            libc::AF_BLUETOOTH,
            libc::AF_XDP,
        ] {
            let made = call(libc::SYS_socket, &[family as u64, libc::SOCK_RAW as u64]);
            assert_eq!(made, gone, "family {family}");
        }
        // Nothing raw, not even for the families that there are.
        for kind in [libc::SOCK_RAW, libc::SOCK_SEQPACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC] {
            assert_eq!(call(libc::SYS_socket, &[libc::AF_INET as u64, kind as u64, 1]), gone, "type {kind}");
        }
        // The upper half of an argument does not help.
        assert_eq!(call(libc::SYS_socket, &[(1 << 32) | libc::AF_NETLINK as u64, 3, 0]), gone);
        let signal = libc::SIGCHLD as u64;
        assert_eq!(call(libc::SYS_clone, &[signal]), gone);
        let thread = (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND) as u64;
        assert_eq!(call(libc::SYS_clone, &[thread]), gone);
        assert_eq!(call(libc::SYS_clone3, &[0, 0]), gone);
        assert_eq!(call(libc::SYS_kill, &[1, 0]), gone);
        assert_eq!(call(libc::SYS_tgkill, &[1, 1, 0]), gone);
        assert_eq!(call(libc::SYS_setuid, &[0]), gone);
        assert_eq!(call(libc::SYS_capset, &[0, 0]), gone);
        assert_eq!(call(libc::SYS_shmget, &[0, 4096, 0o600]), gone);
        assert_eq!(call(libc::SYS_personality, &[0x040_0000]), gone);
        assert_eq!(call(libc::SYS_ioctl, &[0, libc::TIOCSTI]), gone);
        assert_eq!(call(libc::SYS_fcntl, &[0, libc::F_SETOWN as u64, 1]), gone);
        assert_eq!(call(libc::SYS_prctl, &[libc::PR_SET_DUMPABLE as u64, 1]), gone);
        assert_eq!(call(libc::SYS_prctl, &[libc::PR_SET_PDEATHSIG as u64, 0]), gone);
        // Setting a limit; reading one goes through.
        let limit = [0_u64, 0];
        let number = u64::from(libc::RLIMIT_NOFILE);
        assert_eq!(call(libc::SYS_prlimit64, &[0, number, limit.as_ptr() as u64, 0]), gone);
        assert_eq!(call(libc::SYS_prlimit64, &[0, number, 0, limit.as_ptr() as u64]), Ok(0));
    });
}

fn hostile_calls() {
    for (name, number) in [
        ("bpf", libc::SYS_bpf),
        ("chroot", libc::SYS_chroot),
        ("execve", libc::SYS_execve),
        ("execveat", libc::SYS_execveat),
        ("init_module", libc::SYS_init_module),
        ("io_uring_setup", libc::SYS_io_uring_setup),
        ("keyctl", libc::SYS_keyctl),
        ("mknodat", libc::SYS_mknodat),
        ("mount", libc::SYS_mount),
        ("move_mount", libc::SYS_move_mount),
        ("open_by_handle_at", libc::SYS_open_by_handle_at),
        ("open_tree", libc::SYS_open_tree),
        ("perf_event_open", libc::SYS_perf_event_open),
        ("pidfd_getfd", libc::SYS_pidfd_getfd),
        ("pivot_root", libc::SYS_pivot_root),
        ("process_vm_readv", libc::SYS_process_vm_readv),
        ("process_vm_writev", libc::SYS_process_vm_writev),
        ("ptrace", libc::SYS_ptrace),
        ("setns", libc::SYS_setns),
        ("umount2", libc::SYS_umount2),
        ("unshare", libc::SYS_unshare),
        ("userfaultfd", libc::SYS_userfaultfd),
    ] {
        let child = newborn(|| {
            try_enter(|_| {}).expect("enter");
            pinnace_sandbox::filter(&None, &[]).expect("filter");
            panic!("{name} came back: {:?}", call(number, &[]));
        });
        assert_eq!(child.end(), End::Signal(libc::SIGSYS), "{name}");
    }
}

#[cfg(target_arch = "x86_64")]
fn other_word_size() {
    // x32: the same architecture to the kernel, another number.
    filtered(None, || {
        assert_eq!(call(0x4000_0000 | libc::SYS_getpid, &[]), Err(libc::ENOSYS));
    });
    let child = newborn(|| {
        try_enter(|_| {}).expect("enter");
        pinnace_sandbox::filter(&None, &[]).expect("filter");
        let mut result = 20_u64;
        // SAFETY: getpid of the 32-bit table takes no argument; rbx is LLVM's own, and not touched.
        unsafe {
            std::arch::asm!("int 0x80", inout("rax") result, out("r8") _, out("r9") _, out("r10") _, out("r11") _)
        };
        panic!("int 0x80 came back: {result}");
    });
    assert_eq!(child.end(), End::Signal(libc::SIGSYS));
}

#[cfg(not(target_arch = "x86_64"))]
fn other_word_size() {
    // Not another table of this architecture that programs of ours could reach without exec.
}

fn profile(default: SeccompAction, rules: Vec<SeccompRule>) -> Option<Seccomp> {
    Some(Seccomp { default, rules })
}

fn rule(names: &[&str], action: SeccompAction, args: Vec<Arg>) -> SeccompRule {
    SeccompRule { names: names.iter().map(|name| (*name).to_owned()).collect(), action, args }
}

fn profile_adds() {
    let inet6 = Arg { index: 0, value: libc::AF_INET6 as u64, value_two: 0, op: ArgOp::Equal };
    let rules = vec![
        rule(&["uname", "no_such_call"], SeccompAction::Errno(libc::EXDEV as u32), vec![]),
        rule(&["socket"], SeccompAction::Errno(libc::EDOM as u32), vec![inet6]),
        // What it allows and we do not stays refused.
        rule(&["kill", "ptrace"], SeccompAction::Allow, vec![]),
    ];
    filtered(profile(SeccompAction::Allow, rules), || {
        let mut name = std::mem::MaybeUninit::<libc::utsname>::uninit();
        assert_eq!(call(libc::SYS_uname, &[name.as_mut_ptr() as u64]), Err(libc::EXDEV));
        assert_eq!(call(libc::SYS_socket, &[libc::AF_INET6 as u64, 1]), Err(libc::EDOM));
        call(libc::SYS_socket, &[libc::AF_INET as u64, 1]).expect("another family");
        assert_eq!(call(libc::SYS_kill, &[1, 0]), Err(libc::ENOSYS));
    });
}

fn profile_default() {
    let base = ["exit_group", "write", "munmap", "mmap", "close", "rt_sigprocmask", "sigaltstack", "getuid"];
    let rules = vec![rule(&base, SeccompAction::Allow, vec![])];
    filtered(profile(SeccompAction::Errno(libc::EPERM as u32), rules), || {
        call(libc::SYS_getuid, &[]).expect("named");
        assert_eq!(call(libc::SYS_getgid, &[]), Err(libc::EPERM));
        assert_eq!(call(libc::SYS_socket, &[libc::AF_INET as u64, 1]), Err(libc::EPERM));
        assert_eq!(call(libc::SYS_socket, &[libc::AF_NETLINK as u64, 3]), Err(libc::ENOSYS));
    });
}

fn profile_kills() {
    let child = newborn(|| {
        try_enter(|_| {}).expect("enter");
        let rules = vec![rule(&["exit_group", "write", "kill"], SeccompAction::Allow, vec![])];
        pinnace_sandbox::filter(&profile(SeccompAction::KillProcess, rules), &[]).expect("filter");
        assert_eq!(call(libc::SYS_kill, &[1, 0]), Err(libc::ENOSYS));
        call(libc::SYS_getuid, &[]).expect("must not come back");
    });
    assert_eq!(child.end(), End::Signal(libc::SIGSYS));
}

fn engine_calls() {
    inside(
        |_| {},
        |_| {
            pinnace_sandbox::filter(&None, &["getppid"]).expect("filter");
            call(libc::SYS_getppid, &[]).expect("added");
        },
    );
    inside(
        |_| {},
        |_| {
            let error = pinnace_sandbox::filter(&None, &["getcoffee"]).expect_err("no such call");
            assert!(error.to_string().contains("\"getcoffee\""));
        },
    );
    inside(
        |_| {},
        |_| {
            pinnace_sandbox::filter(&None, &["clone"]).expect("filter");
            let gone = Err(libc::ENOSYS);
            assert_eq!(call(libc::SYS_clone, &[libc::SIGCHLD as u64]), gone, "threads, but no processes");
            let thread = (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_NEWUSER) as u64;
            assert_eq!(call(libc::SYS_clone, &[thread]), gone, "and no namespaces");
        },
    );
}

fn sealed() {
    let page = map(-1, libc::PROT_READ | libc::PROT_WRITE).expect("memory");
    let no = Err(libc::EPERM);
    for protection in [
        libc::PROT_EXEC,
        libc::PROT_EXEC | libc::PROT_READ,
        libc::PROT_EXEC | libc::PROT_READ | libc::PROT_WRITE,
    ] {
        assert_eq!(call(libc::SYS_mprotect, &[page as u64, 4096, protection as u64]), no);
        let upper = (1_u64 << 32) | protection as u64;
        assert_eq!(call(libc::SYS_mprotect, &[page as u64, 4096, upper]), no);
        assert_eq!(map(-1, protection), Err(libc::EPERM));
    }
    assert_eq!(call(libc::SYS_memfd_create, &[c"memory".as_ptr() as u64, 0]), no);
    assert_eq!(call(libc::SYS_seccomp, &[1, 0, 0]), no);
    assert_eq!(call(libc::SYS_prctl, &[libc::PR_SET_NAME as u64, c"name".as_ptr() as u64]), no);
    call(libc::SYS_mprotect, &[page as u64, 4096, libc::PROT_READ as u64]).expect("memory stays memory");
    map(-1, libc::PROT_READ | libc::PROT_WRITE).expect("memory can still be had");
}

fn seal() {
    filtered(None, || {
        // What the guest's code is mapped from before.
        let program = std::fs::File::open("/etc/name").expect("file");
        assert_eq!(map(program.as_raw_fd(), libc::PROT_EXEC), Err(libc::EPERM));
        pinnace_sandbox::seal().expect("seal");
        sealed();
    });
}

fn seal_despite_profile() {
    let base =
        ["exit_group", "write", "munmap", "mmap", "mprotect", "close", "rt_sigprocmask", "sigaltstack"];
    for default in [SeccompAction::Errno(libc::EPERM as u32), SeccompAction::KillProcess] {
        let mut rules = vec![rule(&base, SeccompAction::Allow, vec![])];
        rules.push(rule(&["memfd_create", "brk"], SeccompAction::Allow, vec![]));
        rules.push(rule(&["seccomp", "prctl"], SeccompAction::Errno(1), vec![]));
        filtered(profile(default, rules), || {
            pinnace_sandbox::seal().expect("seal");
            sealed();
        });
    }
}
