//! No window into the kernel: not mounted, not bound, not below a bind, not later.

use crate::harness::{
    End, Files as _, Test, bind, dev, enter, host, host_directory, image, inside, make_older, newborn, plain,
    refused,
};
use rustix::mount::{MountFlags, mount, mount_bind};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::IntoRawFd;

pub(crate) const TESTS: &[Test] = &[
    ("kernel::proc_and_sys_are_absent", proc_and_sys_are_absent),
    ("kernel::a_root_brings_none_along", root_brings_none),
    ("kernel::binds_of_kernel_file_systems_are_refused", binds_are_refused),
    ("kernel::a_bind_of_a_namespace_file_is_refused", namespace_file_is_refused),
    ("kernel::a_submount_of_proc_is_left_out", submount_is_left_out),
    ("kernel::a_covered_submount_is_left_out", covered_submount_is_left_out),
    ("kernel::the_host_s_root_comes_without", host_root),
    ("kernel::none_is_even_covered", not_even_covered),
    ("kernel::memory_of_the_host_is_no_kernel_file_system", shared_memory),
    ("kernel::a_submount_that_was_moved_is_found", moved_submount),
    ("kernel::older_kernels_leave_out_as_much", older_kernels),
    ("kernel::later_mounts_of_the_host_stay_out", later_mounts_stay_out),
    ("kernel::our_mounts_stay_in", our_mounts_stay_in),
    ("kernel::dev_holds_the_devices_of_the_plan_only", dev_holds_the_plan_s),
    ("kernel::a_device_of_the_image_is_no_device", device_of_the_image),
    ("kernel::a_device_of_a_volume_is_no_device", device_of_a_volume),
];

/// Files and directories of the host, and the kernel file systems they are on.
const BINDS: &[(&str, &str)] = &[
    ("/proc", "proc"),
    ("/proc/sys", "proc"),
    ("/proc/sys/kernel/core_pattern", "proc"),
    ("/proc/1/environ", "proc"),
    ("/proc/self/mem", "proc"),
    ("/sys", "sysfs"),
    ("/sys/kernel", "sysfs"),
    ("/dev", "devtmpfs"),
    ("/dev/null", "devtmpfs"),
    ("/dev/pts", "devpts"),
    ("/dev/pts/ptmx", "devpts"),
];

