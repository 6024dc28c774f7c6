//! `docs/images.md`, made from the table that the other tests prove: written when `PINNACE_BLESS` is set, else compared.

use pinnace_oci::support::{
    self, Carrier, Client, ConfigKind, Form, PLACES, Place, Target, Verdict, Wrapping,
};
use std::fmt::Write as _;
use std::{env, fs, path::Path};

/// What to do comes first; the table is for who cannot.
const OPENING: &str = "\
# Images

Build with `pinnace image build`. What it makes unless told otherwise, a `.wasm` file in a root filesystem for
`linux`, runs on every containerd, by every client, and every registry takes it:

```console
pinnace image build hello.wasm hello.tar
ctr image import hello.tar
ctr run --rm --runtime io.containerd.wasm.v1 docker.io/library/hello:latest hello
```

An image of another form becomes such a one by `pinnace image convert IN OUT`; `pinnace image inspect` says which form
an image has and where it runs, by the table below. Wherever the table says *no*, convert.

## Which form runs where

Once containerd makes a container of an image, Pinnace runs it, whatever its form. What differs is what containerd
and its clients take. Each cell was tried on containerd 1.6.20, 1.7.24, 2.1.9 and 2.3.7 (`e2e/tests/forms`).

- **ctr**: `ctr image import` and `ctr run`
- **API**: a client that fetches the content, unpacks the layers that the configuration counts, and writes the
  container's spec itself
- **CRI**: Kubernetes, which pulls from a registry
- **CRI, imported**: Kubernetes with an image that `ctr --namespace k8s.io image import` brought onto the node

*Wasm platform* means `wasi/wasm`, `wasip1/wasm`, `wasip2/wasm` or `wasi/wasm32`; *Wasm layer* one of type
`application/wasm`, `application/vnd.bytecodealliance.wasm.component.layer.v0+wasm` or
`application/vnd.wasm.content.layer.v1+wasm`; *Wasm configuration* one of type `application/vnd.wasm.config.v0+json`,
every other row being of `application/vnd.oci.image.config.v1+json`. An index with attestations beside its entry is as
one without.

";

const CLOSING: &str = "
## What to know besides

- **An index with an entry for `linux` and one for a Wasm platform** runs everywhere, by its entry for `linux`.
- **An index with one image** runs by that image, whatever platform it names. Of several for machines unlike the node
  none is run: containerd does not tell which was asked for.
- **The CRI tells images apart by their configuration alone**, and a Wasm layer is not in `diff_ids`: another build with
  the same entrypoint and environment can have the same configuration. Two such images are one to Kubernetes, and it
  asks for the first of their names. Since containerd 2.0 it also tells which name the pod has, and Pinnace runs that
  one's Wasm. On 1.7 the first name's runs, whichever the pod has. Images that `pinnace image build` makes
  name their layers in the configuration's history, and so differ; of other builders' images make sure of it (a label
  with the version is enough), or convert them.
- **A tag that was moved** is looked up when a container is made. The log of containerd has a line with the image's
  digest for each container that runs a Wasm layer.
- **Layers may be packed** with gzip or zstd, or not at all, for `inspect` and `convert` as for containerd. Wasm layers
  are never packed.
";

