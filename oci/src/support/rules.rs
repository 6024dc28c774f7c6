//! The table: which forms at which places, and what becomes of them.
//!
//! What a row says of a client was seen on it: `e2e/tests/forms` brings every form to every place, and fails when
//! a verdict or the words of a refusal are others.

use super::{Client, Form, Verdict};

/// One row.
pub(super) struct Rule {
    pub(super) form: fn(&Form) -> bool,
    pub(super) client: Client,
    /// None means all.
    pub(super) versions: &'static [&'static str],
    pub(super) verdict: Verdict,
    /// What the client says to who does nothing about it.
    pub(super) words: &'static str,
}

const ALL: &[&str] = &[];

const COUNTED: &str = "mismatched image rootfs and manifest layers";
const PLATFORM: &str = "no match for platform in manifest";
const CONFIG: &str = "unknown image config media type application/vnd.wasm.config.v0+json";
const COMMAND: &str = "no command specified";
const SNAPSHOT: &str = "parent snapshot";
/// The guest does not find its file; which code it ends with is its own concern.
const NO_FILE: &str = "exit ";

const NOT_COUNTED: Verdict = Verdict::Refused("it counts the Wasm layer among those to unpack");
const NO_FILES: Verdict =
    Verdict::Refused("no client unpacks files of an image whose configuration does not count layers");
const NO_ENTRY: Verdict = Verdict::Refused("no entry of the index is for the node's platform");
const OTHER_FILES: Verdict = Verdict::Refused("it unpacks files for the node's platform only");
const NAME_COMMAND: Verdict = Verdict::With("name the command: the configuration has none");

/// The first row that fits decides; none: it runs.
pub(super) static RULES: &[Rule] = &[
    row(Client::Ctr, &["1.6"], Form::layer, NOT_COUNTED, COUNTED),
    row(Client::Ctr, ALL, Form::lost_files, NO_FILES, COUNTED),
    row(
        Client::Ctr,
        ALL,
        Form::wasm_config,
        Verdict::Refused("ctr makes no container from a configuration of this type"),
        CONFIG,
    ),
    row(
        Client::Ctr,
        ALL,
        Form::other_entry,
        Verdict::With("`ctr image import --all-platforms --no-unpack`, then `ctr run --platform OS/ARCH`"),
        PLATFORM,
    ),
    row(Client::Api, ALL, Form::lost_files, NO_FILES, NO_FILE),
    row(Client::Cri, ALL, Form::other_entry, NO_ENTRY, PLATFORM),
    row(Client::Cri, &["1.6"], Form::bare_layer, NOT_COUNTED, COUNTED),
    row(Client::Cri, &["1.6", "1.7"], Form::lost_files, NO_FILES, COUNTED),
    row(Client::Cri, &["2.3"], Form::wasm_files, OTHER_FILES, SNAPSHOT),
    row(Client::Cri, ALL, Form::lost_files, NO_FILES, NO_FILE),
    row(Client::Cri, ALL, Form::wasm_config, NAME_COMMAND, COMMAND),
    row(Client::Imported, ALL, Form::other_entry, NO_ENTRY, "not found"),
    row(Client::Imported, ALL, Form::lost_files, NO_FILES, NO_FILE),
    row(Client::Imported, &["1.6"], Form::layer_files, NOT_COUNTED, COUNTED),
    row(
        Client::Imported,
        &["1.6"],
        Form::layer,
        Verdict::With("`ctr --namespace k8s.io image import --all-platforms --no-unpack`"),
        COUNTED,
    ),
    row(Client::Imported, &["2.3"], Form::wasm_files, OTHER_FILES, SNAPSHOT),
    row(Client::Imported, ALL, Form::wasm_config, NAME_COMMAND, COMMAND),
];

const fn row(
    client: Client,
    versions: &'static [&'static str],
    form: fn(&Form) -> bool,
    verdict: Verdict,
    words: &'static str,
) -> Rule {
    Rule { form, client, versions, verdict, words }
}
