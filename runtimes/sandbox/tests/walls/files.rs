//! The container's files: nothing leads out of them, nothing in them runs, what is read-only stays as it is.

use crate::harness::{
    End, Files as _, Test, bind, chain, dev, directory, enter, host, host_directory, image, inside,
    inside_first, newborn, pair, plain, preopen, refused, tmpfs,
};
use crate::probe::{call, map, open_at, refusal};
use pinnace_plan::User;
use rustix::fs::inotify;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::Duration;

pub(crate) const TESTS: &[Test] = &[
    ("files::symlinks_of_the_image_lead_nowhere_else", symlinks_stay_inside),
    ("files::the_host_is_gone", the_host_is_gone),
    ("files::the_host_s_mounts_are_let_go", mounts_are_let_go),
    ("files::a_covered_host_is_gone_too", covered_host),
    ("files::a_leaked_host_directory_is_of_no_use", leaked_directory),
    ("files::nothing_of_ours_stays_open", nothing_stays_open),
    ("files::programs_of_the_image_cannot_run", programs_cannot_run),
    ("files::nothing_of_the_image_becomes_executable_memory", no_executable_mapping),
    ("files::every_mount_is_without_exec_dev_and_suid", every_mount_is_restricted),
    ("files::no_device_can_be_made", no_device_can_be_made),
    ("files::a_read_only_root_is", read_only_root),
    ("files::a_read_only_mount_is_with_all_below", read_only_mount),
    ("files::masked_paths_are_empty", masked_paths),
    ("files::read_only_paths_are", read_only_paths),
    ("files::symlinks_to_the_root_change_nothing", symlinks_to_the_root),
    ("files::mount_points_are_made", mount_points_are_made),
    ("files::mounts_of_files", mounts_of_files),
    ("files::tmpfs_takes_the_spec_s_options", tmpfs_options),
    ("files::mount_flags_hold", mount_flags),
    ("files::wrong_mounts_are_named", wrong_mounts_are_named),
    ("files::preopens_are_the_user_s", preopens),
];

fn symlinks_stay_inside() {
    let volume = host_directory("symlinks");
    fs::write(format!("{volume}/mark"), "").expect("file");
    for link in ["/escape", "/relative-escape"] {
        // As a destination of a mount, and as a directory of the guest.
        inside(
            |sandbox| {
                sandbox.files().mounts.push(bind(&volume, &format!("{link}/inner")));
                sandbox.files().mounts.push(tmpfs(&format!("{link}/symlinks"), &[]));
            },
            |_| {
                assert!(fs::exists("/mnt/inner/mark").expect("inside the image"));
                assert_eq!(fs::read_dir("/mnt/symlinks").expect("tmpfs").count(), 0);
            },
        );
        assert!(!host().join("inner").exists());
    }
    // A volume whose content leads out.
    symlink("/mnt", format!("{volume}/out")).expect("symlink");
    symlink("../../../../mnt", format!("{volume}/up")).expect("symlink");
    for name in ["out", "up"] {
        inside(
            |sandbox| {
                sandbox.files().mounts.push(bind(&volume, "/data"));
                sandbox.files().mounts.push(tmpfs(&format!("/data/{name}/made"), &[]));
            },
            |_| assert!(fs::exists("/mnt/made").expect("inside the image")),
        );
        assert!(!host().join("made").exists());
    }
    let child = newborn(|| {
        let sandbox = plain(image());
        let error = enter(&sandbox, &[preopen("/escape")]).map(drop).expect_err("no such directory");
        assert!(chain(&error).contains("/escape"));
    });
    assert_eq!(child.end(), End::Passed);
}

fn the_host_is_gone() {
    inside(
        |_| {},
        |_| {
            assert!(!fs::exists("/mnt").expect("the image has none"));
            assert!(!fs::exists("/../mnt").expect("nor above"));
            assert_eq!(fs::read_to_string("/etc/name").expect("image"), "image");
            let root = fs::metadata("/").expect("/");
            let above = fs::metadata("/..").expect("/..");
            assert_eq!((root.dev(), root.ino()), (above.dev(), above.ino()));
            // Neither is there something below our root to be uncovered.
            let root = c"/".as_ptr() as u64;
            assert_eq!(call(libc::SYS_umount2, &[root, libc::MNT_DETACH as u64]), Err(libc::EPERM));
        },
    );
}

