//! What could not be had but is no wall.

use thiserror::Error;

/// It is reported once, by whoever built the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Warning {
    /// A limit could only be raised with CAP_SYS_RESOURCE.
    #[error("{kind} stays at {hard}: raising it to {wanted} needs CAP_SYS_RESOURCE")]
    RlimitNotRaised {
        /// As the spec has it.
        kind: String,
        /// The hard limit that stays.
        hard: u64,
        /// The hard limit of the spec.
        wanted: u64,
    },
    /// Capabilities of the spec that we ourselves do not have.
    #[error("capabilities {names:?} cannot be given: the runtime does not have them")]
    CapabilitiesMissing {
        /// Names without `CAP_`.
        names: Vec<String>,
    },
    /// The bounding set stays, for lack of CAP_SETPCAP; without exec it has no effect.
    #[error("the capability bounding set stays as it is: the runtime lacks CAP_SETPCAP")]
    BoundingNotDropped,
    /// The kernel has no Landlock.
    #[error("Landlock is not available in this kernel; the mount namespace alone guards the host's files")]
    LandlockMissing,
}
