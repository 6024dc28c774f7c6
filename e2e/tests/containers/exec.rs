//! A Wasm module as another process of a Wasm container.

use crate::ready;
use pinnace_conformance::guests;
use pinnace_e2e::{Code, Container, Image, Node, State, cost, until};
use pinnace_oci::build;
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::Duration;

/// WASI's `noent`, with which guests end that do not find a file.
const NO_ENTRY: u32 = 44;

/// A guest that sleeps, and tools beside it.
fn toolbox(node: &Node) -> Image {
    let image = build::Image::rootfs()
        .file("/guest.wasm", guests::sleep_p1(), 0o755)
        .file("/tools/args.wasm", guests::args_env_p1(), 0o644)
        .file("/tools/args2.wasm", guests::args_env_p2(), 0o644)
        .file("/tools/cat.wasm", guests::cat_file_p1(), 0o644)
        .file("/tools/write.wasm", guests::write_file_p1(), 0o644)
        .file("/tools/echo.wasm", guests::echo_stdin_p1(), 0o644)
        .file("/tools/exit.wasm", guests::exit_code(42), 0o644)
        .file("/tools/sleep.wasm", guests::sleep_p1(), 0o644)
        .file("/tools/grow.wasm", guests::grow_cope_p1(), 0o644)
        .file("/tools/secret.wasm", guests::exit_code(0), 0o600)
        .file("/tools/text", b"no module".to_vec(), 0o755)
        .file("/bin/sh", b"\x7fELF native".to_vec(), 0o755)
        .entrypoint(["/guest.wasm"]);
    node.image(&image)
}

/// A path as the container's processes see it.
fn inside(container: &Container<'_>, path: &str) -> PathBuf {
    format!("/proc/{}/root{path}", container.pid()).into()
}

#[test]
fn a_module_of_the_root_runs_with_what_is_its_own() {
    let node = Node::start();
    let image = toolbox(&node);
    let container = ready(node.container(&image));
    assert_eq!(container.exec(["/tools/exit.wasm"]).run().code, 42);
    for tool in ["/tools/args.wasm", "/tools/args2.wasm"] {
        let ended = container
            .exec([tool, "one", "two words"])
            .edit(|process| {
                process["env"] = json!(["PATH=/bin", "COLOUR=blue"]);
                process["cwd"] = json!("/tools");
            })
            .run();
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        let lines: Vec<_> = ended.stdout.lines().collect();
        assert_eq!(lines[..3], [tool, "one", "two words"]);
        assert!(lines.contains(&"COLOUR=blue"), "{lines:?}");
    }
    let mut echo = container.exec(["/tools/echo.wasm"]).with_stdin().start().expect("start");
    assert_eq!(echo.process().expect("state").status(), State::Running);
    assert!(container.pids().expect("pids").contains(&echo.pid()));
    echo.write("over here\n");
    echo.stdout().wait_for("over here\n");
    echo.close_stdin().expect("close");
    assert_eq!(echo.wait(), 0);
    assert_eq!(echo.delete().expect("delete"), 0);
    assert_eq!(container.state(), State::Running);
}

#[test]
fn it_is_found_by_path_and_by_the_working_directory() {
    let node = Node::start();
    let image = toolbox(&node);
    let container = ready(node.container(&image));
    for (program, path, cwd) in
        [("exit.wasm", "/bin:/tools", "/"), ("exit.wasm", "/bin", "/tools"), ("./exit.wasm", "", "/tools")]
    {
        let ended = container
            .exec([program])
            .edit(|process| {
                process["env"] = json!([format!("PATH={path}")]);
                process["cwd"] = json!(cwd);
            })
            .run();
        assert_eq!(ended.code, 42, "{program} in {path} or {cwd}: {}", ended.stderr);
    }
}

#[test]
fn it_is_where_the_container_is() {
    let node = Node::start();
    let image = toolbox(&node);
    let container = ready(node.container(&image));
    let exec = container.exec(["/tools/sleep.wasm"]).start().expect("start");
    exec.stdout().wait_for("ready");
    for file in ["ns/mnt", "ns/net", "ns/ipc", "ns/uts", "ns/pid", "ns/user", "ns/cgroup"] {
        let link = |pid| fs::read_link(format!("/proc/{pid}/{file}")).expect(file);
        assert_eq!(link(exec.pid()), link(container.pid()), "{file}");
    }
    let text = |pid, file| fs::read_to_string(format!("/proc/{pid}/{file}")).expect(file);
    for file in ["cgroup", "mountinfo", "oom_score_adj"] {
        assert_eq!(text(exec.pid(), file), text(container.pid(), file), "{file}");
    }
    let status = text(exec.pid(), "status");
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{status}");
    }
    let root = |pid| {
        let root = fs::metadata(format!("/proc/{pid}/root/.")).expect("a root");
        (root.dev(), root.ino())
    };
    assert_eq!(root(exec.pid()), root(container.pid()));
    let open = fs::read_dir(format!("/proc/{}/fd", exec.pid())).expect("descriptors").count();
    let first = fs::read_dir(format!("/proc/{}/fd", container.pid())).expect("descriptors").count();
    assert_eq!(open, first, "as many descriptors as the container's own process has");
}