/// The copies of the host's mounts that the process was born with are gone, not only covered: what the host
/// unmounts is unmounted.
fn mounts_are_let_go() {
    let volume = host_directory("let-go");
    rustix::mount::mount("none", &volume, "tmpfs", rustix::mount::MountFlags::empty(), None).expect("tmpfs");
    let file = format!("{volume}/file");
    fs::write(&file, "").expect("file");
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).expect("inotify");
    inotify::add_watch(&watch, &file, inotify::WatchFlags::DELETE_SELF).expect("watch");
    let (mut ours, mut theirs) = pair();
    let child = newborn(|| {
        enter(&plain(image()), &[]).expect("enter");
        theirs.write_all(b"i").expect("tell");
        theirs.read_exact(&mut [0]).expect("released");
    });
    ours.read_exact(&mut [0]).expect("entered");
    rustix::mount::unmount(&volume, rustix::mount::UnmountFlags::empty()).expect("unmount");
    // The event comes when the last mount of the file system is gone.
    let mut buffer = [std::mem::MaybeUninit::uninit(); 512];
    let mut events = inotify::Reader::new(&watch, &mut buffer);
    let unmounted = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        events.next().is_ok_and(|event| event.events().contains(inotify::ReadFlags::UNMOUNT))
    });
    ours.write_all(b"g").expect("release");
    assert_eq!(child.end(), End::Passed);
    assert!(unmounted, "the process still holds the host's mounts");
}

/// A host whose `/` is covered, for whoever comes later, by something that we do not see.
fn covered_host() {
    let (mut ours, mut theirs) = pair();
    let child = newborn(|| {
        let none = rustix::mount::MountFlags::empty();
        // In this namespace only.
        let private =
            rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).expect("private");
        rustix::mount::mount("none", "/", "tmpfs", none, None).expect("tmpfs over /");
        enter(&plain(image()), &[]).expect("enter");
        assert!(fs::exists("/program").expect("the image"));
        assert!(!fs::exists("/../mnt").expect("the host"));
        theirs.write_all(b"i").expect("tell");
        theirs.read_exact(&mut [0]).expect("released");
    });
    ours.read_exact(&mut [0]).expect("entered");
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", child.0)).expect("mountinfo");
    assert_eq!(table.lines().count(), 1, "{table}");
    ours.write_all(b"g").expect("release");
    assert_eq!(child.end(), End::Passed);
}

fn leaked_directory() {
    let volume = host_directory("leak");
    fs::write(format!("{volume}/file"), "host").expect("file");
    let leaked = directory(&volume);
    let program = directory("/");
    // Root with every capability: it is not the mode that refuses.
    inside(
        |sandbox| sandbox.capabilities = everything(),
        |_| {
            for (fd, path) in [(&leaked, "file"), (&program, "etc/passwd")] {
                assert_eq!(open_at(fd.as_raw_fd(), path, libc::O_RDONLY), Err(libc::EACCES), "{path}");
            }
            assert_eq!(open_at(leaked.as_raw_fd(), "new", libc::O_CREAT | libc::O_WRONLY), Err(libc::EACCES));
            assert_eq!(
                open_at(leaked.as_raw_fd(), ".", libc::O_RDONLY | libc::O_DIRECTORY),
                Err(libc::EACCES)
            );
        },
    );
}

fn nothing_stays_open() {
    fn open() -> Vec<u64> {
        let is_open = |fd: &u64| call(libc::SYS_fcntl, &[*fd, libc::F_GETFD as u64]).is_ok();
        (0..256).filter(is_open).collect()
    }
    let volume = host_directory("open");
    fs::create_dir(format!("{volume}/below")).expect("directory");
    rustix::mount::mount("none", format!("{volume}/below"), "proc", rustix::mount::MountFlags::empty(), None)
        .expect("proc");
    let child = newborn(|| {
        let before = open();
        let mut sandbox = plain(image());
        sandbox.files().mounts.extend([bind(&volume, "/data"), tmpfs("/tmp", &[]), dev()]);
        sandbox.files().masked_paths.push("/etc".to_owned());
        sandbox.files().readonly_paths.push("/secret".to_owned());
        let entered = enter(&sandbox, &[preopen("/"), preopen("/data")]).expect("enter");
        pinnace_sandbox::filter(&None, &[]).expect("filter");
        let ours = entered.preopens.iter().map(|fd| fd.as_raw_fd() as u64);
        let mut expected: Vec<u64> = before.into_iter().chain(ours).collect();
        expected.sort_unstable();
        assert_eq!(open(), expected);
    });
    assert_eq!(child.end(), End::Passed);
}

