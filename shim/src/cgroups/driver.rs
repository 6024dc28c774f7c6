//! Which driver a container's cgroup is kept by: the form of its path decides, the handler's options must agree.
//!
//! runc takes the option's word and fails on a path of the other form, or makes a directory with colons in
//! its name. But `delete`, after a server was killed, has the spec and no options; and a handler of a type that
//! is not runc's often has none. So here the form is enough, and an option that contradicts it is an error.

use super::CgroupError;
use super::systemd::Scope;

/// Checks a spec's path against the handler's `SystemdCgroup`.
///
/// # Errors
/// When one says systemd and the other says not.
pub fn agree(systemd: Option<bool>, cgroups_path: &str) -> Result<(), CgroupError> {
    let path = || cgroups_path.to_owned();
    match (systemd, Scope::is_form_of(cgroups_path)) {
        (Some(true), false) => Err(CgroupError::WantsSystemd { path: path() }),
        (Some(false), true) => Err(CgroupError::WantsCgroupfs { path: path() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_decides_and_a_contradiction_names_both() {
        for (option, path) in [
            (None, "system.slice:docker:a"),
            (Some(true), "system.slice:docker:a"),
            (None, "/default/a"),
            (Some(false), "/default/a"),
            (Some(false), "/a:b:c"),
        ] {
            agree(option, path).unwrap();
        }
        for (option, path) in [(true, "/default/a"), (true, "/a:b:c"), (false, ":cri-containerd:a")] {
            let error = agree(Some(option), path).unwrap_err().to_string();
            assert!(error.contains(path) && error.contains(&format!("SystemdCgroup = {option}")), "{error}");
        }
    }
}
