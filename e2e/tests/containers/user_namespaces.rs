//! User namespaces: a container's root is nobody on the host, and its files are where they belong.

use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::{Code, Container, Draft, Node, PINNACE, cost, until};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;

const FIRST: u32 = 200_000;
const SIZE: u32 = 65536;
/// WASI's `acces`, with which guests end that may not open a file.
const ACCESS: u32 = 2;

fn maps() -> Value {
    json!([{ "containerID": 0, "hostID": FIRST, "size": SIZE }])
}

/// Gives a container a user namespace.
fn apart(draft: Draft<'_>) -> Draft<'_> {
    draft.edit(|spec| {
        push(&mut spec["linux"]["namespaces"], json!({ "type": "user" }));
        spec["linux"]["uidMappings"] = maps();
        spec["linux"]["gidMappings"] = maps();
    })
}

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().expect("a list").push(item);
}

fn user(draft: Draft<'_>, uid: u32) -> Draft<'_> {
    draft.edit(|spec| spec["process"]["user"] = json!({ "uid": uid, "gid": uid }))
}

/// A line of `/proc/<pid>/status` of a container's process.
fn status(container: &Container<'_>, name: &str) -> Vec<String> {
    let all = fs::read_to_string(format!("/proc/{}/status", container.pid())).expect("status");
    let line = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.expect(name).split_whitespace().map(str::to_owned).collect()
}

/// A directory of the host for a mount, open to all.
fn volume(node: &Node, name: &str) -> PathBuf {
    let path = node.dir().join(name);
    fs::create_dir(&path).expect("a directory");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("mode");
    path
}

fn owner(path: &Path) -> (u32, u32) {
    let file = fs::metadata(path).expect("a file");
    (file.uid(), file.gid())
}

#[test]
fn its_process_is_nobody_on_the_host_and_lives_as_any_other() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    for (uid, outside) in [(0, FIRST), (1000, FIRST + 1000)] {
        let mut container = ready(user(apart(node.container(&image)), uid));
        let four = vec![outside.to_string(); 4];
        assert_eq!((status(&container, "Uid"), status(&container, "Gid")), (four.clone(), four));
        let map = fs::read_to_string(format!("/proc/{}/uid_map", container.pid())).expect("map");
        assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "200000", "65536"]);
        // As containerd makes it for a user namespace: its group may pass.
        let bundle = fs::metadata(container.bundle()).expect("a bundle");
        assert_eq!((bundle.mode() & 0o777, bundle.gid()), (0o710, FIRST));
        container.metrics().expect("metrics");
        assert_eq!(container.pids().expect("pids"), [container.pid()]);
        container.kill(15).expect("kill");
        assert_eq!(container.wait(), 143);
        container.delete().expect("delete");
    }
}

#[test]
fn its_namespaces_belong_to_it() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let mut pod = ready(apart(node.container(&image)));
    let link = |pid: u32, name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("a namespace");
    assert_ne!(link(pod.pid(), "user"), link(std::process::id(), "user"));
    // As the CRI joins the other containers of a pod: by path, with or without the maps.
    for with_maps in [true, false] {
        let mut other = ready(apart(node.container(&image)).edit(|spec| {
            let path = |name: &str| format!("/proc/{}/ns/{name}", pod.pid());
            let named = |kind: &str, name: &str| json!({ "type": kind, "path": path(name) });
            spec["linux"]["namespaces"] = json!([
                { "type": "mount" }, { "type": "pid" }, named("user", "user"), named("network", "net"),
                named("ipc", "ipc"), named("uts", "uts")
            ]);
            if !with_maps {
                let linux = spec["linux"].as_object_mut().expect("an object");
                linux.remove("uidMappings");
                linux.remove("gidMappings");
            }
        }));
        for name in ["user", "net", "ipc", "uts"] {
            assert_eq!(link(other.pid(), name), link(pod.pid(), name), "{name}");
        }
        assert_eq!(status(&other, "Uid")[0], FIRST.to_string());
        other.kill(9).expect("kill");
        assert_eq!(other.wait(), 137);
        other.delete().expect("delete");
    }
    pod.kill(9).expect("kill");
    assert_eq!(pod.wait(), 137);
    pod.delete().expect("delete");
}

