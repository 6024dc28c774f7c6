//! How values become bytes: a version, then postcard.

use crate::{MAX_RECORD, VERSION};
use serde::{Serialize, de::DeserializeOwned};

/// A value that could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The peer is from another installation.
    #[error("version {found} where {VERSION} was expected: server and engine are of different installations")]
    Version {
        /// What the peer wrote.
        found: u16,
    },
    /// Fewer bytes than a header.
    #[error("{length} bytes are too few for a record")]
    Short {
        /// How many came.
        length: usize,
    },
    /// More bytes than a record may have.
    #[error("a record of {length} bytes is over the limit of {MAX_RECORD}")]
    Long {
        /// How many it has.
        length: usize,
    },
    /// The bytes are not such a value.
    #[error("malformed record")]
    Malformed(#[from] postcard::Error),
}

/// Writes a value with its version header, for a sealed memfd.
///
/// # Errors
/// When the value cannot be serialised.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    Ok(postcard::to_extend(value, VERSION.to_le_bytes().to_vec())?)
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// On another version, or bytes that are no such value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    let (header, body) = bytes.split_first_chunk::<2>().ok_or(WireError::Short { length: bytes.len() })?;
    let found = u16::from_le_bytes(*header);
    if found != VERSION {
        return Err(WireError::Version { found });
    }
    Ok(postcard::from_bytes(body)?)
}

/// Writes one control record, at most [`MAX_RECORD`] bytes.
///
/// # Errors
/// As [`encode`], and when the record is too long: cut messages before.
pub fn encode_record<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    let bytes = encode(value)?;
    if bytes.len() > MAX_RECORD { Err(WireError::Long { length: bytes.len() }) } else { Ok(bytes) }
}

/// Reads one control record.
///
/// # Errors
/// As [`decode`].
pub fn decode_record<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    decode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, ExitCause, Failure, Report};

    #[test]
    fn records_survive_the_wire() {
        for report in [
            Report::Ready { warnings: vec!["no Landlock".into()] },
            Report::Started,
            Report::Failed(Failure { message: "no such file: /a.wasm".into() }),
            Report::Exit(ExitCause::OutOfMemory { limit: 1 << 33 }),
        ] {
            let bytes = encode_record(&report).expect("encodes");
            assert_eq!(decode_record::<Report>(&bytes).expect("decodes"), report);
        }
        let bytes = encode_record(&Command::Go).expect("encodes");
        assert_eq!(decode_record::<Command>(&bytes).expect("decodes"), Command::Go);
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let mut bytes = encode(&Command::Go).expect("encodes");
        bytes[0] ^= 0xff;
        let error = decode::<Command>(&bytes).expect_err("refused");
        assert!(error.to_string().contains("different installations"), "{error}");
    }

    #[test]
    fn short_and_garbled_bytes_are_errors() {
        assert!(matches!(decode::<Report>(&[]), Err(WireError::Short { length: 0 })));
        let mut bytes = VERSION.to_le_bytes().to_vec();
        bytes.extend([0xff; 4]);
        assert!(matches!(decode::<Report>(&bytes), Err(WireError::Malformed(_))));
    }
}
