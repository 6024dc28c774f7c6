//! What a stream's address names.

use super::StdioError;
use super::logger::{Program, Readiness};
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
    /// To a program of the host's.
    Logger(Program),
}

impl Target {
    /// Reads the address of an input, which is a FIFO or nothing.
    pub(super) fn input(address: &str) -> Result<Option<PathBuf>, StdioError> {
        match Self::parse(address)? {
            Self::Null => Ok(None),
            Self::Fifo(path) => Ok(Some(path)),
            Self::File(path) => Err(StdioError::InputFile { path }),
            Self::Logger(program) => Err(StdioError::InputLogger { path: program.path }),
        }
    }

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
            "binary" => Program::new(path()?, address, Readiness::ByteOrEnd).map(Self::Logger),
            "binary-v2" => Program::new(path()?, address, Readiness::Byte).map(Self::Logger),
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
        let (byte, tail) = if first == b'%' { octet(tail).unwrap_or((first, tail)) } else { (first, tail) };
        decoded.push(byte);
        rest = tail;
    }
    decoded
}

/// The byte that two digits behind a percent sign mean, and what follows them.
pub(super) fn octet(tail: &[u8]) -> Option<(u8, &[u8])> {
    let (&[high, low], rest) = tail.split_first_chunk()?;
    Some((hex(high)? << 4 | hex(low)?, rest))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| value.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logger(path: &str, args: &[&str], readiness: Readiness) -> Target {
        let args = args.iter().map(OsString::from).collect();
        Target::Logger(Program { path: path.into(), args, readiness })
    }

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
            ("binary:///bin/lo%67?-c=1", logger("/bin/log", &["-c", "1"], Readiness::ByteOrEnd)),
            ("binary-v2:///bin/log", logger("/bin/log", &[], Readiness::Byte)),
        ];
        for (address, expected) in table {
            assert_eq!(Target::parse(address).expect(address), expected, "{address}");
        }
    }

    #[test]
    fn what_is_not_served_says_so() {
        let error = Target::parse("tcp://1.2.3.4:5").expect_err("not served");
        assert!(error.is_unsupported(), "{error}");
        for address in ["file://relative", "binary://relative?a=b", "binary-v2://", "binary://./logger"] {
            let error = Target::parse(address).expect_err(address);
            assert!(matches!(error, StdioError::Path { .. }), "{error}");
        }
    }
}