#[test]
fn files_of_the_host_are_the_host_s() {
    let node = Node::start();
    let data = volume(&node, "data");
    fs::write(data.join("private"), "the host's").expect("a file");
    fs::set_permissions(data.join("private"), fs::Permissions::from_mode(0o600)).expect("mode");
    let (reader, writer) = (guest(&node, guests::cat_file_p1()), guest(&node, guests::write_file_p1()));
    for uid in [0, 1000] {
        let read = user(apart(node.container(&reader)), uid).bind(&data, "/data", &["rw"]);
        assert_eq!(read.args(["/guest.wasm", "/data/private"]).run().code, ACCESS);
        let name = format!("of-{uid}");
        let write = user(apart(node.container(&writer)), uid).bind(&data, "/data", &["rw"]);
        let ended = write.args(["/guest.wasm", &format!("/data/{name}")]).run();
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(owner(&data.join(name)), (FIRST + uid, FIRST + uid));
    }
    // Without a user namespace its root is the host's.
    let read = node.container(&reader).bind(&data, "/data", &["rw"]);
    assert_eq!(read.args(["/guest.wasm", "/data/private"]).run().stdout, "the host's");
    // Its own tmpfs are its root's, or whose the spec says.
    for (uid, options) in [(0, vec!["mode=700"]), (7, vec!["mode=700", "uid=7", "gid=7"])] {
        let mount = json!({ "destination": "/own", "type": "tmpfs", "source": "tmpfs", "options": options });
        let write = user(apart(node.container(&writer)), uid).edit(|spec| push(&mut spec["mounts"], mount));
        let ended = write.args(["/guest.wasm", "/own/file"]).run();
        assert_eq!(ended.code, 0, "{uid}: {}", ended.stderr);
    }
}

#[test]
fn a_volume_with_mapped_ids_is_as_if_it_were_its_own() {
    let node = Node::start();
    let (reader, writer) = (guest(&node, guests::cat_file_p1()), guest(&node, guests::write_file_p1()));
    let data = volume(&node, "data");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("mode");
    let mount = |more: &[&str], mapped: bool| {
        let options = [&["rbind"], more].concat();
        let mut mount = json!({ "destination": "/data", "type": "bind", "source": data, "options": options });
        if mapped {
            mount["uidMappings"] = maps();
            mount["gidMappings"] = maps();
        }
        mount
    };
    // As the CRI writes it, and as runc takes it too.
    for (index, (more, mapped)) in
        [(&[][..], true), (&["idmap"], false), (&["ridmap"], true)].into_iter().enumerate()
    {
        let name = format!("file-{index}");
        let write =
            apart(node.container(&writer)).edit(|spec| push(&mut spec["mounts"], mount(more, mapped)));
        let ended = write.args(["/guest.wasm", &format!("/data/{name}")]).run();
        assert_eq!(ended.code, 0, "{name}: {}", ended.stderr);
        assert_eq!(owner(&data.join(&name)), (0, 0), "{name}");
    }
    // Not mapped, it is the host root's, and shut.
    let read = apart(node.container(&reader)).edit(|spec| push(&mut spec["mounts"], mount(&[], false)));
    assert_eq!(read.args(["/guest.wasm", "/data/file-0"]).run().code, ACCESS);
    // What has no maps at all is told.
    let draft = node.container(&reader).edit(|spec| push(&mut spec["mounts"], mount(&["idmap"], false)));
    let refused = draft.create().expect_err("no maps");
    assert!(refused.message().contains("mount /data: idmap needs uidMappings"), "{refused}");
}

fn ctr_run(node: &Node, image: &str, more: &[&str], guest: &[&str]) -> Output {
    let map = format!("0:{FIRST}:{SIZE}");
    let id = node.id();
    let cgroup = format!("{}/{id}", node.cgroup_parent());
    let run = ["run", "--rm", "--runtime", PINNACE, "--cgroup", &cgroup, "--uidmap", &map, "--gidmap", &map];
    node.ctr().args(run).args(more).args([image, &id]).args(guest).output().expect("start ctr")
}

