//! `pinnace image build`: one Wasm file becomes an image, as an archive for `ctr image import`.
//!
//! ```text
//!  hello.wasm ──▶ an image for linux on this machine: /hello.wasm in a root filesystem
//!             └─ --artifact ──▶ for wasip1/wasm or wasip2/wasm: the module as a layer, no root filesystem
//! ```
//!
//! The first is what every builder, registry and node takes; the second is smaller, runs on nodes of every
//! architecture, and is refused by a node without a Wasm runtime.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use pinnace_oci::build::{self, BuildError};
use pinnace_oci::{Digest, WasmMedia};

use crate::error::CliError;

#[derive(Debug, Subcommand)]
pub(crate) enum Image {
    /// Make an image of one Wasm file, as an archive for `ctr image import`
    Build(Build),
}

/// What the image shall be.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The module or component
    #[arg(long, value_name = "FILE")]
    wasm: PathBuf,
    /// The archive to write; `-` for stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The image's whole name [default: docker.io/library/<the file's name>:latest]
    #[arg(long)]
    name: Option<String>,
    /// The module as a layer of an OCI artifact, instead of a file in a root filesystem
    #[arg(long)]
    artifact: bool,
    /// Another platform than linux on this machine, or wasip1/wasm or wasip2/wasm of an artifact
    #[arg(long, value_name = "OS/ARCH", value_parser = pair('/'))]
    platform: Option<(String, String)>,
    /// What containers run, word by word [default: the module]
    #[arg(long, value_name = "WORD", num_args = 1)]
    entrypoint: Vec<String>,
    /// Arguments unless the user gives others, word by word
    #[arg(long, value_name = "WORD", num_args = 1, allow_hyphen_values = true)]
    cmd: Vec<String>,
    /// A variable of the environment
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair('='))]
    env: Vec<(String, String)>,
    /// A label
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair('='))]
    label: Vec<(String, String)>,
    /// The working directory
    #[arg(long, value_name = "PATH")]
    workdir: Option<String>,
    /// Another file in the root filesystem
    #[arg(long, value_name = "FILE=PATH", value_parser = pair('='), conflicts_with = "artifact")]
    file: Vec<(String, String)>,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("cannot read {path:?}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path:?} is not wasm: it begins with neither a module's nor a component's eight bytes")]
    NotWasm { path: PathBuf },
    #[error("{path:?} has no file name to name the image by; rename it, or give --name and --entrypoint")]
    Nameless { path: PathBuf },
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error("cannot write {path:?}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// What a file says in its first eight bytes: the magic, then a version and a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Module,
    Component,
}

impl Kind {
    fn of(wasm: &[u8]) -> Option<Self> {
        match wasm.get(..8)? {
            b"\0asm\x01\0\0\0" => Some(Self::Module),
            b"\0asm\x0d\0\x01\0" => Some(Self::Component),
            _ => None,
        }
    }
}

impl Image {
    pub(crate) fn run(self) -> Result<String, CliError> {
        let Self::Build(build) = self;
        Ok(build.write()?)
    }
}

impl Build {
    /// Writes the archive; the name and digest go to stdout, or to stderr if the archive goes there.
    fn write(&self) -> Result<String, ImageError> {
        let mut archive = Vec::new();
        let (name, digest) = self.archive(&mut archive)?;
        let line = format!("{name}@{digest}\n");
        let to_stdout = self.output.as_os_str() == "-";
        let written =
            if to_stdout { io::stdout().write_all(&archive) } else { fs::write(&self.output, &archive) };
        written.map_err(|source| ImageError::Write { path: self.output.clone(), source })?;
        if to_stdout {
            eprint!("{line}");
            return Ok(String::new());
        }
        Ok(line)
    }

