//! The privileged sequence, as a list. Each step is a wall or makes room for one; the order is part of it.
//!
//! It is on the way of every start: about 200 µs and 200 system calls for a usual container on the test machine
//! (`--test walls measure`), the root with its pivot 45, a tmpfs 10, a bind 7, the five devices 22, the
//! capabilities 20, Landlock 9. What must not be on the way is waiting for the kernel (RCU): each mount that goes away,
//! a detached one whose descriptor is closed too, costs 20 µs on a quiet machine and 600 on a busy one. So
//! there is one unmount, of the host's root, and nothing is mounted only to be looked at.

use crate::users::Users;
use crate::{
    SandboxError, Turn, Warning, descriptors, files, harden, hooks, identity, limits, living, mounts,
    namespaces,
};
use mounts::path;
use pinnace_plan::{Build, Preopen, Root, Sandbox};
use rustix::fs::{CWD, Mode, OFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a process has once it is inside.
#[derive(Debug)]
pub struct Entered {
    /// The guest's directories, in the order they were asked for: `O_PATH`, close-on-exec.
    pub preopens: Vec<OwnedFd>,
    /// What could not be had; to be reported once.
    pub warnings: Vec<Warning>,
}

/// Builds the sandbox around this process and enters it.
///
/// The process has one thread, is root as far as the server is, and was born in a mount namespace of its own, unless it
/// joins one; [`harden`](fn@crate::harden) was called. Afterwards it is the user of the spec, sees the container's files only, and
/// can run nothing; [`filter`](crate::filter) comes next. The descriptors the plan's sandbox names are closed. Where the
/// plan has hooks, `turn` gives others theirs.
///
/// After an error the process is somewhere between and must exit.
pub fn enter(sandbox: &Sandbox, preopens: &[Preopen], turn: Turn<'_>) -> Result<Entered, SandboxError> {
    let mut warnings = Vec::new();

    // The namespaces first: sysctls and the host name are theirs.
    let users = namespaces::join(&sandbox.join)?;
    namespaces::name(sandbox.hostname.as_deref(), sandbox.domainname.as_deref())?;
    // While the host's /proc is there.
    namespaces::sysctls(&sandbox.sysctls)?;
    let program = match &sandbox.root {
        Root::Build(files) => {
            build(files, users.as_ref(), |_| Ok(()))?;
            None
        }
        Root::Hooked(files, hooks) => {
            build(files, users.as_ref(), |root| {
                // Nothing of image or volumes is a program for them either.
                mounts::forbid(root)?;
                Ok(hooks::run(root, hooks, turn)?)
            })?;
            None
        }
        Root::Join(container) => {
            living::join(container)?;
            container.program.as_ref()
        }
    };

    // While we may still raise some.
    limits::set(&sandbox.rlimits, &mut warnings)?;
    limits::set_umask(sandbox.user.umask);
    // The last that the host's rights were needed for is done.
    users.map_or(Ok(()), Users::enter)?;
    // Landlock and seccomp ask for it, and no file can give privileges from here on.
    rustix::thread::set_no_new_privs(true).map_err(|errno| SandboxError::NoNewPrivs(errno.into()))?;
    identity::become_user(&sandbox.user, &sandbox.capabilities, &mut warnings)?;
    // The change of user made us dumpable, and cleared the parent-death signal.
    harden()?;

    // As the user, so a guest gets nothing that its user cannot reach.
    program.map_or(Ok(()), |program| living::readable(program, sandbox.user.uid))?;
    let preopens = open_all(preopens, sandbox.user.uid)?;
    files::restrict_to_root(&mut warnings)?;
    Ok(Entered { preopens, warnings })
}

/// Builds the files of a new container, and lets go of everything of the host's. `meanwhile` finds the mounts there,
/// and the host's files still.
fn build(
    files: &Build,
    users: Option<&Users>,
    meanwhile: impl FnOnce(BorrowedFd<'_>) -> Result<(), SandboxError>,
) -> Result<(), SandboxError> {
    let root = descriptors::take(files.fd, "the root")?;
    // What we mount must not show up on the host, nor what the host mounts in here.
    mounts::root::make_private()?;
    let root = mounts::root::attach(root)?;
    // Mount points that are missing are made as the spec's root would make them.
    limits::set_umask(Some(0o022));
    users.map_or(Ok(()), Users::make_files_as_root)?;
    let devices = mounts::attach_all(root.as_fd(), &files.mounts)?;
    mounts::hold_still(root.as_fd(), &files.readonly_paths)?;
    meanwhile(root.as_fd())?;
    // From here on, nothing of image or volumes, or of what a hook mounted, is a program, a device or set-uid.
    mounts::restrict_tree(root.as_fd(), devices)?;
    // After it, because the file that covers a masked one is a device.
    mounts::mask(root.as_fd(), &files.masked_paths)?;
    // After the mount points were made.
    if files.read_only {
        mounts::root::make_read_only(root.as_fd())?;
    }
    mounts::root::enter(root.as_fd())
}

fn open_all(preopens: &[Preopen], uid: u32) -> Result<Vec<OwnedFd>, SandboxError> {
    let failed = |path: &str, errno: rustix::io::Errno| SandboxError::Preopen {
        path: path.to_owned(),
        uid,
        source: errno.into(),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, "/", flags, Mode::empty()).map_err(|errno| failed("/", errno))?;
    preopens
        .iter()
        .map(|preopen| {
            path::open(root.as_fd(), &preopen.path, OFlags::PATH | OFlags::DIRECTORY)
                .map_err(|errno| failed(&preopen.path, errno))
        })
        .collect()
}