#[test]
fn files_are_the_container_s_and_nothing_is_the_host_s() {
    let node = Node::start();
    let image = toolbox(&node);
    let volume = node.dir().join("volume");
    fs::create_dir(&volume).expect("a directory");
    fs::write(volume.join("note"), "from the host\n").expect("a file");
    let container = ready(node.container(&image).bind(&volume, "/data", &["ro"]));
    assert_eq!(container.exec(["/tools/cat.wasm", "/data/note"]).run().stdout, "from the host\n");
    for path in ["/run/note", "/note"] {
        assert_eq!(container.exec(["/tools/write.wasm", path]).run().code, 0, "{path}");
        assert_eq!(container.exec(["/tools/cat.wasm", path]).run().stdout, "written by wasm\n", "{path}");
        assert_eq!(fs::read_to_string(inside(&container, path)).expect("a file"), "written by wasm\n");
    }
    assert_ne!(container.exec(["/tools/write.wasm", "/data/new"]).run().code, 0, "it is read-only");
    let outside = volume.join("note");
    for path in ["/proc/version", "/etc/passwd", outside.to_str().expect("UTF-8")] {
        assert_eq!(container.exec(["/tools/cat.wasm", path]).run().code, NO_ENTRY, "{path}");
    }
}

#[test]
fn a_module_that_was_written_later_is_run_as_it_is_now() {
    let node = Node::start();
    let image = toolbox(&node);
    let volume = node.dir().join("volume");
    fs::create_dir(&volume).expect("a directory");
    let container = ready(node.container(&image).bind(&volume, "/data", &[]));
    // A tmpfs, the writable layer, a volume.
    for directory in ["/run", "/tools", "/data"] {
        let path = format!("{directory}/made.wasm");
        for code in [3, 4, 5] {
            fs::write(inside(&container, &path), guests::exit_code(code)).expect("a module");
            assert_eq!(container.exec([path.as_str()]).run().code, u32::from(code), "{path}");
        }
    }
}

