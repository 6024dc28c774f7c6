//! A place of its own for each test in the machine's real hierarchies: `/pinnace-test-<pid>-<n>`, gone with it, also
//! when the test fails.

use oci_spec::runtime::LinuxResources;
use pinnace_shim::cgroups::{Cgroup, Hierarchies};
use pinnace_spawn::{Birth, Child, Namespaces};
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};
use std::ffi::CString;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) struct Place {
    pub(crate) hierarchies: Hierarchies,
    name: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test makes cgroups: run it as root");
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            hierarchies: Hierarchies::discover().unwrap(),
            name: format!("/pinnace-test-{}-{number}", std::process::id()),
        }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    pub(crate) fn create(&self, name: &str) -> Cgroup {
        Cgroup::create(&self.hierarchies, &self.path(name)).unwrap()
    }

    /// Every directory of ours, in every hierarchy.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let mut all = vec![PathBuf::from(format!("/sys/fs/cgroup{}", self.name))];
        for entry in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            all.push(PathBuf::from(format!("{}{}", entry.path().display(), self.name)));
        }
        all.retain(|path| path.exists());
        all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for directory in self.directories() {
            clear(&self.hierarchies, &directory);
        }
    }
}

/// What a failed test left, innermost first.
fn clear(hierarchies: &Hierarchies, directory: &Path) {
    for below in fs::read_dir(directory).into_iter().flatten().flatten() {
        if below.path().is_dir() {
            clear(hierarchies, &below.path());
        }
    }
    let whole = directory.to_string_lossy();
    if let Some(start) = whole.find("/pinnace-test-") {
        let cgroup = Cgroup::open(hierarchies, &whole[start..]);
        let _ = cgroup.and_then(|cgroup| cgroup.kill().and_then(|()| cgroup.remove()));
    }
}

/// A file of a cgroup, where this machine has it.
pub(crate) fn file(cgroup: &Cgroup, name: &str) -> Option<PathBuf> {
    let controller = name.split('.').next().unwrap();
    [controller, ""]
        .map(|tree| Path::new("/sys/fs/cgroup").join(tree).join(cgroup.path().relative()).join(name))
        .into_iter()
        .find(|path| path.exists())
}

/// What a file of a cgroup says.
pub(crate) fn value(cgroup: &Cgroup, name: &str) -> String {
    let path = file(cgroup, name).unwrap_or_else(|| panic!("no {name}"));
    fs::read_to_string(path).unwrap().trim().to_owned()
}

/// Starts a program in the cgroup.
pub(crate) fn start(cgroup: &Cgroup, program: &str, args: &[&str]) -> Child {
    let join = cgroup.join().unwrap();
    let fds = join.fds();
    let program = fs::File::open(program).unwrap();
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
    let args: Vec<CString> = args.iter().map(|arg| CString::new(*arg).unwrap()).collect();
    let birth = Birth {
        program: program.as_fd(),
        args: &args,
        env: &[],
        fds: &[(null.as_fd(), 0), (null.as_fd(), 1), (null.as_fd(), 2)],
        namespaces: Namespaces::default(),
        join: join.to_spawn(&fds),
    };
    let mut child = birth.spawn().unwrap();
    child.birth().unwrap();
    child
}

/// Runs a shell's script in the cgroup.
pub(crate) fn shell(cgroup: &Cgroup, script: &str) -> Child {
    start(cgroup, "/bin/sh", &["sh", "-c", script])
}

pub(crate) fn wait(child: &Child) -> WaitStatus {
    waitpid(Pid::from_raw(child.pid), WaitOptions::empty()).unwrap().unwrap().1
}

pub(crate) fn resources(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}
