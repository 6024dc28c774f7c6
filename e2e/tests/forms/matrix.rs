//! Every form at every place of this containerd, beside the table's word about it.

use crate::case::Case;
use crate::ways::{Effort, LOST, Ways};
use pinnace_e2e::{Node, Registry, places};
use pinnace_oci::WasmMedia;
use pinnace_oci::support::{self, Carrier, Client, Form, PLACES, Place, Target, Verdict, Wrapping};

/// What containerd logs of each refusal besides answering, of each Wasm layer before it takes it, and on a busy
/// machine.
const WORDS: [&str; 5] =
    ["PullImage", "CreateContainer", "Failed to handle", "reference for unknown type", LOST];

#[test]
fn ctr_runs_what_the_table_says() {
    prove(Client::Ctr);
}

#[test]
fn a_client_of_the_api_runs_what_the_table_says() {
    prove(Client::Api);
}

#[test]
fn kubernetes_runs_what_the_table_says_of_what_it_pulls() {
    prove(Client::Cri);
}

#[test]
fn kubernetes_runs_what_the_table_says_of_what_was_imported() {
    prove(Client::Imported);
}

fn prove(client: Client) {
    let node = Node::with_cri();
    WORDS.iter().for_each(|words| node.expect_log(words));
    let registry = Registry::start(&node);
    let pod = node.pod();
    let ways = Ways::new(&node, &pod, &registry);
    let place = place(client, &node.version());
    let all = Form::all();
    let wrong: Vec<_> = all
        .iter()
        .enumerate()
        .filter(|(_, form)| places::full() || sample(form))
        .filter_map(|(number, form)| differs(&ways, &Case::new(number, form), place))
        .collect();
    assert!(wrong.is_empty(), "the table is wrong:\n{}", wrong.join("\n"));
}

/// The column of this client for this release line.
fn place(client: Client, version: &str) -> Place {
    let here = |place: &Place| place.client == client && version.starts_with(&format!("{}.", place.version));
    PLACES.into_iter().find(here).expect("a column for this containerd")
}

/// What is otherwise than the table says, if anything.
fn differs(ways: &Ways<'_>, case: &Case, place: Place) -> Option<String> {
    let ran = |outcome: &Result<String, String>| match outcome {
        Ok(output) => output.contains(&case.output),
        Err(_) => false,
    };
    let plain = ways.go(case, place.client, Effort::Plain);
    let words = support::words(&case.form, place).unwrap_or_default();
    let said = |outcome: &Result<String, String>| outcome.as_ref().is_err_and(|error| error.contains(words));
    let verdict = support::verdict(&case.form, place);
    if verdict == Verdict::Runs {
        return (!ran(&plain)).then(|| format!("{}, {place}: runs, it says: {plain:?}", case.form));
    }
    let remedied = ways.go(case, place.client, Effort::Remedied);
    let right = match verdict {
        Verdict::Runs => true,
        Verdict::With(_) => said(&plain) && ran(&remedied),
        Verdict::Refused(_) => !ran(&plain) && said(&remedied),
    };
    (!right).then(|| format!("{}, {place}: {verdict:?} {words:?}: {plain:?}, then {remedied:?}", case.form))
}

/// What every commit can afford: each carrier, type, platform and wrapping, but not each with each.
fn sample(form: &Form) -> bool {
    let platform = form.platform.to_string();
    let (plain, host) = (form.wrapping == Wrapping::Manifest, form.target() == Target::Host);
    match form.carrier {
        Carrier::Text => host && plain,
        Carrier::File => match form.wrapping {
            Wrapping::Manifest => platform != "wasip1/wasm",
            Wrapping::Index => platform == "wasi/wasm32",
            Wrapping::Attested => host,
        },
        Carrier::Layer(WasmMedia::Component) => platform == "wasip2/wasm" && plain && !form.files,
        Carrier::Layer(WasmMedia::Content) => host && plain && !form.files,
        Carrier::Layer(WasmMedia::Wasm) => match form.wrapping {
            Wrapping::Manifest => host || platform == "wasip1/wasm",
            Wrapping::Index => platform == "wasi/wasm" && !form.files,
            Wrapping::Attested => host && !form.files,
        },
    }
}
