//! Hostile images and guests, wall by wall: each test fails when its wall is taken away.

use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::{Draft, Node, RUNC, places};
use pinnace_oci::build;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether a guest can read a path; its cat prints what it reads.
fn can_read(draft: Draft<'_>, path: &str) -> bool {
    let ended = draft.args(["/guest.wasm", path]).run();
    ended.code == 0 || !ended.stdout.is_empty()
}

/// Whether a container can be had at all in which a guest can read a path.
fn can_have(draft: Draft<'_>, path: &str) -> bool {
    match draft.args(["/guest.wasm", path]).create() {
        Ok(container) => {
            let ended = container.run_to_end();
            ended.code == 0 || !ended.stdout.is_empty()
        }
        Err(_) => false,
    }
}

#[test]
fn the_cat_of_these_tests_reads_what_is_there() {
    let node = Node::start();
    let image = guest(&node, guests::cat_file_p1());
    let file = node.dir().join("there");
    fs::write(&file, "it is\n").expect("a file");
    assert!(can_read(node.container(&image).bind(&file, "/there", &["ro"]), "/there"));
    assert!(!can_read(node.container(&image), "/there"));
}

#[test]
fn no_kernel_file_system_is_in_a_guests_files() {
    let node = Node::start();
    let image = guest(&node, guests::cat_file_p1());
    for path in
        ["/proc/self/status", "/proc/1/mem", "/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"]
    {
        assert!(!can_read(node.container(&image), path), "{path}");
    }
}

#[test]
fn nor_by_a_bind_mount() {
    let node = Node::start();
    let image = guest(&node, guests::cat_file_p1());
    for (source, path) in [
        ("/proc", "/host/version"),
        ("/proc/self", "/host/status"),
        ("/proc/version", "/host"),
        ("/sys", "/host/power/state"),
        ("/sys/fs/cgroup", "/host/memory/memory.limit_in_bytes"),
        ("/dev", "/host/urandom"),
    ] {
        assert!(!can_have(node.container(&image).bind(Path::new(source), "/host", &[]), path), "{source}");
    }
}

/// A mount on the host, until it is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn proc(at: &Path) -> Self {
        fs::create_dir_all(at).expect("a directory");
        let status =
            Command::new("mount").args(["-t", "proc", "proc"]).arg(at).status().expect("start mount");
        assert!(status.success(), "mount proc on {}", at.display());
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // The short form, for busybox knows no other. What stays mounted is a leak that the node tells of.
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn nor_as_a_submount_of_one() {
    let node = Node::start();
    let image = guest(&node, guests::cat_file_p1());
    let data = node.dir().join("data");
    let _proc = Mounted::proc(&data.join("inner"));
    assert!(!can_have(node.container(&image).bind(&data, "/data", &[]), "/data/inner/version"));
}

#[test]
fn nor_by_a_mount_that_comes_later() {
    let node = Node::start();
    let image = guest(&node, guests::cat_file_p1());
    let data = node.dir().join("data");
    fs::create_dir_all(data.join("inner")).expect("a directory");
    for propagation in ["rshared", "rslave", "shared", "slave"] {
        let refused = node.container(&image).bind(&data, "/data", &[propagation]).create();
        assert!(refused.is_err(), "{propagation}");
    }
    let draft = node.container(&image).bind(&data, "/data", &[]).args(["/guest.wasm", "/data/inner/version"]);
    let container = draft.create().expect("create");
    let _proc = Mounted::proc(&data.join("inner"));
    let ended = container.run_to_end();
    assert!(ended.code != 0 && ended.stdout.is_empty(), "{}", ended.stdout);
}

#[test]
fn a_read_only_mount_and_root_are_read_only_to_the_guest() {
    let node = Node::start();
    let image = guest(&node, guests::write_file_p1());
    let data = node.dir().join("data");
    fs::create_dir(&data).expect("a directory");
    let written = |options: &[&str]| {
        let draft = node.container(&image).bind(&data, "/data", options);
        let ended = draft.args(["/guest.wasm", "/data/file"]).run();
        ended.code == 0
    };
    assert!(!written(&["ro"]) && !data.join("file").exists());
    assert!(written(&[]) && data.join("file").exists());
    let root = node.container(&image).edit(|spec| spec["root"]["readonly"] = json!(true));
    assert_ne!(root.args(["/guest.wasm", "/file"]).run().code, 0);
}

