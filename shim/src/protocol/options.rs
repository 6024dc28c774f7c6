//! The options of a containerd handler, as they come with Create (and, up to containerd 2.2, with `start`).
//!
//! A handler whose type is not runc's sends `runtimeoptions.v1.Options` (containerd
//! `api/types/runtimeoptions/v1/api.proto`); `ctr` may send none, and a handler that borrows runc's type
//! sends runc's own message (`api/types/runc/options/oci.proto`), of which the cgroup driver concerns us. There
//! a driver that is not systemd's and a driver nobody spoke of are the same.

use crate::task::HandlerOptions;
use prost::Message;

/// `runtimeoptions.v1.Options`; containerd-shim-protos does not carry it.
#[derive(Clone, PartialEq, Message)]
struct RuntimeOptions {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(string, tag = "2")]
    config_path: String,
    #[prost(bytes = "vec", tag = "3")]
    config_body: Vec<u8>,
}

/// `containerd.runc.v1.Options`, as far as it is read.
#[derive(Clone, PartialEq, Message)]
struct RuncOptions {
    #[prost(bool, tag = "9")]
    systemd_cgroup: bool,
}

/// Options that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum OptionsError {
    /// Not the message its type says.
    #[error("malformed runtime options of type {type_url:?}: {source}")]
    Malformed {
        /// The type.
        type_url: String,
        /// What the decoder says.
        source: prost::DecodeError,
    },
    /// The table is not text.
    #[error("runtime options are not UTF-8 text: write TOML in the handler's `options` table")]
    NotText,
}

/// Reads options by their type.
///
/// # Errors
/// When a message of a type we read is malformed; other types are none of ours.
pub(super) fn read(type_url: &str, value: &[u8]) -> Result<HandlerOptions, OptionsError> {
    let malformed = |source| OptionsError::Malformed { type_url: type_url.to_owned(), source };
    if type_url.ends_with("containerd.runc.v1.Options") {
        let options = RuncOptions::decode(value).map_err(malformed)?;
        let systemd_cgroup = options.systemd_cgroup.then_some(true);
        return Ok(HandlerOptions { systemd_cgroup, ..HandlerOptions::default() });
    }
    if !type_url.ends_with("runtimeoptions.v1.Options") {
        return Ok(HandlerOptions::default());
    }
    let options = RuntimeOptions::decode(value).map_err(malformed)?;
    let body = String::from_utf8(options.config_body).map_err(|_| OptionsError::NotText)?;
    let given = |text: String| (!text.is_empty()).then_some(text);
    Ok(HandlerOptions { body: given(body), path: given(options.config_path), systemd_cgroup: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_read_as_its_own() {
        let options = RuntimeOptions { config_body: b"[log]".to_vec(), ..RuntimeOptions::default() };
        let read_as = |type_url: &str| read(type_url, &options.encode_to_vec()).expect("reads");
        assert_eq!(read_as("runtimeoptions.v1.Options").body.as_deref(), Some("[log]"));
        assert_eq!(read_as("types.containerd.io/runtimeoptions.v1.Options").path, None);
        assert_eq!(read_as("another.Options"), HandlerOptions::default());
    }

    #[test]
    fn of_runcs_options_the_cgroup_driver_is_read() {
        // Fields of other kinds around it: `no_pivot_root`, `binary_name`.
        let others = [0x08, 0x01, 0x32, 0x02, b'r', b'c'];
        let driver = |value: &[u8]| {
            let read = read("containerd.runc.v1.Options", value).expect("reads");
            assert_eq!((read.body, read.path), (None, None));
            read.systemd_cgroup
        };
        assert_eq!(driver(&[&others[..], &[0x48, 0x01]].concat()), Some(true));
        assert_eq!(driver(&[&others[..], &[0x48, 0x00]].concat()), None);
        assert_eq!(driver(&others), None);
        assert!(read("containerd.runc.v1.Options", &[0xff; 9]).is_err());
    }

    #[test]
    fn garbage_is_an_error_and_no_panic() {
        assert!(read("runtimeoptions.v1.Options", &[0xff; 9]).is_err());
        let options = RuntimeOptions { config_body: vec![0xff], ..RuntimeOptions::default() };
        assert!(matches!(
            read("runtimeoptions.v1.Options", &options.encode_to_vec()),
            Err(OptionsError::NotText)
        ));
    }
}
