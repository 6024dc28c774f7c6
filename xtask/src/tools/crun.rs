//! crun, the second OCI runtime that native containers are tested with; runc is the first.
//!
//! The machine's own is not taken: the one of Debian 12 is too old for containerd's specifications ("unknown version
//! specified"). Debian 13's comes with its own libraries, behind a script of this name.
//!
//! No crun takes a machine with controllers of both cgroup v1 and v2 ("cgroups in hybrid mode not supported"). On
//! such a one the script has it in a mount namespace without the second hierarchy.

use super::{apt, foreign};
use crate::error::Error;
use crate::paths;

const ALL_V1: &str = r#"unified=/sys/fs/cgroup/unified
if read -r controllers 2>/dev/null <$unified/cgroup.controllers && [ "$controllers" ]; then
    hide="umount -l $unified && exec \"\$0\" \"\$@\""
    exec unshare --mount --propagation slave sh -c "$hide" "$0" "$@"
fi
"#;

/// Brings it to `target/tools/crun`.
pub(super) fn bring() -> Result<(), Error> {
    if paths::tools().join("crun").is_file() {
        return Ok(());
    }
    let prefix = apt::closure("crun", "trixie", &["crun"], &[])?;
    foreign::script("crun", &prefix, &["usr/lib"], ALL_V1, "usr/bin/crun")
}
