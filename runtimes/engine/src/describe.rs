//! What a program says of itself when asked by `describe`.

use serde::Serialize;

/// One engine, for `pinnace engines` and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The name images and nodes choose it by.
    pub name: &'static str,
    /// The version of the engine inside.
    pub version: String,
    /// The worlds it runs.
    pub worlds: &'static [&'static str],
    /// The Wasm proposals it accepts beyond the first version of the standard.
    pub proposals: &'static [&'static str],
}

impl Description {
    /// The description as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings and lists of strings cannot fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_one_line_of_json() {
        let description =
            Description { name: "null", version: "1".into(), worlds: &["wasi:cli/command"], proposals: &[] };
        assert_eq!(
            description.to_json(),
            r#"{"name":"null","version":"1","worlds":["wasi:cli/command"],"proposals":[]}"#
        );
    }
}
