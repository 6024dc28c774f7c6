//! The kernel's own word: the files of a container's cgroup.

use pinnace_e2e::Container;
use std::fs;
use std::path::{Path, PathBuf};

/// Whether the machine has v2 and nothing else.
pub(crate) fn unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The directory of a container's cgroup for a controller, by the kernel's word of where the process is.
pub(crate) fn directory(container: &Container<'_>, controller: &str) -> PathBuf {
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("its cgroups");
    let of = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let here = match unified() {
            true => controllers.is_empty(),
            false => controllers.split(',').any(|one| one == controller),
        };
        here.then_some((controllers, path))
    };
    let (hierarchy, path) = groups.lines().find_map(of).expect("the controller's hierarchy");
    Path::new("/sys/fs/cgroup").join(hierarchy).join(path.trim_start_matches('/'))
}

/// What a file says, its controller in front of its name.
pub(crate) fn value(container: &Container<'_>, file: &str) -> String {
    let controller = file.split('.').next().unwrap_or_default();
    let path = directory(container, controller).join(file);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()));
    text.expect("a file of the cgroup").trim().to_owned()
}

/// What the file of this machine's version says.
pub(crate) fn either(container: &Container<'_>, v1: &str, v2: &str) -> String {
    value(container, if unified() { v2 } else { v1 })
}
