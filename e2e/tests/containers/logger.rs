//! Output that goes to a program of the host's: `binary://` and `binary-v2://`.
//!
//! The loggers are shell scripts that a test writes beside its node, so that every turn of theirs can be read here.

use crate::guest;
use pinnace_conformance::guests;
use pinnace_e2e::{Container, Draft, Node, PINNACE, State, until, within};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Copies both streams to files, says that it is ready, and ends when they end.
const COPY: &str = "cat <&3 >$1.out & cat <&4 >$1.err & exec 3<&- 4<&-; echo >&5; exec 5>&-; wait";

/// Is ready and then does nothing whatever it is told.
const STUBBORN: &str = "trap '' TERM; echo $$ >$1.pid; echo >&5; exec 5>&-; while :; do sleep 0.1; done";

/// How long a test allows for what must not be waited for.
const PROMPT: Duration = Duration::from_secs(5);

/// A logger of this node, and what it is told to write to.
struct Logger {
    program: PathBuf,
    log: PathBuf,
}

impl Logger {
    fn new(node: &Node, script: &str) -> Self {
        let program = node.dir().join("logger.sh");
        fs::write(&program, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).expect("a script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("an executable");
        Self { program, log: node.dir().join("log") }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}?{}", self.program.display(), self.log.display())
    }

    fn read(&self, end: &str) -> Vec<u8> {
        fs::read(self.log.with_extension(end)).unwrap_or_default()
    }

    fn text(&self, end: &str) -> String {
        String::from_utf8_lossy(&self.read(end)).into_owned()
    }

    fn pid(&self) -> u32 {
        until("the logger's pid", || self.text("pid").trim().parse().ok())
    }
}