fn everything() -> pinnace_plan::Capabilities {
    let all: Vec<String> =
        ["DAC_OVERRIDE", "DAC_READ_SEARCH", "MKNOD", "SYS_ADMIN", "KILL", "FOWNER", "CHOWN"]
            .map(str::to_owned)
            .into();
    pinnace_plan::Capabilities {
        bounding: all.clone(),
        effective: all.clone(),
        permitted: all.clone(),
        inheritable: Vec::new(),
        ambient: Vec::new(),
    }
}

fn programs_cannot_run() {
    let volume = host_directory("programs");
    fs::copy("/bin/true", format!("{volume}/program")).expect("program");
    inside(
        |sandbox| sandbox.files().mounts.push(bind(&volume, "/data")),
        |_| {
            for program in [c"/program", c"/data/program"] {
                let arguments = [program.as_ptr(), std::ptr::null()];
                let result = call(libc::SYS_execve, &[program.as_ptr() as u64, arguments.as_ptr() as u64, 0]);
                assert_eq!(result, Err(libc::EACCES), "{program:?}");
            }
        },
    );
}

fn no_executable_mapping() {
    let volume = host_directory("mapping");
    fs::copy("/bin/true", format!("{volume}/library")).expect("library");
    inside(
        |sandbox| sandbox.files().mounts.extend([bind(&volume, "/data"), tmpfs("/tmp", &[]), dev()]),
        |_| {
            fs::write("/tmp/library", [0; 4096]).expect("file");
            for path in ["/program", "/data/library", "/tmp/library", "/dev/zero"] {
                let file = fs::File::open(path).expect(path);
                map(file.as_raw_fd(), libc::PROT_READ).expect("readable");
                let executable = libc::PROT_READ | libc::PROT_EXEC;
                assert_eq!(map(file.as_raw_fd(), executable), Err(libc::EPERM), "{path}");
            }
        },
    );
}

fn every_mount_is_restricted() {
    let volume = host_directory("restricted");
    fs::create_dir(format!("{volume}/below")).expect("directory");
    rustix::mount::mount(
        "none",
        format!("{volume}/below"),
        "tmpfs",
        rustix::mount::MountFlags::empty(),
        None,
    )
    .expect("tmpfs");
    inside(
        |sandbox| {
            sandbox.files().mounts.extend([bind(&volume, "/data"), tmpfs("/tmp", &[]), dev()]);
            sandbox.files().readonly_paths.push("/secret".to_owned());
            sandbox.files().masked_paths.push("/etc".to_owned());
        },
        |_| {
            let all = [libc::ST_NOSUID, libc::ST_NODEV, libc::ST_NOEXEC];
            for (path, wanted) in [
                ("/", all.as_slice()),
                ("/data", &all),
                ("/data/below", &all),
                ("/tmp", &all),
                ("/dev", &all),
                ("/secret", &all),
                ("/etc", &all),
                ("/dev/null", &[libc::ST_NOSUID, libc::ST_NOEXEC]),
            ] {
                let flags = flags(path);
                for flag in wanted {
                    assert_ne!(flags & flag, 0, "{path} lacks {flag:#x}");
                }
            }
        },
    );
}

fn flags(path: &str) -> u64 {
    let path = std::ffi::CString::new(path).expect("no NUL");
    // SAFETY: all zeroes is a value of this plain structure.
    let mut status: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: path and structure live over the call.
    assert_eq!(unsafe { libc::statvfs(path.as_ptr(), &raw mut status) }, 0, "{path:?}");
    status.f_flag
}

fn no_device_can_be_made() {
    inside(
        |sandbox| sandbox.capabilities = everything(),
        |_| {
            let device = rustix::fs::makedev(1, 3);
            for kind in [libc::S_IFCHR, libc::S_IFBLK] {
                let path = c"/tmp/made".as_ptr() as u64;
                let here = libc::AT_FDCWD as u64;
                let result = call(libc::SYS_mknodat, &[here, path, u64::from(kind | 0o666), device]);
                assert_eq!(result, Err(libc::EACCES), "{kind:o}");
            }
        },
    );
}

fn read_only_root() {
    inside(
        |sandbox| {
            sandbox.files().read_only = true;
            sandbox.files().mounts.push(tmpfs("/new/place", &[]));
        },
        |_| {
            assert_eq!(refusal(fs::write("/etc/name", "x")), libc::EROFS);
            assert_eq!(refusal(fs::create_dir("/made")), libc::EROFS);
            fs::write("/new/place/file", "x").expect("mounts below are their own");
        },
    );
    inside(|_| {}, |_| fs::write("/etc/name", "x").expect("a writable root"));
}