#[test]
fn it_is_the_user_that_is_asked_for() {
    let node = Node::start();
    let image = toolbox(&node);
    let container = ready(node.container(&image));
    let user = |uid: u32| json!({ "uid": uid, "gid": uid, "additionalGids": [7] });
    let exec = container
        .exec(["/tools/sleep.wasm"])
        .edit(|process| {
            process["user"] = user(1000);
            process["capabilities"] = json!({});
            process["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 77, "hard": 78 }]);
        })
        .start()
        .expect("start");
    exec.stdout().wait_for("ready");
    let status = fs::read_to_string(format!("/proc/{}/status", exec.pid())).expect("status");
    for line in ["Uid:\t1000\t1000\t1000\t1000", "Groups:\t7 ", "CapBnd:\t0000000000000000"] {
        assert!(status.contains(line), "{status}");
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", exec.pid())).expect("limits");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    assert!(files.contains(" 77 ") && files.contains(" 78 "), "{files}");
    // What only root can read, only root runs.
    assert_eq!(container.exec(["/tools/secret.wasm"]).run().code, 0);
    let refused = container
        .exec(["/tools/secret.wasm"])
        .edit(|process| {
            process["user"] = user(1000);
            process["capabilities"] = json!({});
        })
        .start()
        .expect_err("not readable");
    assert!(refused.message().contains("exec: \"/tools/secret.wasm\": permission denied"), "{refused}");
}

#[test]
fn what_cannot_be_run_is_told_in_the_words_of_runc() {
    let node = Node::start();
    let image = toolbox(&node);
    let container = ready(node.container(&image));
    fs::create_dir(inside(&container, "/run/directory")).expect("a directory");
    symlink(node.dir(), inside(&container, "/run/out")).expect("a link");
    fs::write(node.dir().join("outside.wasm"), guests::exit_code(0)).expect("a module");
    fs::write(inside(&container, "/run/cut.wasm"), &guests::hello_p1()[..20]).expect("half a module");
    for (program, words) in [
        ("psql.wasm", "exec: \"psql.wasm\": executable file not found in $PATH"),
        ("/tools/psql.wasm", "exec: \"/tools/psql.wasm\": stat /tools/psql.wasm: no such file or directory"),
        ("/run/out/outside.wasm", "stat /run/out/outside.wasm: no such file or directory"),
        ("/bin/sh", "exec: \"/bin/sh\": permission denied: /bin/sh is a native program"),
        ("sh", "exec: \"sh\": permission denied: /bin/sh is a native program"),
        ("/tools/text", "exec: \"/tools/text\": permission denied: /tools/text is not WebAssembly"),
        ("/run/directory", "exec: \"/run/directory\": permission denied: /run/directory is not a file"),
        ("/run/cut.wasm", "exec: \"/run/cut.wasm\": permission denied (exec format error): /run/cut.wasm"),
        ("", "name a .wasm file"),
    ] {
        let refused = container.exec([program]).start().expect_err(program);
        assert!(refused.message().contains(words), "{program}: {refused}");
    }
    let refused =
        container.exec(["/tools/exit.wasm"]).add_as(b"{\"args\":".to_vec()).expect_err("no process");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert_eq!(container.state(), State::Running);
    assert_eq!(container.pids().expect("pids"), [container.pid()], "nothing is left of them");
}

#[test]
fn the_container_s_own_layer_can_be_run_again() {
    let node = Node::start();
    let image = build::Image::rootfs()
        .file("/etc/x", b"x".to_vec(), 0o644)
        .wasm_layer(pinnace_oci::WasmMedia::Wasm, guests::sleep_p1())
        .entrypoint(["app"]);
    let container = ready(node.container(&node.image(&image)));
    let exec = container.exec(["app"]).start().expect("start");
    exec.stdout().wait_for("ready");
    let refused = container.exec(["other"]).start().expect_err("no such layer");
    assert!(refused.message().contains("executable file not found in $PATH"), "{refused}");
}

#[test]
fn a_layer_of_the_image_is_run_by_its_title() {
    let node = Node::start();
    let wasm = pinnace_oci::WasmMedia::Wasm;
    let image = build::Image::rootfs()
        .file("/guest.wasm", guests::sleep_p1(), 0o755)
        .wasm_layer(wasm, guests::exit_code(3))
        .title("three.wasm")
        .wasm_layer(wasm, guests::exit_code(4))
        .title("four.wasm")
        .wasm_layer(wasm, guests::exit_code(5))
        .entrypoint(["/guest.wasm"]);
    let container = ready(node.container(&node.image(&image)));
    for (title, code) in [("three.wasm", 3), ("four.wasm", 4)] {
        assert_eq!(container.exec([title]).run().code, code);
    }
    // A file comes before it.
    fs::write(inside(&container, "/three.wasm"), guests::exit_code(9)).expect("a module");
    assert_eq!(container.exec(["three.wasm"]).run().code, 9);
    for other in ["five.wasm", "/four.wasm"] {
        let refused = container.exec([other]).start().expect_err(other);
        assert!(refused.message().contains(&format!("exec: {other:?}")), "{refused}");
    }
}

#[test]
fn a_signal_ends_it_alone_and_the_container_s_end_ends_it_too() {
    let node = Node::start();
    let image = toolbox(&node);
    let events = node.events();
    let container = ready(node.container(&image));
    let sleeping = || {
        let exec = container.exec(["/tools/sleep.wasm"]).start().expect("start");
        exec.stdout().wait_for("ready");
        exec
    };
    let mut exec = sleeping();
    exec.kill(15).expect("kill");
    assert_eq!((exec.wait(), exec.delete().expect("delete")), (143, 143));
    assert_eq!(container.state(), State::Running);
    let mut exec = sleeping();
    container.kill(9).expect("kill");
    assert_eq!((container.wait(), exec.wait()), (137, 137));
    assert_eq!(exec.delete().expect("delete"), 137);
    let refused = container.exec(["/tools/exit.wasm"]).start().map(drop).expect_err("it has ended");
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let _exited = events.wait_for("exit", container.id());
    let topics = events.topics(container.id());
    assert_eq!(topics.last().map(String::as_str), Some("exit"), "{topics:?}");
}

#[test]
fn the_server_s_death_ends_it_and_its_own_is_nobody_else_s() {
    let node = Node::start();
    let image = toolbox(&node);
    let events = node.events();
    let container = ready(node.container(&image));
    let exec = container.exec(["/tools/sleep.wasm"]).start().expect("start");
    exec.stdout().wait_for("ready");
    kill(exec.pid());
    assert_eq!(exec.wait(), 137);
    assert_eq!(container.state(), State::Running);
    drop(exec);
    let exec = container.exec(["/tools/sleep.wasm"]).start().expect("start");
    exec.stdout().wait_for("ready");
    let (pid, server) = (exec.pid(), container.cost().first().expect("a server").pid);
    kill(server);
    until("the process' end", || (!fs::exists(format!("/proc/{pid}")).ok()?).then_some(()));
    let _deleted = events.wait_for("delete", container.id());
    drop(exec);
    container.forget();
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, Signal::KILL).expect("kill");
}

#[test]
fn it_lives_through_a_restart_of_containerd() {
    let node = Node::start();
    let image = toolbox(&node);
    let container = ready(node.container(&image));
    for signal in [Signal::TERM, Signal::KILL] {
        let mut exec = container.exec(["/tools/echo.wasm"]).with_stdin().start().expect("start");
        exec.write("before\n");
        exec.stdout().wait_for("before\n");
        node.restart(signal);
        exec.write("after\n");
        exec.stdout().wait_for("before\nafter\n");
        assert_eq!(exec.process().expect("state").status(), State::Running);
        exec.close_stdin().expect("close");
        assert_eq!((exec.wait(), exec.delete().expect("delete")), (0, 0));
    }
}

#[test]
fn fifty_at_once() {
    let node = Node::start();
    let image = toolbox(&node);
    let container = ready(node.container(&image));
    let mut all: Vec<_> =
        (0..50).map(|_| container.exec(["/tools/sleep.wasm"]).add().expect("add")).collect();
    let answers: Vec<_> = all.iter().map(pinnace_e2e::Exec::start_beside).collect();
    for (exec, answer) in all.iter().zip(answers) {
        let _pid = answer.recv().expect("an answer").expect("start");
        exec.stdout().wait_for("ready");
    }
    assert_eq!(container.pids().expect("pids").len(), 51);
    for exec in &all {
        exec.kill(15).expect("kill");
    }
    assert!(all.iter_mut().all(|exec| exec.wait() == 143 && exec.delete().is_ok()));
    until("the container alone", || (container.pids().ok()? == [container.pid()]).then_some(()));
    assert_eq!(cost::family(container.pid()).len(), 2, "the server and the engine");
}

#[test]
fn a_container_that_ends_meanwhile_leaves_nothing() {
    let node = Node::start();
    let image = toolbox(&node);
    for late in [0, 3, 6, 10, 15, 25] {
        let mut container = ready(node.container(&image));
        let execs: Vec<_> =
            (0..4).map(|_| container.exec(["/tools/sleep.wasm"]).add().expect("add")).collect();
        let answers: Vec<_> = execs.iter().map(pinnace_e2e::Exec::start_beside).collect();
        // Not for luck: every moment is fine, and these are some of them.
        std::thread::sleep(Duration::from_millis(late));
        container.kill(9).expect("kill");
        assert_eq!(container.wait(), 137);
        // Started or refused, but answered.
        answers.iter().for_each(|answer| drop(answer.recv().expect("an answer")));
        drop(execs);
        container.delete().expect("delete");
    }
}

#[test]
fn the_limit_of_memory_is_the_container_s() {
    let node = Node::start();
    let image = toolbox(&node);
    let container = ready(node.container(&image).memory(96 << 20));
    let ended = container.exec(["/tools/grow.wasm"]).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "coped\n"), "{}", ended.stderr);
    assert_eq!(container.state(), State::Running);
}

