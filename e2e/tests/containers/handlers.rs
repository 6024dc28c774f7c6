//! What `pinnace install` tells an administrator to add is what containerd reads, in each format that it reads.

use pinnace_e2e::places;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What is printed, by the formats it is for: lines `# version = 2 …`, what to add, an empty line.
fn printed(prefix: &Path) -> Vec<(u32, String)> {
    let dist = places::dist();
    let mut pinnace = Command::new(dist.join("pinnace"));
    pinnace.arg("install").arg("--prefix").arg(prefix).arg("--from").arg(&dist);
    let output = pinnace.output().expect("start pinnace");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let mut found = Vec::new();
    for part in text.split("\n\n") {
        let formats = part.lines().filter_map(|line| line.trim().strip_prefix("# version = "));
        for format in formats.filter_map(|line| line.split(' ').next()) {
            found.push((format.parse().expect("a version"), part.to_owned()));
        }
    }
    found
}

/// What this containerd made of a file, in its own words.
fn dumped(version: &str, file: &Path) -> String {
    let mut containerd = Command::new(places::containerd(version).join("containerd"));
    let output = containerd.arg("--config").arg(file).args(["config", "dump"]).output().expect("start it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn what_install_prints_is_read_in_every_format() {
    let dir = tempfile::tempdir().expect("a directory");
    let version = places::version();
    let printed = printed(&dir.path().join("usr"));
    assert_eq!(printed.iter().map(|(format, _)| *format).collect::<Vec<_>>(), [2, 3, 4]);
    let newest = match places::release(&version) {
        (..2, _) => 2,
        (2, ..3) => 3,
        _ => 4,
    };
    for (format, lines) in printed.into_iter().filter(|(format, _)| *format <= newest) {
        let file = dir.path().join(format!("{format}.toml"));
        fs::write(&file, format!("version = {format}\n{lines}\n")).expect("a file");
        // Whatever the format was, it answers in its own, so only the last names of a table are the same.
        let dump = dumped(&version, &file);
        let (plugin, table) = dump.split_once("containerd.runtimes.wasm]").expect(&dump);
        let plugin = plugin.rsplit_once('[').map(|(_, plugin)| plugin).unwrap_or_default();
        let known = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"][usize::from(newest > 2)];
        assert!(plugin.contains(known), "format {format}: {plugin}");
        let table = table.split("[plugins").next().unwrap_or_default().replace('\'', "\"");
        assert!(table.contains("runtime_type = \"io.containerd.wasm.v1\""), "format {format}: {table}");
        assert!(table.contains("pod_annotations = [\"pinnace.dev/*\"]"), "format {format}: {table}");
    }
}
