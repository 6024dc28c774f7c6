//! The walls a spec asks for, as plain data of the plan.

use super::guest::root_read_only;
use oci_spec::runtime::{Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompOperator, Process, Spec};
use pinnace_plan::{
    Arg, ArgOp, Build, Capabilities, Fd, Holding, Hooks, Mount, Namespace, Rlimit, Root, Sandbox, Seccomp,
    SeccompAction, SeccompRule, User,
};
use std::collections::HashSet;

/// A wall the spec asks for and that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum WallError {
    /// A seccomp action that needs a supervisor.
    #[error("seccomp action {action} is not supported: use a profile without it")]
    Action {
        /// The action.
        action: &'static str,
    },
}

/// The files of a new container. `root` and `mounts` name descriptors by their numbers in the engine process.
#[must_use]
pub(super) fn files(spec: &Spec, root: Fd, mounts: Vec<Mount>, hooks: Option<Hooks>) -> Root {
    let linux = spec.linux().as_ref();
    let paths = |paths: Option<&Vec<String>>| paths.cloned().unwrap_or_default();
    let build = Build {
        fd: root,
        read_only: root_read_only(spec),
        mounts,
        masked_paths: paths(linux.and_then(|linux| linux.masked_paths().as_ref())),
        readonly_paths: paths(linux.and_then(|linux| linux.readonly_paths().as_ref())),
    };
    match hooks {
        Some(hooks) => Root::Hooked(build, hooks),
        None => Root::Build(build),
    }
}

/// The sandbox of a container's first process. `join` names descriptors by their numbers in the engine process.
///
/// # Errors
/// When a wall cannot be built.
pub(super) fn first(
    spec: &Spec,
    process: &Process,
    root: Root,
    join: Vec<(Namespace, Fd)>,
) -> Result<Sandbox, WallError> {
    Ok(Sandbox {
        hostname: named(spec.hostname()),
        domainname: named(spec.domainname()),
        sysctls: sysctls(spec),
        ..another(spec, process, root, join)?
    })
}

/// The sandbox of another process: the container is made already, and only who it is and what it may do is its own.
///
/// # Errors
/// As [`first`].
pub(super) fn another(
    spec: &Spec,
    process: &Process,
    root: Root,
    join: Vec<(Namespace, Fd)>,
) -> Result<Sandbox, WallError> {
    let seccomp = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    Ok(Sandbox {
        join,
        hostname: None,
        domainname: None,
        sysctls: Vec::new(),
        root,
        rlimits: rlimits(process),
        user: user(process),
        capabilities: capabilities(process),
        seccomp: seccomp.map(profile).transpose()?,
    })
}

/// What a pod's holder needs, which runs nothing.
#[must_use]
pub(super) fn holding(spec: &Spec, process: &Process, join: Vec<(Namespace, Fd)>) -> Holding {
    Holding {
        join,
        hostname: named(spec.hostname()),
        domainname: named(spec.domainname()),
        sysctls: sysctls(spec),
        rlimits: rlimits(process),
        user: user(process),
    }
}

fn named(name: &Option<String>) -> Option<String> {
    name.clone().filter(|name| !name.is_empty())
}

fn sysctls(spec: &Spec) -> Vec<(String, String)> {
    let sysctls = spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref());
    sysctls.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn rlimits(process: &Process) -> Vec<Rlimit> {
    process.rlimits().iter().flatten().map(rlimit).collect()
}

fn rlimit(limit: &oci_spec::runtime::PosixRlimit) -> Rlimit {
    Rlimit { kind: limit.typ().to_string(), soft: limit.soft(), hard: limit.hard() }
}

fn user(process: &Process) -> User {
    let user = process.user();
    User {
        uid: user.uid(),
        gid: user.gid(),
        groups: user.additional_gids().clone().unwrap_or_default(),
        umask: user.umask(),
    }
}

fn capabilities(process: &Process) -> Capabilities {
    let Some(sets) = process.capabilities() else {
        return Capabilities::default();
    };
    let names = |set: &Option<HashSet<Capability>>| {
        let mut names: Vec<_> = set.iter().flatten().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    };
    Capabilities {
        bounding: names(sets.bounding()),
        effective: names(sets.effective()),
        permitted: names(sets.permitted()),
        inheritable: names(sets.inheritable()),
        ambient: names(sets.ambient()),
    }
}

/// The errno of an action that names none (runtime-spec, `defaultErrnoRet`).
const EPERM: u32 = 1;