#[test]
fn no_link_and_no_dots_lead_out_of_a_mount() {
    let node = Node::start();
    let image = build::Image::rootfs()
        .file("/guest.wasm", guests::cat_file_p1(), 0o755)
        .symlink("/up", "../../../../../../../../..")
        .directory("/data");
    let image = node.image(&image);
    let secret = node.dir().join("secret");
    fs::write(&secret, "treasure\n").expect("a file");
    let data = node.dir().join("data");
    fs::create_dir(&data).expect("a directory");
    symlink(&secret, data.join("absolute")).expect("a link");
    symlink("../secret", data.join("relative")).expect("a link");
    let place = secret.display();
    for path in [
        "/data/absolute".to_owned(),
        "/data/relative".to_owned(),
        "/data/../secret".to_owned(),
        format!("/data/../../../../../../..{place}"),
        format!("/up{place}"),
        place.to_string(),
    ] {
        assert!(!can_read(node.container(&image).bind(&data, "/data", &[]), &path), "{path}");
    }
}

#[test]
fn nothing_of_the_image_can_be_mapped_executable() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let data = node.dir().join("data");
    fs::create_dir(&data).expect("a directory");
    let container = ready(node.container(&image).bind(&data, "/data", &[]));
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", container.pid())).expect("its mounts");
    for mount in table.lines() {
        let fields: Vec<_> = mount.split(' ').collect();
        let (place, options) = (fields[4], fields[5]);
        assert!(options.split(',').any(|option| option == "noexec"), "{place}: {options}");
        let device = place.starts_with("/dev/");
        assert!(device || options.split(',').any(|option| option == "nodev"), "{place}: {options}");
    }
}

#[test]
fn the_host_has_no_mount_of_a_container() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let container = ready(node.container(&image));
    let table = fs::read_to_string("/proc/self/mountinfo").expect("our mounts");
    assert!(!table.contains(container.id()), "{table}");
}

#[test]
fn native_code_in_an_image_never_runs_where_only_wasm_does() {
    let node = Node::configured("native.enabled = false");
    let image = guest(&node, guests::hello_p1());
    assert_eq!(node.container(&image).run().code, 0);
    let artifacts = files(&node.dir().join("pinnace/cache")).into_iter();
    let artifact =
        artifacts.map(|file| fs::read(file).expect("a file")).find(|bytes| bytes.starts_with(b"\x7fELF"));
    let artifact = artifact.expect("the compiled module in the cache");
    let native = fs::read(places::tools().join("busybox")).expect("busybox; run `cargo xtask tools`");
    for code in [artifact, native] {
        let image = guest(&node, code.clone());
        let refused = node.container(&image).create().expect_err("native code");
        assert!(refused.message().contains("/guest.wasm"), "{refused}");
        let image = build::Image::artifact(pinnace_oci::WasmMedia::Wasm, code).entrypoint(["hello"]);
        assert!(node.container(&node.image(&image)).create().is_err());
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_guests_environment_is_not_its_engines() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let variables = ["LD_PRELOAD=/guest.wasm", "LD_LIBRARY_PATH=/", "RUST_LOG=trace", "WASMTIME_LOG=trace"];
    let draft = variables.iter().fold(node.container(&image), |draft, variable| draft.env(variable));
    let container = ready(draft);
    let environment = fs::read(format!("/proc/{}/environ", container.pid())).expect("its environment");
    assert_eq!(String::from_utf8_lossy(&environment), "");
    assert_eq!(container.stderr().so_far(), "");
}

#[test]
fn a_neighbour_in_the_same_pid_namespace_cannot_look_into_the_engine() {
    let node = Node::start();
    let victim = ready(node.container(&guest(&node, guests::sleep_p1())));
    let busybox = fs::read(places::tools().join("busybox")).expect("busybox; run `cargo xtask tools`");
    let image = node.image(&build::Image::rootfs().file("/bin/busybox", busybox, 0o755));
    let script = "cd /proc/1 && /bin/busybox cat comm && \
        ! /bin/busybox cat maps && ! /bin/busybox cat mem && ! /bin/busybox ls -l cwd/ && \
        ! /bin/busybox ls root/ && ! /bin/busybox cat fd/0 && ! /bin/busybox dd if=/dev/zero of=mem count=1";
    let neighbour = node.container(&image).runtime(RUNC).args(["/bin/busybox", "sh", "-c", script]);
    let namespace = format!("/proc/{}/ns/pid", victim.pid());
    let ended = neighbour.edit(|spec| spec["linux"]["namespaces"][0]["path"] = json!(namespace)).run();
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.starts_with("pinnace"), "{}", ended.stdout);
}

