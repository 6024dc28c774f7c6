//! WebAssembly text, translated before anything else looks at it.
//!
//! ```text
//!  "\0asm" ──────────────────────────────▶ as it is
//!  white space and comments, then "(" ───▶ parsed and encoded: module or component, as the text says
//!                                             └ a mistake: file, line, column
//!  anything else ────────────────────────▶ as it is, for the inspection to refuse
//! ```

use crate::error::CompileError;
use std::borrow::Cow;
use wast::Wat;
use wast::lexer::{Lexer, TokenKind};
use wast::parser::{self, ParseBuffer};

/// The binary form of what may be text.
pub(crate) fn binary<'a>(name: &str, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, CompileError> {
    if bytes.starts_with(b"\0") || !begins_as_text(bytes) {
        return Ok(Cow::Borrowed(bytes));
    }
    let text = std::str::from_utf8(bytes).map_err(|source| {
        let (line, column) = place(bytes, source.valid_up_to());
        CompileError::Text { name: name.to_owned(), line, column, why: "this is not UTF-8".to_owned() }
    })?;
    encode(text).map(Cow::Owned).map_err(|error| {
        let (line, column) = place(bytes, error.span().offset());
        CompileError::Text { name: name.to_owned(), line, column, why: one_line(&error.message()) }
    })
}

fn encode(text: &str) -> Result<Vec<u8>, wast::Error> {
    let buffer = ParseBuffer::new(text)?;
    parser::parse::<Wat<'_>>(&buffer)?.encode()
}

/// Whether the first token is a parenthesis. What is no token, or no UTF-8, is no text.
fn begins_as_text(bytes: &[u8]) -> bool {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // What comes before may say what it is meant to be.
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    };
    let blank = [TokenKind::Whitespace, TokenKind::LineComment, TokenKind::BlockComment];
    let first = Lexer::new(valid)
        .iter(0)
        .find(|token| !token.as_ref().is_ok_and(|token| blank.contains(&token.kind)));
    matches!(first, Some(Ok(token)) if token.kind == TokenKind::LParen)
}

/// A message quotes the text, which may hold anything; it is one line and moves no cursor.
fn one_line(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Line and column of an offset, counted from one, as editors do.
fn place(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = &bytes[..offset.min(bytes.len())];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: impl AsRef<[u8]>) -> (usize, usize, String) {
        let error = binary("/app.wat", text.as_ref()).expect_err("a mistake");
        let CompileError::Text { name, line, column, why } = error else { unreachable!("{error}") };
        assert_eq!(name, "/app.wat");
        (line, column, why)
    }

    #[test]
    fn text_is_translated_whatever_comes_before_it() {
        for text in [
            "(module)",
            "  \n\t( module)",
            ";; a licence\n(; and (; another ;) ;)\n(module)",
            "(func)",
            "(module binary \"\\00asm\\01\\00\\00\\00\")",
        ] {
            assert!(binary("x", text.as_bytes()).expect(text).starts_with(b"\0asm\x01"), "{text}");
        }
        assert!(binary("x", b"(component)").expect("translated").starts_with(b"\0asm\x0d"));
    }

    #[test]
    fn what_is_no_text_stays_as_it_is() {
        for bytes in
            [&b"\0asm\x01\0\0\0"[..], b"", b"words", b"#!/bin/sh\n(module)", b";; only a comment", b"\xff("]
        {
            assert!(matches!(binary("x", bytes), Ok(Cow::Borrowed(same)) if same == bytes), "{bytes:?}");
        }
    }

    #[test]
    fn a_mistake_has_a_line_and_a_column() {
        let (line, column, why) = mistake("(module\n  (func (result i32)\n    i32.const nothing))\n");
        assert_eq!((line, column), (3, 15), "{why}");
        let (line, column, _) = mistake("(modul)");
        assert_eq!((line, column), (1, 2));
        let (line, column, why) = mistake("(module\n  (func (export \"é\") call $nowhere))");
        assert_eq!((line, column), (2, 27), "{why}");
        assert!(why.contains("nowhere"), "{why}");
        assert_eq!(mistake("(module").0, 1);
        assert_eq!(mistake(b"(module\n ;; \xff\n)"), (2, 5, "this is not UTF-8".to_owned()));
    }

    #[test]
    fn a_message_is_one_line() {
        let (_, _, why) = mistake("(module (func call $\"a\\0ab\\1b[2J\"))");
        assert!(!why.chars().any(char::is_control), "{why}");
    }

    #[test]
    fn nesting_without_end_is_a_mistake() {
        mistake("(".repeat(1 << 20));
        mistake(format!("(module (func {}))", "(block ".repeat(100_000)));
    }
}
