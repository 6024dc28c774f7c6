//! The program that an address names: `binary:///path?argument=argument`.

use super::super::StdioError;
use super::super::target::octet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// What a logger must do to be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Readiness {
    /// `binary://`: a byte, or the end of the pipe, which a logger that knows nothing of it closes with the rest.
    ByteOrEnd,
    /// `binary-v2://`: a byte, so that one that died is not taken for ready.
    Byte,
}

/// A logger as it is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Program {
    /// Its file on the host.
    pub(in super::super) path: PathBuf,
    /// Its arguments.
    pub(in super::super) args: Vec<OsString>,
    /// How it says that it is ready.
    pub(in super::super) readiness: Readiness,
}

impl Program {
    /// Reads what stands behind the path: each name once, with its first value, in the order they were written.
    /// (Go's map of them, which containerd's own shim goes through, has no order.)
    pub(in super::super) fn new(
        path: PathBuf,
        address: &str,
        readiness: Readiness,
    ) -> Result<Self, StdioError> {
        let address = address.split('#').next().unwrap_or_default();
        let query = address.split_once('?').map_or("", |(_, query)| query);
        let mut pairs: Vec<(OsString, OsString)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(name).zip(decode(value)).filter(|_| !pair.contains(';'));
            let (name, value) = decoded
                .ok_or_else(|| StdioError::LoggerArgument { path: path.clone(), pair: pair.to_owned() })?;
            if !pairs.iter().any(|(known, _)| *known == name) {
                pairs.push((name, value));
            }
        }
        let args = pairs.into_iter().flat_map(|(name, value)| [name, value]).collect();
        Ok(Self { path, args, readiness })
    }
}

/// A part of a query: `+` is a blank. Nothing is taken as it is that is not encoded as it should be: a logger
/// that gets other arguments than its operator wrote is worse than none.
fn decode(encoded: &str) -> Option<OsString> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let (byte, tail) = match first {
            b'+' => (b' ', tail),
            b'%' => octet(tail)?,
            other => (other, tail),
        };
        decoded.push(byte);
        rest = tail;
    }
    (!decoded.contains(&0)).then(|| OsString::from_vec(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(query: &str) -> Result<Vec<String>, StdioError> {
        let address = format!("binary:///logger{query}");
        let program = Program::new("/logger".into(), &address, Readiness::ByteOrEnd)?;
        Ok(program.args.into_iter().map(|argument| argument.into_string().expect("text")).collect())
    }

    #[test]
    fn a_query_is_arguments() {
        let table: [(&str, &[&str]); 12] = [
            ("", &[]),
            ("?", &[]),
            ("?&&", &[]),
            ("?-c=cat", &["-c", "cat"]),
            ("?b=1&a=2", &["b", "1", "a", "2"]),
            ("?key", &["key", ""]),
            ("?key=", &["key", ""]),
            ("?=value", &["", "value"]),
            ("?a=1=2", &["a", "1=2"]),
            ("?a=1&b=2&a=3", &["a", "1", "b", "2"]),
            ("?-c=cat+%3C%263%20%2B%3f#fragment", &["-c", "cat <&3 +?"]),
            ("?%E2%9A%93=%25", &["\u{2693}", "%"]),
        ];
        for (query, expected) in table {
            assert_eq!(args(query).expect(query), expected, "{query}");
        }
    }

    #[test]
    fn what_is_badly_encoded_is_refused() {
        for query in ["?a=%", "?a=%4", "?a=%zz", "?%=1", "?a=b;c=d", "?a=%00", "?fine=1&a=%+1"] {
            let error = args(query).expect_err(query);
            assert!(matches!(error, StdioError::LoggerArgument { .. }), "{query}: {error}");
        }
    }
}
