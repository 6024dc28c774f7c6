//! The file systems that are windows into the kernel, which no Wasm guest ever sees.
//!
//! Through most of them a process reaches more than files: with `/proc` preopened, a guest rewrote its own
//! host process through `/proc/self/mem`. So they are known here by number, and whatever is bound into a
//! container is asked which one it is on, file or directory, mount point or not.

use super::query;
use rustix::fs::{AtFlags, StatxFlags, fstatfs, statx};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use std::os::fd::{AsFd, BorrowedFd};

/// Numbers as `statfs` tells them, and names for messages.
///
/// hugetlbfs is not among them: it holds memory and nothing of the kernel, and pods mount it.
const KERNEL: [(u32, &str); 36] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x1cd1, "devpts"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0x6265_6570, "configfs"),
    (0xcafe_4a11, "bpf"),
    (0x6165_676c, "pstore"),
    (0x1980_0202, "mqueue"),
    (0x6573_5543, "fusectl"),
    (0x4249_4e4d, "binfmt_misc"),
    (0xf97c_ff8c, "selinuxfs"),
    (0x4341_5d53, "smackfs"),
    (0x5a3c_69f0, "apparmorfs"),
    (0xde5e_81e4, "efivarfs"),
    (0x6e73_6673, "nsfs"),
    (0x0765_5821, "resctrl"),
    (0x6c6f_6f70, "binderfs"),
    (0xabba_1974, "xenfs"),
    (0x6759_6969, "rpc_pipefs"),
    (0x6e66_7364, "nfsd"),
    (0x0000_9fa1, "openpromfs"),
    (0x0000_9fa2, "usbfs"),
    (0x0a64_7361, "functionfs"),
    (0x0904_1934, "anon_inodefs"),
    (0x5049_5045, "pipefs"),
    (0x534f_434b, "sockfs"),
    (0x5049_4446, "pidfs"),
    (0x5345_434d, "secretmem"),
    (0x444d_4142, "dma-buf"),
    (0x454d_444d, "devmem"),
    (0x6462_6576, "bdev"),
    (0x6f70_726f, "oprofilefs"),
];

/// What devtmpfs says it is: a tmpfs, or a ramfs on small kernels.
const LIKE_DEVTMPFS: [u32; 2] = [0x0102_1994, 0x8584_58f6];

/// Tells kernel file systems from those that hold files.
#[derive(Debug, Default)]
pub(crate) struct KernelFileSystems {
    /// The device number of the one devtmpfs there is, once it was needed.
    devtmpfs: Option<Option<(u32, u32)>>,
}

impl KernelFileSystems {
    /// The name of the kernel file system that `file` is on, if it is on one.
    pub(crate) fn name_of(&mut self, file: BorrowedFd<'_>) -> rustix::io::Result<Option<&'static str>> {
        let magic = fstatfs(file)?.f_type as u32;
        if let Some(name) = by_magic(magic) {
            return Ok(Some(name));
        }
        if LIKE_DEVTMPFS.contains(&magic) && self.is_devtmpfs(file)? {
            return Ok(Some("devtmpfs"));
        }
        Ok(None)
    }

    fn is_devtmpfs(&mut self, file: BorrowedFd<'_>) -> rustix::io::Result<bool> {
        match query::file_system(file) {
            Ok(name) => Ok(name == "devtmpfs"),
            // An older kernel: slower, since mounts that go away are waited for.
            Err(_) => Ok(self.devtmpfs() == Some(device(file)?)),
        }
    }

    fn devtmpfs(&mut self) -> Option<(u32, u32)> {
        // No devtmpfs in the kernel, or not to be had: then nothing is on it.
        *self.devtmpfs.get_or_insert_with(|| devtmpfs_device().ok())
    }
}

fn by_magic(magic: u32) -> Option<&'static str> {
    KERNEL.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

fn device(file: BorrowedFd<'_>) -> rustix::io::Result<(u32, u32)> {
    let status = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
    Ok((status.stx_dev_major, status.stx_dev_minor))
}

/// Every mount of devtmpfs shows the same one, so a new mount of it, attached nowhere, has its number.
fn devtmpfs_device() -> rustix::io::Result<(u32, u32)> {
    let context = fsopen("devtmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(context.as_fd())?;
    let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    device(mount.as_fd())
}

#[cfg(test)]
mod tests {
    use super::{KERNEL, KernelFileSystems, by_magic};
    use std::collections::HashSet;
    use std::os::fd::AsFd;

    #[test]
    fn each_number_names_one_file_system() {
        let numbers: HashSet<u32> = KERNEL.iter().map(|(number, _)| *number).collect();
        let names: HashSet<&str> = KERNEL.iter().map(|(_, name)| *name).collect();
        assert_eq!((numbers.len(), names.len()), (KERNEL.len(), KERNEL.len()));
    }

    #[test]
    fn file_systems_that_hold_files_are_none() {
        let ext4 = 0xef53;
        let overlay = 0x794c_7630;
        let tmpfs = 0x0102_1994;
        let xfs = 0x5846_5342;
        let btrfs = 0x9123_683e;
        let nfs = 0x6969;
        let fuse = 0x6573_5546;
        let hugetlbfs = 0x9584_58f6;
        for number in [ext4, overlay, tmpfs, xfs, btrfs, nfs, fuse, hugetlbfs] {
            assert_eq!(by_magic(number), None, "{number:#x}");
        }
    }

    #[test]
    fn this_machine_s_are_known() {
        let mut known = KernelFileSystems::default();
        for (path, name) in [
            ("/proc", Some("proc")),
            ("/proc/self/environ", Some("proc")),
            ("/proc/sys/kernel", Some("proc")),
            ("/sys", Some("sysfs")),
            ("/sys/kernel", Some("sysfs")),
            ("/tmp", None),
        ] {
            let file = std::fs::File::open(path).expect(path);
            assert_eq!(known.name_of(file.as_fd()).expect(path), name, "{path}");
        }
    }
}