    fn archive(&self, sink: impl Write) -> Result<(String, Digest), ImageError> {
        let wasm = read(&self.wasm)?;
        let kind = Kind::of(&wasm).ok_or_else(|| ImageError::NotWasm { path: self.wasm.clone() })?;
        let file = self.wasm.file_name().and_then(|name| name.to_str());
        let file = file.ok_or_else(|| ImageError::Nameless { path: self.wasm.clone() })?;
        let name = self.name.clone().unwrap_or_else(|| default_name(file));
        let program = format!("/{file}");

        let mut image = match (self.artifact, kind) {
            (true, Kind::Module) => build::Image::artifact(WasmMedia::Wasm, wasm),
            (true, Kind::Component) => {
                build::Image::artifact(WasmMedia::Component, wasm).platform("wasip2", "wasm")
            }
            (false, _) => build::Image::rootfs().file(&program, wasm, 0o755),
        };
        if let Some((os, architecture)) = &self.platform {
            image = image.platform(os, architecture);
        }
        for (from, to) in &self.file {
            image = image.file(to, read(Path::new(from))?, 0o644);
        }
        for (name, value) in &self.env {
            image = image.env(name, value);
        }
        for (name, value) in &self.label {
            image = image.label(name, value);
        }
        if let Some(path) = &self.workdir {
            image = image.workdir(path);
        }
        // containerd starts nothing without arguments, so an artifact has an entrypoint too.
        let entrypoint = if self.entrypoint.is_empty() { vec![program] } else { self.entrypoint.clone() };
        let digest = image.entrypoint(entrypoint).cmd(self.cmd.clone()).archive(&name, sink)?;
        Ok((name, digest))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    fs::read(path).map_err(|source| ImageError::Read { path: path.to_owned(), source })
}

/// Names of images are lowercase.
fn default_name(file: &str) -> String {
    let stem = file.strip_suffix(".wasm").unwrap_or(file);
    format!("docker.io/library/{}:latest", stem.to_lowercase())
}

/// Parses `one<separator>other`.
fn pair(
    separator: char,
) -> impl Fn(&str) -> Result<(String, String), String> + Clone + Send + Sync + 'static {
    move |text| match text.split_once(separator) {
        Some((one, other)) if !one.is_empty() => Ok((one.to_owned(), other.to_owned())),
        _ => Err(format!("two words with a `{separator}` between them")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        build: Build,
    }

    /// The archive of a file with this content, as text: its documents are not compressed.
    fn built(content: &[u8], words: &[&str]) -> Result<String, String> {
        let place = tempfile::tempdir().expect("a temporary directory");
        let file = place.path().join("Hello.wasm");
        fs::write(&file, content).expect("a file");
        let fixed = ["build", "--output", "-", "--wasm", file.to_str().expect("a path")];
        let line = fixed.iter().chain(words);
        let line = Line::try_parse_from(line).map_err(|error| error.to_string())?;
        let mut archive = Vec::new();
        line.build.archive(&mut archive).map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&archive).into_owned())
    }

    #[test]
    fn a_file_becomes_a_root_filesystem_for_this_machine() {
        let archive = built(MODULE, &["--env", "A=b=c", "--cmd", "--loud"]).expect("an image");
        for part in [
            r#""os":"linux""#,
            r#""Entrypoint":["/Hello.wasm"]"#,
            r#""Cmd":["--loud"]"#,
            r#""Env":["A=b=c"]"#,
            "docker.io/library/hello:latest",
        ] {
            assert!(archive.contains(part), "{part}");
        }
    }

    #[test]
    fn an_artifact_is_what_its_first_bytes_say() {
        for (content, platform, media) in [
            (MODULE, r#""os":"wasip1""#, "application/wasm"),
            (COMPONENT, r#""os":"wasip2""#, "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm"),
        ] {
            let archive = built(content, &["--artifact"]).expect("an image");
            assert!(archive.contains(platform) && archive.contains(media));
            assert!(archive.contains(r#""diff_ids":[]"#));
        }
    }

    #[test]
    fn what_is_not_wasm_or_not_asked_rightly_is_refused() {
        for (content, words, part) in [
            (&b"#!/bin/sh"[..], &[][..], "is not wasm"),
            (b"", &[], "is not wasm"),
            (MODULE, &["--env", "A"], "two words with a `=`"),
            (MODULE, &["--platform", "linux"], "two words with a `/`"),
            (MODULE, &["--artifact", "--file", "a=b"], "cannot be used with"),
            (MODULE, &["--file", "/nonexistent=/b"], "/nonexistent"),
        ] {
            let refused = built(content, words).expect_err("a refusal");
            assert!(refused.contains(part), "{refused}");
        }
    }
}
