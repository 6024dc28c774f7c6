//! Volumes as a kubelet mounts them.

use crate::tool;
use pinnace_e2e::Node;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

fn directory(node: &Node, name: &str) -> PathBuf {
    let path = node.dir().join(name);
    fs::create_dir_all(&path).expect("a directory");
    path
}

/// A directory with files behind `..data`, which a kubelet moves to change all of them at once.
fn projected(node: &Node, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let volume = directory(node, name);
    fs::create_dir(volume.join("..2026_01_01")).expect("a directory");
    symlink("..2026_01_01", volume.join("..data")).expect("a link");
    for (file, text) in files {
        fs::write(volume.join("..2026_01_01").join(file), text).expect("a file");
        symlink(format!("..data/{file}"), volume.join(file)).expect("a link");
    }
    volume
}

#[test]
fn an_empty_dir_is_shared_by_the_containers_of_a_pod() {
    let node = Node::with_pods();
    let image = tool(&node);
    let volume = directory(&node, "empty");
    let pod = node.draft_pod().run().expect("a pod");
    let run =
        |args: &[&str], read_only| pod.draft(&image).args(args).mount(&volume, "/cache", read_only).run();
    assert_eq!(run(&["write", "/cache/file", "text\n"], false).code, 0);
    let read = run(&["cat", "/cache/file"], true);
    assert_eq!((read.code, read.output.as_str()), (0, "text\n"));
    assert_eq!(run(&["write", "/cache/file", "other"], true).code, 1, "read-only");
}

#[test]
fn config_maps_and_projected_volumes_are_read_through_their_links_and_change_under_the_guest() {
    let node = Node::with_pods();
    let image = tool(&node);
    let volume = projected(&node, "config", &[("a.conf", "one\n"), ("b.conf", "two\n")]);
    let pod = node.draft_pod().run().expect("a pod");
    let read = || {
        let draft = pod.draft(&image).args(&["ls", "/config", "then", "cat", "/config/a.conf"]);
        draft.mount(&volume, "/config", true).run().output
    };
    assert_eq!(read(), "..2026_01_01\n..data\na.conf\nb.conf\none\n");
    fs::create_dir(volume.join("..2026_01_02")).expect("a directory");
    fs::write(volume.join("..2026_01_02/a.conf"), "new\n").expect("a file");
    symlink("..2026_01_02", volume.join("..data_tmp")).expect("a link");
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("a rename");
    assert!(read().ends_with("new\n"));
}

#[test]
fn a_sub_path_is_one_file_or_directory_of_a_volume() {
    let node = Node::with_pods();
    let image = tool(&node);
    let volume = directory(&node, "volume/sub");
    fs::write(volume.join("file"), "text\n").expect("a file");
    let pod = node.draft_pod().run().expect("a pod");
    let draft = pod.draft(&image).args(&["cat", "/etc/app.conf", "/data/file", "then", "ls", "/data"]);
    let draft = draft.mount(&volume.join("file"), "/etc/app.conf", true);
    let ended = draft.mount(&volume, "/data", false).run();
    assert_eq!((ended.code, ended.output.as_str()), (0, "text\ntext\nfile\n"));
}

#[test]
fn a_termination_message_and_shared_memory_are_files() {
    let node = Node::with_pods();
    let image = tool(&node);
    let message = node.dir().join("message");
    fs::write(&message, "").expect("a file");
    let pod = node.draft_pod().run().expect("a pod");
    let write =
        ["write", "/dev/termination-log", "all is lost", "then", "write", "/dev/shm/file", "shared\n"];
    let draft = pod.draft(&image).args(&write).mount(&message, "/dev/termination-log", false);
    let ended = draft.run();
    assert_eq!(ended.code, 0, "{}", ended.output);
    assert_eq!(fs::read_to_string(&message).expect("the message"), "all is lost");
    let read = pod.draft(&image).args(&["cat", "/dev/shm/file"]).run();
    assert_eq!(read.output, "shared\n", "the pod's other containers see it");
}
