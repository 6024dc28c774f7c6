//! What can be wrong with a configuration.

use std::{io, path::PathBuf};

/// A configuration that is refused. Every message names where it stands and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there, or was named, but cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not TOML.
    #[error("{origin}, line {line}: {message}")]
    Syntax {
        /// The file or options.
        origin: String,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key that does not exist.
    #[error("{origin}: unknown key `{key}`; known {place}: {known}")]
    UnknownKey {
        /// The file or options.
        origin: String,
        /// The key, with its table.
        key: String,
        /// Where the known ones would stand.
        place: String,
        /// The keys that exist there.
        known: String,
    },
    /// A plain value where a table belongs.
    #[error("{origin}: `{section}` must be a table: write `[{section}]` and its keys below")]
    NotATable {
        /// The file or options.
        origin: String,
        /// The table's name.
        section: &'static str,
    },
    /// A value of the wrong type or out of range.
    #[error("{origin}: wrong value of `{key}` ({unit}): {message}")]
    Value {
        /// The file or options.
        origin: String,
        /// The key, with its table.
        key: &'static str,
        /// What is expected, in words.
        unit: &'static str,
        /// What is wrong.
        message: String,
    },
    /// Options of a handler that would allow more than the node does.
    #[error("{origin}: `{key} = {wanted}` would widen the node's `{limit}`: {remedy}")]
    Widened {
        /// The options.
        origin: String,
        /// The key, with its table.
        key: &'static str,
        /// What the options ask for.
        wanted: String,
        /// What the node has.
        limit: String,
        /// What to do instead.
        remedy: String,
    },
    /// An engine the node does not allow.
    #[error(
        "{origin}: engine `{engine}` is not allowed here; allowed: {allowed} (`engine.allowed` in {file})"
    )]
    EngineNotAllowed {
        /// Who asked for it.
        origin: String,
        /// The engine.
        engine: String,
        /// The list of allowed ones.
        allowed: String,
        /// The node's file.
        file: String,
    },
}
