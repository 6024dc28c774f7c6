//! Which containers share a server, and where it listens.
//!
//! Containers of one group share one: all of a pod, or those a client put together. The address is made from
//! the group alone, so every `start` of the group finds it without asking anybody.

use crate::spawn::note;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt::{self, Write};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// containerd's own directory for these sockets.
const DIRECTORY: &str = "/run/containerd/s";
/// What fits into a socket's address, without the final zero and with containerd's own reserve.
const LONGEST: usize = 106;

/// A server's address that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The bundle's configuration cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what the runtime specification says.
    #[error("{} is not a runtime configuration: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The directory's name is too long for a socket.
    #[error("the socket's path {} is longer than {LONGEST} bytes; configure a shorter socket directory", path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
    },
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    path: PathBuf,
}

impl Address {
    /// The address of a group's server: `<directory>/<sha256 of containerd's socket, namespace and group>`.
    ///
    /// # Errors
    /// When it is too long.
    pub fn of(
        directory: Option<&Path>,
        grpc_address: &str,
        namespace: &str,
        group: &str,
    ) -> Result<Self, AddressError> {
        let socket = grpc_address.strip_prefix("unix://").unwrap_or(grpc_address);
        let mut hash = Sha256::new();
        for (separator, part) in [("", socket), ("/", namespace), ("/", group)] {
            hash.update(separator);
            hash.update(part);
        }
        let name = hash.finalize().iter().fold(String::with_capacity(64), |mut name, byte| {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
            name
        });
        let path = directory.unwrap_or(Path::new(DIRECTORY)).join(name);
        if path.as_os_str().len() > LONGEST { Err(AddressError::TooLong { path }) } else { Ok(Self { path }) }
    }

    /// Reads what `start` wrote into a bundle.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn read(bundle: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(bundle.join("address"))?;
        let path = text.trim_end().strip_prefix("unix://").unwrap_or(&text);
        Ok(Self { path: PathBuf::from(path) })
    }

    /// Notes it in the bundle, where containerd looks for it after a restart. All at once: a start that is
    /// killed half-way must not leave half an address.
    ///
    /// # Errors
    /// When the bundle cannot be written.
    pub fn write(&self, bundle: &Path) -> io::Result<()> {
        note(&bundle.join("address"), self.to_string().as_bytes())
    }

    /// The socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "unix://{}", self.path.display())
    }
}

/// What of `config.json` names a group.
#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    annotations: Option<Annotations>,
}

#[derive(Deserialize)]
struct Annotations {
    #[serde(rename = "io.containerd.runc.v2.group")]
    group: Option<String>,
    #[serde(rename = "io.kubernetes.cri.sandbox-id")]
    sandbox: Option<String>,
}

/// The group of the container `id` in `bundle`: what its annotations say, else itself. A bundle of the sandbox
/// API has no configuration yet.
///
/// # Errors
/// When the configuration cannot be read.
pub fn group(bundle: &Path, id: &str) -> Result<String, AddressError> {
    let path = bundle.join("config.json");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(id.to_owned()),
        Err(source) => return Err(AddressError::Read { path, source }),
    };
    let configuration: Configuration =
        serde_json::from_slice(&bytes).map_err(|source| AddressError::Malformed { path, source })?;
    let named = configuration.annotations.and_then(|annotations| annotations.group.or(annotations.sandbox));
    Ok(named.filter(|group| !group.is_empty()).unwrap_or_else(|| id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_containerds_convention() {
        let address = Address::of(None, "/run/containerd/containerd.sock", "k8s.io", "abc").expect("fits");
        let hash = Sha256::digest("/run/containerd/containerd.sock/k8s.io/abc");
        let expected = format!("unix:///run/containerd/s/{hash:x}");
        assert_eq!(address.to_string(), expected);
        let same =
            Address::of(None, "unix:///run/containerd/containerd.sock", "k8s.io", "abc").expect("fits");
        assert_eq!(address, same);
    }

    #[test]
    fn groups_are_told_apart_by_daemon_namespace_and_group() {
        let of = |socket, namespace, group| Address::of(None, socket, namespace, group).expect("fits");
        let address = of("/a.sock", "n", "g");
        assert_ne!(address, of("/b.sock", "n", "g"));
        assert_ne!(address, of("/a.sock", "m", "g"));
        assert_ne!(address, of("/a.sock", "n", "h"));
    }

    #[test]
    fn a_long_directory_is_refused() {
        let of = |length| Address::of(Some(Path::new(&format!("/{}", "d".repeat(length)))), "", "", "");
        assert_eq!(of(40).expect("fits").path().as_os_str().len(), LONGEST);
        assert!(matches!(of(41), Err(AddressError::TooLong { .. })));
    }

    #[test]
    fn annotations_name_the_group() {
        let bundle = tempfile::tempdir().expect("a directory");
        assert_eq!(group(bundle.path(), "me").expect("no configuration"), "me");
        let runc = "io.containerd.runc.v2.group";
        let cri = "io.kubernetes.cri.sandbox-id";
        let table = [
            ("{}".to_owned(), "me"),
            (r#"{"annotations":null}"#.to_owned(), "me"),
            (r#"{"annotations":{"x":"y"}}"#.to_owned(), "me"),
            (format!(r#"{{"annotations":{{"{cri}":"pod"}}}}"#), "pod"),
            (format!(r#"{{"annotations":{{"{runc}":"ours","{cri}":"pod"}}}}"#), "ours"),
            (format!(r#"{{"ociVersion":"1.1.0","annotations":{{"{cri}":""}}}}"#), "me"),
        ];
        for (text, expected) in table {
            fs::write(bundle.path().join("config.json"), &text).expect("written");
            assert_eq!(group(bundle.path(), "me").expect(&text), expected, "{text}");
        }
        fs::write(bundle.path().join("config.json"), "[").expect("written");
        let error = group(bundle.path(), "me").expect_err("malformed");
        assert!(error.to_string().contains("config.json"), "{error}");
    }

    #[test]
    fn a_bundle_keeps_the_address() {
        let bundle = tempfile::tempdir().expect("a directory");
        let address = Address::of(None, "/a", "n", "g").expect("fits");
        address.write(bundle.path()).expect("written");
        assert_eq!(Address::read(bundle.path()).expect("read"), address);
        assert_eq!(fs::read_dir(bundle.path()).expect("listed").count(), 1);
    }
}
