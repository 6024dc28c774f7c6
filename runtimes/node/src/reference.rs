//! The reference of all keys, as the page `docs/configuration.md`.

use crate::{Config, DEFAULT_PATH, PATH_VARIABLE, config, settings::Key};
use std::fmt::Write;

/// The page. It is generated: change `config.rs`, then bless it.
#[must_use]
pub fn reference() -> String {
    let mut page = format!(
        "<!-- Generated from runtimes/node/src/config.rs by `pinnace config reference`; do not edit. -->\n\
         # Configuration of a node\n\n\
         `{DEFAULT_PATH}`, or the file that `{PATH_VARIABLE}` names in containerd's environment. Without a file\n\
         the defaults hold. Each shim reads it once, at its start. An unknown key or a wrong value is an error that\n\
         names it: no container starts until it is mended. `pinnace config check FILE` tells beforehand,\n\
         `pinnace config show` prints what holds.\n\n\
         Options of a containerd handler (the table `options` of a runtime, or a file named there by `ConfigPath`)\n\
         have the same tables and keys. They may take away from what the node allows, never add to it; the last\n\
         column says how. Images and pods set nothing here; a pod may choose among `engine.allowed` by the\n\
         annotation `pinnace.dev/engine`.\n\n\
         Options have one key more, as those of runc: `SystemdCgroup`. It is seldom needed: a container whose\n\
         `cgroupsPath` is of the form `slice:prefix:name` (so a kubelet or dockerd with the systemd driver sends it)\n\
         becomes a scope of systemd, any other path a plain cgroup. An option that contradicts the path is an error.\n"
    );
    for section in config::sections() {
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## `[{}]`\n\n{}\n\n", section.name, joined(section.about));
        page.push_str("| key | default | value | why | options of a handler |\n|---|---|---|---|---|\n");
        for key in &section.keys {
            page.push_str(&row(key));
        }
    }
    let _ = write!(page, "\n## All defaults\n\n```toml\n{}```\n", Config::default().to_toml());
    page
}

fn row(key: &Key) -> String {
    format!(
        "| `{}` | `{}` | {} | {} | {} |\n",
        key.name,
        key.default,
        key.unit,
        joined(key.about),
        key.narrowing.words()
    )
}

/// Lines of a doc comment as one.
fn joined(lines: &str) -> String {
    lines.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// `PINNACE_BLESS=1 cargo test -p pinnace-node` writes the page anew.
    #[test]
    fn the_committed_page_is_this_one() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        if std::env::var_os("PINNACE_BLESS").is_some() {
            fs::create_dir_all(page.parent().unwrap()).unwrap();
            fs::write(&page, super::reference()).unwrap();
        }
        let committed = fs::read_to_string(&page).unwrap_or_default();
        assert!(
            committed == super::reference(),
            "docs/configuration.md is not what config.rs says: PINNACE_BLESS=1 cargo test -p pinnace-node"
        );
    }
}
