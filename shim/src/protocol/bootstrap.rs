//! The two ways containerd asks for a start, and the three ways it is answered. Pure.
//!
//! | containerd | standard input | standard output | task API |
//! |---|---|---|---|
//! | 1.6 | options (`Any`), or nothing | the bare address | 2 |
//! | 1.7 to 2.2 | the same | JSON | 2 |
//! | 2.3 and later | `BootstrapParams` | `BootstrapResult` | 3 |
//!
//! The bytes of one message can decode as the other; what is meant is told by the container's id and
//! namespace, which only `BootstrapParams` repeats. 1.6 is told from 1.7 by `MAX_SHIM_VERSION`, which 1.7 began
//! to set. Version 2 is answered wherever it can be, because it gives every container its own `delete` after a
//! crash; 2.3's protocol is where 3 is sure to be understood.

use super::flags::{Environment, Flags};
use containerd_shim_protos::bootstrap_api::{BootstrapParams, BootstrapResult};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Error as ProtobufError, Message};
use std::path::PathBuf;

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// How to answer.
    pub protocol: Protocol,
    /// The handler's options: type and value of an `Any`.
    pub options: Option<(String, Vec<u8>)>,
    /// Where containerd takes events.
    pub ttrpc_address: String,
    /// containerd's gRPC socket.
    pub grpc_address: String,
    /// Where the server's socket belongs, if containerd says so.
    pub socket_directory: Option<PathBuf>,
    /// Whether containerd logs at debug level.
    pub debug: bool,
}

/// How to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The address alone.
    Bare,
    /// JSON, version 2.
    Json,
    /// `BootstrapResult`, version 3.
    Message,
}

impl Request {
    /// Reads what containerd wrote to standard input. Nothing there can be wrong: what is no message of ours
    /// counts as no options, and `Create` brings those again.
    #[must_use]
    pub fn read(input: &[u8], flags: &Flags, environment: &Environment) -> Self {
        match parameters(input, flags) {
            Some(parameters) => Self::from_parameters(parameters, flags, environment),
            None => Self {
                protocol: if environment.max_shim_version.is_some() {
                    Protocol::Json
                } else {
                    Protocol::Bare
                },
                options: options(input),
                ttrpc_address: environment.ttrpc_address.clone(),
                grpc_address: flags.address.clone(),
                socket_directory: None,
                debug: flags.debug,
            },
        }
    }

    fn from_parameters(parameters: BootstrapParams, flags: &Flags, environment: &Environment) -> Self {
        let or = |given: String, fallback: &str| if given.is_empty() { fallback.to_owned() } else { given };
        let extensions =
            parameters.extensions.into_iter().filter_map(|extension| extension.value.into_option());
        Self {
            protocol: Protocol::Message,
            options: extensions.map(|any| (any.type_url, any.value)).next(),
            ttrpc_address: or(parameters.containerd_ttrpc_address, &environment.ttrpc_address),
            grpc_address: or(parameters.containerd_grpc_address, &flags.address),
            socket_directory: parameters.socket_dir.filter(|dir| !dir.is_empty()).map(PathBuf::from),
            // More verbose than info is negative; new levels may come between the named ones.
            debug: flags.debug || parameters.log_level.value() < 0,
        }
    }
}

fn parameters(input: &[u8], flags: &Flags) -> Option<BootstrapParams> {
    let parameters = BootstrapParams::parse_from_bytes(input).ok()?;
    let meant = parameters.instance_id == flags.id && parameters.namespace == flags.namespace;
    meant.then_some(parameters)
}

fn options(input: &[u8]) -> Option<(String, Vec<u8>)> {
    let any = Any::parse_from_bytes(input).ok().filter(|any| !any.type_url.is_empty())?;
    Some((any.type_url, any.value))
}

