//! What the runtime says of a failure: the last error of its log.
//!
//! ```text
//!  runc   {"level":"error","msg":"runc create failed: …","time":"…"}
//!  crun   {"msg":"…","level":"error","time":"…"}
//!  youki  {"timestamp":"…","level":"ERROR","fields":{"message":"…"},"target":"…"}
//! ```
//!
//! Container and image have their part in these words, so no more than their end is read, and nothing is taken for
//! granted.

use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// How much of a log is read, from its end.
const TAIL: u64 = 64 << 10;

/// How much of a reason is told.
const REASON: usize = 4 << 10;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    level: String,
    #[serde(alias = "message", default)]
    msg: String,
    #[serde(default)]
    fields: Fields,
}

#[derive(Deserialize, Default)]
struct Fields {
    #[serde(default)]
    message: String,
}

/// The last error of a log; none if there is no error in it.
pub(super) fn last_error(log: &File) -> Option<String> {
    let text = tail(log).ok()?;
    text.lines().rev().find_map(reason)
}

/// The last lines of what a runtime wrote to its stderr; none if that is nothing.
pub(super) fn last_words(stderr: &File) -> Option<String> {
    let text = tail(stderr).ok()?;
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(3)..];
    (!last.is_empty()).then(|| shortened(&last.join("; ")))
}

fn reason(line: &str) -> Option<String> {
    let line: Line = serde_json::from_str(line).ok()?;
    let severe = ["error", "fatal", "panic"].iter().any(|level| line.level.eq_ignore_ascii_case(level));
    let said = [line.msg, line.fields.message].into_iter().find(|text| !text.trim().is_empty())?;
    severe.then(|| shortened(said.trim()))
}

fn tail(mut file: &File) -> io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(REASON);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        last_error(file.as_file())
    }

    #[test]
    fn the_last_error_of_each_runtime_is_found() {
        let runc = r#"{"level":"error","msg":"runc create failed: exec: \"x\": executable file not found in $PATH","time":"t"}"#;
        let crun = r#"{"msg":"executable file `x` not found in $PATH","level":"error","time":"t"}"#;
        let youki =
            r#"{"timestamp":"t","level":"ERROR","fields":{"message":"failed to create"},"target":"youki"}"#;
        for (line, said) in [
            (runc, "runc create failed: exec: \"x\": executable file not found in $PATH"),
            (crun, "executable file `x` not found in $PATH"),
            (youki, "failed to create"),
        ] {
            let log = format!(
                "{{\"level\":\"error\",\"msg\":\"an earlier one\"}}\n{line}\n{{\"level\":\"warning\",\"msg\":\"later\"}}\n"
            );
            assert_eq!(of(&log).as_deref(), Some(said));
        }
    }

    #[test]
    fn a_log_without_an_error_says_nothing() {
        for text in [
            "",
            "\n\n",
            "words",
            "{\"level\":\"error\"}",
            "{\"level\":\"info\",\"msg\":\"fine\"}",
            "[1]",
            "{\"msg\":1}",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_long_log_is_read_from_its_end_and_a_long_reason_cut() {
        let line = format!("{{\"level\":\"error\",\"msg\":\"{}\"}}\n", "é".repeat(3000));
        let log = format!("{}\n{line}", "x".repeat(200_000));
        let said = of(&log).expect("an error");
        assert!(said.len() <= REASON && said.starts_with('é'));
    }

    #[test]
    fn last_words_are_few() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(last_words(file.as_file()), None);
        std::fs::write(file.path(), "a\n\nb\nc\n d \n").expect("written");
        assert_eq!(last_words(file.as_file()).as_deref(), Some("b; c; d"));
    }
}
