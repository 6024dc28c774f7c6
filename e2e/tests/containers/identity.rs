//! The file behind an entrypoint is changed in every way there is, and the old code never runs again.
//!
//! All guests here have the same size and end with a code of their own, so that the code that ran is known, and
//! nothing but its content tells one file from another.

use crate::guest;
use pinnace_conformance::guests;
use pinnace_e2e::{Node, PINNACE, until};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// A guest that ends with this code.
fn code(number: u8) -> Vec<u8> {
    assert!(number < 64, "one byte in the module");
    guests::exit_code(number)
}

/// Runs the guest of a root directory, as `ctr run --rootfs` does it; gives its exit code.
#[track_caller]
fn run_in(node: &Node, root: &Path) -> i32 {
    let id = node.id();
    let cgroup = format!("{}/{id}", node.cgroup_parent());
    let mut ctr = node.ctr();
    ctr.args(["run", "--rm", "--runtime", PINNACE, "--cgroup", &cgroup, "--rootfs"]).arg(root);
    let output = ctr.args([&id, "/guest.wasm"]).output().expect("start ctr");
    // An error of its own would look like a guest that ended with 1; warnings about the node do not matter.
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("ctr: "), "{said}");
    output.status.code().expect("an exit code")
}

/// Waits until a file has been left alone for so long that it may be remembered.
fn still(file: &Path) {
    until("a file that is still", || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        (fs::metadata(file).expect("a file").ctime().unsigned_abs() + 3 < now).then_some(())
    });
}

/// Every file identity that is remembered, with the digest.
fn remembered(node: &Node) -> Vec<PathBuf> {
    let boots = fs::read_dir(node.dir().join("pinnace/state")).into_iter().flatten().flatten();
    let files = boots.flat_map(|boot| fs::read_dir(boot.path()).into_iter().flatten().flatten());
    let known =
        |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("known-"));
    files.map(|file| file.path()).filter(known).collect()
}

/// Puts other content of the same length into a file, and its time of modification back.
fn overwrite(file: &Path, content: &[u8]) {
    let before = fs::metadata(file).expect("a file");
    fs::write(file, content).expect("written in place");
    let modified = Timespec { tv_sec: before.mtime(), tv_nsec: before.mtime_nsec() };
    let untouched = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access: untouched, last_modification: modified };
    utimensat(CWD, file, &times, AtFlags::empty()).expect("times");
    let after = fs::metadata(file).expect("a file");
    let kept = |of: &fs::Metadata| (of.ino(), of.len(), of.mtime(), of.mtime_nsec());
    assert_eq!(kept(&before), kept(&after));
}

/// A root directory with one guest in it.
fn root(node: &Node, number: u8) -> (PathBuf, PathBuf) {
    let root = node.dir().join("tree");
    fs::create_dir(&root).expect("a directory");
    let file = root.join("guest.wasm");
    fs::write(&file, code(number)).expect("a guest");
    (root, file)
}

/// A mount on the host, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(args: &[&str], at: &Path) -> Self {
        fs::create_dir_all(at).expect("a directory");
        let output = Command::new("mount").args(args).arg(at).output().expect("start mount");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_file_that_is_certain_is_remembered_until_the_next_boot() {
    let node = Node::start();
    let (root, file) = root(&node, 1);
    assert_eq!(run_in(&node, &root), 1);
    assert!(remembered(&node).is_empty(), "it was young");
    still(&file);
    assert_eq!(run_in(&node, &root), 1);
    let records = remembered(&node);
    let [first] = records.as_slice() else { unreachable!("one is remembered: {records:?}") };
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id");
    assert!(first.parent().expect("a directory").ends_with(boot.trim()), "{first:?}");
    // That it is believed, and nothing hashed, shows when it is made to lie.
    let (other, other_file) = (node.dir().join("other"), node.dir().join("other/guest.wasm"));
    fs::create_dir(&other).expect("a directory");
    fs::write(&other_file, code(2)).expect("a guest");
    still(&other_file);
    assert_eq!(run_in(&node, &other), 2);
    let second = remembered(&node).into_iter().find(|record| record != first).expect("another");
    let digest = fs::read_link(&second).expect("its digest");
    fs::remove_file(first).expect("forgotten");
    symlink(digest, first).expect("a lie");
    assert_eq!(run_in(&node, &root), 2);
}

