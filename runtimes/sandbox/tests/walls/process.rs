//! Who the process is, what it may do, and who may touch it.

use crate::harness::{Child, End, Files as _, Test, enter, fork, image, inside, newborn, plain, refused};
use crate::probe::{call, errno, prctl};
use pinnace_plan::{Capabilities, Namespace, Rlimit, User};
use pinnace_sandbox::Warning;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;

pub(crate) const TESTS: &[Test] = &[
    ("process::it_has_no_privilege_left", no_privilege_left),
    ("process::it_may_be_the_first_of_its_pid_namespace", first_of_its_namespace),
    ("process::it_is_the_spec_s_user", the_spec_s_user),
    ("process::capabilities_are_the_spec_s", capabilities_are_the_spec_s),
    ("process::unknown_names_are_refused", unknown_names),
    ("process::a_neighbour_of_the_same_user_cannot_touch_it", neighbour),
    ("process::it_dies_with_its_parent_after_the_change_of_user", dies_with_its_parent),
    ("process::it_signals_nobody_outside", signals_nobody),
    ("process::limits_hold", limits_hold),
    ("process::a_limit_that_cannot_be_raised_is_told", limit_not_raised),
    ("process::what_cannot_be_had_is_told", what_cannot_be_had),
    ("process::umask_is_the_spec_s", umask),
    ("process::namespaces_are_joined_and_named", namespaces),
    ("process::sysctls_are_written_in_the_namespace", sysctls),
];

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn capabilities() -> capctl::CapState {
    capctl::CapState::get_current().expect("capget")
}

fn no_privilege_left() {
    for uid in [0, 1000] {
        inside(
            |sandbox| sandbox.user = User { uid, gid: uid, ..User::default() },
            |_| {
                let none = capctl::CapSet::empty();
                let now = capabilities();
                assert_eq!((now.permitted, now.effective, now.inheritable), (none, none, none));
                assert_eq!(capctl::bounding::probe(), none);
                assert_eq!(capctl::ambient::probe(), Some(none));
                assert_eq!(prctl(libc::PR_GET_NO_NEW_PRIVS), 1);
                assert_eq!(prctl(libc::PR_GET_DUMPABLE), 0);
                assert_eq!(prctl(libc::PR_GET_KEEPCAPS), 0);
                let mut signal = 0;
                // SAFETY: the pointer is to an int that lives over the call.
                unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal) };
                assert_eq!(signal, libc::SIGKILL);
            },
        );
    }
}

/// The host's `/proc` knows it by another number, and knows its `self` all the same.
fn first_of_its_namespace() {
    let volume = crate::harness::host_directory("first");
    fs::create_dir(format!("{volume}/below")).expect("directory");
    let none = rustix::mount::MountFlags::empty();
    rustix::mount::mount("none", format!("{volume}/below"), "tmpfs", none, None).expect("tmpfs");
    fs::write(format!("{volume}/below/file"), "").expect("file");
    let outer = newborn(|| {
        // SAFETY: one thread; the next child is the first of the namespace.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWPID) }.expect("unshare");
        let inner = fork(|| {
            assert_eq!(std::process::id(), 1);
            pinnace_sandbox::harden().expect("harden");
            let mut sandbox = plain(image());
            sandbox.files().mounts.push(crate::harness::bind(&volume, "/data"));
            sandbox.sysctls.push(("net.ipv4.ip_forward".to_owned(), "1".to_owned()));
            enter(&sandbox, &[]).expect("enter");
            assert!(fs::exists("/data/below/file").expect("the mount below"));
            pinnace_sandbox::filter(&None, &[]).expect("filter");
            assert_eq!(call(libc::SYS_tgkill, &[1, 1, 0]), Ok(0));
        });
        assert_eq!(inner.end(), End::Passed);
    });
    assert_eq!(outer.end(), End::Passed);
}

fn the_spec_s_user() {
    inside(
        |sandbox| sandbox.user = User { uid: 1000, gid: 2000, groups: vec![3000, 4000], umask: None },
        |_| {
            let (mut real, mut effective, mut saved) = (0, 0, 0);
            // SAFETY: three integers that live over the calls.
            unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) };
            assert_eq!((real, effective, saved), (1000, 1000, 1000));
            // SAFETY: as above.
            unsafe { libc::getresgid(&raw mut real, &raw mut effective, &raw mut saved) };
            assert_eq!((real, effective, saved), (2000, 2000, 2000));
            let groups = rustix::process::getgroups().expect("groups");
            assert_eq!(groups.iter().map(|gid| gid.as_raw()).collect::<Vec<_>>(), [3000, 4000]);
            fs::write("/tmp/mine", "").expect("file");
            let file = fs::metadata("/tmp/mine").expect("file");
            assert_eq!((file.uid(), file.gid()), (1000, 2000));
            assert_eq!(call(libc::SYS_setuid, &[0]), Err(libc::EPERM));
        },
    );
    // Root's groups do not stay either.
    inside(|_| {}, |_| assert_eq!(rustix::process::getgroups().expect("groups"), []));
}

