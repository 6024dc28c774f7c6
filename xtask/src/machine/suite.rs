//! Which tests run in a guest, and where their programs are.
//!
//! What depends on cgroups runs always; `--full` runs everything that needs a containerd, and on each machine.

use crate::error::Error;
use crate::run::{self, say};
use std::path::PathBuf;

/// The tests of one program.
pub(super) struct Suite {
    /// The packages as `cargo xtask test` selects them: with others, features would be others and all be built anew.
    packages: &'static [&'static str],
    /// The test target.
    pub(super) target: &'static str,
    /// Only tests whose name begins so; all, if there are none.
    pub(super) fast: &'static [&'static str],
}

const CRATES: [&str; 3] = ["--workspace", "--exclude", "pinnace-e2e"];
const E2E: [&str; 2] = ["--package", "pinnace-e2e"];

/// What runs without systemd.
pub(super) const UNIFIED: [Suite; 3] = [
    Suite { packages: &CRATES, target: "cage_root", fast: &[] },
    Suite { packages: &CRATES, target: "cgroups_root", fast: &[] },
    Suite {
        packages: &E2E,
        target: "containers",
        fast: &["stats::", "memory::", "lifecycle::", "crash::", "cgroups::"],
    },
];

/// What runs in a booted Debian.
pub(super) const SYSTEMD: [Suite; 1] = [Suite { packages: &E2E, target: "systemd", fast: &[] }];

impl Suite {
    /// Builds the program.
    pub(super) fn build(&self) -> Result<PathBuf, Error> {
        say(format!("build the tests {}", self.target));
        let mut cargo = run::cargo();
        cargo.args(["test", "--no-run", "--locked", "--test", self.target]).args(self.packages);
        run::loud(&mut cargo)?;
        // A second time, for the answer: the first showed its progress.
        let answer = run::captured(cargo.args(["--quiet", "--message-format=json"]))?;
        executable(&answer, self.target).ok_or_else(|| Error::Missing {
            what: format!("the program that cargo built of {}", self.target),
            remedy: "cargo named none; is its version older than the toolchain file asks?".to_owned(),
        })
    }

    /// The words of its command line.
    pub(super) fn words(&self, full: bool, filter: Option<&str>) -> String {
        let filters: Vec<&str> = match filter {
            Some(filter) => vec![filter],
            None if full => Vec::new(),
            None => self.fast.to_vec(),
        };
        format!("/pinnace/tests/{} --test-threads=2 {}", self.target, filters.join(" "))
    }
}

/// The executable of a test target among cargo's messages, which name the package's other programs too.
fn executable(answer: &str, target: &str) -> Option<PathBuf> {
    let named = |line: &str| Some(line.split_once("\"executable\":\"")?.1.split_once('"')?.0.to_owned());
    let is_target = |file: &PathBuf| {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.rsplit_once('-').is_some_and(|(name, _hash)| name == target)
    };
    answer.lines().filter_map(named).map(PathBuf::from).find(is_target)
}

#[cfg(test)]
mod tests {
    use super::executable;
    use std::path::Path;

    #[test]
    fn the_tests_are_told_from_the_packages_programs() {
        let answer = "{\"target\":1,\"executable\":\"/t/debug/demo\"}\n{\"executable\":null}\n\
                      {\"executable\":\"/t/debug/deps/demo-1\"}\n{\"executable\":\"/t/debug/deps/containers-0a\",\"x\":1}";
        assert_eq!(
            executable(answer, "containers").as_deref(),
            Some(Path::new("/t/debug/deps/containers-0a"))
        );
        assert_eq!(executable(answer, "harness"), None);
    }
}
