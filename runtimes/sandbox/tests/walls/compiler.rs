//! The compile process: bytes in, bytes out, and nothing else.

use crate::harness::{End, Test, directory, fork, host_directory, newborn};
use crate::probe::{call, map, open_at};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;

pub(crate) const TESTS: &[Test] = &[
    ("compiler::it_compiles", compiles),
    ("compiler::it_has_no_files", no_files),
    ("compiler::it_has_no_descriptor_but_those_it_keeps", no_descriptors),
    ("compiler::it_has_no_network_process_or_code", nothing_else),
    ("compiler::hostile_calls_end_it", hostile_calls),
    ("compiler::it_is_nobody", nobody),
    ("compiler::it_dies_with_its_parent", dies_with_its_parent),
];

/// Runs `probe` in a confined process that keeps stdio and `keep`.
fn confined(keep: &[i32], probe: impl FnOnce()) {
    assert_eq!(confined_end(keep, probe), End::Passed);
}

fn confined_end(keep: &[i32], probe: impl FnOnce()) -> End {
    newborn(|| {
        let keep = [&[0, 1, 2], keep].concat();
        pinnace_sandbox::confine_compiler(&keep).expect("confine");
        probe();
    })
    .end()
}

fn compiles() {
    let volume = host_directory("compile");
    let path = format!("{volume}/artifact");
    let mut output = fs::File::create(&path).expect("file");
    confined(&[output.as_raw_fd()], || {
        // What a compiler does: threads, memory, and its output.
        let threads: Vec<_> = (0..3_u64)
            .map(|seed| std::thread::spawn(move || (0..1000).fold(vec![seed; 1 << 16], |memory, _| memory)))
            .collect();
        let sum: u64 = threads.into_iter().map(|thread| thread.join().expect("thread")[0]).sum();
        assert_eq!(sum, 3);
        let _ = std::thread::available_parallelism();
        output.write_all(b"artifact").expect("write");
        output.set_len(4).expect("ftruncate");
        output.sync_all().expect("fsync");
    });
    assert_eq!(fs::read(&path).expect("artifact"), b"arti");
}

fn no_files() {
    confined(&[], || {
        for path in ["/", ".", "/etc/passwd", "/proc/self/mem", "/dev/null"] {
            assert_eq!(open_at(libc::AT_FDCWD, path, libc::O_RDONLY), Err(libc::ENOSYS), "{path}");
        }
    });
}

fn no_descriptors() {
    let leaked = directory("/");
    let kept = directory("/mnt");
    let number = leaked.as_raw_fd() as u64;
    confined(&[kept.as_raw_fd()], || {
        assert_eq!(call(libc::SYS_fcntl, &[number, libc::F_GETFD as u64]), Err(libc::EBADF));
        call(libc::SYS_fcntl, &[kept.as_raw_fd() as u64, libc::F_GETFD as u64]).expect("kept");
        std::mem::forget(leaked);
    });
}

fn nothing_else() {
    confined(&[], || {
        let gone = Err(libc::ENOSYS);
        for family in [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX, libc::AF_NETLINK] {
            assert_eq!(call(libc::SYS_socket, &[family as u64, 1]), gone);
        }
        assert_eq!(call(libc::SYS_clone, &[libc::SIGCHLD as u64]), gone);
        let namespace = libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND | libc::CLONE_NEWUSER;
        assert_eq!(call(libc::SYS_clone, &[namespace as u64]), gone);
        assert_eq!(call(libc::SYS_clone3, &[]), gone);
        assert_eq!(call(libc::SYS_kill, &[1, 0]), gone);
        assert_eq!(call(libc::SYS_memfd_create, &[c"memory".as_ptr() as u64]), gone);
        assert_eq!(map(-1, libc::PROT_EXEC), Err(libc::ENOSYS));
        let page = map(-1, libc::PROT_READ | libc::PROT_WRITE).expect("memory") as u64;
        assert_eq!(call(libc::SYS_mprotect, &[page, 4096, libc::PROT_EXEC as u64]), gone);
        assert_eq!(call(libc::SYS_seccomp, &[1, 0, 0]), gone);
        assert_eq!(call(libc::SYS_prctl, &[libc::PR_SET_DUMPABLE as u64, 1]), gone);
    });
}

fn hostile_calls() {
    for number in [libc::SYS_execve, libc::SYS_ptrace, libc::SYS_mount, libc::SYS_unshare, libc::SYS_bpf] {
        let end = confined_end(&[], || panic!("came back: {:?}", call(number, &[])));
        assert_eq!(end, End::Signal(libc::SIGSYS));
    }
}

fn nobody() {
    // Looked at from outside, for inside it cannot even ask.
    let (mut ours, mut theirs) = crate::harness::pair();
    let keep = [0, 1, 2, theirs.as_raw_fd()];
    let child = newborn(|| {
        pinnace_sandbox::confine_compiler(&keep).expect("confine");
        theirs.write_all(b"r").expect("ready");
        theirs.read_exact(&mut [0]).expect("released");
    });
    ours.read_exact(&mut [0]).expect("ready");
    let status = fs::read_to_string(format!("/proc/{}/status", child.0)).expect("status");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect(name);
        line.split_once(':').expect("a field").1.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(field("Uid:"), ["65534"; 4]);
    assert_eq!(field("Gid:"), ["65534"; 4]);
    assert!(field("Groups:").is_empty());
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), ["0000000000000000"], "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    assert_eq!(field("Seccomp:"), ["2"]);
    // Its root is empty, read-only, and all there is.
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", child.0)).expect("mountinfo");
    assert_eq!(mounts.lines().count(), 1, "{mounts}");
    assert!(mounts.contains(" / / ro,nosuid,nodev,noexec"), "{mounts}");
    // A process of the same user cannot touch it.
    let pid = child.0;
    let attacker = fork(|| {
        // SAFETY: one thread; ids only.
        assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
        let memory = fs::File::open(format!("/proc/{pid}/mem"));
        assert_eq!(crate::probe::refusal(memory), libc::EACCES);
    });
    assert_eq!(attacker.end(), End::Passed);
    ours.write_all(b"g").expect("release");
    assert_eq!(child.end(), End::Passed);
}

fn dies_with_its_parent() {
    let (mut ours, theirs) = crate::harness::pair();
    let parent = fork(|| {
        let (mut ready, mut tell) = crate::harness::pair();
        let keep = [0, 1, 2, theirs.as_raw_fd(), tell.as_raw_fd()];
        let _child = newborn(|| {
            pinnace_sandbox::confine_compiler(&keep).expect("confine");
            tell.write_all(b"i").expect("tell");
            // Holds the other end of `ours` as long as it lives; SIGALRM would end it in 20 s.
            std::thread::sleep(std::time::Duration::from_secs(15));
        });
        ready.read_exact(&mut [0]).expect("confined");
    });
    drop(theirs);
    assert_eq!(parent.end(), End::Passed);
    assert_eq!(ours.read(&mut [0]).expect("end of file, not a time-out"), 0);
}