fn capabilities_are_the_spec_s() {
    use capctl::{Cap, CapSet};
    let two: CapSet = [Cap::NET_BIND_SERVICE, Cap::DAC_OVERRIDE].into_iter().collect();
    let one: CapSet = [Cap::NET_BIND_SERVICE].into_iter().collect();
    // As after an exec: who is not root keeps what is ambient.
    for (uid, permitted) in [(0, two), (1000, one)] {
        inside(
            |sandbox| {
                sandbox.user = User { uid, gid: uid, ..User::default() };
                sandbox.capabilities = Capabilities {
                    bounding: strings(&["NET_BIND_SERVICE", "DAC_OVERRIDE", "KILL"]),
                    permitted: strings(&["NET_BIND_SERVICE", "DAC_OVERRIDE"]),
                    effective: strings(&["NET_BIND_SERVICE"]),
                    inheritable: strings(&["NET_BIND_SERVICE"]),
                    ambient: strings(&["NET_BIND_SERVICE", "DAC_OVERRIDE"]),
                };
            },
            |entered| {
                assert_eq!(entered.warnings, []);
                let now = capabilities();
                assert_eq!((now.permitted, now.effective, now.inheritable), (permitted, one, one));
                assert_eq!(capctl::ambient::probe(), Some(one));
                assert_eq!(capctl::bounding::probe(), two | [Cap::KILL].into_iter().collect());
            },
        );
    }
    // What the runtime itself lacks is told, not an error.
    let child = newborn(|| {
        let mut held = capabilities();
        held.permitted.drop(Cap::SYS_BOOT);
        held.effective.drop(Cap::SYS_BOOT);
        held.set_current().expect("capset");
        let mut sandbox = plain(image());
        sandbox.capabilities.permitted = strings(&["SYS_BOOT", "KILL"]);
        let entered = enter(&sandbox, &[]).expect("enter");
        assert_eq!(entered.warnings, [Warning::CapabilitiesMissing { names: strings(&["CAP_SYS_BOOT"]) }]);
        assert_eq!(capabilities().permitted, [Cap::KILL].into_iter().collect());
    });
    assert_eq!(child.end(), End::Passed);
}

fn unknown_names() {
    refused(
        |sandbox| sandbox.capabilities.bounding = strings(&["COFFEE"]),
        "capability \"COFFEE\" is unknown",
    );
    let limit = Rlimit { kind: "RLIMIT_COFFEE".to_owned(), soft: 1, hard: 1 };
    refused(|sandbox| sandbox.rlimits.push(limit), "resource limit \"RLIMIT_COFFEE\" is unknown");
    for key in ["kernel.core_pattern", "net/../kernel/core_pattern"] {
        let entry = (key.to_owned(), "|/bin/false".to_owned());
        refused(|sandbox| sandbox.sysctls.push(entry), "does not belong to a namespace");
    }
}

/// A process of user 1000, inside a sandbox or not, that waits until it is released.
fn bystander(sandboxed: bool) -> (Child, UnixStream) {
    let (mut ours, mut theirs) = crate::harness::pair();
    let child = newborn(|| {
        if sandboxed {
            pinnace_sandbox::harden().expect("harden");
            let mut sandbox = plain(image());
            sandbox.user = User { uid: 1000, gid: 1000, ..User::default() };
            enter(&sandbox, &[]).expect("enter");
        } else {
            become_user_1000();
            prctl_dumpable();
        }
        theirs.write_all(b"r").expect("ready");
        theirs.read_exact(&mut [0]).expect("released");
    });
    ours.read_exact(&mut [0]).expect("ready");
    (child, ours)
}

fn become_user_1000() {
    // SAFETY: one thread; ids only.
    unsafe {
        assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
        assert_eq!(libc::setresgid(1000, 1000, 1000), 0);
        assert_eq!(libc::setresuid(1000, 1000, 1000), 0);
    }
}

fn prctl_dumpable() {
    // SAFETY: takes no pointer.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) }, 0);
}

/// What user 1000 can do to `pid`: open its memory, read it, trace it.
fn attack(pid: libc::pid_t) -> [i32; 3] {
    let memory = fs::OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"));
    let mut byte = 0_u8;
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // Both were forked from this program, so what is here is there too.
    let remote = libc::iovec { iov_base: b"x".as_ptr().cast_mut().cast(), iov_len: 1 };
    // SAFETY: both vectors live over the call, which writes to our byte only.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    let read = if read < 0 { errno() } else { 0 };
    // SAFETY: takes no pointer for this request.
    let traced = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) };
    [crate::probe::refusal(memory), read, if traced < 0 { errno() } else { 0 }]
}