fn entries(path: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap_or_else(|error| panic!("{path}: {error}"))
        .map(|entry| entry.expect(path).file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn proc_and_sys_are_absent() {
    inside(
        |_| {},
        |_| {
            assert!(entries("/proc").is_empty());
            assert!(entries("/sys").is_empty());
            assert!(!entries("/").contains(&"dev".to_owned()));
        },
    );
}

fn root_brings_none() {
    let root = host_directory("root");
    for name in ["proc", "tmp"] {
        fs::create_dir(format!("{root}/{name}")).expect("directory");
    }
    mount("none", format!("{root}/proc"), "proc", MountFlags::empty(), None).expect("proc");
    let clone = |path: &str| {
        use rustix::mount::{OpenTreeFlags, open_tree};
        let all = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE;
        open_tree(rustix::fs::CWD, path, all).expect("open_tree").into_raw_fd()
    };
    inside(
        |sandbox| sandbox.files().fd = clone(&root),
        |_| assert!(entries("/proc").is_empty(), "{:?}", entries("/proc")),
    );
    let child = newborn(|| {
        make_older(&[457, 458]);
        crate::harness::try_enter(|sandbox| sandbox.files().fd = clone(&root)).expect("enter");
        assert!(entries("/proc").is_empty(), "{:?}", entries("/proc"));
    });
    assert_eq!(child.end(), End::Passed);
    refused(|sandbox| sandbox.files().fd = clone("/proc"), "the root file system is proc;");
    refused(|sandbox| sandbox.files().fd = clone("/dev"), "the root file system is devtmpfs;");
}

fn binds_are_refused() {
    for (path, name) in BINDS {
        refused(|sandbox| sandbox.files().mounts.push(bind(path, "/data")), &format!("is on {name};"));
        let mut once = bind(path, "/data");
        once.kind = pinnace_plan::MountKind::Bind { source: (*path).to_owned(), recursive: false };
        refused(|sandbox| sandbox.files().mounts.push(once), &format!("is on {name};"));
    }
    // A cgroup hierarchy, wherever this machine has one.
    let cgroup = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let cgroup = cgroup.lines().find(|line| line.contains(" - cgroup")).expect("a cgroup hierarchy");
    let path = cgroup.split(' ').nth(4).expect("mount point").to_owned();
    refused(|sandbox| sandbox.files().mounts.push(bind(&path, "/data")), "is on cgroup");
    // And through a symlink of the host.
    let link = host().join("link-to-proc");
    std::os::unix::fs::symlink("/proc", &link).expect("symlink");
    refused(
        |sandbox| sandbox.files().mounts.push(bind(link.to_str().expect("UTF-8"), "/data")),
        "is on proc;",
    );
    // A magic link is not followed at all, though it leads to an ordinary directory.
    refused(|sandbox| sandbox.files().mounts.push(bind("/proc/self/root/mnt", "/data")), "cannot open");
}

fn namespace_file_is_refused() {
    let place = host().join("netns");
    fs::write(&place, "").expect("file");
    let child = newborn(|| mount_bind("/proc/self/ns/net", &place).expect("bind"));
    assert_eq!(child.end(), End::Passed);
    mount_bind("/proc/self/ns/net", &place).expect("bind");
    refused(
        |sandbox| sandbox.files().mounts.push(bind(place.to_str().expect("UTF-8"), "/data")),
        "is on nsfs;",
    );
    rustix::mount::unmount(&place, rustix::mount::UnmountFlags::DETACH).expect("unmount");
}

fn submount_is_left_out() {
    let volume = host_directory("volume");
    let none = MountFlags::empty();
    for (name, kind) in
        [("a proc", "proc"), ("memory", "tmpfs"), ("system", "sysfs"), ("devices", "devtmpfs")]
    {
        let place = format!("{volume}/{name}");
        fs::create_dir(&place).expect("directory");
        mount("none", &place, kind, none, None).expect(kind);
    }
    fs::write(format!("{volume}/memory/file"), "inner").expect("file");
    fs::create_dir(format!("{volume}/memory/deep")).expect("directory");
    mount("none", format!("{volume}/memory/deep"), "proc", none, None).expect("proc");
    inside(
        |sandbox| sandbox.files().mounts.push(bind(&volume, "/data")),
        |_| {
            assert_eq!(entries("/data"), ["a proc", "devices", "memory", "system"]);
            assert_eq!(fs::read_to_string("/data/memory/file").expect("the tmpfs below"), "inner");
            for empty in ["a proc", "devices", "system", "memory/deep"] {
                assert!(entries(&format!("/data/{empty}")).is_empty(), "{empty}");
            }
        },
    );
    // Without `recursive`, not even the tmpfs.
    inside(
        |sandbox| {
            let mut once = bind(&volume, "/data");
            once.kind = pinnace_plan::MountKind::Bind { source: volume.clone(), recursive: false };
            sandbox.files().mounts.push(once);
        },
        |_| assert!(entries("/data/memory").is_empty()),
    );
}

/// The kernels before 6.8 lack `statmount` and `listmount`: the same, without them.
fn older_kernels() {
    let volume = host_directory("older");
    fs::create_dir(format!("{volume}/proc")).expect("directory");
    fs::create_dir(format!("{volume}/memory")).expect("directory");
    mount("none", format!("{volume}/proc"), "proc", MountFlags::empty(), None).expect("proc");
    mount("none", format!("{volume}/memory"), "tmpfs", MountFlags::empty(), None).expect("tmpfs");
    fs::write(format!("{volume}/memory/file"), "inner").expect("file");
    let child = newborn(|| {
        make_older(&[457, 458]);
        crate::harness::try_enter(|sandbox| sandbox.files().mounts.push(bind(&volume, "/data")))
            .expect("enter");
        assert_eq!(entries("/data"), ["memory", "proc"]);
        assert!(entries("/data/proc").is_empty());
        assert_eq!(fs::read_to_string("/data/memory/file").expect("the tmpfs below"), "inner");
    });
    assert_eq!(child.end(), End::Passed);
    for (path, name) in BINDS {
        let child = newborn(|| {
            make_older(&[457, 458]);
            let entered =
                crate::harness::try_enter(|sandbox| sandbox.files().mounts.push(bind(path, "/data")));
            let message = entered.map(drop).expect_err("a kernel file system").to_string();
            assert!(message.contains(&format!("is on {name};")), "{message}");
        });
        assert_eq!(child.end(), End::Passed, "{path}");
    }
}

/// The widest bind there is, while our own root lies over what is bound.
fn host_root() {
    let volume = host_directory("of-the-host");
    for older in [&[][..], &[457, 458]] {
        let child = newborn(|| {
            make_older(older);
            let mounts = [bind("/", "/host"), crate::harness::tmpfs("/data", &[])];
            crate::harness::try_enter(|sandbox| sandbox.files().mounts.extend(mounts)).expect("enter");
            // What their mount points hold on the host's disk is no more than files.
            for gone in ["/host/proc/self", "/host/sys/kernel", "/host/dev/null", "/host/dev/pts/ptmx"] {
                assert!(!fs::exists(gone).expect(gone), "{gone}");
            }
            assert!(fs::exists("/host/etc/passwd").expect("the host's"));
            assert!(fs::exists(format!("/host{volume}")).expect("a mount of the host"));
            assert!(!fs::exists("/host/program").expect("not the image's"));
        });
        assert_eq!(child.end(), End::Passed);
    }
}

/// Looked at from outside: what is covered by something else, and cannot be seen from inside, is not there either.
fn not_even_covered() {
    let volume = host_directory("layers");
    let none = MountFlags::empty();
    for name in ["a", "b"] {
        fs::create_dir_all(format!("{volume}/{name}/deep")).expect("directory");
        mount("none", format!("{volume}/{name}/deep"), "proc", none, None).expect("proc");
    }
    // One below a mount, one exactly below it.
    mount("none", format!("{volume}/a"), "tmpfs", none, None).expect("tmpfs");
    mount("none", format!("{volume}/b/deep"), "tmpfs", none, None).expect("tmpfs");
    for older in [&[][..], &[457, 458]] {
        for source in [volume.as_str(), "/"] {
            let (mut ours, mut theirs) = crate::harness::pair();
            let child = newborn(|| {
                make_older(older);
                let mounts = [bind(source, "/host"), bind(source, "/data")];
                crate::harness::try_enter(|sandbox| sandbox.files().mounts.extend(mounts)).expect("enter");
                theirs.write_all(b"r").expect("tell");
                theirs.read_exact(&mut [0]).expect("released");
            });
            ours.read_exact(&mut [0]).expect("entered");
            let table = fs::read_to_string(format!("/proc/{}/mountinfo", child.0)).expect("mountinfo");
            for kind in ["proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "nsfs"] {
                assert!(!table.contains(&format!(" - {kind} ")), "{source}: {table}");
            }
            ours.write_all(b"g").expect("release");
            assert_eq!(child.end(), End::Passed);
        }
    }
}

fn shared_memory() {
    inside(|sandbox| sandbox.files().mounts.push(bind("/dev/shm", "/data")), |_| drop(entries("/data")));
}

/// The kernel lists mounts in the order of making, so a mount can come before the one it is on.
fn moved_submount() {
    let volume = host_directory("moved");
    let none = MountFlags::empty();
    for name in ["first", "second"] {
        fs::create_dir(format!("{volume}/{name}")).expect("directory");
        mount("none", format!("{volume}/{name}"), "tmpfs", none, None).expect("tmpfs");
    }
    fs::write(format!("{volume}/first/file"), "first").expect("file");
    fs::create_dir(format!("{volume}/second/inner")).expect("directory");
    let private = rustix::mount::MountPropagationFlags::PRIVATE;
    rustix::mount::mount_change(host(), private).expect("a shared mount cannot be moved from");
    rustix::mount::mount_move(format!("{volume}/first"), format!("{volume}/second/inner")).expect("move");
    rustix::mount::mount_change(host(), rustix::mount::MountPropagationFlags::SHARED).expect("shared");
    inside(
        |sandbox| sandbox.files().mounts.push(bind(&volume, "/data")),
        |_| assert_eq!(fs::read_to_string("/data/second/inner/file").expect("moved"), "first"),
    );
}

fn covered_submount_is_left_out() {
    let volume = host_directory("covered");
    let none = MountFlags::empty();
    fs::create_dir_all(format!("{volume}/a/b")).expect("directory");
    mount("none", format!("{volume}/a/b"), "tmpfs", none, None).expect("tmpfs");
    fs::write(format!("{volume}/a/b/hidden"), "").expect("file");
    mount("none", format!("{volume}/a"), "tmpfs", none, None).expect("tmpfs");
    fs::create_dir(format!("{volume}/a/b")).expect("directory");
    inside(
        |sandbox| sandbox.files().mounts.push(bind(&volume, "/data")),
        |_| assert!(entries("/data/a/b").is_empty()),
    );
}

fn later_mounts_stay_out() {
    let volume = host_directory("shared");
    fs::create_dir(format!("{volume}/later")).expect("directory");
    let (mut ours, mut theirs) = crate::harness::pair();
    let child = newborn(|| {
        let mut sandbox = plain(image());
        sandbox.files().mounts.push(bind(&volume, "/data"));
        enter(&sandbox, &[]).expect("enter");
        theirs.write_all(b"i").expect("tell");
        theirs.read_exact(&mut [0]).expect("told");
        assert!(entries("/data/later").is_empty(), "{:?}", entries("/data/later"));
        assert!(!fs::exists("/data/later/version").expect("exists"));
    });
    ours.read_exact(&mut [0]).expect("entered");
    mount("none", format!("{volume}/later"), "proc", MountFlags::empty(), None).expect("proc");
    ours.write_all(b"m").expect("tell");
    assert_eq!(child.end(), End::Passed);
}

fn our_mounts_stay_in() {
    let volume = host_directory("ours");
    let before = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let (mut ours, mut theirs) = crate::harness::pair();
    let child = newborn(|| {
        let mut sandbox = plain(image());
        sandbox.files().mounts.extend([
            bind(&volume, "/data"),
            crate::harness::tmpfs("/data/inner", &[]),
            dev(),
        ]);
        enter(&sandbox, &[]).expect("enter");
        theirs.write_all(b"i").expect("tell");
        theirs.read_exact(&mut [0]).expect("told");
    });
    ours.read_exact(&mut [0]).expect("entered");
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").expect("mountinfo"), before);
    ours.write_all(b"m").expect("tell");
    assert_eq!(child.end(), End::Passed);
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").expect("mountinfo"), before);
}

fn dev_holds_the_plan_s() {
    inside(
        |sandbox| {
            let mut dev = dev();
            dev.read_only = true;
            sandbox.files().mounts.push(dev);
        },
        |_| {
            assert_eq!(entries("/dev"), ["full", "null", "random", "urandom", "zero"]);
            let mut eight = [1; 8];
            fs::File::open("/dev/zero").expect("zero").read_exact(&mut eight).expect("zero");
            assert_eq!(eight, [0; 8]);
            fs::File::open("/dev/urandom").expect("urandom").read_exact(&mut eight).expect("urandom");
            fs::File::open("/dev/random").expect("random").read_exact(&mut eight).expect("random");
            fs::write("/dev/null", "gone").expect("null");
            assert_eq!(fs::read("/dev/null").expect("null"), b"");
            assert_eq!(crate::probe::refusal(fs::write("/dev/full", "x")), libc::ENOSPC);
            assert_eq!(crate::probe::refusal(fs::write("/dev/other", "x")), libc::EROFS);
        },
    );
}

fn device_of_the_image() {
    inside(|_| {}, |_| assert_eq!(crate::probe::refusal(fs::File::open("/device")), libc::EACCES));
}

fn device_of_a_volume() {
    let volume = host_directory("devices");
    let disk = format!("{volume}/memory");
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    let kind = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, &disk, kind, mode, rustix::fs::makedev(1, 5)).expect("mknod");
    fs::File::open(&disk).expect("a device to the host");
    inside(
        |sandbox| sandbox.files().mounts.push(bind(&volume, "/data")),
        |_| assert_eq!(crate::probe::refusal(fs::File::open("/data/memory")), libc::EACCES),
    );
}
