//! A user namespace: root inside is nobody outside, and no capability reaches out of it.

use crate::harness::{
    Child, End, Files as _, Test, bind, enter, host_directory, image, inside, newborn, pair, plain, refused,
    tmpfs,
};
use crate::probe::{call, prctl, refusal};
use pinnace_plan::{Capabilities, Mount, MountKind, Namespace, Sandbox, User};
use pinnace_spawn::{IdMaps, IdRange, UserNamespace};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

pub(crate) const TESTS: &[Test] = &[
    ("users::root_inside_is_nobody_outside", root_is_nobody),
    ("users::the_host_s_private_files_stay_closed", private_files_stay_closed),
    ("users::what_it_writes_is_the_mapped_user_s", writes_are_mapped),
    ("users::an_id_that_is_not_mapped_is_nobody", unmapped_is_nobody),
    ("users::what_is_made_for_it_is_its_root_s", made_for_its_root),
    ("users::mapped_binds_are_the_container_s", mapped_binds),
    ("users::its_capabilities_reach_nothing_outside", capabilities_stay_inside),
    ("users::its_capabilities_count_in_its_own_network", capabilities_in_its_network),
    ("users::no_privilege_is_left_in_it_either", no_privilege_left),
    ("users::it_dies_with_its_parent", dies_with_its_parent),
    ("users::a_full_image_of_another_owner_takes_mount_points", image_of_another_owner),
    ("users::what_is_no_user_namespace_is_refused", refusals),
];

const FIRST: u32 = 100_000;
const NOBODY: u32 = 65534;

fn maps() -> IdMaps {
    let map = vec![IdRange { inside: 0, outside: FIRST, size: 5000 }];
    IdMaps { uids: map.clone(), gids: map }
}

fn namespace() -> OwnedFd {
    UserNamespace::make(maps(), 0).expect("a user namespace").fd
}

/// Puts a sandbox into a user namespace.
fn put(sandbox: &mut Sandbox) {
    let root = Namespace::User { uid: FIRST, gid: FIRST };
    sandbox.join.push((root, namespace().into_raw_fd()));
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

fn give(sandbox: &mut Sandbox, list: &[&str]) {
    let all = names(list);
    sandbox.capabilities = Capabilities {
        bounding: all.clone(),
        effective: all.clone(),
        permitted: all,
        ..Capabilities::default()
    };
}

/// A container that waits to be looked at from outside.
fn standing(adjust: impl FnOnce(&mut Sandbox)) -> (Child, std::os::unix::net::UnixStream) {
    let (mut ours, mut theirs) = pair();
    let child = newborn(|| {
        pinnace_sandbox::harden().expect("harden");
        let mut sandbox = plain(image());
        adjust(&mut sandbox);
        enter(&sandbox, &[]).expect("enter");
        theirs.write_all(b"r").expect("ready");
        theirs.read_exact(&mut [0]).expect("released");
    });
    ours.read_exact(&mut [0]).expect("ready");
    (child, ours)
}

fn root_is_nobody() {
    for (uid, outside) in [(0, FIRST), (1000, FIRST + 1000)] {
        let (child, mut ours) = standing(|sandbox| {
            put(sandbox);
            sandbox.user = User { uid, gid: uid, groups: vec![7], umask: None };
        });
        let status = fs::read_to_string(format!("/proc/{}/status", child.0)).expect("status");
        let four = format!("{outside}\t{outside}\t{outside}\t{outside}");
        assert!(
            status.contains(&format!("Uid:\t{four}")) && status.contains(&format!("Gid:\t{four}")),
            "{status}"
        );
        assert!(status.contains(&format!("Groups:\t{} \n", FIRST + 7)), "{status}");
        let map = fs::read_to_string(format!("/proc/{}/uid_map", child.0)).expect("map");
        assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "5000"]);
        ours.write_all(b"g").expect("release");
        assert_eq!(child.end(), End::Passed);
    }
}

fn private_files_stay_closed() {
    let volume = host_directory("private");
    let key = format!("{volume}/key");
    fs::write(&key, "host's").expect("file");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("mode");
    for apart in [true, false] {
        inside(
            |sandbox| {
                sandbox.files().mounts.push(bind(&volume, "/data"));
                give(sandbox, &["DAC_OVERRIDE", "CHOWN", "FOWNER"]);
                if apart {
                    put(sandbox);
                }
            },
            |_| {
                let expected = |errno| if apart { errno } else { 0 };
                assert_eq!(refusal(fs::read("/data/key")), expected(libc::EACCES));
                assert_eq!(refusal(chown("/data/key", Some(1), None)), expected(libc::EPERM));
                let mode = fs::Permissions::from_mode(0o644);
                assert_eq!(refusal(fs::set_permissions("/data/key", mode)), expected(libc::EPERM));
            },
        );
        chown(&key, Some(0), Some(0)).expect("owner");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("mode");
    }
}

