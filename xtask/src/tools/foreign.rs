//! A program of another Debian's as one of this machine's: a script that starts it by its own loader.

use super::apt;
use crate::error::Error;
use crate::paths;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Makes `target/tools/<name>` start a program of an [`apt::closure`], whose libraries are in the machine's own
/// directory of each of `libraries`; the loader is in that of the first.
///
/// `before` are the script's first lines; `program` is the path within the prefix, and the arguments that come first.
pub(super) fn script(
    name: &str,
    prefix: &Path,
    libraries: &[&str],
    before: &str,
    program: &str,
) -> Result<(), Error> {
    let arch = std::env::consts::ARCH;
    let libraries: Vec<PathBuf> =
        libraries.iter().map(|dir| prefix.join(format!("{dir}/{arch}-linux-gnu"))).collect();
    let loader = apt::loader(libraries.first().map_or(prefix, PathBuf::as_path))?;
    let path: Vec<_> = libraries.iter().map(|dir| dir.display().to_string()).collect();
    let text = format!(
        "#!/bin/sh\n{before}exec {loader} --library-path {path} {prefix}/{program} \"$@\"\n",
        loader = loader.display(),
        path = path.join(":"),
        prefix = prefix.display(),
    );
    let file = paths::tools().join(name);
    fs::create_dir_all(paths::tools()).map_err(Error::file("mkdir", &paths::tools()))?;
    fs::write(&file, text).map_err(Error::file("write", &file))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).map_err(Error::file("chmod", &file))
}