#[test]
fn in_a_user_namespace_it_is_the_container_s_root() {
    let node = Node::start();
    let image = toolbox(&node);
    let maps = json!([{ "containerID": 0, "hostID": 200_000, "size": 65536 }]);
    let container = ready(node.container(&image).edit(|spec| {
        if let Some(list) = spec["linux"]["namespaces"].as_array_mut() {
            list.push(json!({ "type": "user" }));
        }
        spec["linux"]["uidMappings"] = maps.clone();
        spec["linux"]["gidMappings"] = maps;
    }));
    let exec = container.exec(["/tools/sleep.wasm"]).start().expect("start");
    exec.stdout().wait_for("ready");
    let user = |pid| fs::read_link(format!("/proc/{pid}/ns/user")).expect("a namespace");
    assert_eq!(user(exec.pid()), user(container.pid()));
    let status = fs::read_to_string(format!("/proc/{}/status", exec.pid())).expect("status");
    assert!(status.contains("Uid:\t200000\t200000\t200000\t200000"), "{status}");
    assert_eq!(container.exec(["/tools/write.wasm", "/run/note"]).run().code, 0);
    let note = fs::metadata(inside(&container, "/run/note")).expect("a file");
    assert_eq!((note.uid(), note.permissions().mode() & 0o777), (200_000, 0o644));
    let refused = container
        .exec(["/tools/exit.wasm"])
        .edit(|process| process["user"] = json!({ "uid": 70_000, "gid": 0 }))
        .start()
        .expect_err("not mapped");
    assert!(refused.message().contains("process.user.uid is 70000"), "{refused}");
}