impl Protocol {
    /// The answer, to the byte.
    ///
    /// # Errors
    /// When the message cannot be encoded.
    pub fn reply(self, address: &str) -> Result<Vec<u8>, ProtobufError> {
        match self {
            Self::Bare => Ok(address.as_bytes().to_vec()),
            Self::Json => {
                let reply = serde_json::json!({ "version": 2, "address": address, "protocol": "ttrpc" });
                Ok(reply.to_string().into_bytes())
            }
            Self::Message => {
                let result = BootstrapResult {
                    version: 3,
                    address: address.to_owned(),
                    protocol: "ttrpc".to_owned(),
                    ..BootstrapResult::default()
                };
                result.write_to_bytes()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use containerd_shim_protos::bootstrap_api::{Extension, LogLevel};
    use containerd_shim_protos::protobuf::MessageField;
    use proptest::prelude::*;

    fn flags() -> Flags {
        Flags {
            namespace: "k8s.io".to_owned(),
            id: "abc".to_owned(),
            address: "/run/containerd/containerd.sock".to_owned(),
            ..Flags::default()
        }
    }

    fn environment(max_shim_version: Option<&str>) -> Environment {
        let max_shim_version = max_shim_version.map(str::to_owned);
        Environment { ttrpc_address: "/run/containerd/containerd.sock.ttrpc".to_owned(), max_shim_version }
    }

    fn handler_options() -> Any {
        Any { type_url: "runtimeoptions.v1.Options".to_owned(), value: vec![1, 2, 3], ..Any::default() }
    }

    fn parameters() -> BootstrapParams {
        BootstrapParams {
            instance_id: "abc".to_owned(),
            namespace: "k8s.io".to_owned(),
            log_level: LogLevel::LOG_LEVEL_DEBUG.into(),
            containerd_ttrpc_address: "unix:///run/c/ttrpc".to_owned(),
            containerd_grpc_address: "unix:///run/c/grpc".to_owned(),
            extensions: vec![Extension {
                value: MessageField::some(handler_options()),
                ..Extension::default()
            }],
            socket_dir: Some("/run/c/s".to_owned()),
            ..BootstrapParams::default()
        }
    }

    fn bytes(message: &impl Message) -> Vec<u8> {
        message.write_to_bytes().expect("encodes")
    }

    #[test]
    fn each_containerd_is_answered_in_its_own_way() {
        let other = BootstrapParams { instance_id: "other".to_owned(), ..parameters() };
        let table = [
            ("1.6", vec![], None, Protocol::Bare),
            ("1.6 with options", bytes(&handler_options()), None, Protocol::Bare),
            ("1.7", vec![], Some("2"), Protocol::Json),
            ("2.2 with options", bytes(&handler_options()), Some("2"), Protocol::Json),
            ("2.3", bytes(&parameters()), Some("2"), Protocol::Message),
            ("2.3, no environment", bytes(&parameters()), None, Protocol::Message),
            ("parameters for another container", bytes(&other), Some("2"), Protocol::Json),
        ];
        for (name, input, version, protocol) in table {
            assert_eq!(Request::read(&input, &flags(), &environment(version)).protocol, protocol, "{name}");
        }
    }

    #[test]
    fn parameters_win_over_flags_and_environment() {
        let request = Request::read(&bytes(&parameters()), &flags(), &environment(Some("2")));
        let expected = Request {
            protocol: Protocol::Message,
            options: Some(("runtimeoptions.v1.Options".to_owned(), vec![1, 2, 3])),
            ttrpc_address: "unix:///run/c/ttrpc".to_owned(),
            grpc_address: "unix:///run/c/grpc".to_owned(),
            socket_directory: Some("/run/c/s".into()),
            debug: true,
        };
        assert_eq!(request, expected);
    }

    #[test]
    fn parameters_that_say_nothing_leave_flags_and_environment() {
        let bare = BootstrapParams {
            instance_id: "abc".to_owned(),
            namespace: "k8s.io".to_owned(),
            ..BootstrapParams::default()
        };
        let request = Request::read(&bytes(&bare), &flags(), &environment(None));
        assert_eq!(request.ttrpc_address, "/run/containerd/containerd.sock.ttrpc");
        assert_eq!(request.grpc_address, "/run/containerd/containerd.sock");
        assert_eq!((request.socket_directory, request.debug), (None, false));
    }

    #[test]
    fn options_come_through() {
        let request = Request::read(&bytes(&handler_options()), &flags(), &environment(Some("2")));
        assert_eq!(request.options, Some(("runtimeoptions.v1.Options".to_owned(), vec![1, 2, 3])));
    }

    #[test]
    fn answers_are_exact() {
        let address = "unix:///run/containerd/s/abc";
        assert_eq!(Protocol::Bare.reply(address).expect("bare"), address.as_bytes());
        let json = String::from_utf8(Protocol::Json.reply(address).expect("JSON")).expect("text");
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(value, serde_json::json!({"version": 2, "address": address, "protocol": "ttrpc"}));
        assert!(!json.ends_with('\n'));
        let message = Protocol::Message.reply(address).expect("message");
        let result = BootstrapResult::parse_from_bytes(&message).expect("decodes");
        assert_eq!(
            (result.version, result.address.as_str(), result.protocol.as_str()),
            (3, address, "ttrpc")
        );
    }

    proptest! {
        #[test]
        fn nothing_on_standard_input_panics(input in prop::collection::vec(any::<u8>(), 0..512)) {
            let request = Request::read(&input, &flags(), &environment(Some("2")));
            prop_assert_eq!(request.protocol, Protocol::Json);
        }

        #[test]
        fn truncated_parameters_never_panic(length in 0usize..120) {
            let mut input = bytes(&parameters());
            input.truncate(length);
            let _ = Request::read(&input, &flags(), &environment(None));
        }
    }
}