#[test]
fn a_file_that_is_changed_is_never_the_old_one() {
    let node = Node::start();
    let (root, file) = root(&node, 1);
    // Young: changed as often as it runs, within the two seconds.
    for number in [1, 2, 3] {
        overwrite(&file, &code(number));
        assert_eq!(run_in(&node, &root), i32::from(number), "within a moment");
    }
    let old = |number: i32| {
        still(&file);
        assert_eq!(run_in(&node, &root), number);
        assert!(!remembered(&node).is_empty());
    };
    old(3);
    overwrite(&file, &code(4));
    assert_eq!(run_in(&node, &root), 4, "in place, with its time put back");
    old(4);
    let link = node.dir().join("link");
    fs::hard_link(&file, &link).expect("a link");
    still(&file);
    assert_eq!(run_in(&node, &root), 4);
    overwrite(&link, &code(5));
    assert_eq!(run_in(&node, &root), 5, "through another name");
    old(5);
    let fresh = node.dir().join("fresh");
    fs::write(&fresh, code(6)).expect("a guest");
    still(&fresh);
    fs::rename(&fresh, &file).expect("renamed");
    assert_eq!(run_in(&node, &root), 6, "renamed over it");
    old(6);
    fs::remove_file(&file).expect("removed");
    fs::write(&file, code(7)).expect("a guest");
    assert_eq!(run_in(&node, &root), 7, "removed and made again, perhaps with the same inode");
}

#[test]
fn a_file_that_is_written_through_a_mapping_is_never_the_old_one() {
    let node = Node::start();
    let (root, file) = root(&node, 1);
    // The mapping is there all the time, and its page is dirty when the file is hashed.
    let mapping = mapped::Mapping::new(&file);
    mapping.write(&code(2));
    still(&file);
    assert_eq!(run_in(&node, &root), 2);
    mapping.write(&code(3));
    assert_eq!(run_in(&node, &root), 3);
    still(&file);
    assert_eq!(run_in(&node, &root), 3);
    mapping.write(&code(4));
    assert_eq!(run_in(&node, &root), 4);
}

#[test]
fn a_layer_that_is_changed_underneath_is_never_the_old_one() {
    let node = Node::start();
    let image = guest(&node, code(1));
    assert_eq!(node.container(&image).run().code, 1);
    let snapshots = node.dir().join("root/io.containerd.snapshotter.v1.overlayfs/snapshots");
    let layers = fs::read_dir(snapshots).expect("the snapshots").flatten();
    let file = layers.map(|layer| layer.path().join("fs/guest.wasm")).find(|file| file.exists());
    let file = file.expect("the guest's layer");
    for number in [1, 2, 3] {
        overwrite(&file, &code(number));
        assert_eq!(node.container(&image).run().code, u32::from(number));
        still(&file);
        assert_eq!(node.container(&image).run().code, u32::from(number));
        assert_eq!(remembered(&node).len(), usize::from(number), "and each is remembered");
    }
    fs::remove_file(&file).expect("removed");
    fs::write(&file, code(4)).expect("a guest");
    assert_eq!(node.container(&image).run().code, 4, "made again under the same path");
}

#[test]
fn a_volume_over_the_entrypoint_is_never_the_old_one() {
    let node = Node::start();
    let image = guest(&node, code(1));
    let volume = node.dir().join("volume.wasm");
    fs::write(&volume, code(2)).expect("a guest");
    let run = || node.container(&image).bind(&volume, "/guest.wasm", &["ro"]).run().code;
    assert_eq!(run(), 2);
    still(&volume);
    assert_eq!(run(), 2);
    overwrite(&volume, &code(3));
    assert_eq!(run(), 3);
    let file = File::options().write(true).open(&volume).expect("opens");
    file.write_all_at(&code(4), 0).expect("written");
    assert_eq!(run(), 4);
    assert_eq!(node.container(&image).run().code, 1);
}

