//! The subcommands as a user types them, on files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Parser;
use pinnace_conformance::guests;
use serde_json::Value;
use tempfile::TempDir;

use super::Image;

const TEXT: &str = r#"(module (import "env" "print" (func)) (func (export "_start")))"#;

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    image: Image,
}

/// A directory with a module, a component, text, and files to copy.
fn place() -> TempDir {
    let place = tempfile::tempdir().expect("a temporary directory");
    fs::write(place.path().join("Hello.wasm"), guests::hello_p1()).expect("a module");
    fs::write(place.path().join("component.wasm"), guests::hello_p2()).expect("a component");
    fs::write(place.path().join("text.wat"), TEXT).expect("text");
    fs::create_dir_all(place.path().join("data/empty")).expect("directories");
    fs::write(place.path().join("data/b"), "b").expect("a file");
    fs::write(place.path().join("data/a"), "a").expect("a file");
    symlink("a", place.path().join("data/link")).expect("a link");
    place
}

/// Runs a line whose words `@name` are files of the place.
fn run(place: &Path, line: &str) -> Result<String, String> {
    let at = place.to_str().expect("a path");
    let words = line.split(' ').map(|word| word.replace('@', &format!("{at}/")));
    let line = Line::try_parse_from(std::iter::once("pinnace".to_owned()).chain(words));
    line.map_err(|error| error.to_string())?.image.run().map_err(|error| error.to_string())
}

fn inspected(place: &Path, name: &str) -> Value {
    let json = run(place, &format!("inspect @{name} --json")).expect("a report");
    let images: Value = serde_json::from_str(&json).expect("json");
    images[0].clone()
}

