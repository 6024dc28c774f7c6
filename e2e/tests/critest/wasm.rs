//! What critest asks that no guest can do, and why: these specs are not run with Wasm images.
//!
//! Some of them would pass without having shown anything, as those that want a command to fail.

/// Parts of specs' names, and the reason that the table gives.
pub(crate) const BEYOND: [(&str, &str); 26] = [
    ("execSync with timeout", PROCESSES),
    ("should support HostPID", PROCESSES),
    ("should support PodPID", PROCESSES),
    ("should support ContainerPID", PROCESSES),
    ("should support HostIpc", "WASI has no System V memory"),
    ("should support HostNetwork is", "WASI lists no sockets"),
    ("bucket runtime should support SupplementalGroups", IDS),
    ("bucket runtime should support RunAsUser", IDS),
    ("bucket runtime should support RunAsGroup", IDS),
    ("when SupplementalGroupsPolicy=", IDS),
    ("support Privileged is", CAPABILITIES),
    ("adding capability", CAPABILITIES),
    ("dropping capability", CAPABILITIES),
    ("adding ALL capabilities", CAPABILITIES),
    ("dropping ALL capabilities", CAPABILITIES),
    ("ReadOnlyRootfs is true", REFUSED),
    ("should support ReadonlyPaths", REFUSED),
    ("should support recursive readonly mounts", REFUSED),
    ("should support non-recursive readonly mounts", "below a read-only mount all is read-only for a guest"),
    ("should support mount propagation mount with", "a guest mounts nothing, and sees no mount made later"),
    ("should support safe sysctls", KERNEL),
    ("should support unsafe sysctls", KERNEL),
    ("SeccompProfilePath", "a guest makes no system calls"),
    ("NoNewPrivs", "a guest executes no set-user-ID program"),
    ("Host idmap mount support is needed", KERNEL),
    ("should support NamespaceMode_NODE", KERNEL),
];

const PROCESSES: &str = "a guest sees no processes";
const IDS: &str = "a guest is not told its ids";
const CAPABILITIES: &str = "nothing in WASI needs a capability";
const REFUSED: &str = "writing is refused, but by another error than `Read-only file system`";
const KERNEL: &str = "a guest sees no `/proc`";

/// Why a spec is not run, if it is not.
pub(crate) fn beyond(spec: &str) -> Option<&'static str> {
    BEYOND.iter().find(|(part, _)| spec.contains(part)).map(|(_, reason)| *reason)
}
