//! Which cases are run.

use crate::case::Case;
use crate::matrix;
use pinnace_e2e::places;
use sha2::{Digest, Sha256};
use std::env;
use std::path::Path;
use std::process::Command;

/// What every commit can afford, of all versions together: each draws others.
const DRAWN: usize = 40;

/// The cases of this run, on this version of containerd.
pub(crate) fn cases() -> Vec<Case> {
    let all = matrix::all();
    if let Ok(part) = env::var("PINNACE_CASE") {
        return all.into_iter().filter(|case| case.to_string().contains(&part)).collect();
    }
    if places::full() {
        return all;
    }
    let versions = places::versions();
    drawn(&commit(), &all, &versions, &places::version())
}

/// Those of the lot that are this version's.
fn drawn(commit: &str, all: &[Case], versions: &[String], version: &str) -> Vec<Case> {
    let each = versions.iter().flat_map(|version| all.iter().map(move |case| (version, *case)));
    let mut lots: Vec<_> = each
        .map(|(version, case)| (Sha256::digest(format!("{commit} {version} {case}")), version, case))
        .collect();
    lots.sort_unstable_by_key(|(lot, ..)| *lot);
    let mine = lots.into_iter().take(DRAWN).filter(|(_, of, _)| *of == version);
    mine.map(|(_, _, case)| case).collect()
}

/// The commit that is tested. A copy without a history draws the same each time.
fn commit() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let git =
        Command::new("git").args(["-c", "safe.directory=*", "rev-parse", "HEAD"]).current_dir(here).output();
    let named = git.ok().filter(|output| output.status.success());
    named.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[test]
fn every_commit_draws_as_many_and_others() {
    let all = matrix::all();
    let versions = ["1", "2", "3", "4"].map(str::to_owned);
    let names = |commit: &str| -> Vec<String> {
        let of = |version: &String| {
            let cases = drawn(commit, &all, &versions, version).into_iter();
            cases.map(|case| format!("{version} {case}")).collect::<Vec<_>>()
        };
        versions.iter().flat_map(of).collect()
    };
    let (one, other) = (names("a"), names("b"));
    assert_eq!((one.len(), other.len()), (DRAWN, DRAWN));
    assert_eq!(one, names("a"));
    assert_ne!(one, other);
}