fn profile(profile: &LinuxSeccomp) -> Result<Seccomp, WallError> {
    let rule = |call: &oci_spec::runtime::LinuxSyscall| {
        let args = call.args().iter().flatten();
        Ok(SeccompRule {
            names: call.names().clone(),
            action: action(call.action(), call.errno_ret())?,
            args: args.map(argument).collect(),
        })
    };
    Ok(Seccomp {
        default: action(profile.default_action(), profile.default_errno_ret())?,
        rules: profile.syscalls().iter().flatten().map(rule).collect::<Result<_, _>>()?,
    })
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<SeccompAction, WallError> {
    use LinuxSeccompAction as Spec;
    Ok(match action {
        Spec::ScmpActAllow => SeccompAction::Allow,
        Spec::ScmpActLog => SeccompAction::Log,
        Spec::ScmpActErrno => SeccompAction::Errno(errno.unwrap_or(EPERM)),
        Spec::ScmpActTrap => SeccompAction::Trap,
        Spec::ScmpActKill | Spec::ScmpActKillThread => SeccompAction::KillThread,
        Spec::ScmpActKillProcess => SeccompAction::KillProcess,
        Spec::ScmpActNotify => return Err(WallError::Action { action: "SCMP_ACT_NOTIFY" }),
        Spec::ScmpActTrace => return Err(WallError::Action { action: "SCMP_ACT_TRACE" }),
    })
}

fn argument(argument: &oci_spec::runtime::LinuxSeccompArg) -> Arg {
    use LinuxSeccompOperator as Spec;
    let op = match argument.op() {
        Spec::ScmpCmpNe => ArgOp::NotEqual,
        Spec::ScmpCmpLt => ArgOp::LessThan,
        Spec::ScmpCmpLe => ArgOp::LessEqual,
        Spec::ScmpCmpEq => ArgOp::Equal,
        Spec::ScmpCmpGe => ArgOp::GreaterEqual,
        Spec::ScmpCmpGt => ArgOp::GreaterThan,
        Spec::ScmpCmpMaskedEq => ArgOp::MaskedEqual,
    };
    // An index beyond the six arguments matches nothing the kernel has; seccompiler refuses it later.
    let index = u32::try_from(argument.index()).unwrap_or(u32::MAX);
    Arg { index, value: argument.value(), value_two: argument.value_two().unwrap_or(0), op }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spec: serde_json::Value) -> Result<Sandbox, WallError> {
        let spec: Spec = serde_json::from_value(spec).expect("a spec");
        let files = files(&spec, 5, Vec::new(), None);
        first(&spec, spec.process().as_ref().expect("a process"), files, Vec::new())
    }

    fn base() -> serde_json::Value {
        serde_json::json!({
            "ociVersion": "1.1.0",
            "root": {"path": "rootfs", "readonly": true},
            "hostname": "",
            "process": {
                "cwd": "/", "args": ["x"], "user": {"uid": 1000, "gid": 100, "additionalGids": [7], "umask": 18},
                "capabilities": {"bounding": ["CAP_NET_BIND_SERVICE", "CAP_CHOWN"]},
                "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}]
            }
        })
    }

    #[test]
    fn identity_and_limits_are_carried_over() {
        let sandbox = of(base()).expect("fine");
        assert_eq!(sandbox.user, User { uid: 1000, gid: 100, groups: vec![7], umask: Some(18) });
        assert_eq!(sandbox.capabilities.bounding, ["CHOWN", "NET_BIND_SERVICE"]);
        assert!(sandbox.capabilities.effective.is_empty());
        assert_eq!(sandbox.rlimits, [Rlimit { kind: "RLIMIT_NOFILE".into(), soft: 10, hard: 20 }]);
        assert!(matches!(sandbox.root, Root::Build(Build { fd: 5, read_only: true, .. })));
        assert!(sandbox.hostname.is_none() && sandbox.seccomp.is_none());
    }

    #[test]
    fn profiles_keep_their_order_and_defaults() {
        let mut spec = base();
        spec["linux"] = serde_json::json!({"seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [
                {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
                 "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}
            ]
        }});
        let profile = of(spec.clone()).expect("fine").seccomp.expect("a profile");
        assert_eq!(profile.default, SeccompAction::Errno(1));
        assert_eq!(profile.rules[1].args, [Arg { index: 0, value: 8, value_two: 0, op: ArgOp::Equal }]);
        spec["linux"]["seccomp"]["defaultAction"] = "SCMP_ACT_NOTIFY".into();
        assert!(of(spec).expect_err("refused").to_string().contains("SCMP_ACT_NOTIFY"));
    }
}