fn writes_are_mapped() {
    let volume = host_directory("writes");
    for uid in [0, 1000] {
        let name = format!("of-{uid}");
        inside(
            |sandbox| {
                put(sandbox);
                sandbox.user = User { uid, gid: uid, ..User::default() };
                sandbox.files().mounts.push(bind(&volume, "/data"));
            },
            |_| {
                fs::write(format!("/data/{name}"), "x").expect("file");
                let file = fs::metadata(format!("/data/{name}")).expect("file");
                assert_eq!((file.uid(), file.gid()), (uid, uid));
            },
        );
        let file = fs::metadata(format!("{volume}/{name}")).expect("file");
        assert_eq!((file.uid(), file.gid()), (FIRST + uid, FIRST + uid));
    }
}

fn unmapped_is_nobody() {
    let volume = host_directory("unmapped");
    for (name, owner) in [("root", 0), ("beyond", FIRST + 5000), ("before", FIRST - 1)] {
        fs::write(format!("{volume}/{name}"), "").expect("file");
        chown(format!("{volume}/{name}"), Some(owner), Some(owner)).expect("owner");
    }
    inside(
        |sandbox| {
            put(sandbox);
            sandbox.files().mounts.push(bind(&volume, "/data"));
            give(sandbox, &["SETUID", "CHOWN"]);
        },
        |_| {
            for name in ["root", "beyond", "before"] {
                let file = fs::metadata(format!("/data/{name}")).expect("file");
                assert_eq!((file.uid(), file.gid()), (NOBODY, NOBODY), "{name}");
            }
            // Nor can it become one, or give something to one.
            assert_eq!(call(libc::SYS_setuid, &[5000]), Err(libc::EINVAL));
            fs::write("/tmp/mine", "").expect("file");
            assert_eq!(refusal(chown("/tmp/mine", Some(5000), None)), libc::EINVAL);
        },
    );
}

fn made_for_its_root() {
    let volume = host_directory("made");
    inside(
        |sandbox| {
            put(sandbox);
            sandbox.files().mounts = vec![
                bind(&volume, "/a/new/place"),
                tmpfs("/run", &[("mode", Some("750"))]),
                // As the server translates it.
                tmpfs("/of-7", &[("uid", Some("100007")), ("gid", Some("100008"))]),
            ];
        },
        |_| {
            let owner = |path: &str| {
                let file = fs::metadata(path).expect(path);
                (file.uid(), file.gid())
            };
            assert_eq!((owner("/a"), owner("/a/new"), owner("/run")), ((0, 0), (0, 0), (0, 0)));
            assert_eq!(owner("/of-7"), (7, 8));
            fs::write("/run/file", "").expect("its own tmpfs");
        },
    );
}

fn mapped(source: &str, below: bool) -> Mount {
    let kind = MountKind::MappedBind {
        source: source.to_owned(),
        recursive: true,
        users: namespace().into_raw_fd(),
        below,
    };
    Mount { kind, ..bind(source, "/data") }
}

fn mapped_binds() {
    let volume = host_directory("mapped");
    let below = format!("{volume}/below");
    fs::create_dir(&below).expect("directory");
    let none = rustix::mount::MountFlags::empty();
    rustix::mount::mount("none", &below, "tmpfs", none, None).expect("tmpfs");
    for (path, owner) in [(format!("{volume}/file"), 3), (format!("{below}/file"), 4)] {
        fs::write(&path, "").expect("file");
        chown(&path, Some(owner), Some(owner)).expect("owner");
    }
    for deep in [false, true] {
        inside(
            |sandbox| {
                put(sandbox);
                sandbox.files().mounts.push(mapped(&volume, deep));
            },
            |_| {
                assert_eq!(fs::metadata("/data/file").expect("file").uid(), 3);
                let under = if deep { 4 } else { NOBODY };
                assert_eq!(fs::metadata("/data/below/file").expect("file").uid(), under);
                fs::write(format!("/data/written-{deep}"), "").expect("file");
            },
        );
        // On the disk, as if there were no namespace.
        let file = fs::metadata(format!("{volume}/written-{deep}")).expect("file");
        assert_eq!((file.uid(), file.gid()), (0, 0));
    }
    // Without a user namespace of the container, the mapped owners are seen as they are outside.
    inside(
        |sandbox| sandbox.files().mounts.push(mapped(&volume, false)),
        |_| assert_eq!(fs::metadata("/data/file").expect("file").uid(), FIRST + 3),
    );
    // What cannot be mapped is named.
    refused(
        |sandbox| {
            let users = std::fs::File::open("/etc/passwd").expect("file").into_raw_fd();
            let kind =
                MountKind::MappedBind { source: volume.clone(), recursive: false, users, below: false };
            sandbox.files().mounts.push(Mount { kind, ..bind(&volume, "/data") });
        },
        "cannot map the ids of the mount /data",
    );
    rustix::mount::unmount(&below, rustix::mount::UnmountFlags::empty()).expect("unmount");
}

