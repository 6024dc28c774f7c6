//! Native containers: busybox by the node's OCI runtime, under the same server as Wasm.

use crate::ready;
use pinnace_e2e::{Code, Container, Draft, Image, Node, State, places, until};
use pinnace_oci::build;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn tool(name: &str) -> PathBuf {
    places::tools().join(name)
}

pub(crate) fn busybox(node: &Node) -> Image {
    let busybox = fs::read(tool("busybox")).expect("busybox; run `cargo xtask tools`");
    let image = build::Image::rootfs()
        .file("/bin/busybox", busybox.clone(), 0o755)
        .file("/bin/closed", busybox, 0o644)
        .file("/bin/script", "#!/bin/busybox sh\necho script $1\n", 0o755)
        .directory("/proc");
    node.image(&image)
}

pub(crate) fn shell<'node>(node: &'node Node, image: &Image, script: &str) -> Draft<'node> {
    node.container(image).args(["/bin/busybox", "sh", "-c", script])
}

/// One that says "ready" and sleeps; it heeds SIGTERM.
fn sleeper<'node>(node: &'node Node, image: &Image) -> Container<'node> {
    ready(shell(node, image, "trap 'exit 15' TERM; echo ready; while :; do /bin/busybox sleep 0.1; done"))
}

fn server(container: &Container<'_>) -> u32 {
    container.cost().first().expect("a server").pid
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).expect("a pid"), Signal::KILL).expect("kill");
}

/// On a node of each OCI runtime, one after the other.
fn each(check: fn(&Node)) {
    for runtime in places::oci_runtimes() {
        println!("{runtime}");
        check(&Node::configured(&runtime));
    }
}

#[test]
fn words_streams_and_exit_code_are_its_own() {
    each(|node| {
        let image = busybox(node);
        let events = node.events();
        let draft = shell(node, &image, "echo $GREETING $0; echo problem >&2; exit 7").env("GREETING=hello");
        let id = draft.id().to_owned();
        let ended = draft.run();
        assert_eq!(
            (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
            (7, "hello sh\n", "problem\n")
        );
        let _deleted = events.wait_for("delete", &id);
        assert_eq!(events.topics(&id), ["create", "start", "exit", "delete"]);
        let ended = node.container(&image).args(["/bin/script", "runs"]).run();
        assert_eq!((ended.code, ended.stdout.as_str()), (0, "script runs\n"));
    });
}

#[test]
fn its_input_ends_when_the_client_says_so() {
    let node = Node::start();
    let image = busybox(&node);
    let mut container =
        node.container(&image).args(["/bin/busybox", "cat"]).with_stdin().create().expect("create");
    container.start().expect("start");
    container.write("back and forth\n");
    container.stdout().wait_for("forth");
    container.close_stdin().expect("close");
    assert_eq!(container.wait(), 0);
    assert_eq!(container.stdout().to_end(), "back and forth\n");
}

#[test]
fn signals_reach_it_running_and_created() {
    each(|node| {
        let image = busybox(node);
        let mut container = sleeper(node, &image);
        assert_eq!(container.pids().expect("pids").first(), Some(&container.pid()));
        container.kill(15).expect("kill");
        assert_eq!(container.wait(), 15);
        assert_eq!(container.kill(9).expect_err("gone").code(), Code::NotFound);
        container.delete().expect("delete");
        let mut created = shell(node, &image, "exit 1").create().expect("create");
        created.kill(9).expect("kill");
        assert_eq!(created.wait(), 137);
        created.delete().expect("delete");
        shell(node, &image, "exit 1")
            .create()
            .expect("create")
            .delete()
            .expect("delete what was not started");
    });
}

#[test]
fn what_cannot_be_executed_fails_create_in_the_runtimes_words() {
    let node = Node::start();
    let image = busybox(&node);
    let refused = |args: &[&str]| {
        let refused = node.container(&image).args(args.iter().copied()).create().expect_err("nothing to run");
        refused.message().to_owned()
    };
    let message = refused(&["/bin/closed"]);
    assert!(
        message.contains("OCI runtime create failed: ") && message.contains("permission denied"),
        "{message}"
    );
    let message = refused(&["/bin/absent"]);
    assert!(message.contains("exec: \"/bin/absent\": no such file or directory"), "{message}");
    let nowhere =
        shell(&node, &image, "true").edit(|spec| spec["process"]["cwd"] = json!("/proc/self/nowhere"));
    let message = nowhere.create().expect_err("no such directory").message().to_owned();
    assert!(message.contains("OCI runtime create failed: ") && message.contains("nowhere"), "{message}");
    assert_eq!(shell(&node, &image, "exit 3").run().code, 3, "nothing of the failures is in the way");
}

#[test]
fn further_processes_have_streams_and_codes_of_their_own() {
    each(|node| {
        let image = busybox(node);
        let container = sleeper(node, &image);
        let sh = |script: &'static str| container.exec(["/bin/busybox", "sh", "-c", script]);
        let ended = sh("echo out; echo err >&2; exit 9").run();
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (9, "out\n", "err\n"));
        let mut cat = container.exec(["/bin/busybox", "cat"]).with_stdin().start().expect("start");
        cat.write("to cat\n");
        cat.stdout().wait_for("to cat");
        cat.close_stdin().expect("close");
        assert_eq!(cat.wait(), 0);
        cat.delete().expect("delete");
        let mut sleep = sh("echo on; /bin/busybox sleep 1000").start().expect("start");
        sleep.stdout().wait_for("on");
        assert!(container.pids().expect("pids").contains(&sleep.pid()));
        sleep.kill(9).expect("kill");
        assert_eq!(sleep.wait(), 137);
        sleep.delete().expect("delete");
        for (program, texts) in [
            ("/bin/absent", ["no such file or directory"; 2]),
            ("/bin/closed", ["permission denied", "not executable"]),
        ] {
            let refused = container.exec([program]).start().expect_err("nothing to run");
            assert!(refused.message().contains("OCI runtime exec failed: "), "{refused}");
            let said = refused.message().to_lowercase();
            assert!(texts.iter().any(|text| said.contains(text)), "{refused}");
        }
        let left = fs::read_dir(container.bundle()).expect("its bundle").flatten();
        let left: Vec<_> =
            left.filter(|entry| entry.file_name().to_string_lossy().starts_with("oci-")).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(container.state(), State::Running);
    });
}

