//! The container's root as a detached mount: it hangs in no mount table, so nothing of it can leak.
//!
//! ```text
//!  overlay     fsopen, `lowerdir+` layer by layer, fsmount                      (kernel ≥ 6.7)
//!  bind        open_tree(CLONE)
//!  all else    a thread mounts it in a mount namespace of its own, takes open_tree(CLONE) and ends
//!  no mounts   Docker has mounted `root.path` of the spec: open_tree(CLONE) of that
//!
//!  with `uidmap=` and `gidmap=` among the options, as snapshotters give them to containers with a user namespace:
//!  overlay     in a thread's own mount namespace each lower layer is covered by a clone of itself with mapped
//!              owners, then mounted as ever; the upper layer is the container's own already  (kernel ≥ 5.19)
//!  all else    as above, then the clone's owners are mapped
//! ```
//!
//! The server looks into the mount with `openat2(RESOLVE_IN_ROOT)`; the engine's init takes it with `move_mount`.

use super::id_maps::{self, IdMapError};
use super::user::{self, UserError, Users};
use crate::task::RootMount;
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A root that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The way round the new mount API failed.
    #[error("cannot mount the root of type {kind:?} from {mounted:?}: {source}")]
    Mount {
        /// The mount's type, or the step before it.
        kind: String,
        /// Its source.
        mounted: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// No thread for it.
    #[error("cannot start a thread to mount the root")]
    Thread(#[source] io::Error),
    /// The overlay could not be configured.
    #[error("cannot make the overlay root: {option} was refused: {source}")]
    Overlay {
        /// The option, or the step.
        option: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Maps of ids that are wrong.
    #[error("the root's options: {0}")]
    Map(#[from] IdMapError),
    /// The user namespace for a map.
    #[error(transparent)]
    Users(#[from] UserError),
    /// The owners of a layer's files could not be mapped.
    #[error(
        "cannot map the ids of {} for the root: {source}; its file system and the kernel must support it (for an overlay Linux 5.19), else use a snapshot whose files have the mapped owners (without --remap-labels)",
        path.display()
    )]
    MapIds {
        /// The layer, or the mount.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A directory could not be cloned.
    #[error("cannot take {} as root: {source}", path.display())]
    Clone {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Makes the root of a container. `target` is a directory to mount on where a mount point is needed at all.
///
/// # Errors
/// When the kernel refuses a mount; the error names it.
pub(super) fn detached(
    mounts: &[RootMount],
    root_path: &Path,
    target: &Path,
    users: Option<&Users>,
) -> Result<OwnedFd, RootError> {
    for mount in mounts {
        if let Some(maps) = id_maps::of_options(&mount.options)? {
            return mapped(mounts, target, user::mapping(maps, users)?.as_fd());
        }
    }
    match mounts {
        [] => clone_tree(root_path),
        [mount] if mount.kind == "bind" => clone_tree(Path::new(&mount.source)),
        [mount] if mount.kind == "overlay" => match overlay(&mount.options) {
            // Before 6.7 there is no `lowerdir+` (tried on 6.1).
            Err(RootError::Overlay { option, source })
                if option.starts_with("lowerdir+") && source.raw_os_error() == Some(libc::EINVAL) =>
            {
                mounted_aside(mounts, target, None)
            }
            done => done,
        },
        others => mounted_aside(others, target, None),
    }
}

/// The root, its owners mapped by `users`: those of an overlay's lower layers, or of the one mount itself.
fn mapped(mounts: &[RootMount], target: &Path, users: BorrowedFd<'_>) -> Result<OwnedFd, RootError> {
    if mounts.iter().any(|mount| mount.kind == "overlay") {
        return mounted_aside(mounts, target, Some(users));
    }
    let root = match mounts {
        [mount] if mount.kind == "bind" => clone_tree(Path::new(&mount.source))?,
        others => mounted_aside(others, target, None)?,
    };
    map_owners(root.as_fd(), target, users)?;
    Ok(root)
}

fn map_owners(mount: BorrowedFd<'_>, path: &Path, users: BorrowedFd<'_>) -> Result<(), RootError> {
    pinnace_spawn::map_mount(mount, users)
        .map_err(|source| RootError::MapIds { path: path.to_owned(), source })
}

/// Covers each layer, in this thread's mount namespace, by itself with mapped owners.
fn cover(layers: &[&Path], users: BorrowedFd<'_>) -> Result<(), RootError> {
    let clones = layers.iter().map(|layer| clone_tree(layer)).collect::<Result<Vec<_>, _>>()?;
    for (layer, clone) in layers.iter().zip(clones) {
        map_owners(clone.as_fd(), layer, users)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(&clone, c"", rustix::fs::CWD, *layer, flags)
            .map_err(|errno| RootError::MapIds { path: layer.to_path_buf(), source: errno.into() })?;
    }
    Ok(())
}

/// The directories an overlay root is made of; empty for any other, whose files are what they seem.
#[derive(Debug, Default)]
pub(super) struct Layers<'a> {
    lower: Vec<&'a Path>,
    upper: Option<&'a Path>,
}

impl<'a> Layers<'a> {
    pub(super) fn of(mounts: &'a [RootMount]) -> Self {
        let mut layers = Self::default();
        for mount in mounts.iter().filter(|mount| mount.kind == "overlay") {
            for (name, value) in mount.options.iter().filter_map(|option| option.split_once('=')) {
                match name {
                    "lowerdir" => layers.lower.extend(value.split(':').map(Path::new)),
                    "upperdir" => layers.upper = Some(Path::new(value)),
                    _ => {}
                }
            }
        }
        layers
    }

    /// As the cache wants them, to know a file again.
    pub(super) fn to_cache(&self) -> pinnace_cache::Layers<'_> {
        if self.lower.is_empty() {
            return pinnace_cache::Layers::Plain;
        }
        pinnace_cache::Layers::Overlay { lower: &self.lower, upper: self.upper }
    }
}

fn clone_tree(path: &Path) -> Result<OwnedFd, RootError> {
    // Only this mount: what somebody mounted below it is none of the container's.
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(rustix::fs::CWD, path, flags)
        .map_err(|error| RootError::Clone { path: path.to_owned(), source: error.into() })
}

fn overlay(options: &[String]) -> Result<OwnedFd, RootError> {
    let failed = |option: &str| {
        let option = option.to_owned();
        move |error: rustix::io::Errno| RootError::Overlay { option, source: error.into() }
    };
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed("fsopen"))?;
    // Before 6.5 a context takes anything, also this without its value, and then refuses it all at `create`,
    // with a line in the kernel's log for each container.
    if rustix::mount::fsconfig_set_flag(context.as_fd(), "lowerdir+").is_ok() {
        return Err(failed("lowerdir+")(rustix::io::Errno::INVAL));
    }
    for option in options {
        match option.split_once('=') {
            // One `lowerdir` string is cut at 256 bytes, which is four layers of containerd's.
            Some(("lowerdir", layers)) => {
                for layer in layers.split(':') {
                    rustix::mount::fsconfig_set_string(context.as_fd(), "lowerdir+", layer)
                        .map_err(failed(&format!("lowerdir+={layer}")))?;
                }
            }
            Some((name, value)) => {
                rustix::mount::fsconfig_set_string(context.as_fd(), name, value).map_err(failed(option))?
            }
            None if option == "ro" || option == "rw" => {}
            None => {
                rustix::mount::fsconfig_set_flag(context.as_fd(), option.as_str()).map_err(failed(option))?
            }
        }
    }
    rustix::mount::fsconfig_create(context.as_fd()).map_err(failed("create"))?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        .map_err(failed("fsmount"))
}

/// Mounts by `mount(2)` in a namespace that ends with its thread; only the clone of the tree stays.
/// With `layers_by`, the owners of lower layers are mapped.
fn mounted_aside(
    mounts: &[RootMount],
    target: &Path,
    layers_by: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, RootError> {
    let aside = || {
        let failed = |kind: &str, mounted: &str| {
            let (kind, mounted) = (kind.to_owned(), mounted.to_owned());
            move |error: nix::Error| RootError::Mount { kind, mounted, source: error.into() }
        };
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).map_err(failed("private namespace", ""))?;
        nix::mount::mount(
            None::<&str>,
            "/",
            None::<&str>,
            MsFlags::MS_REC | MsFlags::MS_PRIVATE,
            None::<&str>,
        )
        .map_err(failed("private propagation", "/"))?;
        if let Some(users) = layers_by {
            cover(&Layers::of(mounts).lower, users)?;
        }
        for mount in mounts {
            let (shared, options) = from_shared_directory(&mount.options);
            // Only this thread's: a mount namespace of one's own brings a working directory of one's own.
            nix::unistd::chdir(shared).map_err(failed("shared directory", &shared.to_string_lossy()))?;
            let (flags, data) = legacy(&options);
            if data.len() >= PAGE {
                return Err(failed(&mount.kind, &mount.source)(nix::Error::E2BIG));
            }
            nix::mount::mount(
                Some(mount.source.as_str()),
                target,
                Some(mount.kind.as_str()),
                flags,
                Some(data.as_str()),
            )
            .map_err(failed(&mount.kind, &mount.source))?;
        }
        clone_tree(target)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, aside).map_err(RootError::Thread)?;
        thread.join().unwrap_or_else(|_| Err(RootError::Thread(io::Error::other("it ended early"))))
    })
}

