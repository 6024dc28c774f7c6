//! Values that are right once they exist: what cannot be parsed cannot be configured.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Component, Path},
};

/// An absolute path without `..`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AbsolutePath(String);

impl AbsolutePath {
    /// A default, checked by a test.
    pub(crate) fn literal(path: &'static str) -> Self {
        Self(path.into())
    }

    /// The path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl TryFrom<String> for AbsolutePath {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let path = Path::new(&text);
        if !path.is_absolute() {
            return Err("a path must be absolute");
        }
        if path.components().any(|part| part == Component::ParentDir) {
            return Err("a path must not contain `..`");
        }
        Ok(Self(text))
    }
}

impl From<AbsolutePath> for String {
    fn from(path: AbsolutePath) -> Self {
        path.0
    }
}

impl AsRef<Path> for AbsolutePath {
    fn as_ref(&self) -> &Path {
        self.as_path()
    }
}

/// A program of the host: a name to be looked for, or an absolute path without `..`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Program(String);

impl Program {
    /// A default, checked by a test.
    pub(crate) fn literal(name: &'static str) -> Self {
        Self(name.into())
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Program {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.contains('/') {
            return AbsolutePath::try_from(text).map(|path| Self(path.into()));
        }
        if text.is_empty() || text == "." || text == ".." || text.contains('\0') {
            return Err("a program is a name without slashes, or an absolute path");
        }
        Ok(Self(text))
    }
}

impl From<Program> for String {
    fn from(program: Program) -> Self {
        program.0
    }
}

/// The name of an engine: lower-case letters, digits and dashes, for it becomes part of a program's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EngineName(String);

impl EngineName {
    /// A default, checked by a test.
    pub(crate) fn literal(name: &'static str) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EngineName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(plain) {
            return Err("an engine's name is 1 to 32 lower-case letters, digits and dashes");
        }
        Ok(Self(name))
    }
}

impl From<EngineName> for String {
    fn from(name: EngineName) -> Self {
        name.0
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what will.
    Warn,
    /// And what was done.
    Info,
    /// And why.
    Debug,
    /// And every step.
    Trace,
}

impl From<LogLevel> for log::LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
            LogLevel::Trace => Self::Trace,
        }
    }
}
