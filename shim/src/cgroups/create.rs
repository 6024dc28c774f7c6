//! Making a cgroup: one directory in each hierarchy, or none at all.
//!
//! ```text
//!  for each tree:  mkdir leaf ── made ─────────────▶ v1 cpuset: CPUs and nodes from above
//!                     │                              v2: controllers switched on from the root down
//!                     ├ EEXIST ─ no process in it ─▶ taken as it is
//!                     └ ENOENT ─ mkdir each parent, marked as ours ─▶ again
//! ```
//!
//! Two servers may work under one parent at once: the one that empties it removes it, perhaps between the
//! other's making of the parent and of its leaf. That one sees ENOENT (or ENODEV, while the parent dies) and
//! begins again, a bounded number of times. Because the mark is on the directory and not in a server's
//! memory, it does not matter which server made it, or whether that one still lives.

use super::discover::{Layout, Tree};
use super::{Cgroup, CgroupError, CgroupPath, Controller, Hierarchies, files};
use rustix::fs::{Mode, XattrFlags, mkdirat, setxattr};
use rustix::io::Errno;

/// The extended attribute of a parent directory that had to be made for a container.
pub(super) const MADE: &str = "trusted.pinnace.made";

/// How often a parent may vanish under us before it is an error.
const RACES: usize = 16;

impl Cgroup {
    /// Makes the cgroup in every hierarchy, ready to be limited and joined.
    ///
    /// One that exists and has no process is taken as it is; [`Cgroup::remove`] removes it like our own.
    pub fn create(hierarchies: &Hierarchies, cgroups_path: &str) -> Result<Self, CgroupError> {
        let cgroup = Self::open(hierarchies, cgroups_path)?;
        cgroup.make(None)?;
        Ok(cgroup)
    }

    /// Makes what directories are missing, or none; `placeholder` is the one process that may be in them.
    pub(super) fn make(&self, placeholder: Option<i32>) -> Result<(), CgroupError> {
        let mut made = Vec::with_capacity(self.hierarchies.trees().len());
        let done = self.make_in_all(&mut made, placeholder);
        if done.is_err() {
            for tree in made {
                // The error that led here is the one to tell; a directory that stays is seen at `delete`.
                let _ = self.remove_from(tree);
            }
        }
        done
    }

    /// Fails if somebody is in it; where it is not there, or just being removed, nobody is.
    ///
    /// # Errors
    /// When somebody is, or nobody can say.
    pub fn refuse_processes(&self) -> Result<(), CgroupError> {
        match self.pids_everywhere()?.is_empty() {
            true => Ok(()),
            false => Err(CgroupError::Occupied { path: self.path.to_string().into() }),
        }
    }

    fn make_in_all<'a>(
        &'a self,
        made: &mut Vec<&'a Tree>,
        placeholder: Option<i32>,
    ) -> Result<(), CgroupError> {
        for tree in self.hierarchies.trees() {
            let fresh = make_leaf(tree, &self.path)?;
            if fresh {
                made.push(tree);
            } else {
                refuse_occupied(tree, &self.path, placeholder)?;
            }
            if tree.controllers.contains(&Controller::Cpuset) {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    inherit(tree, self.path.relative(), file, fresh)?;
                }
            }
        }
        if let Layout::V2 { tree, available } = self.hierarchies.layout() {
            refuse_threaded(tree, &self.path)?;
            enable(tree, &self.path, available);
        }
        Ok(())
    }
}

/// v2: no process can be born in a directory below a threaded one, and threads share what they would be
/// counted by. There is no way back for such a directory, so who made it is named.
fn refuse_threaded(tree: &Tree, path: &CgroupPath) -> Result<(), CgroupError> {
    // A kernel before 4.14 has no such file, and no threaded cgroups; nor has the root.
    let kind = |directory: &str| {
        files::read(tree, &format!("{directory}/cgroup.type")).unwrap_or_default().trim().to_owned()
    };
    let own = kind(path.relative());
    if matches!(own.as_str(), "" | "domain" | "domain threaded") {
        return Ok(());
    }
    let above = path.ancestors().rev().find(|above| kind(above).ends_with("threaded"));
    Err(CgroupError::Threaded {
        file: tree.whole(&path.file("cgroup.type")),
        kind: own,
        above: tree.whole(above.unwrap_or(path.relative())),
    })
}