const MANY: [&str; 9] = [
    "SYS_ADMIN",
    "SYS_CHROOT",
    "MKNOD",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "KILL",
    "SYS_TIME",
    "SETUID",
    "SYS_RESOURCE",
];

fn capabilities_stay_inside() {
    let parent = std::process::id();
    inside(
        |sandbox| {
            put(sandbox);
            give(sandbox, &MANY);
        },
        |entered| {
            assert_eq!(entered.warnings, []);
            let now = capctl::CapState::get_current().expect("capget");
            assert!(now.effective.has(capctl::Cap::SYS_ADMIN));
            let path = |path: &'static std::ffi::CStr| path.as_ptr() as u64;
            let tmpfs = [path(c"none"), path(c"/tmp"), path(c"tmpfs"), 0, 0];
            assert_eq!(call(libc::SYS_mount, &tmpfs), Err(libc::EPERM));
            assert_eq!(call(libc::SYS_umount2, &[path(c"/"), libc::MNT_DETACH as u64]), Err(libc::EPERM));
            let device = rustix::fs::makedev(1, 3);
            let node = [path(c"/tmp/null"), u64::from(libc::S_IFCHR) | 0o666, device];
            assert!(call(libc::SYS_mknod, &node).is_err());
            assert_eq!(call(libc::SYS_kill, &[u64::from(parent), 0]), Err(libc::EPERM));
            let time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            assert_eq!(call(libc::SYS_clock_settime, &[0, (&raw const time) as u64]), Err(libc::EPERM));
            assert_eq!(refusal(fs::write("/etc/of-the-image", "")), libc::EACCES);
        },
    );
}

fn capabilities_in_its_network() {
    for own in [true, false] {
        inside(
            |sandbox| {
                let owned = if own { libc::CLONE_NEWNET as u64 } else { 0 };
                let users = UserNamespace::make(maps(), owned).expect("a user namespace");
                let owned = users.owned.into_iter().map(|(_, fd)| (Namespace::Network, fd.into_raw_fd()));
                sandbox.join.extend(owned);
                let root = Namespace::User { uid: FIRST, gid: FIRST };
                sandbox.join.push((root, users.fd.into_raw_fd()));
                give(sandbox, &["NET_BIND_SERVICE"]);
            },
            |_| {
                let bound = refusal(std::net::UdpSocket::bind("0.0.0.0:80"));
                assert_eq!(bound, if own { 0 } else { libc::EACCES });
            },
        );
    }
}

fn no_privilege_left() {
    for uid in [0, 1000] {
        inside(
            |sandbox| {
                put(sandbox);
                sandbox.user = User { uid, gid: uid, ..User::default() };
            },
            |entered| {
                assert_eq!(entered.warnings, []);
                let none = capctl::CapSet::empty();
                let now = capctl::CapState::get_current().expect("capget");
                assert_eq!((now.permitted, now.effective, now.inheritable), (none, none, none));
                assert_eq!(capctl::bounding::probe(), none);
                assert_eq!(prctl(libc::PR_GET_NO_NEW_PRIVS), 1);
                assert_eq!(prctl(libc::PR_GET_DUMPABLE), 0);
                assert_eq!(prctl(libc::PR_GET_SECUREBITS), 0);
                assert_eq!(prctl(libc::PR_GET_KEEPCAPS), 0);
                assert_eq!(call(libc::SYS_setuid, &[if uid == 0 { 1 } else { 0 }]), Err(libc::EPERM));
            },
        );
    }
}

fn dies_with_its_parent() {
    crate::harness::dies_with_its_parent(put);
}

/// The image is the host root's, as one whose snapshot was not remapped is.
fn image_of_another_owner() {
    inside(
        |sandbox| {
            put(sandbox);
            sandbox.files().mounts = vec![tmpfs("/made", &[]), crate::harness::dev()];
            sandbox.files().masked_paths = names(&["/secret"]);
            sandbox.files().read_only = true;
        },
        |_| {
            fs::write("/made/file", "").expect("its own");
            fs::write("/dev/null", "x").expect("a device");
            assert_eq!(fs::read_dir("/secret").expect("masked").count(), 0);
            assert_eq!(fs::metadata("/etc").expect("image").uid(), NOBODY);
            assert_eq!(refusal(fs::write("/etc/new", "")), libc::EROFS);
        },
    );
}

fn refusals() {
    let root = Namespace::User { uid: FIRST, gid: FIRST };
    let file = fs::File::open("/etc/passwd").expect("file");
    refused(|sandbox| sandbox.join.push((root, file.into_raw_fd())), "cannot enter the user namespace");
    // A user that is not in it.
    refused(
        |sandbox| {
            put(sandbox);
            sandbox.user.uid = 5000;
        },
        "cannot become user 5000",
    );
}