fn read_only_mount() {
    let volume = host_directory("read-only");
    fs::create_dir(format!("{volume}/below")).expect("directory");
    rustix::mount::mount(
        "none",
        format!("{volume}/below"),
        "tmpfs",
        rustix::mount::MountFlags::empty(),
        None,
    )
    .expect("tmpfs");
    inside(
        |sandbox| {
            let mut volume = bind(&volume, "/data");
            volume.read_only = true;
            let mut memory = tmpfs("/tmp", &[]);
            memory.read_only = true;
            sandbox.files().mounts.extend([volume, memory]);
        },
        |_| {
            for path in ["/data/file", "/data/below/file", "/tmp/file"] {
                assert_eq!(refusal(fs::write(path, "x")), libc::EROFS, "{path}");
            }
        },
    );
    fs::write(format!("{volume}/file"), "x").expect("the host's own mount is as before");
}

fn masked_paths() {
    inside(
        |sandbox| {
            let paths = ["/secret", "/etc/name", "/absent", "/etc/name/absent", "/escape"];
            sandbox.files().masked_paths.extend(paths.map(str::to_owned));
        },
        |_| {
            assert_eq!(fs::read_dir("/secret").expect("empty").count(), 0);
            assert_eq!(refusal(fs::write("/secret/file", "x")), libc::EROFS);
            assert_eq!(fs::read("/etc/name").expect("empty"), b"");
        },
    );
}

/// An image may put a symlink to its own root where the spec hides or mounts something.
fn symlinks_to_the_root() {
    for name in ["escape-to-root", "etc/../escape-to-root"] {
        let path = format!("/{name}");
        // Another process is refused: it would stand elsewhere (`living`).
        inside_first(
            |sandbox| {
                let root = format!("/proc/self/fd/{}", sandbox.files().fd);
                symlink("/", format!("{root}/escape-to-root")).expect("symlink");
                sandbox.files().masked_paths.push(path.clone());
                sandbox.files().readonly_paths.push(path.clone());
                sandbox.files().mounts.push(tmpfs(&path, &[]));
            },
            |_| {
                assert!(!fs::exists("/mnt").expect("the host is gone"));
                assert!(!fs::exists("/../mnt").expect("nor is it above"));
                assert_eq!(refusal(fs::File::open("/device")), libc::EACCES);
            },
        );
    }
}

fn read_only_paths() {
    inside(
        |sandbox| {
            sandbox.files().mounts.push(tmpfs("/secret/below", &[]));
            sandbox.files().readonly_paths.extend(["/secret", "/etc/name", "/absent"].map(str::to_owned));
        },
        |_| {
            assert_eq!(fs::read_to_string("/secret/key").expect("readable"), "secret");
            for path in ["/secret/key", "/secret/below/file", "/etc/name"] {
                assert_eq!(refusal(fs::write(path, "x")), libc::EROFS, "{path}");
            }
            fs::write("/etc/other", "x").expect("beside it");
        },
    );
}

fn mount_points_are_made() {
    inside(
        |sandbox| {
            sandbox.files().mounts.extend([tmpfs("/a/b/c", &[]), bind("/etc/passwd", "/a/b/c/d/file")]);
            sandbox.user.umask = Some(0o077);
        },
        |_| {
            assert!(fs::metadata("/a/b/c/d/file").expect("file").is_file());
            // Their mode is not the guest's umask's.
            assert_eq!(fs::metadata("/a/b").expect("directory").mode() & 0o7777, 0o755);
        },
    );
}

fn mounts_of_files() {
    let volume = host_directory("file-volume");
    fs::write(format!("{volume}/hosts"), "localhost").expect("file");
    symlink("hosts", format!("{volume}/link")).expect("symlink");
    for name in ["hosts", "link"] {
        inside(
            |sandbox| {
                let mut hosts = bind(&format!("{volume}/{name}"), "/etc/name");
                hosts.read_only = true;
                sandbox.files().mounts.push(hosts);
            },
            |_| {
                assert_eq!(fs::read_to_string("/etc/name").expect("file"), "localhost");
                assert_eq!(refusal(fs::write("/etc/name", "x")), libc::EROFS);
            },
        );
    }
    // Over a symlink of the image: what it names, inside.
    inside(
        |sandbox| sandbox.files().mounts.push(bind(&format!("{volume}/hosts"), "/escape/etc/hosts")),
        |_| assert_eq!(fs::read_to_string("/mnt/etc/hosts").expect("file"), "localhost"),
    );
}