fn neighbour() {
    for (sandboxed, expected) in [(true, [libc::EACCES, libc::EPERM, libc::EPERM]), (false, [0, 0, 0])] {
        let (child, mut ours) = bystander(sandboxed);
        let pid = child.0;
        let attacker = fork(|| {
            become_user_1000();
            assert_eq!(attack(pid), expected, "sandboxed: {sandboxed}");
        });
        assert_eq!(attacker.end(), End::Passed);
        ours.write_all(b"g").expect("release");
        assert_eq!(child.end(), End::Passed);
    }
}

fn dies_with_its_parent() {
    crate::harness::dies_with_its_parent(|sandbox| {
        sandbox.user = User { uid: 1000, gid: 1000, ..User::default() };
    });
}

fn signals_nobody() {
    let parent = std::process::id();
    inside(
        |sandbox| {
            sandbox.capabilities.permitted = strings(&["KILL"]);
            sandbox.capabilities.effective = strings(&["KILL"]);
        },
        |_| {
            assert_eq!(call(libc::SYS_kill, &[u64::from(parent), 0]), Err(libc::EPERM));
            assert_eq!(call(libc::SYS_kill, &[u64::from(std::process::id()), 0]), Ok(0));
        },
    );
}

fn limits_hold() {
    inside(
        |sandbox| {
            let limit = |kind: &str, soft, hard| Rlimit { kind: kind.to_owned(), soft, hard };
            sandbox.rlimits = vec![
                limit("RLIMIT_NOFILE", 64, 128),
                limit("RLIMIT_FSIZE", 4096, 8192),
                limit("RLIMIT_CORE", 0, 0),
                limit("RLIMIT_STACK", 1 << 23, u64::MAX),
            ];
            sandbox.user = User { uid: 1000, gid: 1000, ..User::default() };
        },
        |entered| {
            assert_eq!(entered.warnings, []);
            let limit = rustix::process::getrlimit;
            use rustix::process::Resource;
            let files = limit(Resource::Nofile);
            assert_eq!((files.current, files.maximum), (Some(64), Some(128)));
            let size = limit(Resource::Fsize);
            assert_eq!((size.current, size.maximum), (Some(4096), Some(8192)));
            assert_eq!(limit(Resource::Core).maximum, Some(0));
            assert_eq!(limit(Resource::Stack).maximum, None);
        },
    );
}

fn limit_not_raised() {
    let child = newborn(|| {
        let mut held = capabilities();
        held.effective.drop(capctl::Cap::SYS_RESOURCE);
        held.permitted.drop(capctl::Cap::SYS_RESOURCE);
        held.set_current().expect("capset");
        use rustix::process::{Resource, Rlimit as Native, getrlimit, setrlimit};
        setrlimit(Resource::Nofile, Native { current: Some(100), maximum: Some(200) }).expect("setrlimit");
        let mut sandbox = plain(image());
        let kind = "RLIMIT_NOFILE".to_owned();
        sandbox.rlimits.push(Rlimit { kind: kind.clone(), soft: 150, hard: 1000 });
        let entered = enter(&sandbox, &[]).expect("enter");
        assert_eq!(entered.warnings, [Warning::RlimitNotRaised { kind, hard: 200, wanted: 1000 }]);
        let now = getrlimit(Resource::Nofile);
        assert_eq!((now.current, now.maximum), (Some(150), Some(200)));
    });
    assert_eq!(child.end(), End::Passed);
    // A soft limit above the hard one is the spec's mistake, not a lack of rights.
    let limit = Rlimit { kind: "RLIMIT_NOFILE".to_owned(), soft: 10, hard: 5 };
    refused(|sandbox| sandbox.rlimits.push(limit), "cannot set RLIMIT_NOFILE to soft 10, hard 5");
}

fn what_cannot_be_had() {
    // A kernel without Landlock.
    let child = newborn(|| {
        crate::harness::make_older(&[libc::SYS_landlock_create_ruleset]);
        let entered = crate::harness::try_enter(|_| {}).expect("enter");
        assert_eq!(entered.warnings, [Warning::LandlockMissing]);
    });
    assert_eq!(child.end(), End::Passed);
    // A runtime that may not drop from its bounding set.
    let child = newborn(|| {
        let mut held = capabilities();
        held.effective.drop(capctl::Cap::SETPCAP);
        held.permitted.drop(capctl::Cap::SETPCAP);
        held.set_current().expect("capset");
        let entered = crate::harness::try_enter(|_| {}).expect("enter");
        assert_eq!(entered.warnings, [Warning::BoundingNotDropped]);
        assert_eq!(capabilities().permitted, capctl::CapSet::empty());
    });
    assert_eq!(child.end(), End::Passed);
}

