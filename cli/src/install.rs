//! `pinnace install` and `uninstall`: versions side by side behind one link (see `pinnace_node::Layout`).

use crate::{error::CliError, snippets};
use clap::Args;
use pinnace_node::{Installation, Layout};
use std::{
    fmt::Write,
    io,
    path::{Path, PathBuf},
    process::Command,
};

/// Where the installation is.
#[derive(Args)]
struct Place {
    /// Versions go to PREFIX/lib/pinnace
    #[arg(long, default_value = "/usr/local")]
    prefix: PathBuf,
    /// Links go here; containerd must have it on its PATH [default: PREFIX/bin]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

impl Place {
    /// Links have absolute targets, whatever was typed.
    fn layout(&self) -> Result<Layout, CliError> {
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|source| CliError::Path { path: path.into(), source })
        };
        let prefix = absolute(&self.prefix)?;
        let bin = self.bin_dir.as_deref().map_or_else(|| Ok(prefix.join("bin")), absolute)?;
        Ok(Layout::new(&prefix, &bin))
    }
}

#[derive(Args)]
pub(crate) struct Install {
    #[command(flatten)]
    place: Place,
    /// The directory of the programs to install [default: that of this one]
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
}

impl Install {
    pub(crate) fn run(self) -> Result<String, CliError> {
        let from = match self.from {
            Some(from) => from,
            None => Installation::of_this_program()?.path().to_owned(),
        };
        let layout = self.place.layout()?;
        let version = version(&from.join("pinnace"))?;
        let before = layout.current();
        let installed = layout.install(&version, &from)?;
        let mut text = format!("installed {version} in {}\n", installed.directory.display());
        // Writing to a String cannot fail.
        for link in &installed.links {
            let _ = writeln!(text, "linked {}", link.display());
        }
        if let Some(before) = before.filter(|before| *before != version) {
            let _ = writeln!(text, "{before} is no longer in force; servers that run go on with it");
        }
        for gone in layout.prune()? {
            let _ = writeln!(text, "removed {}, which nothing runs from", gone.display());
        }
        text += snippets::CONTAINERD;
        Ok(text)
    }
}

#[derive(Args)]
pub(crate) struct Uninstall {
    #[command(flatten)]
    place: Place,
}

impl Uninstall {
    pub(crate) fn run(self) -> Result<String, CliError> {
        let layout = self.place.layout()?;
        let mut text = String::new();
        for stayed in layout.uninstall()? {
            let _ = writeln!(text, "kept {}: a server runs from it; uninstall again later", stayed.display());
        }
        let _ = writeln!(
            text,
            "removed the links to {}; configuration and compiled modules are where the configuration says",
            layout.root().display()
        );
        Ok(text)
    }
}

/// The version of the programs beside this one, in its own words.
fn version(program: &Path) -> Result<String, CliError> {
    let failed = |source: io::Error| CliError::Version { program: program.into(), source };
    let output = Command::new(program).arg("version").output().map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim().strip_prefix("pinnace ") {
        Some(version) if output.status.success() => Ok(version.to_owned()),
        _ => Err(failed(io::Error::other("it does not answer `version`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt, sync::Mutex};

    /// A program that is being written while another test forks cannot be executed: one at a time.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    #[test]
    fn what_is_installed_is_named_and_can_be_removed() {
        let _alone = ONE_AT_A_TIME.lock();
        let temp = tempfile::tempdir().unwrap();
        let from = temp.path().join("dist");
        fs::create_dir(&from).unwrap();
        for program in pinnace_node::PROGRAMS {
            fs::write(from.join(program), "#!/bin/sh\necho pinnace 1.2.3\n").unwrap();
            fs::set_permissions(from.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let place = || Place { prefix: temp.path().join("usr"), bin_dir: None };
        let text = Install { place: place(), from: Some(from) }.run().unwrap();
        assert!(text.contains("usr/lib/pinnace/versions/1.2.3\n"), "{text}");
        assert!(text.contains("usr/bin/containerd-shim-wasmedge-v1\n"), "{text}");
        assert!(text.contains("io.containerd.cri.v1.runtime"), "{text}");
        Uninstall { place: place() }.run().unwrap();
        assert_eq!(fs::read_dir(temp.path().join("usr/bin")).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_without_programs_is_refused() {
        let _alone = ONE_AT_A_TIME.lock();
        let temp = tempfile::tempdir().unwrap();
        let place = Place { prefix: temp.path().join("usr"), bin_dir: None };
        let error = Install { place, from: Some(temp.path().into()) }.run().expect_err("refused");
        assert!(error.to_string().contains("--from"), "{error}");
        assert!(!temp.path().join("usr").exists());
    }
}