/// A guest that writes `count` blocks of 64 KiB to stdout and as many to stderr, in turns; each begins with the
/// number of the block. It ends with the first error of a write, or with 0.
fn chatter(count: u32) -> Vec<u8> {
    let text = format!(
        "(module
          (import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) (result i32)))
          (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
          (memory (export \"memory\") 2)
          (data (i32.const 60000) \"all hands on deck\\n\")
          (func $all (param $fd i32) (local $from i32) (local $error i32)
            (local.set $from (i32.const 65536))
            (loop $more
              (i32.store (i32.const 0) (local.get $from))
              (i32.store (i32.const 4) (i32.sub (i32.const 131072) (local.get $from)))
              (local.set $error
                (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
              (if (local.get $error) (then (call $exit (local.get $error))))
              (local.set $from (i32.add (local.get $from) (i32.load (i32.const 8))))
              (br_if $more (i32.lt_u (local.get $from) (i32.const 131072)))))
          (func (export \"_start\") (local $block i32)
            (memory.fill (i32.const 65536) (i32.const 46) (i32.const 65536))
            (loop $next
              (i32.store (i32.const 65536) (local.get $block))
              (call $all (i32.const 1))
              (call $all (i32.const 2))
              (local.set $block (i32.add (local.get $block) (i32.const 1)))
              (br_if $next (i32.lt_u (local.get $block) (i32.const {count}))))))"
    );
    wat::parse_str(text).expect("a module")
}

fn chattered(count: u32) -> Vec<u8> {
    let block = |number: u32| [&number.to_le_bytes()[..], &[b'.'; (64 << 10) - 4]].concat();
    (0..count).flat_map(block).collect()
}

fn gone(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
}

fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).expect("a pid"), signal).expect("kill");
}

fn refusal(draft: Draft<'_>) -> String {
    draft.create().expect_err("a Create that fails").message().to_owned()
}

/// Starts a container, and does what every client may do to it while its output is stuck.
fn everything_answers(container: &mut Container<'_>) {
    let begin = Instant::now();
    assert_eq!(container.state(), State::Running);
    assert_eq!(container.pids().expect("pids"), [container.pid()]);
    container.metrics().expect("metrics");
    container.kill(9).expect("kill");
    assert_eq!(container.wait(), 137);
    assert_eq!(container.state(), State::Stopped);
    assert!(begin.elapsed() < PROMPT, "{:?}", begin.elapsed());
}

#[test]
fn every_byte_of_both_streams_arrives() {
    let node = Node::start();
    let image = guest(&node, chatter(256));
    let expected = chattered(256);
    for scheme in ["binary", "binary-v2"] {
        let logger = Logger::new(&node, COPY);
        let ended = node.container(&image).output_to(&logger.url(scheme)).run();
        assert_eq!(ended.code, 0);
        assert!(logger.read("out") == expected, "{scheme}: {} bytes of stdout", logger.read("out").len());
        assert!(logger.read("err") == expected, "{scheme}: {} bytes of stderr", logger.read("err").len());
    }
}

#[test]
fn a_logger_knows_whose_output_it_takes_and_is_no_part_of_the_container() {
    let node = Node::start();
    let image = guest(&node, guests::echo_stdin_p1());
    let logger = Logger::new(&node, &format!("env >$1.env; echo $$ >$1.pid; {COPY}"));
    let draft = node.container(&image).with_stdin().output_to(&logger.url("binary"));
    let mut container = draft.create().expect("create");
    container.start().expect("start");
    let environment = logger.text("env");
    assert!(environment.contains(&format!("CONTAINER_ID={}\n", container.id())), "{environment}");
    assert!(environment.contains("CONTAINER_NAMESPACE="), "{environment}");
    assert!(!environment.contains("PINNACE_CONFIG"), "{environment}");
    let pid = logger.pid();
    assert!(!container.pids().expect("pids").contains(&pid));
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its cgroups");
    assert!(!groups.contains(container.id()), "{groups}");
    for kind in ["pid", "mnt", "net"] {
        let of = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace");
        assert_eq!(of(pid), of(std::process::id()), "{kind}");
    }
    container.write("through the pipe\n");
    container.close_stdin().expect("close");
    assert_eq!(container.wait(), 0);
    container.delete().expect("delete");
    assert!(gone(pid));
    assert_eq!((logger.text("out"), logger.text("err")), ("through the pipe\n".into(), String::new()));
}

#[test]
fn ctr_logs_by_it_too() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    let logger = Logger::new(&node, COPY);
    let id = node.id();
    let cgroup = format!("{}/{id}", node.cgroup_parent());
    let uri = logger.url("binary");
    let run =
        ["run", "--rm", "--runtime", PINNACE, "--cgroup", &cgroup, "--log-uri", &uri, image.name(), &id];
    let output = node.ctr().args(run).output().expect("start ctr");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((logger.text("out").as_str(), output.stdout.as_slice()), ("hello from wasm\n", &b""[..]));
}

#[test]
fn what_cannot_be_run_fails_create_and_leaves_nothing() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    let plain = node.dir().join("plain");
    fs::write(&plain, "words").expect("a file");
    let refused = |url: &str| refusal(node.container(&image).output_to(url));
    let message = refused("binary:///no/such/logger?a=b");
    assert!(message.contains("/no/such/logger") && message.contains("No such file"), "{message}");
    let message = refused(&format!("binary://{}", plain.display()));
    assert!(message.contains("plain") && message.contains("Permission denied"), "{message}");
    assert!(refused("binary://logger?a=b").contains("absolute path"));
    assert!(refused("binary:///bin/true?a=%zz").contains("a=%zz"));
    let message = refused("binary-v2:///bin/true");
    assert!(message.contains("/bin/true") && message.contains("binary-v2"), "{message}");
    assert_eq!(node.container(&image).run().code, 0);
}

#[test]
fn one_that_never_gets_ready_fails_create_in_time() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    // It holds its end of the ready pipe, and says nothing.
    let logger = Logger::new(&node, "echo $$ >$1.pid; trap '' TERM; while :; do sleep 0.1; done");
    for scheme in ["binary", "binary-v2"] {
        let begin = Instant::now();
        let message = refusal(node.container(&image).output_to(&logger.url(scheme)));
        assert!(message.contains("logger.sh") && message.contains("10 s"), "{message}");
        assert!(begin.elapsed() < Duration::from_secs(10) + PROMPT, "{:?}", begin.elapsed());
        let pid = logger.pid();
        until("its end", || gone(pid).then_some(()));
    }
}

