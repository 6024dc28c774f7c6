//! Forked children, a host of our own, and the sandbox that most tests start from.

use pinnace_plan::{
    Build, Capabilities, Device, Living, Mount, MountFlags, MountKind, Namespace, Preopen, Root, Sandbox,
    User,
};
use pinnace_sandbox::{Entered, SandboxError};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags as NativeFlags, MountPropagationFlags,
    fsconfig_create, fsmount, fsopen, mount, mount_change,
};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

pub(crate) type Test = (&'static str, fn());

/// A directory on a tmpfs of our own, shared as a host's mounts are.
static HOST: OnceLock<PathBuf> = OnceLock::new();

pub(crate) fn host() -> &'static Path {
    HOST.get().expect("become_a_host was called")
}

/// Gives this program a mount namespace of its own, with a tmpfs to play the host's disk.
pub(crate) fn become_a_host() {
    assert!(rustix::process::geteuid().is_root(), "the walls can only be tested as root");
    // SAFETY: one thread; only the mount namespace changes.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.expect("unshare");
    let all = MountPropagationFlags::REC;
    mount_change("/", MountPropagationFlags::PRIVATE | all).expect("private");
    // /mnt is there on every Linux (FHS), and ours alone from here on.
    mount("none", "/mnt", "tmpfs", NativeFlags::empty(), c"mode=755").expect("tmpfs on /mnt");
    mount_change("/", MountPropagationFlags::SHARED | all).expect("shared");
    HOST.set("/mnt".into()).expect("once");
}

/// Runs the tests whose names contain one of `parts`, or all.
pub(crate) fn run(tests: &[Test], parts: &[String]) {
    // One line, without a backtrace: a child behind its walls could not make one.
    std::panic::set_hook(Box::new(|panic| eprintln!("  {panic}")));
    let mut failed = Vec::new();
    let mut ran = 0;
    for (name, test) in tests {
        if !parts.is_empty() && !parts.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        ran += 1;
        let result = catch_unwind(test);
        println!("test {name} ... {}", if result.is_ok() { "ok" } else { "FAILED" });
        if result.is_err() {
            failed.push(*name);
        }
    }
    println!("\n{ran} walls probed, {} failed {failed:?}", failed.len());
    assert!(ran > 0, "no test has such a name");
    std::process::exit(i32::from(!failed.is_empty()));
}

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Passed,
    Failed,
    Signal(i32),
}

/// A child under way.
pub(crate) struct Child(pub(crate) libc::pid_t);

impl Child {
    /// Waits for the end.
    pub(crate) fn end(self) -> End {
        let mut status = 0;
        // SAFETY: `status` lives over the call; the pid is our child's.
        assert_eq!(unsafe { libc::waitpid(self.0, &raw mut status, 0) }, self.0, "waitpid");
        match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
            (true, 0) => End::Passed,
            (true, _) => End::Failed,
            (false, _) => End::Signal(libc::WTERMSIG(status)),
        }
    }
}

/// Forks a child that runs `body`; a panic is a failure. It ends by SIGALRM if it hangs.
pub(crate) fn fork(body: impl FnOnce()) -> Child {
    child().unwrap_or_else(|| live(body))
}

/// Forks; nothing in the child.
fn child() -> Option<Child> {
    // SAFETY: the program has one thread, so the child may do whatever this process may.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    (pid > 0).then_some(Child(pid))
}

/// A child's whole life.
fn live(body: impl FnOnce()) -> ! {
    // SAFETY: takes no pointer.
    unsafe { libc::alarm(20) };
    let result = catch_unwind(AssertUnwindSafe(body));
    // SAFETY: ends this process without the parent's exit handlers.
    unsafe { libc::_exit(i32::from(result.is_err())) }
}

/// Two ends to tell each other by. A child that dies cannot tell, so nobody waits for ever.
pub(crate) fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("pair");
    for end in [&ours, &theirs] {
        end.set_read_timeout(Some(Duration::from_secs(10))).expect("time-out");
    }
    (ours, theirs)
}

/// Forks a child with new mount, UTS, IPC and network namespaces, as the server's clone makes them.
pub(crate) fn newborn(body: impl FnOnce()) -> Child {
    fork(|| {
        unshare_as_the_clone_does();
        body();
    })
}

fn unshare_as_the_clone_does() {
    use rustix::thread::UnshareFlags;
    let new = UnshareFlags::NEWNS | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC | UnshareFlags::NEWNET;
    // SAFETY: one thread; only namespaces change.
    unsafe { rustix::thread::unshare_unsafe(new) }.expect("unshare");
}