#[test]
fn it_is_held_and_let_go_and_its_limits_change() {
    each(|node| {
        let image = busybox(node);
        let container = sleeper(node, &image);
        container.pause().expect("pause");
        assert_eq!(container.state(), State::Paused);
        container.resume().expect("resume");
        assert_eq!(container.state(), State::Running);
        container.update(&json!({"pids": {"limit": 17}})).expect("update");
        let limit = format!("{}/{}/pids.max", node.cgroup_parent(), container.id());
        let read = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"]
            .iter()
            .find_map(|root| fs::read_to_string(format!("{root}{limit}")).ok());
        assert_eq!(read.as_deref(), Some("17\n"));
        container.metrics().expect("figures");
    });
}

#[test]
fn outgrowing_its_memory_is_told() {
    let node = Node::start();
    let image = busybox(&node);
    let events = node.events();
    let draft = shell(&node, &image, "x=words; while :; do x=$x$x; done").memory(16 << 20);
    let id = draft.id().to_owned();
    assert_eq!(draft.run().code, 137);
    let _deleted = events.wait_for("delete", &id);
    assert_eq!(events.topics(&id), ["create", "start", "oom", "exit", "delete"]);
}

#[test]
fn what_it_leaves_in_the_hosts_pid_namespace_ends_with_it() {
    let node = Node::start();
    let image = busybox(&node);
    let script = "/bin/busybox sleep 1000 & (/bin/busybox true &) ; echo daemon; exit 4";
    let draft = shell(&node, &image, script).edit(|spec| {
        if let Some(namespaces) = spec["linux"]["namespaces"].as_array_mut() {
            namespaces.retain(|namespace| namespace["type"] != "pid");
        }
    });
    // It does not return before the output is closed, which the daemon has too.
    let ended = draft.run();
    assert_eq!((ended.code, ended.stdout.as_str()), (4, "daemon\n"));
}

#[test]
fn the_death_of_the_server_is_its_own() {
    each(|node| {
        let image = busybox(node);
        let events = node.events();
        let container = sleeper(node, &image);
        kill(server(&container));
        let exit = events.wait_for("exit", container.id()).exit().expect("an exit");
        assert_eq!(exit.exit_status, 137);
        until("its end", || (!Path::new("/proc").join(container.pid().to_string()).exists()).then_some(()));
        container.forget();
    });
}

#[test]
fn its_hooks_are_run_in_order() {
    let node = Node::start();
    let image = busybox(&node);
    let said = node.dir().join("hooks");
    let hook = |moment: &str| -> Value {
        let script = format!("echo {moment} >> {}", said.display());
        json!([{ "path": tool("busybox"), "args": ["busybox", "sh", "-c", script] }])
    };
    let moments = ["prestart", "createRuntime", "poststart", "poststop"];
    let draft = shell(&node, &image, "true").edit(|spec| {
        for moment in moments {
            spec["hooks"][moment] = hook(moment);
        }
    });
    assert_eq!(draft.run().code, 0);
    let said = fs::read_to_string(&said).expect("what they said");
    assert_eq!(said.lines().collect::<Vec<_>>(), moments);
}

#[test]
fn a_node_may_run_wasm_only() {
    let node = Node::configured("native.enabled = false");
    let refused = shell(&node, &busybox(&node), "true").create().expect_err("switched off");
    assert!(refused.message().contains("native.enabled"), "{refused}");
}

#[test]
fn a_runtime_that_is_not_there_or_says_nothing_is_named() {
    let node = Node::configured("native.runtime = \"/nowhere/crun\"");
    let refused = shell(&node, &busybox(&node), "true").create().expect_err("no runtime");
    for part in ["/nowhere/crun", "native.runtime", "pinnace.toml"] {
        assert!(refused.message().contains(part), "{part} in {refused}");
    }
    drop(node);
    let place = tempfile::tempdir().expect("a directory");
    let script = |name: &str, text: &str| {
        let file = place.path().join(name);
        fs::write(&file, text).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("set");
        file.display().to_string()
    };
    let silent = script("silent", "#!/bin/sh\ncase \"$*\" in *delete*) exit 0;; esac\nexit 3\n");
    let node = Node::configured(&format!("native.runtime = {silent:?}"));
    let refused = shell(&node, &busybox(&node), "true").create().expect_err("it only fails");
    assert!(refused.message().contains(&silent) && refused.message().contains("status 3"), "{refused}");
    drop(node);
    // A script around the real one.
    let around = script("around", &format!("#!/bin/sh\nexec {} \"$@\"\n", tool("runc").display()));
    let node = Node::configured(&format!("native.runtime = {around:?}"));
    assert_eq!(shell(&node, &busybox(&node), "exit 5").run().code, 5);
}
