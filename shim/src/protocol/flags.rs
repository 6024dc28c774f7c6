//! The command line and the environment, as Go's `flag` package would read them.
//!
//! `containerd-shim-wasm-v1 -namespace NS -address SOCK -publish-binary PATH -id ID [-bundle B] [-debug] start`
//!
//! A future containerd may pass flags we do not know. Go's parser would refuse them; we pass over them, so that
//! an upgrade of containerd does not stop every container of the node.

use std::ffi::OsString;
use std::path::PathBuf;

/// What this program was executed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Print the address of a server for a container, becoming it if there is none.
    Start,
    /// Clean up after a container whose server is gone.
    Delete,
    /// Say what this runtime can do.
    Info,
    /// Say the version.
    Version,
}

/// The flags' values; empty when not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// containerd's namespace.
    pub namespace: String,
    /// The container.
    pub id: String,
    /// containerd's gRPC socket.
    pub address: String,
    /// containerd's own program; it once published events.
    pub publish_binary: String,
    /// The bundle, for `delete`; `start` runs inside it.
    pub bundle: PathBuf,
    /// Whether containerd logs at debug level.
    pub debug: bool,
}

/// What of the environment matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `TTRPC_ADDRESS`: where events go.
    pub ttrpc_address: String,
    /// `MAX_SHIM_VERSION`: set since containerd 1.7, and what tells it from 1.6.
    pub max_shim_version: Option<String>,
}

impl Environment {
    /// Reads the process' environment.
    #[must_use]
    pub fn read() -> Self {
        Self {
            ttrpc_address: std::env::var("TTRPC_ADDRESS").unwrap_or_default(),
            max_shim_version: std::env::var("MAX_SHIM_VERSION").ok(),
        }
    }
}

/// One execution of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// What for.
    pub command: Command,
    /// With which flags.
    pub flags: Flags,
}

/// A command line that says nothing we can do.
#[derive(Debug, thiserror::Error)]
pub enum FlagsError {
    /// A known flag with a wrong value, or a malformed one.
    #[error("cannot read the flags: {0}")]
    Malformed(go_flag::FlagError),
    /// No command, or an unknown one.
    #[error("unknown command {0:?}; containerd calls this program with start, delete, -info or -version")]
    Command(String),
    /// A flag without which nothing can be done.
    #[error("the flag -{0} is missing")]
    Missing(&'static str),
}

impl Invocation {
    /// Reads the arguments that follow the program's name.
    ///
    /// # Errors
    /// When they name no command, or lack the container or its namespace.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, FlagsError> {
        let known = without_unknown(arguments.into_iter().collect());
        let mut flags = Flags::default();
        let (mut info, mut version, mut v) = (false, false, false);
        let rest: Vec<String> = go_flag::parse_args(&known, |set| {
            set.add_flag("namespace", &mut flags.namespace);
            set.add_flag("id", &mut flags.id);
            set.add_flag("address", &mut flags.address);
            set.add_flag("publish-binary", &mut flags.publish_binary);
            set.add_flag("bundle", &mut flags.bundle);
            set.add_flag("debug", &mut flags.debug);
            set.add_flag("info", &mut info);
            set.add_flag("version", &mut version);
            set.add_flag("v", &mut v);
        })
        .map_err(FlagsError::Malformed)?;
        let command = match rest.first().map(String::as_str) {
            _ if version || v => Command::Version,
            _ if info => Command::Info,
            Some("start") => Command::Start,
            Some("delete") => Command::Delete,
            other => return Err(FlagsError::Command(other.unwrap_or_default().to_owned())),
        };
        if matches!(command, Command::Start | Command::Delete) {
            required(&flags.id, "id")?;
            required(&flags.namespace, "namespace")?;
        }
        Ok(Self { command, flags })
    }
}

fn required(value: &str, name: &'static str) -> Result<(), FlagsError> {
    if value.is_empty() { Err(FlagsError::Missing(name)) } else { Ok(()) }
}

