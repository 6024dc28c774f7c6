//! Another process of a container that lives: it is where the first one is, and nowhere else.
//!
//! What holds for a container's first process is probed in such a process too, by [`inside`](crate::harness::inside).

use crate::harness::{
    Child, End, Files as _, Test, bind, chain, enter, fork, host, host_directory, image, join, living,
    newborn, pair, plain, preopen, tmpfs,
};
use crate::probe::{call, errno, refusal};
use pinnace_plan::{Living, Namespace, Preopen, Program, Root, Sandbox, User};
use pinnace_sandbox::{Entered, SandboxError};
use pinnace_spawn::{IdMaps, IdRange, UserNamespace};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;

pub(crate) const TESTS: &[Test] = &[
    ("living::it_sees_what_the_first_process_made_and_is_seen", it_shares_files),
    ("living::it_is_in_the_very_same_namespaces", the_same_namespaces),
    ("living::the_host_is_gone_without_anything_mounted", the_host_is_gone),
    ("living::nothing_of_ours_stays_open", nothing_stays_open),
    ("living::a_namespace_with_another_root_is_refused", another_root),
    ("living::a_root_that_is_covered_is_refused", covered_root),
    ("living::a_server_in_a_chroot_is_refused", server_in_a_chroot),
    ("living::what_is_no_mount_namespace_is_refused", no_mount_namespace),
    ("living::the_user_namespace_comes_after_the_mounts", users_come_after),
    ("living::only_what_its_user_can_read_is_run", only_what_is_readable),
    ("living::it_dies_with_its_parent", dies_with_its_parent),
];

/// A container whose first process has entered and waits.
struct Container {
    first: Child,
    ours: UnixStream,
}

impl Container {
    fn with(adjust: impl FnOnce(&mut Sandbox)) -> Self {
        Self::after(|| {}, adjust)
    }

    /// `before` is done in the mount namespace that it is born in.
    fn after(before: impl FnOnce(), adjust: impl FnOnce(&mut Sandbox)) -> Self {
        let (mut ours, mut theirs) = pair();
        let first = newborn(|| {
            let mut sandbox = plain(image());
            before();
            adjust(&mut sandbox);
            if let Err(error) = enter(&sandbox, &[]) {
                panic!("{}", chain(&error));
            }
            theirs.write_all(b"r").expect("ready");
            theirs.read_exact(&mut [0]).expect("released");
            assert!(fs::exists("/tmp").expect("still there"));
        });
        ours.read_exact(&mut [0]).expect("ready");
        Self { first, ours }
    }

    /// Has another process enter it.
    fn enter(
        &self,
        adjust: impl FnOnce(&mut Sandbox),
        preopens: &[Preopen],
        probe: impl FnOnce(Result<Entered, SandboxError>),
    ) {
        let another = fork(|| {
            pinnace_sandbox::harden().expect("harden");
            let mut sandbox = plain(image());
            join(&mut sandbox, self.first.0);
            adjust(&mut sandbox);
            probe(enter(&sandbox, preopens));
        });
        assert_eq!(another.end(), End::Passed);
    }

    fn refuses(&self, adjust: impl FnOnce(&mut Sandbox), expected: &str) {
        self.enter(adjust, &[], |entered| {
            let message = entered.map(drop).map_err(|error| chain(&error)).expect_err(expected);
            assert!(message.contains(expected), "{message:?} does not say {expected:?}");
        });
    }

    fn end(mut self) {
        self.ours.write_all(b"g").expect("release");
        assert_eq!(self.first.end(), End::Passed);
    }
}

fn files(sandbox: &mut Sandbox) -> &mut Living {
    match &mut sandbox.root {
        Root::Join(living) => living,
        Root::Build(_) | Root::Hooked(..) => panic!("a sandbox that joins nothing"),
    }
}

