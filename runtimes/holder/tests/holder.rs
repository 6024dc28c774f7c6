//! A holder as the server makes one, looked at from outside. Needs root, for namespaces.

use pinnace_plan::{Command, Failure, Fd, Holding, Namespace, Report, Rlimit, User, fds};
use pinnace_plan::{decode_record, encode, encode_record};
use pinnace_spawn::{Birth, Child, IdMaps, IdRange, Join, Namespaces, UserNamespace};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid};
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;
use std::time::{Duration, Instant};

/// All that a pod may have of its own.
const ALL: i32 =
    libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// KiB of the program that is shipped; what cargo builds for itself has a loader and relocations too.
const LITTLE: u64 = 64;
const WITH_A_LOADER: u64 = 300;

struct Holder {
    child: Child,
    control: OwnedFd,
}

impl Holder {
    fn born(holding: &Holding, new: i32, more: &[(BorrowedFd<'_>, Fd)]) -> Self {
        // What is shipped, where it is named; else what cargo has just built.
        let program = std::env::var_os("PINNACE_HOLDER");
        let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_pinnace-holder").into());
        let program = File::open(program).expect("the program");
        let null = File::options().read(true).write(true).open("/dev/null").expect("null");
        let plan = pinnace_spawn::sealed("plan", &encode(holding).expect("encodes")).expect("a memfd");
        let (control, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .expect("a socket pair");
        let null = null.as_fd();
        let mut list =
            vec![(null, 0), (null, 1), (null, 2), (plan.as_fd(), fds::PLAN), (theirs.as_fd(), fds::CONTROL)];
        list.extend_from_slice(more);
        let birth = Birth {
            program: program.as_fd(),
            args: &[c"pinnace-holder".into(), c"pod".into()],
            env: &[],
            fds: &list,
            namespaces: Namespaces { new: new as u64, join_pid: None },
            join: Join::Inherit,
        };
        Self { child: birth.spawn().expect("spawns"), control }
    }

    fn ready(holding: &Holding, new: i32) -> Self {
        let holder = Self::born(holding, new, &[]);
        assert_eq!(holder.hear(), Some(Report::Ready { warnings: Vec::new() }));
        holder
    }

    fn started(holding: &Holding, new: i32) -> Self {
        let holder = Self::ready(holding, new);
        holder.go();
        holder
    }

    fn hear(&self) -> Option<Report> {
        let mut buffer = [0; 4096];
        let (_, length) = recv(&self.control, &mut buffer[..], RecvFlags::empty()).expect("a record");
        (length > 0).then(|| decode_record(&buffer[..length]).expect("a report"))
    }

    fn go(&self) {
        let go = encode_record(&Command::Go).expect("encodes");
        send(&self.control, &go, SendFlags::NOSIGNAL).expect("Go");
        assert_eq!(self.hear(), Some(Report::Started));
    }

    fn signal(&self, signal: Signal) {
        pidfd_send_signal(&self.child.pidfd, signal).expect("a signal");
    }

    fn ended(&self) -> WaitIdStatus {
        waitid(WaitId::PidFd(self.child.pidfd.as_fd()), WaitIdOptions::EXITED).expect("waits").expect("ended")
    }

    /// A file of its directory in `/proc`.
    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.pid)).expect(file)
    }

    fn namespace(&self, kind: &str) -> std::path::PathBuf {
        fs::read_link(format!("/proc/{}/ns/{kind}", self.child.pid)).expect(kind)
    }

