//! critest and crictl, by which Kubernetes tests a node's runtime, built from their Go module.
//!
//! critest runs its specs side by side by ginkgo, which is built in the version that the module names.

use super::{go, link, whole};
use crate::error::Error;
use crate::paths;

const MODULE: &str = "sigs.k8s.io/cri-tools";
const VERSION: &str = "1.36.0";

/// Brings them to `target/tools/cri-tools`.
pub(super) fn bring() -> Result<(), Error> {
    let kept = paths::cache().join("tools").join(format!("cri-tools_{VERSION}_built"));
    if !kept.is_dir() {
        let flags = format!("-s -w -X {MODULE}/pkg/version.Version={VERSION}");
        let module = go::Module {
            path: MODULE,
            version: VERSION,
            programs: &["cmd/crictl"],
            tests: &["cmd/critest"],
            others: &["github.com/onsi/ginkgo/v2/ginkgo"],
            tags: "",
            flags: &flags,
        };
        whole(&kept, |prefix| module.build(prefix))?;
    }
    link(&kept, "cri-tools")
}