/// True if it was made, false if it was there.
fn make_leaf(tree: &Tree, path: &CgroupPath) -> Result<bool, CgroupError> {
    let mode = Mode::from_raw_mode(0o755);
    let failed =
        |relative: &str, errno: Errno| CgroupError::Make { path: tree.whole(relative), source: errno.into() };
    for _ in 0..RACES {
        match mkdirat(tree, path.relative(), mode) {
            Ok(()) => return Ok(true),
            Err(Errno::EXIST) => return Ok(false),
            Err(Errno::NOENT | Errno::NODEV) => {}
            Err(errno) => return Err(failed(path.relative(), errno)),
        }
        for parent in path.ancestors().rev() {
            match mkdirat(tree, parent, mode) {
                // Without the mark (no CAP_SYS_ADMIN, an old kernel) the directory stays, as it would with runc.
                Ok(()) => drop(setxattr(tree.whole(parent), MADE, b"1", XattrFlags::empty())),
                Err(Errno::EXIST) => {}
                Err(Errno::NOENT | Errno::NODEV) => break,
                Err(errno) => return Err(failed(parent, errno)),
            }
        }
    }
    Err(failed(path.relative(), Errno::NOENT))
}

fn refuse_occupied(tree: &Tree, path: &CgroupPath, but: Option<i32>) -> Result<(), CgroupError> {
    let name = path.file("cgroup.procs");
    match files::read(tree, &name) {
        Ok(processes) if processes.lines().all(|pid| but.is_some() && pid.parse().ok() == but) => Ok(()),
        Ok(_) => Err(CgroupError::Occupied { path: tree.whole(path.relative()) }),
        Err(errno) => Err(CgroupError::Read { path: tree.whole(&name), source: errno.into() }),
    }
}

/// v1: nobody can join a cpuset without CPUs or without memory nodes, and a new one has neither. Gives a
/// directory what the one above has, filling that first, and returns what it has then.
fn inherit(tree: &Tree, directory: &str, file: &str, known_empty: bool) -> Result<String, CgroupError> {
    let name = if directory.is_empty() { file.to_owned() } else { format!("{directory}/{file}") };
    if !known_empty {
        let value = files::read(tree, &name)
            .map_err(|errno| CgroupError::Read { path: tree.whole(&name), source: errno.into() })?;
        if !value.trim().is_empty() {
            return Ok(value);
        }
    }
    if directory.is_empty() {
        return Err(CgroupError::EmptyCpuset { path: tree.whole(&name) });
    }
    let above = directory.rsplit_once('/').map_or("", |(above, _)| above);
    let value = inherit(tree, above, file, false)?;
    files::write(tree, &name, value.trim()).map_err(|errno| CgroupError::Write {
        path: tree.whole(&name),
        value: value.trim().to_owned(),
        source: errno.into(),
    })?;
    Ok(value)
}

