//! The guest's side of the plan: arguments, environment, directories.

use super::mounts::Placed;
use oci_spec::runtime::{Process, Spec};
use pinnace_plan::{Guest, Preopen};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

/// What a spec gives its guest. `program` is the first argument as the guest sees it.
#[must_use]
pub(super) fn guest(spec: &Spec, process: &Process, program: &str, mounts: &[Placed]) -> Guest {
    let rest = process.args().iter().flatten().skip(1).cloned();
    Guest {
        args: std::iter::once(program.to_owned()).chain(rest).collect(),
        env: environment(process.env().as_deref().unwrap_or_default()),
        cwd: process.cwd().display().to_string(),
        preopens: preopens(root_read_only(spec), mounts),
    }
}

/// Whether the spec wants its root read-only.
#[must_use]
pub(super) fn root_read_only(spec: &Spec) -> bool {
    spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false)
}

/// Names are unique; of equal ones the last wins, at the place of the first.
fn environment(pairs: &[String]) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = Vec::with_capacity(pairs.len());
    // An image may bring a hundred thousand of them.
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(pairs.len());
    for (name, value) in pairs.iter().filter_map(|pair| pair.split_once('=')) {
        match places.entry(name) {
            Entry::Occupied(place) => value.clone_into(&mut env[*place.get()].1),
            Entry::Vacant(place) => {
                place.insert(env.len());
                env.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    env
}

/// The root, and every directory mounted below it whose rights differ from what encloses it.
fn preopens(root_read_only: bool, mounts: &[Placed]) -> Vec<Preopen> {
    let mut preopens = vec![Preopen { path: "/".to_owned(), writable: !root_read_only }];
    let mut directories: Vec<_> =
        mounts.iter().filter(|placed| placed.directory).map(|placed| &placed.mount).collect();
    directories.sort_by_key(|mount| mount.destination.len());
    for mount in directories {
        let path = Path::new(&mount.destination);
        let enclosing = preopens.iter().rfind(|preopen| path.starts_with(&preopen.path));
        if enclosing.is_none_or(|preopen| preopen.writable == mount.read_only) {
            preopens.push(Preopen { path: mount.destination.clone(), writable: !mount.read_only });
        }
    }
    preopens
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinnace_plan::{Mount, MountFlags, MountKind};

    fn placed(destination: &str, read_only: bool, directory: bool) -> Placed {
        let kind = MountKind::Tmpfs { options: Vec::new() };
        let mount = Mount { destination: destination.into(), kind, read_only, flags: MountFlags::default() };
        Placed { mount, directory, ids: None }
    }

    #[test]
    fn a_preopen_for_each_change_of_rights() {
        let mounts = [
            placed("/data/rw", false, true),
            placed("/data", true, true),
            placed("/tmp", false, true),
            placed("/etc/hosts", true, false),
        ];
        let found: Vec<_> = preopens(false, &mounts).into_iter().map(|p| (p.path, p.writable)).collect();
        let expected = [("/", true), ("/data", false), ("/data/rw", true)];
        assert_eq!(found, expected.map(|(path, writable)| (path.to_owned(), writable)));
        let found: Vec<_> = preopens(true, &mounts).into_iter().map(|p| p.path).collect();
        assert_eq!(found, ["/", "/tmp", "/data/rw"]);
    }

    #[test]
    fn a_neighbour_with_the_same_beginning_is_no_parent() {
        let mounts = [placed("/data", true, true), placed("/database", true, true)];
        assert_eq!(preopens(false, &mounts).len(), 3);
    }

    #[test]
    fn the_last_of_equal_names_wins() {
        let pairs = ["A=1", "B=2", "A=3=x", "broken"].map(String::from);
        assert_eq!(environment(&pairs), [("A".into(), "3=x".into()), ("B".into(), "2".into())]);
    }
}