fn it_shares_files() {
    let volume = host_directory("shared");
    let container = Container::with(|sandbox| {
        sandbox.files().mounts.extend([tmpfs("/tmp", &[]), bind(&volume, "/data")]);
    });
    fs::write(format!("{volume}/of-the-host"), "host").expect("file");
    for turn in 0..2 {
        container.enter(
            |_| {},
            &[preopen("/"), preopen("/tmp")],
            |entered| {
                assert_eq!(entered.expect("enter").preopens.len(), 2);
                assert_eq!(fs::read_to_string("/data/of-the-host").expect("the volume"), "host");
                // On the tmpfs and on the root, of whoever was there before.
                for file in ["/tmp/count", "/etc/count"] {
                    let before = fs::read(file).unwrap_or_default();
                    assert_eq!(before.len(), turn, "{file}");
                    fs::write(file, [before, vec![b'x']].concat()).expect(file);
                }
            },
        );
    }
    container.end();
}

fn the_same_namespaces() {
    let container = Container::with(|_| {});
    let (mut ours, mut theirs) = pair();
    let another = fork(|| {
        let mut sandbox = plain(image());
        join(&mut sandbox, container.first.0);
        enter(&sandbox, &[]).expect("enter");
        theirs.write_all(b"i").expect("tell");
        theirs.read_exact(&mut [0]).expect("released");
    });
    ours.read_exact(&mut [0]).expect("entered");
    for file in ["ns/mnt", "ns/net", "ns/ipc", "ns/uts", "ns/user", "root", "cwd"] {
        let link = |pid| fs::read_link(format!("/proc/{pid}/{file}")).expect(file);
        let place = |pid| {
            let file = fs::metadata(format!("/proc/{pid}/{file}")).expect(file);
            (file.dev(), file.ino())
        };
        assert_eq!(link(another.0), link(container.first.0), "{file}");
        assert_eq!(place(another.0), place(container.first.0), "{file}");
    }
    let mounts = |pid| fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("mountinfo");
    assert_eq!(mounts(another.0), mounts(container.first.0));
    ours.write_all(b"g").expect("release");
    assert_eq!(another.end(), End::Passed);
    container.end();
}

fn the_host_is_gone() {
    let mark = host().join("mark");
    fs::write(&mark, "").expect("file");
    std::env::set_current_dir(host()).expect("a directory of the host's");
    let container = Container::with(|sandbox| sandbox.files().read_only = true);
    container.enter(
        |_| {},
        &[],
        |entered| {
            entered.expect("enter");
            for path in ["/mnt/mark", "/../mnt/mark", "mark", "../mark", "../../mnt/mark"] {
                assert!(!fs::exists(path).expect("the image has none"), "{path}");
            }
            assert_eq!(std::env::current_dir().expect("a directory").to_str(), Some("/"));
            let (root, above) = (fs::metadata("/").expect("/"), fs::metadata("/..").expect("/.."));
            assert_eq!((root.dev(), root.ino()), (above.dev(), above.ino()));
            let path = c"/".as_ptr() as u64;
            assert_eq!(call(libc::SYS_umount2, &[path, libc::MNT_DETACH as u64]), Err(libc::EPERM));
            assert_eq!(refusal(fs::write("/etc/name", "x")), libc::EROFS);
        },
    );
    std::env::set_current_dir("/").expect("/");
    container.end();
}

fn nothing_stays_open() {
    fn open() -> Vec<u64> {
        let is_open = |fd: &u64| call(libc::SYS_fcntl, &[*fd, libc::F_GETFD as u64]).is_ok();
        (0..256).filter(is_open).collect()
    }
    let container = Container::with(|_| {});
    let another = fork(|| {
        let before = open();
        let mut sandbox = plain(image());
        let _built_by_nobody = std::mem::replace(&mut sandbox.root, Root::Join(living(container.first.0)));
        join(&mut sandbox, container.first.0);
        let given = open().len() - before.len();
        enter(&sandbox, &[]).map(drop).expect("enter");
        // The image that was not used, and the two of the root that `join` replaced.
        assert_eq!((given, open().len() - before.len()), (8, 3));
    });
    assert_eq!(another.end(), End::Passed);
    container.end();
}