/// v2: a directory has only the controllers that every directory above it hands down. Usually the parent
/// does already, which one read shows. What cannot be handed down is no error before a limit needs it:
/// [`Cgroup::limit`] names the controller then.
///
/// A directory that has processes and is not the real root is left alone: the kernel lets it hand down what
/// threads can share (cpu, pids), and then takes it for threaded and nobody into a directory below it.
fn enable(tree: &Tree, path: &CgroupPath, available: &[String]) {
    let has =
        |directory: &str, file: &str| files::read(tree, &format!("{directory}{file}")).unwrap_or_default();
    let lacks = |list: &str, name: &str| !list.split_whitespace().any(|enabled| enabled == name);
    let leaf = has("", &path.file("cgroup.controllers"));
    if available.iter().all(|name| !lacks(&leaf, name)) {
        return;
    }
    let parents =
        std::iter::once(String::new()).chain(path.ancestors().rev().map(|parent| format!("{parent}/")));
    for parent in parents {
        let enabled = has(&parent, "cgroup.subtree_control");
        let offered = has(&parent, "cgroup.controllers");
        let missing: Vec<String> = offered
            .split_whitespace()
            .filter(|name| lacks(&enabled, name))
            .map(|name| format!("+{name}"))
            .collect();
        let bounded = !parent.is_empty() || tree.bounded_root;
        if missing.is_empty() || bounded && !has(&parent, "cgroup.procs").is_empty() {
            continue;
        }
        let control = format!("{parent}cgroup.subtree_control");
        // All at once, or, when one of them cannot be had, each by itself.
        if files::write(tree, &control, &missing.join(" ")).is_err() {
            for one in &missing {
                let _ = files::write(tree, &control, one);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree(dir: &std::path::Path, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    #[test]
    fn every_hierarchy_gets_a_directory_and_parents_are_made() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(two.path().join("a")).unwrap();
        let hierarchies =
            Hierarchies::v1_at(&[(&[Controller::Memory], one.path()), (&[Controller::Pids], two.path())]);
        let cgroup = Cgroup::create(&hierarchies, "/a/b/c").unwrap();
        assert!(one.path().join("a/b/c").is_dir() && two.path().join("a/b/c").is_dir());
        cgroup.remove().unwrap();
        assert!(!one.path().join("a/b/c").exists() && two.path().join("a").exists());
    }

    #[test]
    fn a_failure_in_one_hierarchy_leaves_nothing_in_the_others() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        tree(two.path(), &[("c/cgroup.procs", "17\n")]);
        let hierarchies =
            Hierarchies::v1_at(&[(&[Controller::Memory], one.path()), (&[Controller::Pids], two.path())]);
        let error = Cgroup::create(&hierarchies, "/c").unwrap_err();
        assert!(matches!(&error, CgroupError::Occupied { path } if *path == two.path().join("c")), "{error}");
        assert!(!one.path().join("c").exists());
        assert!(two.path().join("c").exists(), "what was there before stays");
    }

    #[test]
    fn an_empty_one_is_taken_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path(), &[("c/cgroup.procs", "")]);
        let hierarchies = Hierarchies::v1_at(&[(&[Controller::Memory], dir.path())]);
        Cgroup::create(&hierarchies, "/c").unwrap();
    }

    #[test]
    fn a_place_below_a_threaded_one_is_refused_and_an_ordinary_one_taken() {
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path(), &[("cgroup.controllers", "")]);
        let hierarchies = Hierarchies::v2_at(dir.path());
        let by = |whose: &str| format!("{} is threaded", dir.path().join(whose).display());
        for (above, kind, by) in [
            ("domain\n", "domain\n", None),
            ("domain\n", "domain threaded\n", None),
            ("domain threaded\n", "domain invalid\n", Some(by("a"))),
            ("threaded\n", "domain invalid\n", Some(by("a"))),
            ("domain\n", "threaded\n", Some(by("a/c"))),
        ] {
            tree(
                dir.path(),
                &[("a/cgroup.type", above), ("a/c/cgroup.procs", ""), ("a/c/cgroup.type", kind)],
            );
            match (Cgroup::create(&hierarchies, "/a/c"), by) {
                (Ok(_), by) => assert_eq!(by, None, "{kind}"),
                (Err(error), by) => {
                    let (error, by) = (error.to_string(), by.unwrap());
                    assert!(error.contains("a/c/cgroup.type") && error.contains(&by), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_parent_that_is_a_file_fails_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path(), &[("tasks", "")]);
        let hierarchies = Hierarchies::v1_at(&[(&[Controller::Memory], dir.path())]);
        let error = Cgroup::create(&hierarchies, "/tasks/c").unwrap_err();
        assert!(error.to_string().contains("tasks/c"), "{error}");
    }

    #[test]
    fn cpusets_are_filled_from_the_top_down() {
        let dir = tempfile::tempdir().unwrap();
        tree(
            dir.path(),
            &[
                ("cpuset.cpus", "0-3\n"),
                ("a/cpuset.cpus", "\n"),
                ("a/b/cpuset.cpus", ""),
                ("z/cpuset.cpus", "2\n"),
            ],
        );
        let hierarchies = Hierarchies::v1_at(&[(&[Controller::Cpuset], dir.path())]);
        let tree = &hierarchies.trees()[0];
        assert_eq!(inherit(tree, "a/b", "cpuset.cpus", true).unwrap().trim(), "0-3");
        assert_eq!(fs::read_to_string(dir.path().join("a/cpuset.cpus")).unwrap().trim(), "0-3");
        assert_eq!(fs::read_to_string(dir.path().join("a/b/cpuset.cpus")).unwrap(), "0-3");
        assert_eq!(inherit(tree, "z", "cpuset.cpus", false).unwrap().trim(), "2");
        fs::write(dir.path().join("cpuset.cpus"), "\n").unwrap();
        fs::write(dir.path().join("a/cpuset.cpus"), "\n").unwrap();
        let error = inherit(tree, "a/b", "cpuset.cpus", true).unwrap_err();
        assert!(matches!(error, CgroupError::EmptyCpuset { .. }), "{error}");
    }

    #[test]
    fn a_parent_with_processes_is_not_made_threaded() {
        let dir = tempfile::tempdir().unwrap();
        tree(
            dir.path(),
            &[
                ("cgroup.controllers", "cpu memory\n"),
                ("cgroup.subtree_control", ""),
                ("cgroup.procs", "1\n"),
                ("a/cgroup.controllers", "cpu memory\n"),
                ("a/cgroup.subtree_control", ""),
                ("a/cgroup.procs", "7\n"),
            ],
        );
        let control = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        let hierarchies = Hierarchies::v2_at(dir.path());
        tree(dir.path(), &[("a/b/cgroup.procs", "")]);
        Cgroup::create(&hierarchies, "/a/b").unwrap();
        assert_eq!(control("a/cgroup.subtree_control"), "");
        assert_eq!(control("cgroup.subtree_control"), "+cpu +memory", "the real root may have processes");
        // The root of a container's mount may not.
        tree(dir.path(), &[("memory.max", ""), ("cgroup.subtree_control", "")]);
        Cgroup::create(&Hierarchies::v2_at(dir.path()), "/a/b").unwrap();
        assert_eq!(control("cgroup.subtree_control"), "");
    }

    #[test]
    fn v2_controllers_are_switched_on_in_every_parent_but_not_in_the_leaf() {
        let dir = tempfile::tempdir().unwrap();
        tree(
            dir.path(),
            &[
                ("cgroup.controllers", "cpu memory pids\n"),
                ("cgroup.subtree_control", "memory\n"),
                ("a/cgroup.controllers", "memory\n"),
                ("a/cgroup.subtree_control", ""),
                ("a/b/cgroup.controllers", ""),
                ("a/b/cgroup.subtree_control", ""),
            ],
        );
        let hierarchies = Hierarchies::v2_at(dir.path());
        let Layout::V2 { tree, available } = hierarchies.layout() else { panic!("not v2") };
        enable(tree, &CgroupPath::parse("/a/b").unwrap(), available);
        let control = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(control("cgroup.subtree_control"), "+cpu +pids");
        assert_eq!(control("a/cgroup.subtree_control"), "+memory");
        assert_eq!(control("a/b/cgroup.subtree_control"), "");
    }
}
