//! Which tests run in a guest, and where their programs are.
//!
//! What depends on cgroups runs always; `--full` runs everything that needs a containerd, and on each machine.

use crate::error::Error;
use crate::paths;
use crate::run::{self, say};
use std::fs;
use std::path::{Path, PathBuf};

/// The tests of one program.
pub(super) struct Suite {
    /// The packages as `cargo xtask test` selects them: with others, features would be others and all be built anew.
    packages: &'static [&'static str],
    /// The test target.
    pub(super) target: String,
    /// Only tests whose name begins so; all, if there are none.
    pub(super) fast: &'static [&'static str],
}

const CRATES: [&str; 3] = ["--workspace", "--exclude", "pinnace-e2e"];
const E2E: [&str; 2] = ["--package", "pinnace-e2e"];

/// Tests of a crate that are named so need root and the kernel's cgroups, and nothing else.
const ROOT: &str = "_root";

/// Where crates have such tests.
const OF: [&str; 2] = ["shim/tests", "runtimes/cache/tests"];

/// What runs without systemd.
pub(super) fn unified() -> Result<Vec<Suite>, Error> {
    let mut targets = Vec::new();
    for dir in OF.map(|dir| paths::root().join(dir)) {
        targets.extend(roots(&dir)?);
    }
    targets.sort();
    let suite = |target| Suite { packages: &CRATES, target, fast: &[] };
    let mut suites: Vec<_> = targets.into_iter().map(suite).collect();
    suites.push(Suite {
        packages: &E2E,
        target: "containers".to_owned(),
        fast: &[
            "stats::",
            "memory::",
            "lifecycle::",
            "crash::",
            "cgroups::",
            "subtrees::",
            "exec::it_is_where",
        ],
    });
    Ok(suites)
}

/// What runs in a booted Debian.
pub(super) fn systemd() -> Vec<Suite> {
    vec![Suite { packages: &E2E, target: "systemd".to_owned(), fast: &[] }]
}

fn roots(dir: &Path) -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(dir).map_err(Error::file("read", dir))?;
    let stem = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let stems = entries.flatten().filter_map(|entry| stem(entry.path()));
    Ok(stems.filter(|stem| stem.ends_with(ROOT)).collect())
}

impl Suite {
    /// Builds the program.
    pub(super) fn build(&self) -> Result<PathBuf, Error> {
        say(format!("build the tests {}", self.target));
        let mut cargo = run::cargo();
        cargo.args(["test", "--no-run", "--locked", "--test", &self.target]).args(self.packages);
        run::loud(&mut cargo)?;
        // A second time, for the answer: the first showed its progress.
        let answer = run::captured(cargo.args(["--quiet", "--message-format=json"]))?;
        executable(&answer, &self.target).ok_or_else(|| Error::Missing {
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
