//! What an engine's artifacts depend on, in one short word: version, settings, features of this processor.
//!
//! Only the compile program knows it, and starting one costs milliseconds, so its answer is remembered in the
//! boot's directory under the program's identity. A program that is replaced has another inode or times.

use crate::{Installation, InstallationError};
use rustix::{
    fs::{Mode, OFlags, fstat, readlinkat, symlinkat},
    io::Errno,
};
use std::{
    io::{self, Read},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A fingerprint that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FingerprintError {
    /// The engine is not installed.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// The compile program cannot be looked at or run.
    #[error("cannot run pinnace-{engine}-compile of {}: {source}", directory.display())]
    Run {
        /// The engine.
        engine: String,
        /// Its installation.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It said something else than a fingerprint.
    #[error("pinnace-{engine}-compile of {} did not print a fingerprint but {answer:?}; install Pinnace again", directory.display())]
    Answer {
        /// The engine.
        engine: String,
        /// Its installation.
        directory: PathBuf,
        /// What it said, cut.
        answer: String,
    },
    /// The state directory is missing.
    #[error("cannot open the state directory {}: {source}", path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The fingerprint of `engine`: remembered in `boot_dir`, or asked from its compile program, which blocks for
/// some milliseconds.
///
/// # Errors
/// If the engine is not installed, or its compile program does not answer with a fingerprint.
pub fn fingerprint(
    installation: &Installation,
    engine: &str,
    boot_dir: &Path,
) -> Result<String, FingerprintError> {
    let program = installation.compile_program(engine)?;
    let failed = |source: io::Error| FingerprintError::Run {
        engine: engine.into(),
        directory: installation.path().into(),
        source,
    };
    let seen = fstat(&program).map_err(|error| failed(error.into()))?;
    let name = format!(
        "fingerprint-{engine}-{:x}-{:x}-{:x}-{:x}.{:x}-{:x}.{:x}",
        seen.st_dev,
        seen.st_ino,
        seen.st_size,
        seen.st_mtime,
        seen.st_mtime_nsec,
        seen.st_ctime,
        seen.st_ctime_nsec
    );
    let state = rustix::fs::open(boot_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| FingerprintError::State { path: boot_dir.into(), source: error.into() })?;
    if let Some(known) = remembered(&state, &name) {
        return Ok(known);
    }
    let answer = ask(&program).map_err(failed)?;
    let answer = answer.trim_end();
    if !is_fingerprint(answer) {
        let answer = answer.chars().take(200).collect();
        return Err(FingerprintError::Answer {
            engine: engine.into(),
            directory: installation.path().into(),
            answer,
        });
    }
    // Another may have been faster, with the same answer.
    if let Err(error) = symlinkat(answer, &state, &name)
        && error != Errno::EXIST
    {
        log::warn!("cannot remember the fingerprint of {engine} in {}: {error}", boot_dir.display());
    }
    Ok(answer.to_owned())
}

/// A fingerprint becomes part of a file name, so it is held to its alphabet.
fn is_fingerprint(text: &str) -> bool {
    (8..=64).contains(&text.len()) && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// Kept as the text of a link: written and read in one call each, so nobody sees half of one.
fn remembered(state: &OwnedFd, name: &str) -> Option<String> {
    let text = readlinkat(state, name, Vec::with_capacity(72)).ok()?.into_string().ok()?;
    is_fingerprint(&text).then_some(text)
}

/// Runs `pinnace-<engine>-compile fingerprint` by its descriptor, so it is the program whose identity was taken.
fn ask(program: &OwnedFd) -> io::Result<String> {
    let mut child = Command::new(format!("/proc/{}/fd/{}", std::process::id(), program.as_raw_fd()))
        .arg("fingerprint")
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut answer = Vec::new();
    let read = match child.stdout.take() {
        Some(stdout) => stdout.take(4096).read_to_end(&mut answer),
        None => Ok(0),
    };
    // A server that reaps all its children may have been faster; the answer speaks for itself.
    let ended = child.wait();
    read?;
    match ended {
        Ok(status) if !status.success() => Err(io::Error::other(format!("it ended with {status}"))),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt, sync::Mutex};

    /// A program that is being written while another test forks cannot be executed: one at a time.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    fn program(dir: &Path, script: &str) -> Installation {
        let path = dir.join("pinnace-wasmtime-compile");
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Installation::open(dir).unwrap()
    }

    #[test]
    fn it_is_asked_once_and_again_after_a_replacement() {
        let _alone = ONE_AT_A_TIME.lock();
        let temp = tempfile::tempdir().unwrap();
        let state = tempfile::tempdir().unwrap();
        let count = temp.path().join("count");
        let script =
            |word: &str| format!("echo x >> {}; [ \"$1\" = fingerprint ] && echo {word}", count.display());
        let installation = program(temp.path(), &script("0123456789abcdef"));
        for _ in 0..3 {
            assert_eq!(fingerprint(&installation, "wasmtime", state.path()).unwrap(), "0123456789abcdef");
        }
        assert_eq!(fs::read_to_string(&count).unwrap().lines().count(), 1);
        let installation = program(temp.path(), &script("fedcba9876543210"));
        assert_eq!(fingerprint(&installation, "wasmtime", state.path()).unwrap(), "fedcba9876543210");
    }

    #[test]
    fn what_is_no_fingerprint_is_an_error_and_not_remembered() {
        let _alone = ONE_AT_A_TIME.lock();
        let temp = tempfile::tempdir().unwrap();
        let state = tempfile::tempdir().unwrap();
        for script in ["echo ../../etc/passwd", "echo", "exit 3", "yes | head -c 100000"] {
            let installation = program(temp.path(), script);
            fingerprint(&installation, "wasmtime", state.path()).expect_err(script);
        }
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0);
        assert!(fingerprint(&program(temp.path(), "exit 0"), "wasmedge", state.path()).is_err());
    }
}
