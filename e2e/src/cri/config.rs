//! What containerd's configuration says of the CRI: ours is the default handler, runc's stands beside it to be compared
//! with, and nothing leaves the node's directory.

use super::{HANDLER, RUNC_HANDLER, SANDBOX_IMAGE};
use crate::{PINNACE, RUNC, places};
use std::path::Path;

/// The lines in this format of containerd's configuration.
///
/// Registries are looked up in `certs.d`, devices in `cdi`, networks in `cni`; until one is there, pods use the host's.
pub(crate) fn configuration(format: u32, dir: &Path) -> String {
    let dir = dir.display();
    let programs = places::tools().join("cni");
    let programs = match format {
        ..=2 => format!("bin_dir = \"{}\"", programs.display()),
        _ => format!("bin_dirs = [\"{}\"]", programs.display()),
    };
    let runtime = |plugin: &str| {
        format!(
            "[plugins.\"{plugin}\"]\nrestrict_oom_score_adj = true\ncdi_spec_dirs = [\"{dir}/cdi\"]\n\
             [plugins.\"{plugin}\".containerd]\ndefault_runtime_name = \"{HANDLER}\"\n\
             [plugins.\"{plugin}\".containerd.runtimes.{HANDLER}]\nruntime_type = \"{PINNACE}\"\n\
             [plugins.\"{plugin}\".containerd.runtimes.{RUNC_HANDLER}]\nruntime_type = \"{RUNC}\"\n\
             [plugins.\"{plugin}\".cni]\nconf_dir = \"{dir}/cni\"\n{programs}\n"
        )
    };
    let registry =
        |plugin: &str| format!("[plugins.\"{plugin}\".registry]\nconfig_path = \"{dir}/certs.d\"\n");
    match format {
        ..=2 => {
            let plugin = "io.containerd.grpc.v1.cri";
            let sandbox = format!("sandbox_image = \"{SANDBOX_IMAGE}\"\nenable_cdi = true\n");
            // A table's own keys come before those of the tables in it.
            let lines = runtime(plugin).replacen("]\n", &format!("]\n{sandbox}"), 1);
            lines + &registry(plugin)
        }
        _ => {
            let images = "io.containerd.cri.v1.images";
            let pinned = format!("[plugins.\"{images}\".pinned_images]\nsandbox = \"{SANDBOX_IMAGE}\"\n");
            runtime("io.containerd.cri.v1.runtime") + &pinned + &registry(images)
        }
    }
}
