//! Where an image runs: the forms an image with Wasm can have, and one table of who takes which.
//!
//! ```text
//!  Form  how it carries the Wasm × type of the configuration × platform × behind an index × with files
//!  Place who makes the container × version
//!  verdict(form, place) = the first row of RULES that is about both; no row: it runs
//! ```
//!
//! Each row is a fact about a client, not about us: once a container is made, the shim runs every form. The
//! table is proved cell by cell on the real daemons (`e2e/tests/forms*`), and the documentation is made from it.
//!
//! The versions stand for their lines; the tests name the patch releases.

mod rules;

use std::fmt;

use crate::WasmMedia;
use crate::choose::host_architecture;
use crate::document::Platform;
use rules::{RULES, Rule};

/// Where in the image the Wasm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// A `.wasm` file in the root filesystem.
    File,
    /// A `.wat` file in the root filesystem: Wasm as text.
    Text,
    /// A layer of its own.
    Layer(WasmMedia),
}

/// The type of the image's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigKind {
    /// `application/vnd.oci.image.config.v1+json`, or Docker's own of the same content.
    Image,
    /// `application/vnd.wasm.config.v0+json`, or another artifact's: no entrypoint, no environment.
    Wasm,
}

/// What stands between the image's name and its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wrapping {
    /// Nothing: the name is the manifest's.
    Manifest,
    /// An index of platforms.
    Index,
    /// An index that also holds attestations of a build.
    Attested,
}

/// A platform as clients tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// `linux` on the node's architecture.
    Host,
    /// Any other that is not Wasm's.
    Foreign,
    /// `wasi/wasm`, `wasip1/wasm`, `wasip2/wasm`, `wasi/wasm32`.
    Wasm,
}

/// One way to make an image of a Wasm program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Form {
    /// Where the Wasm is.
    pub carrier: Carrier,
    /// The configuration's type.
    pub config: ConfigKind,
    /// The platform that the configuration, and the index if there is one, names.
    pub platform: Platform,
    /// What is around the manifest.
    pub wrapping: Wrapping,
    /// Whether layers give files besides the Wasm.
    pub files: bool,
}

/// Who makes a container of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Client {
    /// `ctr image import` and `ctr run`.
    Ctr,
    /// A client of containerd's API that unpacks the layers and writes the spec itself.
    Api,
    /// Kubernetes: pulled from a registry and started through the CRI.
    Cri,
    /// Kubernetes without a registry: `ctr --namespace k8s.io image import` on the node, started through the CRI.
    Imported,
}

/// A client at a version of containerd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The client.
    pub client: Client,
    /// The release line.
    pub version: &'static str,
}

/// What becomes of a form at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It runs as any image.
    Runs,
    /// It runs if the user does this.
    With(&'static str),
    /// It does not run, because of this.
    Refused(&'static str),
}

/// Every place of the table, in the order of its columns.
pub const PLACES: [Place; 16] = [
    place(Client::Ctr, "1.6"),
    place(Client::Ctr, "1.7"),
    place(Client::Ctr, "2.1"),
    place(Client::Ctr, "2.3"),
    place(Client::Api, "1.6"),
    place(Client::Api, "1.7"),
    place(Client::Api, "2.1"),
    place(Client::Api, "2.3"),
    place(Client::Cri, "1.6"),
    place(Client::Cri, "1.7"),
    place(Client::Cri, "2.1"),
    place(Client::Cri, "2.3"),
    place(Client::Imported, "1.6"),
    place(Client::Imported, "1.7"),
    place(Client::Imported, "2.1"),
    place(Client::Imported, "2.3"),
];

const fn place(client: Client, version: &'static str) -> Place {
    Place { client, version }
}

/// What becomes of a form at one place.
#[must_use]
pub fn verdict(form: &Form, place: Place) -> Verdict {
    rule(form, place).map_or(Verdict::Runs, |rule| rule.verdict)
}

/// What the client says about a form that does not run at this place, or not without more ado.
#[must_use]
pub fn words(form: &Form, place: Place) -> Option<&'static str> {
    rule(form, place).map(|rule| rule.words)
}

fn rule(form: &Form, place: Place) -> Option<&'static Rule> {
    RULES.iter().find(|rule| {
        let here = rule.versions.is_empty() || rule.versions.contains(&place.version);
        rule.client == place.client && here && (rule.form)(form)
    })
}