    /// Runs a command in namespaces of it, given as flags of nsenter.
    fn within(&self, flags: &[&str], command: &str) -> String {
        let output = process::Command::new("nsenter")
            .args(["-t", &self.child.pid.to_string()])
            .args(flags)
            .args(["sh", "-c", command])
            .output()
            .expect("nsenter");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// Its children, zombies too.
    fn children(&self) -> String {
        self.proc(&format!("task/{}/children", self.child.pid))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _gone = pidfd_send_signal(&self.child.pidfd, Signal::KILL);
        let _reaped = waitid(WaitId::PidFd(self.child.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}

fn nothing() -> Holding {
    Holding {
        join: Vec::new(),
        hostname: None,
        domainname: None,
        sysctls: Vec::new(),
        rlimits: Vec::new(),
        user: User { uid: 65535, gid: 65535, groups: vec![7], umask: None },
    }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn namespaces_are_named_tuned_and_open_to_others() {
    let holding = Holding {
        hostname: Some("a-pod".into()),
        domainname: Some("a-domain".into()),
        sysctls: vec![
            ("net.ipv4.ip_unprivileged_port_start".into(), "7".into()),
            ("kernel.shmmax".into(), "4242".into()),
        ],
        rlimits: vec![Rlimit { kind: "RLIMIT_NOFILE".into(), soft: 20, hard: 30 }],
        ..nothing()
    };
    let holder = Holder::started(&holding, ALL);
    for kind in ["net", "ipc", "uts", "pid", "mnt"] {
        let ours = fs::read_link(format!("/proc/self/ns/{kind}")).expect(kind);
        assert_ne!(holder.namespace(kind), ours, "{kind}");
    }
    assert_eq!(holder.within(&["-u"], "hostname; cat /proc/sys/kernel/domainname"), "a-pod\na-domain");
    let sysctls = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmax";
    assert_eq!(holder.within(&["-n", "-i"], sysctls), "7\n4242");
    let limits = holder.proc("limits");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    assert_eq!(files.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["20", "30"]);
}

#[test]
fn nothing_is_left_to_it() {
    let holder = Holder::started(&nothing(), ALL);
    let status = holder.proc("status");
    let line = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect(key);
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("Uid:"), "65535 65535 65535 65535");
    assert_eq!(line("Gid:"), "65535 65535 65535 65535");
    assert_eq!(line("Groups:"), "7");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(line(set), "0000000000000000", "{set}");
    }
    assert_eq!((line("NoNewPrivs:").as_str(), line("Seccomp:").as_str()), ("1", "2"));
    assert_eq!(line("Threads:"), "1");
    let proc = format!("/proc/{}", holder.child.pid);
    assert_eq!(fs::read_dir(format!("{proc}/root")).expect("its root").count(), 0, "an empty root");
    let mut open: Vec<_> = fs::read_dir(format!("{proc}/fd"))
        .expect("its descriptors")
        .map(|entry| entry.expect("one").file_name().into_string().expect("a number"))
        .collect();
    open.sort();
    assert_eq!(open, ["0", "1", "2", "4"], "streams and the control socket");
}

#[test]
fn it_holds_little_memory() {
    let holder = Holder::started(&nothing(), ALL);
    let private = || -> u64 {
        let rollup = holder.proc("smaps_rollup");
        let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("a figure");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    let little = if std::env::var_os("PINNACE_HOLDER").is_some() { LITTLE } else { WITH_A_LOADER };
    // What it needed to begin is given back a moment after it said that it has begun.
    until("memory to be given back", || private() <= little);
}

#[test]
fn process_1_reaps_every_orphan() {
    let holder = Holder::started(&nothing(), ALL);
    // nsenter's child is born in the pid namespace; its background children lose their parent at once.
    holder.within(&["-p"], "for n in 1 2 3 4 5 6 7 8; do sleep 0.01 >/dev/null 2>&1 & done");
    holder.within(&["-p"], "sleep 1000 >/dev/null 2>&1 &");
    until("orphans that ended to be gone", || holder.children().split_whitespace().count() == 1);
    let state = holder.proc("stat");
    assert!(state.contains(") S "), "it sleeps: {state}");
}

#[test]
fn it_ends_when_it_is_told_to_before_go_and_after() {
    for signal in [Signal::TERM, Signal::INT] {
        for go in [false, true] {
            let holder = Holder::ready(&nothing(), ALL);
            if go {
                holder.go();
            }
            holder.signal(signal);
            assert_eq!(holder.ended().exit_status(), Some(0), "{signal:?}, started: {go}");
        }
    }
}

#[test]
fn it_ends_when_its_server_does() {
    // The signal follows the thread that made it.
    let holder = std::thread::spawn(|| Holder::started(&nothing(), ALL)).join().expect("a holder");
    assert_eq!(holder.ended().terminating_signal(), Some(Signal::KILL.as_raw()));
    // One that waits for Go hears its server hang up.
    let Holder { child, control } = &Holder::ready(&nothing(), ALL);
    rustix::net::shutdown(control, rustix::net::Shutdown::Both).expect("hang up");
    let status = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED).expect("waits");
    assert_eq!(status.expect("ended").exit_status(), Some(1));
}

#[test]
fn a_user_namespace_is_entered_and_owns_the_others() {
    let range = |outside| vec![IdRange { inside: 0, outside, size: 70_000 }];
    let maps = IdMaps { uids: range(200_000), gids: range(300_000) };
    let owned = (libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS) as u64;
    let users = UserNamespace::make(maps, owned).expect("a user namespace");
    let mut join = Vec::new();
    let mut more = Vec::new();
    for (number, (flag, fd)) in (fds::FIRST_FREE..).zip(&users.owned) {
        let kind = match *flag as i32 {
            libc::CLONE_NEWNET => Namespace::Network,
            libc::CLONE_NEWIPC => Namespace::Ipc,
            _ => Namespace::Uts,
        };
        join.push((kind, number));
        more.push((fd.as_fd(), number));
    }
    join.push((Namespace::User { uid: 200_000, gid: 300_000 }, 9));
    more.push((users.fd.as_fd(), 9));
    let sysctls = vec![("net.ipv4.ip_unprivileged_port_start".into(), "7".into())];
    let holding = Holding { join, sysctls, hostname: Some("a-pod".into()), ..nothing() };
    let holder = Holder::born(&holding, libc::CLONE_NEWNS | libc::CLONE_NEWPID, &more);
    assert_eq!(holder.hear(), Some(Report::Ready { warnings: Vec::new() }));
    assert_ne!(holder.namespace("user"), fs::read_link("/proc/self/ns/user").expect("ours"));
    assert!(holder.proc("status").contains("Uid:\t265535\t"), "{}", holder.proc("status"));
    assert_eq!(holder.within(&["-U", "-u", "-n"], "hostname; id -u"), "a-pod\n0");
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (sysctl, said) in
        [("kernel.core_pattern", "kernel.core_pattern"), ("net.ipv4.no_such_thing", "net.ipv4.no_such_thing")]
    {
        let holding = Holding { sysctls: vec![(sysctl.into(), "1".into())], ..nothing() };
        let holder = Holder::born(&holding, ALL, &[]);
        let heard = holder.hear();
        let Some(Report::Failed(Failure { message })) = &heard else { unreachable!("{heard:?}") };
        assert!(message.contains(said), "{message}");
        assert_eq!(holder.ended().exit_status(), Some(1));
    }
}