fn another_root() {
    const SAYS: &str = "does not begin at the container's root";
    let container = Container::with(|sandbox| sandbox.files().mounts.push(tmpfs("/data", &[])));
    let other = Container::with(|_| {});
    for wrong in ["/", "/mnt", &format!("/proc/{}/root", other.first.0)] {
        let wrong = fs::File::open(wrong).expect("a directory").into_raw_fd();
        container.refuses(|sandbox| files(sandbox).root = wrong, SAYS);
    }
    for below in ["etc", "data"] {
        let below = format!("/proc/{}/root/{below}", container.first.0);
        let below = fs::File::open(below).expect("a directory").into_raw_fd();
        container.refuses(|sandbox| files(sandbox).root = below, SAYS);
    }
    // The host's own namespace, and another container's.
    for wrong in ["/proc/self/ns/mnt".to_owned(), format!("/proc/{}/ns/mnt", other.first.0)] {
        let wrong = fs::File::open(wrong).expect("a namespace").into_raw_fd();
        container.refuses(|sandbox| files(sandbox).namespace = wrong, SAYS);
    }
    other.end();
    container.end();
}

fn covered_root() {
    let container = Container::with(|sandbox| {
        let root = format!("/proc/self/fd/{}", sandbox.files().fd);
        std::os::unix::fs::symlink("/", format!("{root}/to-root")).expect("symlink");
        sandbox.files().mounts.push(tmpfs("/to-root", &[]));
    });
    container.refuses(|_| {}, "does not begin at the container's root");
    container.end();
}

/// There, `setns` alone leads to the host: what the look at the root is for.
fn server_in_a_chroot() {
    let place = host_directory("chroot");
    let in_a_chroot = || {
        let none = rustix::mount::MountFlags::empty();
        // Below a shared mount no root can be changed.
        let private =
            rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).expect("private");
        rustix::mount::mount("none", &place, "tmpfs", none, None).expect("tmpfs");
        fs::create_dir(format!("{place}/proc")).expect("directory");
        rustix::mount::mount("none", format!("{place}/proc"), "proc", none, None).expect("proc");
        rustix::process::chroot(&place).expect("chroot");
        std::env::set_current_dir("/").expect("/");
    };
    let container = Container::after(in_a_chroot, |_| {});
    let first = container.first.0;
    let namespace = fs::File::open(format!("/proc/{first}/ns/mnt")).expect("namespace");
    let leak = fork(|| {
        // SAFETY: takes a descriptor and a flag.
        assert_eq!(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNS) }, 0, "{}", errno());
        assert!(fs::exists("/etc/passwd").expect("the host's root"));
    });
    assert_eq!(leak.end(), End::Passed);
    container.refuses(|_| {}, "containerd must not live in a chroot");
    container.end();
}

fn no_mount_namespace() {
    let container = Container::with(|_| {});
    for wrong in ["/etc/passwd".to_owned(), "/proc/self/ns/net".to_owned()] {
        let wrong = fs::File::open(wrong).expect("a file").into_raw_fd();
        container.refuses(
            |sandbox| files(sandbox).namespace = wrong,
            "cannot join the mount namespace of the container",
        );
    }
    container.refuses(|sandbox| files(sandbox).namespace = 999, "descriptor 999, the mount namespace");
    container.refuses(|sandbox| files(sandbox).root = 999, "descriptor 999, the container's root");
    container.end();
}

