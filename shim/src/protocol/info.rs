//! `-info` and `-v`: what containerd and people ask before there is any container.

use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Error as ProtobufError, Message, MessageField};
use containerd_shim_protos::types::introspection::{RuntimeInfo, RuntimeVersion};

/// This version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The `RuntimeInfo` for the name this program was called by. `input` is what containerd wrote to standard
/// input: the handler's options, which it gets back, or nothing. containerd 2 reads the features before it lets a
/// container map the ids of a mount or, for the CRI, have a user namespace.
///
/// # Errors
/// When the message cannot be encoded.
pub fn info(program: &str, input: &[u8]) -> Result<Vec<u8>, ProtobufError> {
    let options = Any::parse_from_bytes(input).ok().filter(|any| !any.type_url.is_empty());
    let info = RuntimeInfo {
        name: runtime_name(program),
        version: MessageField::some(RuntimeVersion {
            version: VERSION.to_owned(),
            ..RuntimeVersion::default()
        }),
        options: MessageField::from_option(options),
        features: MessageField::some(Any {
            type_url: FEATURES_TYPE.to_owned(),
            value: features().to_string().into_bytes(),
            ..Any::default()
        }),
        ..RuntimeInfo::default()
    };
    info.write_to_bytes()
}

/// As containerd names the type.
const FEATURES_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// What of a spec is done, in the words of the runtime-spec's `features.md`; what is not listed is not claimed.
fn features() -> serde_json::Value {
    serde_json::json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.2.0",
        "mountOptions": ["bind", "idmap", "noatime", "nosymfollow", "rbind", "relatime", "ridmap", "ro", "rro"],
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"],
            "mountExtensions": { "idmap": { "enabled": true } }
        }
    })
}

/// The version, for people.
#[must_use]
pub fn version(program: &str) -> String {
    format!("{} {VERSION} (Pinnace)\n", file_name(program))
}

/// `containerd-shim-wasm-v1` is containerd's file for the runtime `io.containerd.wasm.v1`.
fn runtime_name(program: &str) -> String {
    let parts = file_name(program).strip_prefix("containerd-shim-").and_then(|rest| rest.rsplit_once('-'));
    let (name, version) = parts.unwrap_or(("wasm", "v1"));
    format!("io.containerd.{name}.{version}")
}

fn file_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_runtime_is_named_as_it_was_called() {
        for (program, name) in [
            ("containerd-shim-wasm-v1", "io.containerd.wasm.v1"),
            ("/usr/local/bin/containerd-shim-wasmtime-v1", "io.containerd.wasmtime.v1"),
            ("/tmp/renamed", "io.containerd.wasm.v1"),
        ] {
            let info = RuntimeInfo::parse_from_bytes(&info(program, &[]).expect("encodes")).expect("decodes");
            assert_eq!((info.name.as_str(), info.version.version.as_str()), (name, VERSION));
            assert!(info.options.is_none());
            let features = info.features.unwrap();
            assert_eq!(features.type_url, FEATURES_TYPE);
            let features: serde_json::Value = serde_json::from_slice(&features.value).expect("JSON");
            assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true);
            // The CRI looks for it before it lets a pod have recursive read-only mounts.
            assert!(features["mountOptions"].as_array().expect("options").contains(&"rro".into()));
        }
    }

    #[test]
    fn options_come_back() {
        let options = Any { type_url: "a".to_owned(), value: vec![1], ..Any::default() };
        let bytes = options.write_to_bytes().expect("encodes");
        let info = RuntimeInfo::parse_from_bytes(&info("shim", &bytes).expect("encodes")).expect("decodes");
        assert_eq!(info.options.unwrap(), options);
    }

    #[test]
    fn the_version_is_one_line() {
        assert_eq!(
            version("/usr/bin/containerd-shim-wasm-v1"),
            format!("containerd-shim-wasm-v1 {VERSION} (Pinnace)\n")
        );
    }

    proptest! {
        #[test]
        fn no_input_panics(input in prop::collection::vec(any::<u8>(), 0..64), program in ".{0,32}") {
            let _ = info(&program, &input);
            let _ = version(&program);
        }
    }
}
