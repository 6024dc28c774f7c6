//! The report of `pinnace image inspect` for people.
//!
//! The image's words are hostile: what could move a cursor is shown as an escape.

use std::fmt::Write;

use super::inspect::{Blob, Run, Seen, SeenManifest, SeenWasm};
use super::world::World;

/// Wide enough for the longest name of a line.
const NAME: usize = 11;
/// Of a component's many imports, as many as help.
const SHOWN: usize = 40;

pub(super) fn text(images: &[Seen]) -> String {
    let reports: Vec<_> = images.iter().map(image).collect();
    reports.join("\n")
}

fn image(seen: &Seen) -> String {
    let mut report = Report::default();
    report.out.push_str(&plain(seen.name.as_deref().unwrap_or("(no name)")));
    report.out.push('\n');
    report.line("digest", &format!("{}, {}", seen.digest, plain(&seen.media_type)));
    if seen.attested {
        report.line("attested", "yes");
    }
    if !seen.absent.is_empty() {
        report.line("not here", &list(&seen.absent));
    }
    if let Some(note) = seen.note {
        report.line("note", note);
    }
    for manifest in &seen.manifests {
        manifest_lines(&mut report, manifest);
    }
    report.out.push('\n');
    if let Some(form) = &seen.form {
        report.line("form", &plain(form));
    }
    run_lines(&mut report, &seen.runs);
    report.out
}

fn manifest_lines(report: &mut Report, manifest: &SeenManifest) {
    let _ = write!(report.out, "\n{}\n", plain(&manifest.platform));
    report.line("manifest", &manifest.digest.to_string());
    report.line("config", &blob(&manifest.config));
    for layer in &manifest.layers {
        report.line("layer", &blob(layer));
    }
    for (name, words) in [("entrypoint", &manifest.entrypoint), ("cmd", &manifest.cmd)] {
        if !words.is_empty() {
            report.line(name, &format!("{words:?}"));
        }
    }
    for pair in &manifest.env {
        report.line("env", &plain(pair));
    }
    if manifest.workdir != "/" {
        report.line("workdir", &plain(&manifest.workdir));
    }
    if let Some(user) = &manifest.user {
        report.line("user", &plain(user));
    }
    for (name, pairs) in [("label", &manifest.labels), ("annotation", &manifest.annotations)] {
        for (key, value) in pairs {
            report.line(name, &plain(&format!("{key}={value}")));
        }
    }
    match (&manifest.wasm, &manifest.nothing) {
        (Some(wasm), _) => wasm_lines(report, wasm),
        (None, Some(why)) => report.line("wasm", &format!("none: {}", plain(why))),
        (None, None) => {}
    }
}

fn wasm_lines(report: &mut Report, wasm: &SeenWasm) {
    let text = if wasm.text { ", text" } else { "" };
    report.line("wasm", &format!("{}, {} bytes{text}, {}", plain(&wasm.at), wasm.size, wasm.digest));
    if let Some(reason) = &wasm.invalid {
        report.line("world", &format!("unknown, for this is not valid Wasm: {}", plain(reason)));
    }
    let Some(World { world, imports, exports, unknown, .. }) = &wasm.world else { return };
    report.line("world", &plain(world));
    for (module, names) in imports.iter().take(SHOWN) {
        let names = if names.is_empty() { String::new() } else { format!(": {}", list(names)) };
        report.line("imports", &format!("{}{names}", plain(module)));
    }
    if !exports.is_empty() {
        report.line("exports", &list(exports));
    }
    if !unknown.is_empty() {
        report.line("not offered", &list(unknown));
    }
}

/// Clients and versions with the same verdict in one line.
fn run_lines(report: &mut Report, runs: &[Run]) {
    let mut groups: Vec<(&Run, Vec<&Run>)> = Vec::new();
    for run in runs {
        match groups.iter_mut().find(|(first, _)| (first.verdict, first.note) == (run.verdict, run.note)) {
            Some((_, others)) => others.push(run),
            None => groups.push((run, vec![run])),
        }
    }
    for verdict in ["runs", "with", "refused"] {
        for (first, runs) in groups.iter().filter(|(first, _)| first.verdict == verdict) {
            let note = first.note.map_or(String::new(), |note| format!(": {note}"));
            report.line(verdict, &format!("{}{note}", places(runs)));
        }
    }
}

/// `ctr 1.6 1.7, CRI 2.1`
fn places(runs: &[&Run]) -> String {
    let mut text = String::new();
    let mut last = "";
    for run in runs {
        if run.client != last {
            let comma = if last.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{}", run.client);
        }
        let _ = write!(text, " {}", run.version);
        last = &run.client;
    }
    text
}

fn blob(blob: &Blob) -> String {
    format!("{}, {} bytes, {}", plain(&blob.media_type), blob.size, blob.digest)
}

fn list(words: &[String]) -> String {
    let mut text = words.iter().take(SHOWN).map(|word| plain(word)).collect::<Vec<_>>().join(", ");
    if words.len() > SHOWN {
        let _ = write!(text, " and {} more", words.len() - SHOWN);
    }
    text
}

/// A hostile word for a terminal.
fn plain(word: &str) -> String {
    let cut: String = word.chars().take(500).collect();
    cut.chars().map(|c| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() }).collect()
}

/// Lines of a name and what is said.
#[derive(Default)]
struct Report {
    out: String,
}

impl Report {
    fn line(&mut self, name: &str, said: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "  {name:<NAME$}  {said}");
    }
}
