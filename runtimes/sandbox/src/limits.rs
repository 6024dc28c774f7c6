//! Resource limits and the file mode creation mask.

use crate::{SandboxError, Warning};
use pinnace_plan::Rlimit;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Sets each limit. One that only CAP_SYS_RESOURCE could raise stays where it is, and is told.
pub(crate) fn set(limits: &[Rlimit], warnings: &mut Vec<Warning>) -> Result<(), SandboxError> {
    for limit in limits {
        let resource =
            resource(&limit.kind).ok_or_else(|| SandboxError::RlimitName { kind: limit.kind.clone() })?;
        let failed = |errno: Errno| SandboxError::Rlimit {
            kind: limit.kind.clone(),
            soft: limit.soft,
            hard: limit.hard,
            source: errno.into(),
        };
        match setrlimit(resource, pair(limit.soft, limit.hard)) {
            Ok(()) => {}
            Err(Errno::PERM) => {
                let hard = number(getrlimit(resource).maximum);
                if limit.hard <= hard {
                    return Err(failed(Errno::PERM));
                }
                setrlimit(resource, pair(limit.soft.min(hard), hard)).map_err(failed)?;
                warnings.push(Warning::RlimitNotRaised {
                    kind: limit.kind.clone(),
                    hard,
                    wanted: limit.hard,
                });
            }
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(())
}

/// Sets the mask that the spec gives, or the usual one.
pub(crate) fn set_umask(mask: Option<u32>) {
    rustix::process::umask(Mode::from_raw_mode(mask.unwrap_or(0o022) & 0o777));
}

fn pair(soft: u64, hard: u64) -> rustix::process::Rlimit {
    rustix::process::Rlimit { current: value(soft), maximum: value(hard) }
}

/// `RLIM_INFINITY` of the spec is no limit to rustix.
fn value(limit: u64) -> Option<u64> {
    (limit != u64::MAX).then_some(limit)
}

fn number(limit: Option<u64>) -> u64 {
    limit.unwrap_or(u64::MAX)
}

fn resource(kind: &str) -> Option<Resource> {
    Some(match kind.strip_prefix("RLIMIT_")? {
        "AS" => Resource::As,
        "CORE" => Resource::Core,
        "CPU" => Resource::Cpu,
        "DATA" => Resource::Data,
        "FSIZE" => Resource::Fsize,
        "LOCKS" => Resource::Locks,
        "MEMLOCK" => Resource::Memlock,
        "MSGQUEUE" => Resource::Msgqueue,
        "NICE" => Resource::Nice,
        "NOFILE" => Resource::Nofile,
        "NPROC" => Resource::Nproc,
        "RSS" => Resource::Rss,
        "RTPRIO" => Resource::Rtprio,
        "RTTIME" => Resource::Rttime,
        "SIGPENDING" => Resource::Sigpending,
        "STACK" => Resource::Stack,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{resource, value};

    #[test]
    fn names_are_those_of_the_spec() {
        assert!(resource("RLIMIT_NOFILE").is_some());
        assert!(resource("NOFILE").is_none());
        assert!(resource("RLIMIT_COFFEE").is_none());
    }

    #[test]
    fn infinity_is_no_limit() {
        assert_eq!(value(u64::MAX), None);
        assert_eq!(value(7), Some(7));
    }
}