/// Flags with a value, and those without.
const VALUES: [&str; 5] = ["namespace", "id", "address", "publish-binary", "bundle"];
const SWITCHES: [&str; 4] = ["debug", "info", "version", "v"];

/// Leaves out flags we do not know. Whether such a flag takes the next argument as its value nobody can tell;
/// it is taken for one unless it looks like a flag, or is the last argument, where the command stands.
fn without_unknown(arguments: Vec<OsString>) -> Vec<OsString> {
    let last = arguments.len().saturating_sub(1);
    let mut known = Vec::with_capacity(arguments.len());
    let mut rest = arguments.into_iter().enumerate().peekable();
    while let Some((_, argument)) = rest.next() {
        let name = match argument.to_str().map(flag_name) {
            Some(Some(name)) => name,
            // The first argument that is no flag ends them.
            _ => {
                known.push(argument);
                known.extend(rest.map(|(_, argument)| argument));
                break;
            }
        };
        let assigned = argument.as_encoded_bytes().contains(&b'=');
        if SWITCHES.contains(&name) || VALUES.contains(&name) {
            let takes_next = VALUES.contains(&name) && !assigned;
            known.push(argument);
            known.extend(rest.next_if(|_| takes_next).map(|(_, value)| value));
        } else if !assigned {
            rest.next_if(|(at, value)| *at < last && !value.as_encoded_bytes().starts_with(b"-"));
        }
    }
    known
}

/// The name in `-name`, `--name`, `-name=value`.
fn flag_name(argument: &str) -> Option<&str> {
    let name = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    let name = name.split('=').next().unwrap_or_default();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> Result<Invocation, FlagsError> {
        Invocation::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn start_as_containerd_calls_it() {
        let line = "-namespace k8s.io -address /run/containerd/containerd.sock \
                    -publish-binary /usr/bin/containerd -id abc -debug start";
        let invocation = parse(line).expect("parses");
        assert_eq!(invocation.command, Command::Start);
        let expected = Flags {
            namespace: "k8s.io".to_owned(),
            id: "abc".to_owned(),
            address: "/run/containerd/containerd.sock".to_owned(),
            publish_binary: "/usr/bin/containerd".to_owned(),
            debug: true,
            ..Flags::default()
        };
        assert_eq!(invocation.flags, expected);
    }

    #[test]
    fn commands_are_told_apart() {
        let table = [
            ("-namespace n -id i -bundle /b delete", Command::Delete),
            ("-info", Command::Info),
            ("-v", Command::Version),
            ("-version", Command::Version),
            ("--version", Command::Version),
            ("-debug=false -namespace=n -id=i start", Command::Start),
            ("-namespace n -id start start", Command::Start),
        ];
        for (line, command) in table {
            assert_eq!(parse(line).expect(line).command, command, "{line}");
        }
    }

    #[test]
    fn unknown_flags_are_passed_over() {
        for unknown in ["-new", "-new=1", "-new 1", "--new=a=b", "-new 1 -newer -newest 2"] {
            for line in
                [format!("-namespace n {unknown} -id i start"), format!("-namespace n -id i {unknown} start")]
            {
                let invocation = parse(&line).expect(&line);
                assert_eq!(invocation.command, Command::Start, "{line}");
                assert_eq!((invocation.flags.namespace.as_str(), invocation.flags.id.as_str()), ("n", "i"));
            }
        }
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        for (line, message) in [
            ("", "unknown command \"\""),
            ("-namespace n -id i stop", "unknown command \"stop\""),
            ("-namespace n start", "the flag -id is missing"),
            ("-id i start", "the flag -namespace is missing"),
            ("-namespace n -id i -debug=maybe start", "cannot read the flags"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.to_string().contains(message), "{line}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_command_line_panics(arguments in prop::collection::vec(".{0,12}", 0..8)) {
            let _ = Invocation::parse(arguments.into_iter().map(OsString::from));
        }
    }
}
