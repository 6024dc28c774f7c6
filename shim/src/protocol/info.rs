//! `-info` and `-v`: what containerd and people ask before there is any container.

use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Error as ProtobufError, Message, MessageField};
use containerd_shim_protos::types::introspection::{RuntimeInfo, RuntimeVersion};

/// This version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The `RuntimeInfo` for the name this program was called by. `input` is what containerd wrote to standard
/// input: the handler's options, which it gets back, or nothing. No features are claimed: those are about OCI
/// options of native containers.
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
        ..RuntimeInfo::default()
    };
    info.write_to_bytes()
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
            assert!(info.options.is_none() && info.features.is_none());
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
