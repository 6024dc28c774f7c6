//! `linux.cgroupsPath` of the spec, checked before any directory is touched.

use super::CgroupError;
use std::fmt;

/// A path below every hierarchy's mount point: at least one name, none of them `.` or `..`.
///
/// A relative path means the same as an absolute one: the spec leaves its base to the runtime, and the
/// server's own cgroup would make it depend on who started the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupPath(String);

/// The path of a container whose spec names none: containerd's own choice for such a container.
#[must_use]
pub fn default_path(namespace: &str, id: &str) -> String {
    format!("/{namespace}/{id}")
}

impl CgroupPath {
    /// Checks a spec's path.
    pub fn parse(path: &str) -> Result<Self, CgroupError> {
        let bad = |reason| CgroupError::BadPath { path: path.to_owned(), reason };
        let mut names = Vec::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if name == "." || name == ".." {
                return Err(bad("`.` and `..` are not followed"));
            }
            if name.contains(['\0', '\n']) {
                return Err(bad("a name has a control character"));
            }
            names.push(name);
        }
        if names.is_empty() {
            return Err(bad("it names the root, where all processes are"));
        }
        Ok(Self(names.join("/")))
    }

    /// Relative to a mount point.
    #[must_use]
    pub fn relative(&self) -> &str {
        &self.0
    }

    /// A file of this cgroup, relative to a mount point.
    pub(super) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }

    /// The cgroups above this one, innermost first, without the root.
    pub(super) fn ancestors(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.rmatch_indices('/').map(|(end, _)| &self.0[..end]).collect::<Vec<_>>().into_iter()
    }
}

impl fmt::Display for CgroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_and_relative_paths_are_the_same_place() {
        for path in ["/kubepods/pod1/c1", "kubepods/pod1/c1", "//kubepods///pod1/c1/"] {
            assert_eq!(CgroupPath::parse(path).unwrap().relative(), "kubepods/pod1/c1");
        }
    }

    #[test]
    fn ancestors_are_innermost_first_without_the_root() {
        let path = CgroupPath::parse("/a/b/c").unwrap();
        assert_eq!(path.ancestors().collect::<Vec<_>>(), ["a/b", "a"]);
        assert_eq!(CgroupPath::parse("/a").unwrap().ancestors().count(), 0);
    }

    #[test]
    fn a_path_that_leaves_the_hierarchy_or_is_its_root_is_refused() {
        for path in ["", "/", "//", "/a/../b", "..", "./a", "/a/.", "/a\0b", "/a\nb"] {
            assert!(matches!(CgroupPath::parse(path), Err(CgroupError::BadPath { .. })), "{path:?}");
        }
    }
}
