//! What an engine's artifacts depend on, in one short word: version, settings, features of this processor.
//!
//! Only the compile program knows it, and starting one costs milliseconds, so its answer is remembered until the next
//! boot. A program that is replaced has another inode or times.

use crate::{Cache, stamp::Stamp};
use rustix::fs::fstat;
use std::{
    io::{self, Read},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A fingerprint that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FingerprintError {
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
}

impl Cache {
    /// The fingerprint of `engine`: remembered, or asked from its compile `program`, which blocks for some
    /// milliseconds. `directory` is where messages say that is.
    ///
    /// # Errors
    /// If the program does not answer with a fingerprint.
    pub fn fingerprint(
        &self,
        engine: &str,
        program: impl AsFd,
        directory: &Path,
    ) -> Result<String, FingerprintError> {
        let (engine, directory) = (engine.to_owned(), directory.to_owned());
        let asked = |program: BorrowedFd<'_>| {
            let seen = fstat(program)?;
            let stamp = Stamp::new(&format!("fingerprint-{engine}"), seen.st_dev, &seen);
            if let Some(known) = self.recall(&stamp).filter(|known| is_fingerprint(known)) {
                return Ok((stamp, known));
            }
            ask(program).map(|answer| (stamp, answer.trim_end().to_owned()))
        };
        let (stamp, answer) = match asked(program.as_fd()) {
            Ok(answer) => answer,
            Err(source) => return Err(FingerprintError::Run { engine, directory, source }),
        };
        if !is_fingerprint(&answer) {
            let answer = answer.chars().take(200).collect();
            return Err(FingerprintError::Answer { engine, directory, answer });
        }
        self.remember(&stamp, &answer);
        Ok(answer)
    }
}

/// A fingerprint becomes part of a file name, so it is held to its alphabet.
fn is_fingerprint(text: &str) -> bool {
    (8..=64).contains(&text.len()) && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// Runs `pinnace-<engine>-compile fingerprint` by its descriptor, so it is the program whose identity was taken.
fn ask(program: BorrowedFd<'_>) -> io::Result<String> {
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
    use crate::store::tests::cache;
    use std::{
        fs::{self, File},
        os::unix::fs::PermissionsExt,
        sync::Mutex,
    };

    /// A program that is being written while another test forks cannot be executed: one at a time.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    fn program(dir: &Path, script: &str) -> File {
        let path = dir.join("pinnace-wasmtime-compile");
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        File::open(path).unwrap()
    }

    #[test]
    fn it_is_asked_once_and_again_after_a_replacement() {
        let _alone = ONE_AT_A_TIME.lock();
        let (temp, place) = (tempfile::tempdir().unwrap(), cache(u64::MAX));
        let count = temp.path().join("count");
        let script =
            |word: &str| format!("echo x >> {}; [ \"$1\" = fingerprint ] && echo {word}", count.display());
        let fingerprint = |program: &File| place.cache.fingerprint("wasmtime", program, temp.path()).unwrap();
        let first = program(temp.path(), &script("0123456789abcdef"));
        for _ in 0..3 {
            assert_eq!(fingerprint(&first), "0123456789abcdef");
        }
        assert_eq!(fs::read_to_string(&count).unwrap().lines().count(), 1);
        assert_eq!(fingerprint(&program(temp.path(), &script("fedcba9876543210"))), "fedcba9876543210");
    }

    #[test]
    fn what_is_no_fingerprint_is_an_error_and_not_remembered() {
        let _alone = ONE_AT_A_TIME.lock();
        let (temp, place) = (tempfile::tempdir().unwrap(), cache(u64::MAX));
        for script in ["echo ../../etc/passwd", "echo", "exit 3", "yes | head -c 100000"] {
            let program = program(temp.path(), script);
            place.cache.fingerprint("wasmtime", program, temp.path()).expect_err(script);
        }
        assert_eq!(fs::read_dir(place.temp.path().join("run")).unwrap().count(), 0);
    }
}
