//! `iptables`, by which a pod's port becomes one of the node: the plugin for networks executes it.
//!
//! Where the machine has none it is Debian's, with its own libraries, behind a script of this name.

use super::{apt, link};
use crate::error::Error;
use crate::paths;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Brings it to `target/tools/iptables`.
pub(super) fn bring() -> Result<(), Error> {
    if paths::tools().join("iptables").is_file() {
        return Ok(());
    }
    if let Some(own) = paths::which("iptables") {
        return link(&own, "iptables");
    }
    let prefix = apt::closure("iptables", "bookworm", &["iptables"], &[])?;
    let library = prefix.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    let first = prefix.join(format!("lib/{}-linux-gnu", std::env::consts::ARCH));
    let loader = apt::loader(&first)?;
    let script = format!(
        "#!/bin/sh\nexport XTABLES_LIBDIR={library}/xtables\n\
         exec {loader} --library-path {first}:{library} {prefix}/usr/sbin/xtables-nft-multi iptables \"$@\"\n",
        first = first.display(),
        library = library.display(),
        loader = loader.display(),
        prefix = prefix.display(),
    );
    let file = paths::tools().join("iptables");
    fs::write(&file, script).map_err(Error::file("write", &file))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).map_err(Error::file("chmod", &file))
}