#[test]
fn the_death_of_a_logger_is_an_error_to_the_guest_and_no_more() {
    let node = Node::start();
    node.expect_log("what it had not read is lost");
    let logger = Logger::new(&node, "echo $$ >$1.pid; echo >&5; exec 5>&-; exec head -c 1 <&3 >$1.out");
    let image = guest(&node, chatter(100_000));
    // EIO, as WASI numbers it and Wasmtime tells it: an error of the write, not a death of the engine by SIGPIPE.
    const EIO: u32 = 29;
    let ended = node.container(&image).output_to(&logger.url("binary")).run();
    assert_eq!(ended.code, EIO);
    let stubborn = Logger::new(&node, STUBBORN);
    let mut container = node.container(&image).output_to(&stubborn.url("binary")).create().expect("create");
    container.start().expect("start");
    kill(stubborn.pid(), Signal::KILL);
    assert_eq!(container.wait(), EIO);
    container.delete().expect("delete");
    // One that was dead before the guest began, which the older scheme allows.
    let dead = Logger::new(&node, "exit 3");
    assert_eq!(node.container(&image).output_to(&dead.url("binary")).run().code, EIO);
}

#[test]
fn a_logger_that_reads_nothing_stops_its_guest_and_nobody_else() {
    let node = Node::start();
    let image = guest(&node, chatter(100_000));
    let logger = Logger::new(&node, STUBBORN);
    let mut container = node.container(&image).output_to(&logger.url("binary-v2")).create().expect("create");
    container.start().expect("start");
    let wait = container.watch();
    assert!(wait.recv_timeout(Duration::from_millis(500)).is_err(), "the guest waits");
    everything_answers(&mut container);
    assert!(within(PROMPT, || wait.try_recv().ok()).is_some(), "its exit is not the logger's matter");
    let begin = Instant::now();
    assert_eq!(container.delete().expect("delete"), 137);
    // As long as containerd's own shim gives: 12 s from Delete to SIGKILL.
    assert!(begin.elapsed() > Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(12) + PROMPT, "{:?}", begin.elapsed());
    assert!(gone(logger.pid()), "no logger outlives Delete");
}

#[test]
fn a_logger_that_waits_for_its_order_to_end_gets_it() {
    let node = Node::start();
    let image = guest(&node, guests::hello_p1());
    let logger = Logger::new(
        &node,
        "trap 'cat <&3 >$1.out; exit 0' TERM; echo >&5; exec 5>&-; while :; do sleep 0.1 3<&-; done",
    );
    let begin = Instant::now();
    assert_eq!(node.container(&image).output_to(&logger.url("binary")).run().code, 0);
    assert!(begin.elapsed() < Duration::from_secs(2) + PROMPT, "{:?}", begin.elapsed());
    assert_eq!(logger.text("out"), "hello from wasm\n");
}

#[test]
fn a_restart_of_containerd_is_nothing_to_a_logger() {
    let node = Node::start();
    let image = guest(&node, guests::echo_stdin_p1());
    let logger = Logger::new(&node, COPY);
    let draft = node.container(&image).with_stdin().output_to(&logger.url("binary"));
    let mut container = draft.create().expect("create");
    container.start().expect("start");
    container.write("before\n");
    until("the first line", || (logger.text("out") == "before\n").then_some(()));
    node.restart(Signal::KILL);
    container.write("after\n");
    container.close_stdin().expect("close");
    assert_eq!(container.wait(), 0);
    container.delete().expect("delete");
    assert_eq!(logger.text("out"), "before\nafter\n");
}

#[test]
fn the_death_of_the_server_is_the_loggers_too() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let logger = Logger::new(&node, STUBBORN);
    let events = node.events();
    let container = node.container(&image).output_to(&logger.url("binary")).create().expect("create");
    container.start().expect("start");
    let pid = logger.pid();
    kill(container.cost().first().expect("a server").pid, Signal::KILL);
    until("the logger's end", || gone(pid).then_some(()));
    let _deleted = events.wait_for("exit", container.id());
    container.forget();
}