fn tmpfs_options() {
    inside(
        |sandbox| {
            sandbox
                .files()
                .mounts
                .push(tmpfs("/tmp", &[("size", Some("64k")), ("mode", Some("700")), ("uid", Some("7"))]));
        },
        |_| {
            let status = fs::metadata("/tmp").expect("tmpfs");
            assert_eq!((status.mode() & 0o7777, status.uid()), (0o700, 7));
        },
    );
    inside(
        |sandbox| sandbox.files().mounts.push(tmpfs("/tmp", &[("size", Some("64k"))])),
        |_| assert_eq!(refusal(fs::write("/tmp/file", vec![1; 128 * 1024])), libc::ENOSPC),
    );
    refused(
        |sandbox| sandbox.files().mounts.push(tmpfs("/tmp", &[("sise", Some("1m"))])),
        "tmpfs option \"sise=1m\" of /tmp is refused",
    );
}

fn mount_flags() {
    let volume = host_directory("flags");
    fs::write(format!("{volume}/file"), "x").expect("file");
    symlink("file", format!("{volume}/link")).expect("symlink");
    inside(
        |sandbox| {
            let mut still = bind(&volume, "/data");
            still.flags.no_atime = true;
            still.flags.no_symfollow = true;
            let mut relative = tmpfs("/tmp", &[]);
            relative.flags.relatime = true;
            sandbox.files().mounts.extend([still, relative]);
        },
        |_| {
            assert_ne!(flags("/data") & libc::ST_NOATIME, 0);
            assert_ne!(flags("/tmp") & libc::ST_RELATIME, 0);
            assert_eq!(refusal(fs::read("/data/link")), libc::ELOOP);
            fs::read("/data/file").expect("a file");
        },
    );
}

fn wrong_mounts_are_named() {
    refused(
        |sandbox| sandbox.files().mounts.push(bind("/absent/volume", "/data")),
        "cannot open /absent/volume, source of the mount /data",
    );
    refused(
        |sandbox| sandbox.files().mounts.push(bind("/mnt", "/etc/name")),
        "cannot attach the mount /etc/name; source and destination",
    );
    refused(
        |sandbox| sandbox.files().mounts.push(bind("/mnt", "/etc/name/x")),
        "mount destination /etc/name/x in the image",
    );
    for destination in ["/", "", "relative", "/..", "/./"] {
        refused(
            |sandbox| sandbox.files().mounts.push(tmpfs(destination, &[])),
            "is not an absolute path below /",
        );
    }
    refused(|sandbox| sandbox.files().fd = 999, "descriptor 999, the root of the plan, is not open");
}

fn preopens() {
    let volume = host_directory("preopen");
    fs::write(format!("{volume}/file"), "volume").expect("file");
    let closed = host_directory("closed");
    fs::create_dir(format!("{closed}/inner")).expect("directory");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("mode");
    let child = newborn(|| {
        let mut sandbox = plain(image());
        sandbox.files().mounts.extend([bind(&volume, "/data"), bind(&closed, "/closed")]);
        sandbox.user = User { uid: 1000, gid: 1000, ..User::default() };
        let wanted = [preopen("/"), preopen("/data")];
        let entered = enter(&sandbox, &wanted).expect("enter");
        assert_eq!(entered.preopens.len(), 2);
        open_at(entered.preopens[0].as_raw_fd(), "etc/name", libc::O_RDONLY).expect("the root's");
        open_at(entered.preopens[1].as_raw_fd(), "file", libc::O_RDONLY).expect("the volume's");
        open_at(entered.preopens[1].as_raw_fd(), ".", libc::O_RDONLY | libc::O_DIRECTORY).expect("readable");
    });
    assert_eq!(child.end(), End::Passed);
    for (path, expected) in [
        (
            "/closed/inner",
            "cannot open /closed/inner, a directory of the guest, as user 1000: Permission denied",
        ),
        ("/absent", "cannot open /absent, a directory of the guest, as user 1000: No such file"),
        ("/etc/name", "cannot open /etc/name, a directory of the guest, as user 1000: Not a directory"),
    ] {
        let child = newborn(|| {
            let mut sandbox = plain(image());
            sandbox.files().mounts.push(bind(&closed, "/closed"));
            sandbox.user = User { uid: 1000, gid: 1000, ..User::default() };
            let error = enter(&sandbox, &[preopen(path)]).map(drop).expect_err(path);
            assert!(chain(&error).contains(expected), "{}", chain(&error));
        });
        assert_eq!(child.end(), End::Passed);
    }
}