#[test]
fn a_file_system_that_is_swapped_is_never_the_old_one() {
    let node = Node::start();
    let at = node.dir().join("mounted");
    // The next tmpfs, and the next overlay, may get the number that this one had.
    for number in [1, 2, 3] {
        let _mounted = Mounted::new(&["-t", "tmpfs", "tmpfs"], &at);
        fs::write(at.join("guest.wasm"), code(number)).expect("a guest");
        still(&at.join("guest.wasm"));
        assert_eq!(run_in(&node, &at), i32::from(number));
    }
    let lowers = [4, 5].map(|number| {
        let lower = node.dir().join(format!("lower-{number}"));
        fs::create_dir(&lower).expect("a directory");
        fs::write(lower.join("guest.wasm"), code(number)).expect("a guest");
        (number, lower)
    });
    for (number, lower) in &lowers {
        still(&lower.join("guest.wasm"));
        let [upper, work] = ["upper", "work"].map(|name| node.dir().join(format!("{name}-{number}")));
        fs::create_dir(&upper).expect("a directory");
        fs::create_dir(&work).expect("a directory");
        let places = [("lower", lower), ("upper", &upper), ("work", &work)];
        let options = places.map(|(name, place)| format!("{name}dir={}", place.display())).join(",");
        let _mounted = Mounted::new(&["-t", "overlay", "-o", &options, "overlay"], &at);
        assert_eq!(run_in(&node, &at), i32::from(*number));
    }
    assert!(remembered(&node).is_empty(), "{:?}", remembered(&node));
}

#[test]
fn a_disk_that_is_swapped_for_its_twin_is_never_the_old_one() {
    let node = Node::start();
    // Two images by one recipe agree in everything that `stat` tells, as reproducible builds do.
    let images = [1, 2].map(|number| {
        let content = node.dir().join(format!("content-{number}"));
        fs::create_dir(&content).expect("a directory");
        fs::write(content.join("guest.wasm"), code(number)).expect("a guest");
        let image = node.dir().join(format!("disk-{number}"));
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-U", "6f6e6365-2d69-736c-6f6e-652d69736c61", "-d"]).arg(&content).arg(&image);
        assert!(make.arg("4M").output().expect("start mkfs.ext4").status.success());
        for field in ["ctime", "mtime", "atime"] {
            let set = format!("set_inode_field /guest.wasm {field} 20200101000000");
            let mut edit = Command::new("debugfs");
            edit.args(["-w", "-R", &set]).arg(&image);
            assert!(edit.output().expect("start debugfs").status.success());
        }
        image
    });
    let at = node.dir().join("mounted");
    let mut seen = Vec::new();
    for (image, number) in images.iter().zip([1, 2]) {
        let _mounted = Mounted::new(&["-o", "loop", &image.display().to_string()], &at);
        let stat = fs::metadata(at.join("guest.wasm")).expect("a guest");
        seen.push((stat.ino(), stat.len(), stat.mtime(), stat.mtime_nsec(), stat.ctime(), stat.ctime_nsec()));
        assert_eq!(run_in(&node, &at), number);
    }
    assert_eq!(seen[0], seen[1], "twins");
    assert!(remembered(&node).is_empty(), "{:?}", remembered(&node));
}

/// A file written by storing to memory.
mod mapped {
    #![allow(unsafe_code, reason = "a mapping is the thing that is tested")]

    use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
    use std::fs::File;
    use std::path::Path;

    pub(super) struct Mapping {
        place: *mut std::ffi::c_void,
        length: usize,
    }

    impl Mapping {
        pub(super) fn new(path: &Path) -> Self {
            let file = File::options().read(true).write(true).open(path).expect("opens");
            let length = usize::try_from(file.metadata().expect("a file").len()).expect("a length");
            // SAFETY: a new mapping at a place of the kernel's choice; the file is not cut short.
            let place = unsafe {
                let rights = ProtFlags::READ | ProtFlags::WRITE;
                mmap(std::ptr::null_mut(), length, rights, MapFlags::SHARED, &file, 0)
            };
            Self { place: place.expect("mapped"), length }
        }

        pub(super) fn write(&self, content: &[u8]) {
            assert_eq!(content.len(), self.length);
            // SAFETY: the mapping is that long and lives until this is dropped; nothing here refers to it.
            unsafe { std::ptr::copy_nonoverlapping(content.as_ptr(), self.place.cast(), self.length) }
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: mapped by us with this length, and used no more.
            let _gone = unsafe { munmap(self.place, self.length) };
        }
    }
}
