//! `iptables`, by which a pod's port becomes one of the node: the plugin for networks executes it.
//!
//! Where the machine has none it is Debian's, with its own libraries, behind a script of this name.

use super::{apt, foreign, link};
use crate::error::Error;
use crate::paths;

/// Brings it to `target/tools/iptables`.
pub(super) fn bring() -> Result<(), Error> {
    if paths::tools().join("iptables").is_file() {
        return Ok(());
    }
    if let Some(own) = paths::which("iptables") {
        return link(&own, "iptables");
    }
    let prefix = apt::closure("iptables", "bookworm", &["iptables"], &[])?;
    let modules = prefix.join(format!("usr/lib/{}-linux-gnu/xtables", std::env::consts::ARCH));
    let modules = format!("export XTABLES_LIBDIR={}\n", modules.display());
    let program = "usr/sbin/xtables-nft-multi iptables";
    foreign::script("iptables", &prefix, &["lib", "usr/lib"], &modules, program)
}