/// A detached tmpfs as an image's root, with something of everything in it.
pub(crate) fn image() -> OwnedFd {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).expect("fsopen");
    fsconfig_create(context.as_fd()).expect("fsconfig");
    let root =
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).expect("fsmount");
    let at = PathBuf::from(format!("/proc/self/fd/{}", root.as_raw_fd()));
    for directory in ["etc", "data", "proc", "sys", "tmp", "secret"] {
        fs::create_dir(at.join(directory)).expect(directory);
    }
    fs::set_permissions(at.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("tmp");
    fs::write(at.join("etc/name"), "image").expect("file");
    fs::write(at.join("secret/key"), "secret").expect("file");
    fs::copy("/bin/true", at.join("program")).expect("program");
    fs::set_permissions(at.join("program"), fs::Permissions::from_mode(0o4755)).expect("set-uid");
    symlink("/../../../mnt", at.join("escape")).expect("symlink");
    symlink("../../../../mnt", at.join("relative-escape")).expect("symlink");
    let null = rustix::fs::makedev(1, 3);
    rustix::fs::mknodat(
        CWD,
        at.join("device"),
        rustix::fs::FileType::CharacterDevice,
        Mode::from_raw_mode(0o666),
        null,
    )
    .expect("mknod");
    root
}

/// A sandbox of `root` with nothing in it that a test does not add.
pub(crate) fn plain(root: OwnedFd) -> Sandbox {
    Sandbox {
        join: Vec::new(),
        hostname: None,
        domainname: None,
        sysctls: Vec::new(),
        root: Root::Build(Build {
            fd: root.into_raw_fd(),
            read_only: false,
            mounts: Vec::new(),
            masked_paths: Vec::new(),
            readonly_paths: Vec::new(),
        }),
        rlimits: Vec::new(),
        user: User::default(),
        capabilities: Capabilities::default(),
        seccomp: None,
    }
}

/// What most tests change of a sandbox.
pub(crate) trait Files {
    /// The files it builds.
    fn files(&mut self) -> &mut Build;
}

impl Files for Sandbox {
    fn files(&mut self) -> &mut Build {
        match &mut self.root {
            Root::Build(files) | Root::Hooked(files, _) => files,
            Root::Join(_) => panic!("a sandbox that builds nothing"),
        }
    }
}

/// Enters a sandbox whose server has nothing to do meanwhile.
pub(crate) fn enter(sandbox: &Sandbox, preopens: &[Preopen]) -> Result<Entered, SandboxError> {
    pinnace_sandbox::enter(sandbox, preopens, &|| Ok(()))
}

/// A bind mount of `source`.
pub(crate) fn bind(source: &str, destination: &str) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: MountKind::Bind { source: source.to_owned(), recursive: true },
        read_only: false,
        flags: MountFlags::default(),
    }
}

/// A tmpfs.
pub(crate) fn tmpfs(destination: &str, options: &[(&str, Option<&str>)]) -> Mount {
    let options = options.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect();
    Mount {
        destination: destination.to_owned(),
        kind: MountKind::Tmpfs { options },
        read_only: false,
        flags: MountFlags::default(),
    }
}

/// The usual `/dev`.
pub(crate) fn dev() -> Mount {
    Mount {
        destination: "/dev".to_owned(),
        kind: MountKind::Dev {
            devices: vec![Device::Null, Device::Zero, Device::Full, Device::Random, Device::Urandom],
            options: vec![("mode".to_owned(), Some("755".to_owned()))],
        },
        read_only: false,
        flags: MountFlags::default(),
    }
}

pub(crate) fn preopen(path: &str) -> Preopen {
    Preopen { path: path.to_owned(), writable: true }
}

/// Enters a sandbox of [`image`] as `adjust` makes it.
pub(crate) fn try_enter(adjust: impl FnOnce(&mut Sandbox)) -> Result<Entered, SandboxError> {
    pinnace_sandbox::harden()?;
    let mut sandbox = plain(image());
    adjust(&mut sandbox);
    enter(&sandbox, &[])
}

/// Probes a sandbox from inside, as the container's first process and as another one that joins it; the test fails if
/// a probe panics. Each is a copy of this process, so each has the closures.
pub(crate) fn inside(adjust: impl FnOnce(&mut Sandbox), probe: impl FnOnce(Entered)) {
    match child() {
        None => live(|| inside_first(adjust, probe)),
        Some(alone) => assert_eq!(alone.end(), End::Passed, "the first process"),
    }
    let (mut ours, mut theirs) = pair();
    let first = match child() {
        None => live(|| {
            unshare_as_the_clone_does();
            let _entered = passed(try_enter(adjust));
            theirs.write_all(b"r").expect("ready");
            theirs.read_exact(&mut [0]).expect("released");
        }),
        Some(first) => first,
    };
    ours.read_exact(&mut [0]).expect("ready");
    let another = fork(|| {
        pinnace_sandbox::harden().expect("harden");
        let mut sandbox = plain(image());
        adjust(&mut sandbox);
        join(&mut sandbox, first.0);
        probe(passed(enter(&sandbox, &[])));
    });
    assert_eq!(another.end(), End::Passed, "another process");
    ours.write_all(b"g").expect("release");
    assert_eq!(first.end(), End::Passed, "the first process of two");
}

