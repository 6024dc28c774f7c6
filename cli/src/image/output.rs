//! Where an image goes: a tar, stdout, or a directory. What failed half-way leaves nothing behind.

use std::fs::{self, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use pinnace_oci::build::{BuildError, Package};

use super::ImageError;

/// Two options that every subcommand that writes has.
#[derive(Debug, Args)]
pub(super) struct Output {
    /// The archive to write, for `ctr image import` or `docker load`; `-` for stdout
    #[arg(value_name = "OUT")]
    path: PathBuf,
    /// Write OUT as an OCI layout, a directory, instead of an archive
    #[arg(long)]
    layout: bool,
}

impl Output {
    /// Writes it; what was made goes to stdout, or to stderr if the archive goes there.
    pub(super) fn write(&self, package: &Package, name: &str) -> Result<String, ImageError> {
        let line = format!("{name}@{}\n", package.digest());
        if self.path.as_os_str() == "-" {
            if self.layout {
                return Err(ImageError::LayoutToStdout);
            }
            package.archive(name, BufWriter::new(io::stdout().lock()))?;
            eprint!("{line}");
            return Ok(String::new());
        }
        if self.layout {
            self.directory(package, name)?
        } else {
            self.archive(package, name)?
        }
        Ok(line)
    }

    fn archive(&self, package: &Package, name: &str) -> Result<(), ImageError> {
        // Devices and pipes are written to as they are; a file appears when it is whole.
        if fs::metadata(&self.path).is_ok_and(|there| !there.is_file()) {
            let mut device = fs::OpenOptions::new().write(true).open(&self.path).map_err(self.cannot())?;
            package.archive(name, BufWriter::new(&mut device))?;
            return device.flush().map_err(self.cannot());
        }
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(self.beside())
            .map_err(self.cannot())?;
        package.archive(name, BufWriter::new(&mut file)).map_err(|error| self.failed(error))?;
        file.persist(&self.path).map_err(|error| self.cannot()(error.error)).map(drop)
    }

    fn directory(&self, package: &Package, name: &str) -> Result<(), ImageError> {
        let exists = || ImageError::Exists { path: self.path.clone() };
        if fs::symlink_metadata(&self.path).is_ok() && fs::remove_dir(&self.path).is_err() {
            return Err(exists());
        }
        let made = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o777))
            .tempdir_in(self.beside())
            .map_err(self.cannot())?;
        package.layout(name, made.path()).map_err(|error| self.failed(error))?;
        fs::rename(made.path(), &self.path).map_err(self.cannot())?;
        // It has another name now, and nothing is left to remove.
        let _moved = made.keep();
        Ok(())
    }

    fn beside(&self) -> &Path {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn cannot(&self) -> impl Fn(io::Error) -> ImageError + '_ {
        |source| ImageError::Write { path: self.path.clone(), source }
    }

    fn failed(&self, error: BuildError) -> ImageError {
        match error {
            BuildError::Write(source) => self.cannot()(source),
            error => ImageError::Build(error),
        }
    }
}
