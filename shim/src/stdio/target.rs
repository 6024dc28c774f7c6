//! What a stream's address names.

use super::StdioError;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Where a stream leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Nowhere.
    Null,
    /// Through a FIFO.
    Fifo(PathBuf),
    /// To the end of a file.
    File(PathBuf),
}

impl Target {
    /// Reads an address: empty, a plain path, or a URI. Only a URI is percent-encoded.
    pub(super) fn parse(address: &str) -> Result<Self, StdioError> {
        if address.is_empty() {
            return Ok(Self::Null);
        }
        let Some((scheme, rest)) = address.split_once("://") else {
            return Ok(Self::Fifo(address.into()));
        };
        let path = || match rest.starts_with('/') {
            true => Ok(PathBuf::from(OsString::from_vec(decode(rest)))),
            false => Err(StdioError::Path { address: address.to_owned() }),
        };
        match scheme {
            "fifo" => Ok(Self::Fifo(path()?)),
            "file" => Ok(Self::File(path()?)),
            _ => Err(StdioError::Scheme { scheme: scheme.to_owned() }),
        }
    }
}

/// Takes `%41` for `A`; what is no such triple stays as it is. A query is no part of the path.
fn decode(encoded: &str) -> Vec<u8> {
    let path = encoded.split('?').next().unwrap_or_default().as_bytes();
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        let octet = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match octet {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => {
                decoded.push(first);
                rest = tail;
            }
        }
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| value.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_their_targets() {
        let table = [
            ("", Target::Null),
            ("/run/fifo/a-stdout", Target::Fifo("/run/fifo/a-stdout".into())),
            ("/run/50%25", Target::Fifo("/run/50%25".into())),
            ("fifo:///run/a", Target::Fifo("/run/a".into())),
            ("file:///var/log/a%20b.log", Target::File("/var/log/a b.log".into())),
            ("file:///var/log/100%", Target::File("/var/log/100%".into())),
            ("file:///var/log/a?mode=1", Target::File("/var/log/a".into())),
        ];
        for (address, expected) in table {
            assert_eq!(Target::parse(address).expect(address), expected, "{address}");
        }
    }

    #[test]
    fn what_is_not_served_says_so() {
        for address in ["binary:///usr/bin/logger?id=a", "binary-v2:///usr/bin/logger", "tcp://1.2.3.4:5"] {
            let error = Target::parse(address).expect_err(address);
            assert!(error.is_unsupported(), "{error}");
        }
        let error = Target::parse("file://relative").expect_err("no absolute path");
        assert!(matches!(error, StdioError::Path { .. }));
    }
}
