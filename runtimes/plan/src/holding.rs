//! What a pod's holder needs: a place and an identity, and nothing to run.

use crate::{Fd, Namespace, Rlimit, User};
use serde::{Deserialize, Serialize};

/// Everything a holder program needs to keep a pod's namespaces.
///
/// It has no root of an image, no mount and no capability, so none is named; its system calls are fewer than any
/// profile of a spec leaves, so it has none of those either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Namespaces to join, by descriptor. New ones were made by the clone; the mount namespace is always new.
    pub join: Vec<(Namespace, Fd)>,
    /// Host name for a new UTS namespace.
    pub hostname: Option<String>,
    /// NIS domain name for a new UTS namespace.
    pub domainname: Option<String>,
    /// `/proc/sys` entries of the pod's namespaces, dotted or slashed, with their values.
    pub sysctls: Vec<(String, String)>,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// Identity.
    pub user: User,
}
