//! `slice:prefix:name`, and where that is: pure text.

use crate::cgroups::{CgroupError, CgroupPath};

/// The slice of a container whose path names none, as for every service of the system.
const DEFAULT_SLICE: &str = "system.slice";
/// The longest name systemd takes for a unit, and the longest the kernel takes for a directory.
const LONGEST: usize = 255;

/// A scope and the slice it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cgroups) struct Scope {
    /// `prefix-name.scope`.
    pub(super) unit: String,
    /// `a-b.slice`; `-.slice` is the root.
    pub(super) slice: String,
    path: CgroupPath,
}

impl Scope {
    /// Whether a spec's path is of this form: a plain path with two colons must begin with a slash.
    pub(in crate::cgroups) fn is_form_of(cgroups_path: &str) -> bool {
        !cgroups_path.starts_with('/') && cgroups_path.matches(':').count() == 2
    }

    /// Takes a path of this form apart; `None` for any other.
    pub(in crate::cgroups) fn parse(cgroups_path: &str) -> Result<Option<Self>, CgroupError> {
        let mut parts = cgroups_path.split(':');
        let (Some(slice), Some(prefix), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            return Ok(None);
        };
        if !Self::is_form_of(cgroups_path) {
            return Ok(None);
        }
        let bad = |reason| CgroupError::BadPath { path: cgroups_path.to_owned(), reason };
        let slice = if slice.is_empty() { DEFAULT_SLICE } else { slice };
        let directory = expand(slice).map_err(bad)?;
        if name.is_empty() {
            return Err(bad("the name after the second colon is empty"));
        }
        if name.ends_with(".slice") {
            return Err(bad("it names a slice, and a container needs a scope"));
        }
        let unit = match prefix {
            "" => format!("{name}.scope"),
            prefix => format!("{prefix}-{name}.scope"),
        };
        check(&unit).map_err(bad)?;
        let path = CgroupPath::parse(&format!("{directory}/{unit}"))?;
        Ok(Some(Self { unit, slice: slice.to_owned(), path }))
    }

    /// Its directory in every hierarchy.
    pub(in crate::cgroups) fn path(&self) -> &CgroupPath {
        &self.path
    }
}

/// The directory of a slice: each dash is a level, as in `a-b.slice` → `/a.slice/a-b.slice`.
fn expand(slice: &str) -> Result<String, &'static str> {
    let Some(name) = slice.strip_suffix(".slice") else {
        return Err("what stands before the first colon must be a slice, as in system.slice");
    };
    if name == "-" {
        return Ok(String::new());
    }
    check(slice)?;
    if name.split('-').any(str::is_empty) {
        return Err("each part between the dashes of a slice needs a name");
    }
    let ends = name.match_indices('-').map(|(end, _)| end).chain([name.len()]);
    Ok(ends.map(|end| format!("/{}.slice", &name[..end])).collect())
}

/// What systemd takes as a unit's name.
fn check(unit: &str) -> Result<(), &'static str> {
    if unit.len() > LONGEST {
        return Err("the name of the unit would be longer than 255 bytes");
    }
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    if unit.bytes().all(valid) {
        Ok(())
    } else {
        Err("systemd takes letters, digits and :-_.\\@ in names only")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slices_and_scopes_have_their_places() {
        for (given, unit, slice, path) in [
            ("system.slice:docker:abc", "docker-abc.scope", "system.slice", "/system.slice/docker-abc.scope"),
            (
                ":cri-containerd:1",
                "cri-containerd-1.scope",
                "system.slice",
                "/system.slice/cri-containerd-1.scope",
            ),
            (
                "kubepods-burstable-pod1_2.slice:cri-containerd:x",
                "cri-containerd-x.scope",
                "kubepods-burstable-pod1_2.slice",
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-x.scope",
            ),
            ("-.slice::x", "x.scope", "-.slice", "/x.scope"),
        ] {
            let scope = Scope::parse(given).unwrap().unwrap();
            assert_eq!((scope.unit.as_str(), scope.slice.as_str()), (unit, slice), "{given}");
            assert_eq!(scope.path().to_string(), path, "{given}");
        }
    }

    #[test]
    fn other_forms_are_none_of_ours() {
        for path in ["/a:b:c", "/default/x", "a/b", "a:b", "a.slice:b:c:d", ""] {
            assert_eq!(Scope::parse(path).unwrap(), None, "{path}");
        }
    }

    #[test]
    fn what_systemd_would_not_take_is_refused_with_its_reason() {
        let long = format!("a.slice:b:{}", "x".repeat(250));
        for (path, reason) in [
            ("user:b:c", "must be a slice"),
            ("a--b.slice:b:c", "needs a name"),
            ("-a.slice:b:c", "needs a name"),
            ("a-.slice:b:c", "needs a name"),
            (".slice:b:c", "needs a name"),
            ("a/b.slice:b:c", "letters"),
            ("../x.slice:b:c", "letters"),
            ("a.slice:b/../..:c", "letters"),
            ("a.slice:b:c d", "letters"),
            ("a.slice:b:", "empty"),
            ("a.slice:b:c.slice", "needs a scope"),
            (&long, "255"),
        ] {
            let error = Scope::parse(path).unwrap_err().to_string();
            assert!(error.contains(reason), "{path}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_path_that_is_not_a_scope_below_slices(
            slice in "[a-z./-]{0,12}(\\.slice)?", prefix in ".{0,6}", name in ".{0,12}",
        ) {
            if let Ok(Some(scope)) = Scope::parse(&format!("{slice}:{prefix}:{name}")) {
                let path = scope.path().to_string();
                let mut names: Vec<_> = path.trim_start_matches('/').split('/').collect();
                prop_assert_eq!(names.pop(), Some(scope.unit.as_str()));
                prop_assert!(scope.unit.ends_with(".scope"));
                for pair in names.windows(2) {
                    let above = pair[0].strip_suffix(".slice").unwrap();
                    let prefix = format!("{above}-");
                    prop_assert!(pair[1].starts_with(&prefix));
                }
                prop_assert_eq!(names.last().copied().unwrap_or("-.slice"), scope.slice.as_str());
            }
        }
    }
}