#[test]
fn the_engine_is_locked_in() {
    let node = Node::start();
    let container = ready(node.container(&guest(&node, guests::sleep_p1())));
    let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).expect("its status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim_start_matches(':').trim().to_owned()).unwrap_or_default()
    };
    assert_eq!(field("Seccomp"), "2", "a filter");
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!(field("Threads"), "1");
    assert_eq!(field("CapAmb"), "0000000000000000");
}

#[test]
fn the_engine_is_the_user_of_the_spec() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let draft = node.container(&image).edit(|spec| {
        spec["process"]["user"] = json!({ "uid": 1234, "gid": 2345, "additionalGids": [3456] });
    });
    let container = ready(draft);
    let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).expect("its status");
    let fields = |name: &str| -> Vec<String> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(fields("Uid:"), ["1234"; 4]);
    assert_eq!(fields("Gid:"), ["2345"; 4]);
    assert_eq!(fields("Groups:"), ["3456"]);
    // What the spec gives root, this user would have lost by an exec.
    for set in ["CapEff:", "CapPrm:", "CapAmb:"] {
        assert_eq!(fields(set), ["0000000000000000"], "{set}");
    }
}

#[test]
fn namespaces_are_new_or_those_that_the_spec_names() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let namespace =
        |pid: u32, kind: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace");
    let one = ready(node.container(&image));
    for kind in ["pid", "ipc", "uts", "mnt", "net"] {
        assert_ne!(namespace(one.pid(), kind), namespace(std::process::id(), kind), "{kind}");
    }
    let network = format!("/proc/{}/ns/net", one.pid());
    let draft = node.container(&image).edit(|spec| {
        let namespaces = spec["linux"]["namespaces"].as_array_mut().expect("namespaces");
        let network_namespace = namespaces.iter_mut().find(|namespace| namespace["type"] == "network");
        network_namespace.expect("a network namespace")["path"] = json!(network);
    });
    let two = ready(draft);
    assert_eq!(namespace(two.pid(), "net"), namespace(one.pid(), "net"));
    assert_ne!(namespace(two.pid(), "ipc"), namespace(one.pid(), "ipc"));
}

#[test]
fn names_are_resolved_by_us_and_never_by_what_the_images_libc_configuration_asks_for() {
    let node = Node::start();
    let wasm = fs::read(places::tools().join("resolve.wasm")).expect("resolve.wasm; run `cargo xtask tools`");
    // With these files glibc asks no service but the image's own library.
    let image = build::Image::rootfs()
        .file("/guest.wasm", wasm, 0o755)
        .file("/etc/nsswitch.conf", "hosts: evil\n", 0o644)
        .file("/etc/hosts", "10.9.8.7 treasure.example\n", 0o644)
        .file("/lib/x86_64-linux-gnu/libnss_evil.so.2", "not even a library", 0o755)
        .file("/usr/lib/libnss_evil.so.2", "not even a library", 0o755);
    let ended = node.container(&node.image(&image)).args(["/guest.wasm", "treasure.example"]).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "10.9.8.7\n"), "{}", ended.stderr);
}

#[test]
fn the_engine_has_the_resource_limits_of_the_spec() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let draft = node.container(&image).edit(|spec| {
        spec["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 77, "hard": 88 }]);
    });
    let container = ready(draft);
    let limits = fs::read_to_string(format!("/proc/{}/limits", container.pid())).expect("its limits");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line");
    assert_eq!(files.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["77", "88"]);
}
