//! Errors as one line for a record.

use pinnace_plan::{Failure, MAX_RECORD};
use std::error::Error;

/// Room in a record for its own header.
const HEADER: usize = 64;

/// The error and its sources as one message that fits a record.
#[must_use]
pub fn failure(error: &dyn Error) -> Failure {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Some errors already tell their source.
        if !message.ends_with(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = cause.source();
    }
    let mut message = message.replace('\n', " ");
    if message.len() > MAX_RECORD - HEADER {
        let cut = message.floor_char_boundary(MAX_RECORD - HEADER);
        message.truncate(cut);
    }
    Failure { message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Outer(String, #[source] std::io::Error);

    #[test]
    fn sources_follow_their_error() {
        let error = Outer("cannot map a.wasm".into(), std::io::Error::from_raw_os_error(13));
        assert_eq!(failure(&error).message, "cannot map a.wasm: Permission denied (os error 13)");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let error = Outer("é".repeat(MAX_RECORD), std::io::Error::from_raw_os_error(13));
        let failure = failure(&error);
        assert!(failure.message.len() <= MAX_RECORD - HEADER);
        assert!(pinnace_plan::encode_record(&pinnace_plan::Report::Failed(failure)).is_ok());
    }
}