#[test]
fn ctr_gives_it_a_root_of_its_own() {
    // A copy with other owners, and where the snapshotter can, the same files with mapped owners.
    for more in [&[][..], &["--remap-labels"]] {
        for name in ["/file", "/guest.wasm"] {
            // Each on a node of its own: containerd collects the copy of a removed container while `ctr` counts on it.
            let node = Node::start();
            let image = guest(&node, guests::write_file_p1());
            let output = ctr_run(&node, image.name(), more, &["/guest.wasm", name]);
            let said = String::from_utf8_lossy(&output.stderr);
            // The overlay of containerd 1.6 knows no maps: its root stays the host's, and shut.
            let shut = !more.is_empty() && node.version().starts_with("1.6");
            let expected = if shut { ACCESS } else { 0 };
            assert_eq!(output.status.code(), Some(expected.cast_signed()), "{more:?} {name}: {said}");
        }
    }
}

#[test]
fn its_memory_and_its_end_are_told_as_ever() {
    let node = Node::start();
    let events = node.events();
    let draft = apart(node.container(&guest(&node, guests::grow_p1()))).memory(96 << 20);
    let id = draft.id().to_owned();
    assert_eq!(draft.run().code, 137);
    let _deleted = events.wait_for("delete", &id);
    assert_eq!(events.topics(&id), ["create", "start", "oom", "exit", "delete"]);
    // When the server dies, so does it.
    let container = ready(apart(node.container(&guest(&node, guests::sleep_p1()))));
    let server = container.cost().first().expect("a server").pid;
    let pid = rustix::process::Pid::from_raw(server.cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill");
    until("the engine's end", || cost::of(container.pid()).is_none().then_some(()));
    assert_eq!(events.wait_for("exit", container.id()).exit().expect("an exit").exit_status, 137);
    container.forget();
}

#[test]
fn what_is_wrong_with_its_maps_is_named() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    let map = |container: u32, host: u32, size: u32| json!({ "containerID": container, "hostID": host, "size": size });
    type Change = Box<dyn FnOnce(&mut Value)>;
    let uids = |list: Value| -> Change { Box::new(move |spec| spec["linux"]["uidMappings"] = list) };
    let wrong: [(Change, &str); 8] = [
        (uids(json!([])), "linux.uidMappings is missing beside linux.gidMappings"),
        (uids(json!([map(0, FIRST, 0)])), "linux.uidMappings[0] maps no id"),
        (
            uids(json!([map(0, FIRST, 10), map(5, 7, 1)])),
            "linux.uidMappings[1] and linux.uidMappings[0] overlap",
        ),
        (uids(json!([map(0, u32::MAX, 1)])), "linux.uidMappings[0] goes beyond"),
        (uids(json!([map(1, FIRST, 10)])), "linux.uidMappings does not map id 0"),
        (Box::new(|spec| spec["process"]["user"]["uid"] = json!(SIZE)), "process.user.uid is 65536"),
        (
            Box::new(|spec| spec["process"]["user"]["additionalGids"] = json!([70_000])),
            "process.user.additionalGids is 70000",
        ),
        (
            Box::new(|spec| spec["linux"]["namespaces"] = json!([{ "type": "mount" }])),
            "linux.namespaces has no user namespace",
        ),
    ];
    for (change, said) in wrong {
        let refused = apart(node.container(&image)).edit(change).create().expect_err(said);
        assert!(refused.message().contains(said), "{refused}");
        assert_ne!(refused.code(), Code::Ok);
    }
    let path = "/proc/self/ns/net";
    let joined = apart(node.container(&image)).edit(|spec| {
        spec["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "user", "path": path }]);
    });
    let refused = joined.create().expect_err("no user namespace");
    assert!(refused.message().contains("cannot join the user namespace"), "{refused}");
    assert_eq!(apart(node.container(&image)).run().stdout, "hello from wasm\n");
}