fn users_come_after() {
    let map = vec![IdRange { inside: 0, outside: 100_000, size: 5000 }];
    let users = UserNamespace::make(IdMaps { uids: map.clone(), gids: map }, 0).expect("users").fd;
    let put = |sandbox: &mut Sandbox| {
        let users = users.try_clone().expect("a clone").into_raw_fd();
        sandbox.join.push((Namespace::User { uid: 100_000, gid: 100_000 }, users));
    };
    let container = Container::with(put);
    let namespace = fs::File::open(format!("/proc/{}/ns/mnt", container.first.0)).expect("namespace");
    let wrong_order = fork(|| {
        // SAFETY: they take a descriptor and a flag.
        unsafe {
            assert_eq!(libc::setns(users.as_raw_fd(), libc::CLONE_NEWUSER), 0);
            assert_eq!(libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNS), -1);
        }
        assert_eq!(errno(), libc::EPERM);
    });
    assert_eq!(wrong_order.end(), End::Passed);
    container.enter(put, &[], |entered| {
        entered.expect("enter");
        let path = c"/".as_ptr() as u64;
        assert_eq!(call(libc::SYS_umount2, &[path, libc::MNT_DETACH as u64]), Err(libc::EPERM));
        assert_eq!(call(libc::SYS_setns, &[namespace.as_raw_fd() as u64, 0]), Err(libc::EPERM));
        assert_eq!(fs::metadata("/etc").expect("image").uid(), 65534);
    });
    container.end();
}

fn only_what_is_readable() {
    let container = Container::with(|sandbox| {
        let root = format!("/proc/self/fd/{}", sandbox.files().fd);
        for (name, mode) in [("all", 0o644), ("root", 0o600), ("closed/all", 0o644)] {
            fs::create_dir_all(format!("{root}/closed")).expect("directory");
            fs::write(format!("{root}/{name}.wasm"), "").expect("file");
            let file = fs::Permissions::from_mode(mode);
            fs::set_permissions(format!("{root}/{name}.wasm"), file).expect("mode");
        }
        fs::set_permissions(format!("{root}/closed"), fs::Permissions::from_mode(0o700)).expect("mode");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            format!("{root}/fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o666),
            0,
        )
        .expect("a FIFO");
    });
    let runs = |uid: u32, path: &str| {
        let path = path.to_owned();
        move |sandbox: &mut Sandbox| {
            sandbox.user = User { uid, gid: uid, ..User::default() };
            files(sandbox).program = Some(Program { name: "tool".to_owned(), path });
        }
    };
    for (uid, path) in [(0, "/root.wasm"), (0, "/all.wasm"), (1000, "/all.wasm"), (1000, "/fifo")] {
        container.enter(runs(uid, path), &[], |entered| drop(entered.expect(path)));
    }
    for path in ["/root.wasm", "/closed/all.wasm", "/device"] {
        container.refuses(
            runs(1000, path),
            &format!("exec: \"tool\": permission denied: user 1000 cannot read {path}"),
        );
    }
    for path in ["/gone.wasm", "/../mnt/mark", "/escape/mark"] {
        container.refuses(runs(1000, path), "exec: \"tool\": no such file or directory");
    }
    container.end();
}

fn dies_with_its_parent() {
    let container = Container::with(|_| {});
    let (mut ours, theirs) = pair();
    let parent = fork(|| {
        let (mut ready, mut tell) = pair();
        let _another = fork(|| {
            pinnace_sandbox::harden().expect("harden");
            let mut sandbox = plain(image());
            join(&mut sandbox, container.first.0);
            sandbox.user = User { uid: 1000, gid: 1000, ..User::default() };
            enter(&sandbox, &[]).expect("enter");
            tell.write_all(b"i").expect("tell");
            // Holds the other end of `ours` as long as it lives; SIGALRM would end it in 20 s.
            std::thread::sleep(std::time::Duration::from_secs(15));
        });
        ready.read_exact(&mut [0]).expect("entered");
    });
    drop(theirs);
    assert_eq!(parent.end(), End::Passed);
    assert_eq!(ours.read(&mut [0]).expect("end of file, not a time-out"), 0);
    container.end();
}
