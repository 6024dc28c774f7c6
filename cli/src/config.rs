//! `pinnace config`: what holds on this node, and whether a file would.

use crate::error::CliError;
use clap::Subcommand;
use pinnace_node::{PATH_VARIABLE, reference};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum Config {
    /// Print what holds on this node, defaults included
    Show,
    /// Tell whether a file would be accepted as the node's configuration
    Check {
        /// The file
        file: PathBuf,
        /// A file of options of a containerd handler, to be checked against it
        #[arg(long, value_name = "FILE")]
        options: Option<PathBuf>,
    },
    /// Print the reference of all keys (docs/configuration.md)
    Reference,
}

impl Config {
    pub(crate) fn run(self) -> Result<String, CliError> {
        match self {
            Self::Show => {
                let config = load()?;
                let there = if config.file().exists() { "" } else { ", which does not exist: all defaults" };
                Ok(format!("# {}{there}\n{}", config.file().display(), config.to_toml()))
            }
            Self::Check { file, options } => {
                let config = pinnace_node::Config::load(Some(file.as_os_str()))?;
                let mut text = format!("{} is right\n", file.display());
                if let Some(options) = options {
                    config.narrow_by_file(&options)?.engine(None)?;
                    text += &format!("{} is right for a handler\n", options.display());
                }
                Ok(text)
            }
            Self::Reference => Ok(reference()),
        }
    }
}

/// The node's configuration, as a shim would read it.
pub(crate) fn load() -> Result<pinnace_node::Config, CliError> {
    Ok(pinnace_node::Config::load(std::env::var_os(PATH_VARIABLE).as_deref())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_and_its_options_are_checked() {
        let temp = tempfile::tempdir().unwrap();
        let (file, options) = (temp.path().join("config.toml"), temp.path().join("options.toml"));
        fs::write(&file, "[module]\nmax_bytes = 100\n").unwrap();
        let check = |options: Option<&PathBuf>| {
            Config::Check { file: file.clone(), options: options.cloned() }
                .run()
                .map_err(|error| error.to_string())
        };
        assert!(check(None).unwrap().ends_with("config.toml is right\n"));
        fs::write(&options, "[module]\nmax_bytes = 99\n").unwrap();
        assert!(check(Some(&options)).unwrap().ends_with("is right for a handler\n"));
        fs::write(&options, "[module]\nmax_bytes = 101\n").unwrap();
        assert!(
            check(Some(&options)).unwrap_err().contains("would widen the node's `module.max_bytes = 100`")
        );
        fs::write(&file, "[module]\nmax_byte = 100\n").unwrap();
        assert!(check(None).unwrap_err().contains("unknown key `module.max_byte`"));
    }
}
