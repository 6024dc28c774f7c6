//! What a guest finds in its world: the plan, as WASI has it.

use crate::error::PrepareError;
use crate::stdio::{Output, Stdin};
use pinnace_plan::{Guest, Kind, Plan};
use std::os::fd::OwnedFd;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

/// The world's context. Clocks and random numbers are the host's; the network is the container's own
/// network namespace, and whatever can be reached from there may be.
pub(crate) fn context(plan: &Plan, preopens: Vec<OwnedFd>) -> Result<WasiCtxBuilder, PrepareError> {
    let guest = &plan.guest;
    let mut builder = WasiCtx::builder();
    // Before any directory: each remembers it. One guest, one thread: nobody else waits meanwhile.
    builder.allow_blocking_current_thread(true);
    builder.args(&guest.args).envs(&guest.env).initial_cwd(&guest.cwd);
    if plan.module.kind == Kind::Module && !has_pwd(guest) {
        // WASI p1 knows no working directory.
        builder.env("PWD", &guest.cwd);
    }
    builder.stdin(Stdin::default()).stdout(Output::stdout()).stderr(Output::stderr());
    builder.inherit_network().allow_tcp(true).allow_udp(true).allow_ip_name_lookup(true);

    for (preopen, directory) in guest.preopens.iter().zip(preopens) {
        let permissions = if preopen.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        let failed = |source| PrepareError::Preopen {
            name: plan.module.name.clone(),
            path: preopen.path.clone(),
            source,
        };
        // The builder takes paths only, and the one path to an open directory is to stand in it.
        rustix::process::fchdir(&directory).map_err(|errno| failed(std::io::Error::from(errno).into()))?;
        builder.preopened_dir(".", &preopen.path, permissions).map_err(failed)?;
    }
    Ok(builder)
}

fn has_pwd(guest: &Guest) -> bool {
    guest.env.iter().any(|(name, _)| name == "PWD")
}
