//! What can fail between us and systemd.

use crate::cgroups::CgroupPath;
use std::io;
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
    /// Its socket does not answer.
    #[error("cannot reach systemd by {socket}: {source}")]
    Connect { socket: &'static str, source: io::Error },
    /// The connection broke.
    #[error("lost the connection to systemd while it was asked about {unit}: {source}")]
    Lost { unit: String, source: io::Error },
    /// No message of D-Bus.
    #[error("systemd sent what is no message while it was asked about {unit}: report this")]
    Malformed { unit: String },
    /// A unit of this name is alive: another container's.
    #[error(
        "systemd has a unit {unit} already: give every container a cgroupsPath of its own, or stop the unit"
    )]
    Exists { unit: String },
    /// systemd refuses, and says why.
    #[error("systemd refuses {method} of {unit}: {reason} ({name})")]
    Refused { method: &'static str, unit: String, name: String, reason: String },
    /// The job came to another end than done.
    #[error("systemd's job for {unit} ended as {result:?}: see `journalctl -u {unit}`")]
    Job { unit: String, result: String },
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