fn umask() {
    for (mask, mode) in [(None, 0o755), (Some(0o027), 0o750), (Some(0), 0o777)] {
        inside(
            |sandbox| sandbox.user.umask = mask,
            |_| {
                fs::create_dir("/tmp/made").expect("directory");
                assert_eq!(fs::metadata("/tmp/made").expect("directory").mode() & 0o7777, mode);
            },
        );
    }
}

fn namespaces() {
    // The pod's: a process that holds namespaces of its own.
    let (mut ours, mut theirs) = crate::harness::pair();
    let pod = newborn(|| {
        rustix::system::sethostname(b"the-pod").expect("sethostname");
        theirs.write_all(b"r").expect("ready");
        theirs.read_exact(&mut [0]).expect("released");
    });
    ours.read_exact(&mut [0]).expect("ready");
    let link = |name: &str| fs::read_link(format!("/proc/{}/ns/{name}", pod.0)).expect(name);
    let open = |name: &str| fs::File::open(format!("/proc/{}/ns/{name}", pod.0)).expect(name);
    let wanted = ["net", "ipc", "uts", "cgroup"].map(link);
    let files = [
        (Namespace::Network, open("net")),
        (Namespace::Ipc, open("ipc")),
        (Namespace::Uts, open("uts")),
        (Namespace::Cgroup, open("cgroup")),
    ];
    // Looked at from outside: inside there is no /proc.
    let (mut ready, mut tell) = crate::harness::pair();
    let child = newborn(|| {
        let mut sandbox = plain(image());
        sandbox.join = files.map(|(kind, file)| (kind, file.into_raw_fd())).into();
        let numbers: Vec<i32> = sandbox.join.iter().map(|(_, fd)| *fd).collect();
        enter(&sandbox, &[]).expect("enter");
        assert_eq!(rustix::system::uname().nodename(), c"the-pod");
        for fd in numbers {
            assert_eq!(call(libc::SYS_fcntl, &[fd as u64, libc::F_GETFD as u64]), Err(libc::EBADF));
        }
        tell.write_all(b"r").expect("ready");
        tell.read_exact(&mut [0]).expect("released");
    });
    ready.read_exact(&mut [0]).expect("ready");
    let joined = ["net", "ipc", "uts", "cgroup"]
        .map(|name| fs::read_link(format!("/proc/{}/ns/{name}", child.0)).expect(name));
    assert_eq!(joined, wanted);
    ours.write_all(b"g").expect("release");
    ready.write_all(b"g").expect("release");
    assert_eq!((child.end(), pod.end()), (End::Passed, End::Passed));

    inside(
        |sandbox| {
            sandbox.hostname = Some("boat".to_owned());
            sandbox.domainname = Some("sea".to_owned());
        },
        |_| {
            assert_eq!(rustix::system::uname().nodename(), c"boat");
            assert_eq!(rustix::system::uname().domainname(), c"sea");
        },
    );
    refused(|sandbox| sandbox.hostname = Some("x".repeat(65)), "cannot set host name");
    // Something else than a namespace, at that number.
    let file = fs::File::open("/etc/passwd").expect("file");
    refused(
        |sandbox| sandbox.join.push((Namespace::Network, file.into_raw_fd())),
        "cannot join the Network namespace",
    );
}

fn sysctls() {
    let before = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").expect("sysctl");
    let (mut ours, mut theirs) = crate::harness::pair();
    let child = newborn(|| {
        let mut sandbox = plain(image());
        sandbox.sysctls = vec![
            ("net.ipv4.ip_unprivileged_port_start".to_owned(), "7".to_owned()),
            ("kernel/shm_rmid_forced".to_owned(), "1".to_owned()),
        ];
        sandbox.user = User { uid: 1000, gid: 1000, ..User::default() };
        enter(&sandbox, &[]).expect("enter");
        // Seen by what it does: this port needs no capability any more.
        std::net::UdpSocket::bind("0.0.0.0:9").expect("an unprivileged port");
        theirs.write_all(b"r").expect("ready");
    });
    ours.read_exact(&mut [0]).expect("ready");
    assert_eq!(child.end(), End::Passed);
    assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").expect("sysctl"), before);
    let entry = ("net.ipv4.no_such_entry".to_owned(), "1".to_owned());
    refused(|sandbox| sandbox.sysctls.push(entry), "cannot set sysctl net.ipv4.no_such_entry to \"1\"");
}
