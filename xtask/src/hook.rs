//! `cargo xtask hook`: the pre-commit hook, for those who want it.

use crate::error::Error;
use crate::paths;
use crate::run::{self, say};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Quick enough for every commit; the tests stay with `make test`.
const HOOK: &str = "#!/bin/sh
# Installed by `cargo xtask hook`; remove this file to be rid of it.
set -e
cargo fmt --all --check
cargo clippy --quiet --workspace --all-targets --locked -- --deny warnings
";

/// Writes the hook, unless another one stands there.
pub(crate) fn install() -> Result<(), Error> {
    let hooks = run::captured(run::program("git").args(["rev-parse", "--git-path", "hooks"]))?;
    let dir = paths::root().join(hooks.trim());
    let file = dir.join("pre-commit");
    if fs::read_to_string(&file).is_ok_and(|text| text != HOOK) {
        return Err(Error::Missing {
            what: format!("{}: a place for the hook", file.display()),
            remedy: "another hook stands there; add `cargo fmt --check` and clippy to it".to_owned(),
        });
    }
    fs::create_dir_all(&dir).map_err(Error::file("mkdir", &dir))?;
    fs::write(&file, HOOK).map_err(Error::file("write", &file))?;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&file, mode).map_err(Error::file("chmod", &file))?;
    say(format!("{} checks format and lints before each commit", file.display()));
    Ok(())
}
