//! What can fail between us and systemd.

use crate::cgroups::CgroupPath;
use std::time::Duration;

/// Why a scope could not be started or stopped.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named as what they hold")]
pub enum SystemdError {
    /// Nobody there.
    #[error(
        "cgroupsPath is of the form slice:prefix:name, but systemd does not run here (no {directory}): \
         set the cgroupfs driver in containerd, the kubelet or dockerd"
    )]
    NotRunning { directory: &'static str },
    /// Neither its own socket nor the bus answers.
    #[error("cannot reach systemd, neither by {socket} nor by the system bus: {source}")]
    Connect { socket: &'static str, source: Box<zbus::Error> },
    /// A unit of this name is alive: another container's.
    #[error(
        "systemd has a unit {unit} already: give every container a cgroupsPath of its own, or stop the unit"
    )]
    Exists { unit: String },
    /// systemd refuses, and says why.
    #[error("systemd refuses {method} of {unit}: {source}")]
    Refused { method: &'static str, unit: String, source: Box<zbus::Error> },
    /// The job came to another end than done.
    #[error("systemd's job for {unit} ended as {result:?}: see `journalctl -u {unit}`")]
    Job { unit: String, result: String },
    /// The connection ended before the job did.
    #[error("systemd closed the connection before its job for {unit} was done")]
    Closed { unit: String },
    /// No end of the job in time.
    #[error("systemd did not finish its job for {unit} within {} s: see `systemctl list-jobs`", waited.as_secs())]
    Late { unit: String, waited: Duration },
    /// The scope lives below another root than ours.
    #[error(
        "systemd put {unit} elsewhere than at {path}: this program and systemd must see the same root of the \
         cgroups, or set the cgroupfs driver"
    )]
    Elsewhere { unit: String, path: CgroupPath },
}