/// What becomes of a form at every place, in the order of [`PLACES`].
#[must_use]
pub fn runs_where(form: &Form) -> Vec<(Place, Verdict)> {
    PLACES.into_iter().map(|place| (place, verdict(form, place))).collect()
}

impl Form {
    /// Every form that can be built: all carriers, configurations, platforms and wrappings that go together.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let host = host_architecture();
        let other = if host == "amd64" { "arm64" } else { "amd64" };
        let platforms = [
            ("linux", host),
            ("linux", other),
            ("wasi", "wasm"),
            ("wasip1", "wasm"),
            ("wasip2", "wasm"),
            ("wasi", "wasm32"),
        ];
        let mut forms = Vec::new();
        for (carrier, config, files) in contents() {
            for (os, architecture) in platforms {
                for wrapping in [Wrapping::Manifest, Wrapping::Index, Wrapping::Attested] {
                    let platform = Platform { os: os.to_owned(), architecture: architecture.to_owned() };
                    forms.push(Self { carrier, config, platform, wrapping, files });
                }
            }
        }
        forms
    }

    /// The platform as clients see it.
    #[must_use]
    pub fn target(&self) -> Target {
        match (self.platform.os.as_str(), self.platform.architecture.as_str()) {
            (_, "wasm" | "wasm32") => Target::Wasm,
            ("linux", architecture) if architecture == host_architecture() => Target::Host,
            _ => Target::Foreign,
        }
    }

    fn layer(&self) -> bool {
        matches!(self.carrier, Carrier::Layer(_))
    }

    fn wasm_config(&self) -> bool {
        self.config == ConfigKind::Wasm
    }

    /// A Wasm layer, and nothing else.
    fn bare_layer(&self) -> bool {
        self.layer() && !self.files
    }

    fn layer_files(&self) -> bool {
        self.layer() && self.files
    }

    /// Files that the configuration does not count.
    fn lost_files(&self) -> bool {
        self.wasm_config() && self.files
    }

    /// Files that the configuration counts, for a Wasm platform.
    fn wasm_files(&self) -> bool {
        self.target() == Target::Wasm && self.files && !self.wasm_config()
    }

    /// The one entry of an index, for another platform than the node's.
    fn other_entry(&self) -> bool {
        self.wrapping != Wrapping::Manifest && self.target() != Target::Host
    }
}

/// What goes together: a file needs a configuration that counts its layer, and is itself the files.
fn contents() -> impl Iterator<Item = (Carrier, ConfigKind, bool)> {
    let files = [Carrier::File, Carrier::Text].map(|carrier| (carrier, ConfigKind::Image, true));
    let layers = WasmMedia::ALL.into_iter().flat_map(|media| {
        [ConfigKind::Image, ConfigKind::Wasm]
            .into_iter()
            .flat_map(move |config| [false, true].map(|files| (Carrier::Layer(media), config, files)))
    });
    files.into_iter().chain(layers)
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str(".wasm file"),
            Self::Text => f.write_str(".wat file"),
            Self::Layer(media) => write!(f, "layer {}", media.as_str()),
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.carrier)?;
        if self.files && self.layer() {
            f.write_str(" with files")?;
        }
        if self.wasm_config() {
            f.write_str(", Wasm configuration")?;
        }
        write!(f, ", {}", self.platform)?;
        f.write_str(match self.wrapping {
            Wrapping::Manifest => "",
            Wrapping::Index => ", behind an index",
            Wrapping::Attested => ", behind an index with attestations",
        })
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ctr => "ctr",
            Self::Api => "API",
            Self::Cri => "CRI",
            Self::Imported => "CRI (imported)",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.client, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn all_forms_are_different_and_have_different_names() {
        let forms = Form::all();
        let names: BTreeSet<_> = forms.iter().map(ToString::to_string).collect();
        assert_eq!((forms.len(), names.len()), (252, 252));
    }

    #[test]
    fn a_file_for_the_host_runs_everywhere() {
        for form in Form::all() {
            if !form.layer() && form.target() == Target::Host {
                assert!(runs_where(&form).iter().all(|(_, verdict)| *verdict == Verdict::Runs), "{form}");
            }
        }
    }

    #[test]
    fn every_row_decides_something() {
        let forms = Form::all();
        for (number, row) in RULES.iter().enumerate() {
            let decides = |form, place| rule(form, place).is_some_and(|first| std::ptr::eq(first, row));
            let used = forms.iter().any(|form| PLACES.into_iter().any(|place| decides(form, place)));
            assert!(used, "row {number}");
        }
    }
}
