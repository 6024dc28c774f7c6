//! Programs of a Go module, built by the machine's own Go into a directory.
//!
//! The module is a dependency of a module made for the purpose: `go install path@version` refuses one whose
//! `go.mod` excludes or replaces something. Go checks what it downloads against its public log of digests.

use crate::error::Error;
use crate::{paths, run};
use std::fs;
use std::path::Path;

/// What to build.
pub(super) struct Module<'a> {
    pub(super) path: &'a str,
    pub(super) version: &'a str,
    /// Folders of the module, each a program.
    pub(super) programs: &'a [&'a str],
    /// Folders of the module, each with tests that are a program.
    pub(super) tests: &'a [&'a str],
    /// Programs of what the module depends on, in the version that it names.
    pub(super) others: &'a [&'a str],
    pub(super) tags: &'a str,
    /// For the linker.
    pub(super) flags: &'a str,
}

impl Module<'_> {
    /// Builds the programs, static, into `bin`.
    pub(super) fn build(&self, bin: &Path) -> Result<(), Error> {
        if paths::which("go").is_none() {
            return Err(Error::Missing {
                what: "go".to_owned(),
                remedy: "install it and put it on PATH".to_owned(),
            });
        }
        let Self { path, version, .. } = self;
        let around = tempfile::tempdir().map_err(Error::file("mkdir", std::env::temp_dir()))?;
        let file = around.path().join("go.mod");
        let text = format!("module around\n\ngo 1.24\n\nrequire {path} v{version}\n");
        fs::write(&file, text).map_err(Error::file("write", &file))?;
        let go = |command: &[&str], to: &Path| {
            let mut go = run::program("go");
            go.args(command).args([
                "-mod=mod",
                "-trimpath",
                "-tags",
                self.tags,
                "-ldflags",
                self.flags,
                "-o",
            ]);
            go.arg(to).env("CGO_ENABLED", "0").current_dir(around.path());
            go
        };
        for folder in self.tests {
            let name = Path::new(folder).file_name().unwrap_or_default();
            let mut test = go(&["test", "-c"], &bin.join(name));
            test.arg(format!("{path}/{folder}"));
            run::quiet(&format!("build {path}/{folder} {version}, once"), &mut test)?;
        }
        let own = self.programs.iter().map(|folder| format!("{path}/{folder}"));
        let mut build = go(&["build"], &bin.join(""));
        build.args(own).args(self.others);
        run::quiet(&format!("build {path} {version}, once"), &mut build).map(drop)
    }
}

/// This machine's architecture as Go names it.
pub(super) fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