/// Probes a sandbox as the container's first process only.
pub(crate) fn inside_first(adjust: impl FnOnce(&mut Sandbox), probe: impl FnOnce(Entered)) {
    let child = newborn(|| probe(passed(try_enter(adjust))));
    assert_eq!(child.end(), End::Passed);
}

fn passed(entered: Result<Entered, SandboxError>) -> Entered {
    entered.unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// Makes a first process' sandbox that of another one, which joins what `first` is in.
pub(crate) fn join(sandbox: &mut Sandbox, first: libc::pid_t) {
    (sandbox.hostname, sandbox.domainname) = (None, None);
    sandbox.sysctls.clear();
    let users =
        sandbox.join.iter().map(|(kind, _)| *kind).find(|kind| matches!(kind, Namespace::User { .. }));
    let kinds = [(Namespace::Network, "ns/net"), (Namespace::Ipc, "ns/ipc"), (Namespace::Uts, "ns/uts")];
    let kinds = kinds.into_iter().chain(users.map(|kind| (kind, "ns/user")));
    sandbox.join = kinds.map(|(kind, name)| (kind, of(first, name))).collect();
    sandbox.root = Root::Join(living(first));
}

/// The files of a container, by its first process.
pub(crate) fn living(first: libc::pid_t) -> Living {
    Living { namespace: of(first, "ns/mnt"), root: of(first, "root"), program: None }
}

fn of(process: libc::pid_t, name: &str) -> i32 {
    fs::File::open(format!("/proc/{process}/{name}")).expect(name).into_raw_fd()
}

/// A sandboxed process ends when its parent does, though what `adjust` asks for cleared the parent-death signal.
pub(crate) fn dies_with_its_parent(adjust: impl FnOnce(&mut Sandbox)) {
    let (mut ours, theirs) = pair();
    let parent = fork(|| {
        let (mut ready, mut tell) = pair();
        let _child = newborn(|| {
            pinnace_sandbox::harden().expect("harden");
            let mut sandbox = plain(image());
            adjust(&mut sandbox);
            enter(&sandbox, &[]).expect("enter");
            tell.write_all(b"i").expect("tell");
            // Holds the other end of `ours` as long as it lives; SIGALRM would end it in 20 s.
            std::thread::sleep(Duration::from_secs(15));
        });
        ready.read_exact(&mut [0]).expect("entered");
    });
    drop(theirs);
    assert_eq!(parent.end(), End::Passed);
    assert_eq!(ours.read(&mut [0]).expect("end of file, not a time-out"), 0);
}

/// Tries to enter a sandbox that must be refused with a message that contains `expected`.
pub(crate) fn refused(adjust: impl FnOnce(&mut Sandbox), expected: &str) {
    let child = newborn(|| match try_enter(adjust) {
        Ok(_) => panic!("entered, though it must say {expected:?}"),
        Err(error) => {
            let message = chain(&error);
            assert!(message.contains(expected), "{message:?} does not say {expected:?}");
        }
    });
    assert_eq!(child.end(), End::Passed);
}

/// A directory of the host, fresh, world-writable.
pub(crate) fn host_directory(name: &str) -> String {
    let path = host().join(name);
    fs::create_dir_all(&path).expect("host directory");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("mode");
    path.to_str().expect("UTF-8").to_owned()
}

/// An error with its sources.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text += &format!(": {source}");
        next = source.source();
    }
    text
}

/// Opens a directory without any right to its files.
pub(crate) fn directory(path: &str) -> OwnedFd {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).expect(path)
}

/// Makes these calls fail as they do on a kernel that lacks them.
pub(crate) fn make_older(calls: &[i64]) {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    let missing = calls.iter().map(|&number| (number, Vec::new())).collect();
    let architecture = std::env::consts::ARCH.try_into().expect("an architecture seccompiler knows");
    let absent = SeccompAction::Errno(libc::ENOSYS as u32);
    let filter = SeccompFilter::new(missing, SeccompAction::Allow, absent, architecture).expect("filter");
    let program: BpfProgram = filter.try_into().expect("program");
    seccompiler::apply_filter(&program).expect("install");
    for &number in calls {
        assert_eq!(crate::probe::call(number, &[]), Err(libc::ENOSYS));
    }
}