/// `mount(2)` cuts its options here, without a word.
const PAGE: usize = 4096;

/// The directory that all lower layers are in, and the options with their paths from there: of whole paths as
/// containerd has them, fifty fill the page.
fn from_shared_directory(options: &[String]) -> (&Path, Vec<String>) {
    let lower = options.iter().find_map(|option| option.strip_prefix("lowerdir="));
    let layers: Vec<&Path> = lower.into_iter().flat_map(|lower| lower.split(':')).map(Path::new).collect();
    let holds = |directory: &Path, layer: &Path| layer.parent().is_some_and(|up| up.starts_with(directory));
    let shared = layers.first().and_then(|first| {
        first.ancestors().skip(1).find(|directory| layers.iter().all(|layer| holds(directory, layer)))
    });
    let Some(shared) = shared else { return (Path::new("/"), options.to_vec()) };
    let names: Vec<_> = layers.iter().filter_map(|layer| layer.strip_prefix(shared).ok()?.to_str()).collect();
    let lower = format!("lowerdir={}", names.join(":"));
    let shortened = |option: &String| match option.starts_with("lowerdir=") {
        true => lower.clone(),
        false => option.clone(),
    };
    (shared, options.iter().map(shortened).collect())
}

/// Options as `mount(2)` wants them: flags, and the rest as text.
fn legacy(options: &[String]) -> (MsFlags, String) {
    let mut flags = MsFlags::empty();
    let mut data = Vec::new();
    for option in options {
        match option.as_str() {
            "ro" => flags |= MsFlags::MS_RDONLY,
            "bind" => flags |= MsFlags::MS_BIND,
            "rbind" => flags |= MsFlags::MS_BIND | MsFlags::MS_REC,
            "nosuid" => flags |= MsFlags::MS_NOSUID,
            "nodev" => flags |= MsFlags::MS_NODEV,
            "noexec" => flags |= MsFlags::MS_NOEXEC,
            "noatime" => flags |= MsFlags::MS_NOATIME,
            "relatime" => flags |= MsFlags::MS_RELATIME,
            "rw" | "suid" | "dev" | "exec" | "defaults" | "loop" => {}
            map if id_maps::is_option(map) => {}
            other => data.push(other),
        }
    }
    (flags, data.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_flags_and_data() {
        let options = ["ro", "rbind", "lowerdir=/a:/b", "rw", "uidmap=0:1:2", "gidmap=0:1:2", "index=off"]
            .map(String::from);
        let (flags, data) = legacy(&options);
        assert_eq!(flags, MsFlags::MS_RDONLY | MsFlags::MS_BIND | MsFlags::MS_REC);
        assert_eq!(data, "lowerdir=/a:/b,index=off");
    }

    #[test]
    fn layers_are_shortened_by_what_they_share() {
        let shortened = |lower: &str| {
            let options =
                ["index=off".to_owned(), format!("lowerdir={lower}"), "upperdir=/s/9/fs".to_owned()];
            let (shared, options) = from_shared_directory(&options);
            assert_eq!((options[0].as_str(), options[2].as_str()), ("index=off", "upperdir=/s/9/fs"));
            (shared.to_str().unwrap().to_owned(), options[1].clone())
        };
        assert_eq!(shortened("/s/1/fs:/s/2/fs"), ("/s".to_owned(), "lowerdir=1/fs:2/fs".to_owned()));
        assert_eq!(shortened("/s/1:/s"), ("/".to_owned(), "lowerdir=s/1:s".to_owned()));
        assert_eq!(shortened("/a:/b/c"), ("/".to_owned(), "lowerdir=a:b/c".to_owned()));
        assert_eq!(shortened("/a"), ("/".to_owned(), "lowerdir=a".to_owned()));
        let options = ["ro".to_owned(), "bind".to_owned()];
        assert_eq!(from_shared_directory(&options), (Path::new("/"), options.to_vec()));
        let whole = ["lowerdir=/:/a".to_owned()];
        assert_eq!(from_shared_directory(&whole), (Path::new("/"), whole.to_vec()));
    }
}