/// A row: its words, and which forms they are about.
type Row = (&'static str, fn(&Form) -> bool);

/// Every form is in one row, and all forms of a row are alike.
const ROWS: [Row; 11] = [
    ("`.wasm` or `.wat` file, `linux` of the node", |form| file(form) && host(form)),
    ("`.wasm` or `.wat` file, `linux` of another architecture", |form| {
        file(form) && lone(form) && foreign(form)
    }),
    ("`.wasm` or `.wat` file, Wasm platform", |form| file(form) && lone(form) && wasm(form)),
    ("`.wasm` or `.wat` file, only entry of an index, not for the node", |form| file(form) && other(form)),
    ("Wasm layer, any platform", |form| layer(form) && !form.files && counted(form) && !other(form)),
    ("Wasm layer and files, any `linux`", |form| {
        layer(form) && form.files && counted(form) && !other(form) && !wasm(form)
    }),
    ("Wasm layer and files, Wasm platform", |form| {
        layer(form) && form.files && counted(form) && lone(form) && wasm(form)
    }),
    ("Wasm layer, only entry of an index, not for the node", |form| {
        layer(form) && counted(form) && other(form)
    }),
    ("Wasm layer, Wasm configuration", |form| !counted(form) && !form.files && !other(form)),
    ("Wasm layer, Wasm configuration, only entry of an index, not for the node", |form| {
        !counted(form) && !form.files && other(form)
    }),
    ("Wasm layer and files, Wasm configuration", |form| !counted(form) && form.files && !other(form)),
];

fn file(form: &Form) -> bool {
    !layer(form)
}

fn layer(form: &Form) -> bool {
    matches!(form.carrier, Carrier::Layer(_))
}

fn counted(form: &Form) -> bool {
    form.config == ConfigKind::Image
}

fn lone(form: &Form) -> bool {
    form.wrapping == Wrapping::Manifest
}

fn host(form: &Form) -> bool {
    form.target() == Target::Host
}

fn foreign(form: &Form) -> bool {
    form.target() == Target::Foreign
}

fn wasm(form: &Form) -> bool {
    form.target() == Target::Wasm
}

/// The only entry of an index, for another platform than the node's.
fn other(form: &Form) -> bool {
    !lone(form) && !host(form)
}

/// What a cell says: the verdict, and the words of a refusal.
type Cell = (Verdict, Option<&'static str>);

fn cell(form: &Form, place: Place) -> Cell {
    (support::verdict(form, place), support::words(form, place))
}

#[test]
fn every_form_is_in_one_row_and_all_of_a_row_are_alike() {
    for form in Form::all() {
        // Files without a configuration that counts them are as lost in an index as without one.
        let rows: Vec<_> = ROWS.iter().filter(|(_, fits)| fits(&form)).map(|(words, _)| words).collect();
        let lost = form.files && !counted(&form) && other(&form);
        assert_eq!(rows.len(), usize::from(!lost), "{form}: {rows:?}");
    }
    for (words, fits) in ROWS {
        let forms: Vec<_> = Form::all().into_iter().filter(fits).collect();
        for place in PLACES {
            assert!(forms.iter().all(|form| cell(form, place) == cell(&forms[0], place)), "{words}, {place}");
        }
    }
}

#[test]
fn the_documentation_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images.md");
    let text = OPENING.to_owned() + &table() + CLOSING;
    if env::var_os("PINNACE_BLESS").is_some() {
        fs::write(&path, &text).expect("write docs/images.md");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/images.md is not what the table says; run this test with PINNACE_BLESS=1");
}

/// The table and its notes.
fn table() -> String {
    let clients = [Client::Ctr, Client::Api, Client::Cri, Client::Imported];
    let mut text = "| form | ctr | API | CRI | CRI, imported |\n|---|---|---|---|---|\n".to_owned();
    let mut notes = Vec::new();
    for (words, fits) in ROWS {
        let form = Form::all().into_iter().find(fits).expect("a form in each row");
        let cells = clients.map(|client| versions(&form, client, &mut notes));
        let _infallible = writeln!(text, "| {words} | {} |", cells.join(" | "));
    }
    text.push('\n');
    for (number, note) in notes.iter().enumerate() {
        let _infallible = writeln!(text, "{}. {note}", number + 1);
    }
    text
}

/// One client's cell: the versions, those in a row that are alike in one.
fn versions(form: &Form, client: Client, notes: &mut Vec<String>) -> String {
    let mut spans: Vec<(Cell, Vec<&str>)> = Vec::new();
    for place in PLACES.into_iter().filter(|place| place.client == client) {
        let cell = cell(form, place);
        match spans.last_mut() {
            Some((last, versions)) if *last == cell => versions.push(place.version),
            _ => spans.push((cell, vec![place.version])),
        }
    }
    let whole = spans.len() == 1;
    let spans = spans.into_iter().map(|((verdict, words), versions)| {
        let mark = match verdict {
            Verdict::Runs => "runs".to_owned(),
            Verdict::With(how) => format!("with [{}]", note(notes, how, words)),
            Verdict::Refused(why) => format!("no [{}]", note(notes, why, words)),
        };
        match versions.as_slice() {
            _ if whole => mark,
            [one] => format!("{one}: {mark}"),
            [first, .., last] => format!("{first} to {last}: {mark}"),
            [] => mark,
        }
    });
    spans.collect::<Vec<_>>().join("<br>")
}

/// The number of a note: what is said to the user, and what it means or what to type.
fn note(notes: &mut Vec<String>, meaning: &str, words: Option<&str>) -> usize {
    let said = words.map(str::trim).filter(|words| words.contains(' ')).map(|words| format!("`{words}`: "));
    let text = format!("{}{meaning}.", said.unwrap_or_default());
    let place = notes.iter().position(|note| *note == text).unwrap_or_else(|| {
        notes.push(text);
        notes.len() - 1
    });
    place + 1
}