#[test]
fn each_form_is_built_told_and_converted() {
    let place = place();
    let place = place.path();
    let this = if cfg!(target_arch = "x86_64") { "linux/amd64" } else { "linux/arm64" };
    for (number, (words, form)) in [
        ("@Hello.wasm", format!(".wasm file, {this}")),
        ("@text.wat", format!(".wat file, {this}")),
        ("@component.wasm --index", format!(".wasm file, {this}, behind an index")),
        ("@Hello.wasm --attest", format!(".wasm file, {this}, behind an index with attestations")),
        ("@Hello.wasm --platform wasip1/wasm", ".wasm file, wasip1/wasm".to_owned()),
        ("@Hello.wasm --as wasm", "layer application/wasm, wasip1/wasm".to_owned()),
        ("@text.wat --as wasm", "layer application/wasm, wasip1/wasm".to_owned()),
        (
            "@component.wasm --as component",
            "layer application/vnd.bytecodealliance.wasm.component.layer.v0+wasm, wasip2/wasm".to_owned(),
        ),
        (
            "@Hello.wasm --as content --config wasm --platform wasi/wasm32",
            "layer application/vnd.wasm.content.layer.v1+wasm, Wasm configuration, wasi/wasm32".to_owned(),
        ),
        (
            "@Hello.wasm --as wasm --copy @data=/data --env A=b --platform wasip1/wasm --platform wasi/wasm",
            "layer application/wasm with files, wasip1/wasm, behind an index".to_owned(),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        for layout in ["", " --layout"] {
            let (built, portable) = (format!("built{number}{layout}"), format!("portable{number}{layout}"));
            let (built, portable) = (built.replace(" --", "-"), portable.replace(" --", "-"));
            let mut line: Vec<_> = words.split(' ').collect();
            line.insert(1, "@OUT");
            let line = line.join(" ").replace("OUT", &built);
            run(place, &format!("build {line}{layout}")).unwrap_or_else(|error| panic!("{words}: {error}"));
            let before = inspected(place, &built);
            assert_eq!(before["form"], form, "{words}");
            run(place, &format!("convert @{built} @{portable}{layout}")).expect(words);
            let after = inspected(place, &portable);
            let runs = after["runs"].as_array().expect("places");
            assert!(runs.iter().all(|run| run["verdict"] == "runs"), "{words}: {runs:?}");
            let (before, after) = (&before["manifests"][0], &after["manifests"][0]);
            for same in ["digest", "size", "text", "imports", "exports"] {
                assert_eq!(before["wasm"][same], after["wasm"][same], "{words}: {same}");
            }
            assert_eq!(before["env"], after["env"], "{words}");
            if before["config"]["media_type"] != "application/vnd.wasm.config.v0+json" {
                assert_eq!(before["entrypoint"], after["entrypoint"], "{words}");
            }
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let lines = [
        "build @Hello.wasm @out --copy @data=/srv --label b=2 --label a=1 --annotation y=2 --annotation x=1",
        "build @Hello.wasm @out --annotation x=1 --label a=1 --annotation y=2 --label b=2 --copy @data=/srv",
    ];
    let archives = [0, 1].map(|other| {
        let place = place();
        if other == 1 {
            // Another day, another umask, another order in the directory.
            fs::remove_file(place.path().join("data/a")).expect("removed");
            fs::write(place.path().join("data/a"), "a").expect("a file");
            for (name, mode) in [("data/a", 0o600), ("data/b", 0o664), ("Hello.wasm", 0o700), ("data", 0o700)]
            {
                let path = place.path().join(name);
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
                let day = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
                fs::File::open(&path).and_then(|file| file.set_modified(day)).expect("a time");
            }
        }
        run(place.path(), lines[other]).expect("built");
        run(place.path(), "convert @out @portable").expect("converted");
        ["out", "portable"].map(|name| fs::read(place.path().join(name)).expect("an archive"))
    });
    assert!(archives[0] == archives[1]);
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let place = place();
    let place = place.path();
    fs::write(place.join("script.wasm"), "#!/bin/sh").expect("a script");
    fs::write(place.join("broken.wasm"), b"\0asm\x01\0\0\0\x02\xff").expect("a module");
    fs::write(place.join("broken.wat"), "(module (func $a").expect("text");
    run(place, "build @Hello.wasm @linux").expect("built");
    for (line, part) in [
        ("build @script.wasm @out", "is neither Wasm nor its text"),
        ("build @broken.wasm @out", "is not valid Wasm"),
        ("build @broken.wat @out", "is not valid Wasm"),
        ("build @none.wasm @out", "none.wasm"),
        ("build @Hello.wasm @out --env A", "two words with a `=`"),
        ("build @Hello.wasm @out --platform linux", "two words with a `/`"),
        ("build @Hello.wasm @out --as component", "use --as wasm"),
        ("build @Hello.wasm @out --config wasm", "needs --config image"),
        ("build @Hello.wasm @out --as wasm --config wasm --env A=b", "no place for --env"),
        ("build @Hello.wasm @out --copy /nonexistent=/b", "/nonexistent"),
        ("build @Hello.wasm @out --copy /dev/null=/b", "/dev/null"),
        ("build @Hello.wasm @out --copy @data=/../b", "cannot put"),
        ("build @Hello.wasm @none/out", "none/out"),
        ("build @Hello.wasm @data --layout", "is there already"),
        ("build @Hello.wasm - --layout", "cannot go to stdout"),
        (
            "convert @linux @out --image other",
            "holds no image \"other\"; it holds docker.io/library/hello:latest",
        ),
        ("convert @Hello.wasm @out", "is not a whole tar archive"),
        ("convert @data @out", "neither an oci-layout"),
        ("inspect @none", "none"),
    ] {
        let refused = run(place, line).expect_err(line);
        assert!(refused.contains(part), "{line}: {refused}");
    }
    let left: Vec<PathBuf> =
        fs::read_dir(place).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(left.len(), 8, "{left:?}");
}

#[test]
fn a_report_says_what_is_needed_and_moves_no_cursor() {
    let place = place();
    let place = place.path();
    run(place, "build @text.wat @out --env A=\u{1b}[2J --entrypoint /text.wat --cmd --loud").expect("built");
    let text = run(place, "inspect @out").expect("a report");
    for part in [
        "docker.io/library/text:latest\n",
        "  entrypoint   [\"/text.wat\"]\n",
        "  cmd          [\"--loud\"]\n",
        "  env          A=\\u{1b}[2J\n",
        "  world        WASI preview 1 command\n",
        "  imports      env: print\n",
        "  not offered  env.print\n",
        "  runs         ctr 1.6",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    run(place, "build @component.wasm @out --as component --index").expect("built");
    let text = run(place, "inspect @out").expect("a report");
    for part in ["wasip2/wasm\n", "wasi:cli/", "WASI 0.2 command", "  refused "] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let several = "--as wasm --platform wasip1/wasm --platform wasip2/wasm";
    run(place, &format!("build @component.wasm @out {several}")).expect("built");
    assert!(run(place, "inspect @out").expect("a report").contains("  note         of layers for several"));
}
