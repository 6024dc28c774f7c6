//! What a node may leave behind: nothing.
//!
//! Everything a node makes carries its name: its directory, the cgroups of its containers, their ids. So what it
//! left is found by looking for the name, and what others do on the machine at the same time is not seen.
//!
//! | kind | where the name is looked for |
//! |---|---|
//! | process | command line, environment, working directory, cgroups, open files |
//! | mount | `/proc/self/mountinfo` |
//! | cgroup | directories of every mounted hierarchy |
//! | socket | the addresses that containerd's shims use, computed from the ids |
//! | file, FIFO, pinned namespace | the node's directories for bundles, FIFOs and Pinnace's state |

use crate::client::NAMESPACE;
use crate::wait::within;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is looked for.
#[derive(Debug)]
pub struct Traces {
    /// The node's name.
    pub name: String,
    /// The node's directory.
    pub dir: PathBuf,
    /// The sockets its shims may have had.
    pub sockets: Vec<PathBuf>,
}

/// The cgroup of compile processes, below the node's own: the harness names it in Pinnace's configuration.
pub(crate) const COMPILE: &str = "compile";

/// What exits or is removed just after the last answer may take a moment, but no more than this.
const GRACE: Duration = Duration::from_secs(5);

/// Everything that is left, as lines for the reader. Processes in `ours` do not count.
#[must_use]
pub fn left(traces: &Traces, ours: &[u32]) -> Vec<String> {
    let look = || {
        let mut found: Vec<_> = processes(&traces.name, ours)
            .into_iter()
            .map(|pid| format!("process {pid}: {}", words(pid)))
            .collect();
        found.extend(mounts(&traces.name));
        found.extend(cgroups(&traces.name).iter().map(|dir| format!("cgroup {}", dir.display())));
        found.extend(
            traces
                .sockets
                .iter()
                .filter(|path| path.exists())
                .map(|path| format!("socket {}", path.display())),
        );
        found.extend(files(&traces.dir));
        found
    };
    match within(GRACE, || look().is_empty().then_some(())) {
        Some(()) => Vec::new(),
        None => look(),
    }
}

/// What there is of one container, while others of its node go on; as lines for the reader. Processes in `ours`
/// do not count.
#[must_use]
pub fn of_container(node: &Traces, id: &str, ours: &[u32]) -> Vec<String> {
    let mut found: Vec<_> =
        processes(id, ours).into_iter().map(|pid| format!("process {pid}: {}", words(pid))).collect();
    found.extend(mounts(id));
    let carries_id = |path: &PathBuf| contains(path.as_os_str().as_encoded_bytes(), id);
    found.extend(
        cgroups(&node.name)
            .iter()
            .filter(|dir| carries_id(dir))
            .map(|dir| format!("cgroup {}", dir.display())),
    );
    found.extend(files(&node.dir).into_iter().filter(|file| contains(file.as_bytes(), id)));
    found
}

/// Removes the cgroups above the containers' own: those that the test named, so nobody else may.
pub fn remove_parents(traces: &Traces) {
    for root in hierarchies() {
        let parent = root.join(&traces.name);
        let _none = fs::remove_dir(parent.join(COMPILE));
        let _none = fs::remove_dir(parent);
    }
}

/// The address of a shim, as every containerd from 1.6 on and every well-behaved shim compute it.
#[must_use]
pub fn socket(containerd: &Path, group: &str) -> PathBuf {
    socket_in(containerd, NAMESPACE, group)
}

/// The same of a group in another namespace.
pub(crate) fn socket_in(containerd: &Path, namespace: &str, group: &str) -> PathBuf {
    let place = containerd.join(namespace).join(group);
    let mut name = String::new();
    for byte in Sha256::digest(place.as_os_str().as_encoded_bytes()) {
        let _infallible = write!(name, "{byte:02x}");
    }
    Path::new("/run/containerd/s").join(name)
}

/// The processes that have to do with a node or a container of this name, but for `ours`.
#[must_use]
pub fn processes(name: &str, ours: &[u32]) -> Vec<u32> {
    let pids = entries(Path::new("/proc")).into_iter().filter_map(|dir| {
        let pid: u32 = dir.file_name()?.to_str()?.parse().ok()?;
        (!ours.contains(&pid) && carries(&dir, name)).then_some(pid)
    });
    pids.collect()
}

/// A process' command line, for the reader.
fn words(pid: u32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

/// Whether a process has to do with the node. A process that goes away meanwhile has not.
fn carries(process: &Path, name: &str) -> bool {
    let in_file = |file: &str| fs::read(process.join(file)).is_ok_and(|bytes| contains(&bytes, name));
    let in_link =
        |link: &Path| fs::read_link(link).is_ok_and(|to| contains(to.as_os_str().as_encoded_bytes(), name));
    in_file("cmdline")
        || in_file("environ")
        || in_file("cgroup")
        || in_link(&process.join("cwd"))
        || entries(&process.join("fd")).iter().any(|link| in_link(link))
}

fn mounts(name: &str) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter(|line| line.contains(name)).map(|line| format!("mount {line}")).collect()
}

/// The cgroups that carry the name, but for the parents that the harness itself named.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let named = |dir: &PathBuf| dir.is_dir() && contains(dir.as_os_str().as_encoded_bytes(), name);
    hierarchies()
        .into_iter()
        .flat_map(|root| {
            let (parent, compile) = (root.join(name), root.join(name).join(COMPILE));
            let dirs = [&root, &parent, &compile].map(|dir| entries(dir)).concat();
            dirs.into_iter().filter(named).filter(move |dir| *dir != parent && *dir != compile)
        })
        .collect()
}

/// The roots of all mounted hierarchies.
fn hierarchies() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let roots = table.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup").then(|| place.split(' ').nth(4).map(PathBuf::from))?
    });
    roots.collect()
}

/// What lies in the places that are empty when no container is there.
fn files(dir: &Path) -> Vec<String> {
    // One directory for each namespace, which containerd keeps.
    let bundles = |base: &str| entries(&dir.join(base).join("io.containerd.runtime.v2.task"));
    [bundles("state"), bundles("root"), vec![dir.join("io"), dir.join("tmp")]]
        .concat()
        .iter()
        .flat_map(|place| entries(place))
        .map(|file| format!("file {}", file.display()))
        .collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn contains(bytes: &[u8], name: &str) -> bool {
    bytes.windows(name.len()).any(|window| window == name.as_bytes())
}
