//! With `/bin/sh` as the compile program: it has the descriptors a compiler has.

use super::*;
use crate::store::tests::{Scratch, cache};
use pinnace_plan::{Failure, Kind, compile::Outcome, encode_record};
use std::{
    ffi::CString,
    fmt::Write,
    fs::File,
    io::Read,
    os::fd::AsFd,
    path::Path,
    process::Command,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// A shell command that sends an outcome as one record.
fn say(outcome: &Outcome) -> String {
    let mut script = "printf '".to_owned();
    for byte in encode_record(outcome).unwrap() {
        let _ = write!(script, "\\{byte:03o}");
    }
    script + "' >&4"
}

fn compiled() -> String {
    say(&Outcome::Compiled { kind: Kind::Module })
}

/// Copies the input and says so.
fn copying() -> String {
    format!("cat <&5 >&6; {}", compiled())
}

struct Shell {
    program: File,
    args: Vec<CString>,
}

impl Shell {
    fn new(script: &str) -> Self {
        let args = ["pinnace-test-compile", "-c", script].map(|arg| CString::new(arg).unwrap()).to_vec();
        // The environment is empty, so the shell looks in its own default path.
        Self { program: File::open("/bin/sh").unwrap(), args }
    }

    fn compiler(&self) -> Compiler<'_> {
        Compiler {
            program: self.program.as_fd(),
            args: &self.args,
            memory_bytes: 1 << 30,
            cpus: 1,
            timeout: Duration::from_secs(20),
            concurrent: 2,
            waited_for: None,
            cgroup: None,
        }
    }
}

fn module(bytes: &[u8]) -> Input {
    Input::copy(bytes, 1 << 20, "/app.wasm").unwrap()
}

fn run(place: &Scratch, script: &str, bytes: &[u8]) -> Result<Artifact, CacheError> {
    let shell = Shell::new(script);
    obtain(&place.cache, "0123456789abcdef", &module(bytes), shell.compiler())
}

fn text(artifact: Artifact) -> String {
    let mut text = String::new();
    { artifact.file }.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_miss_compiles_and_a_hit_does_not() {
    let place = cache(u64::MAX);
    let artifact = run(&place, &copying(), b"module").unwrap();
    assert_eq!(artifact.kind, Kind::Module);
    assert_eq!(text(artifact), "module");
    assert_eq!(text(run(&place, "exit 9", b"module").unwrap()), "module");
    assert!(run(&place, "exit 9", b"another").is_err());
}

#[test]
fn a_verdict_is_told_as_it_is_and_nothing_is_stored() {
    let place = cache(u64::MAX);
    let failed = Outcome::Failed(Failure { message: "/app.wasm is not Wasm".into() });
    let error = run(&place, &format!("echo half >&6; {}", say(&failed)), b"x").expect_err("refused");
    assert_eq!(error.to_string(), "/app.wasm is not Wasm");
    assert!(place.cache.list().unwrap().is_empty());
    assert_eq!(text(run(&place, &copying(), b"x").unwrap()), "x");
}

#[test]
fn a_compiler_that_dies_lies_or_babbles_is_named() {
    let place = cache(u64::MAX);
    for (script, part) in [
        ("echo half >&6; kill -9 $$".to_owned(), "signal 9"),
        ("exit 3".to_owned(), "exit code 3"),
        ("exit 0".to_owned(), "without an answer"),
        (format!("{}; exit 4", compiled()), "exit code 4"),
        (compiled(), "it wrote nothing"),
        ("printf nonsense >&4; sleep 30".to_owned(), "answered nonsense"),
        (format!("cat <&5 >&6; {}; kill -11 $$", compiled()), "signal 11"),
    ] {
        let started = Instant::now();
        let message = run(&place, &script, b"x").expect_err(&script).to_string();
        assert!(message.contains("/app.wasm") && message.contains(part), "{script}: {message}");
        assert!(started.elapsed() < Duration::from_secs(5), "{script}");
        assert!(place.cache.list().unwrap().is_empty(), "{script}");
    }
}

#[test]
fn one_that_takes_too_long_is_killed() {
    let place = cache(u64::MAX);
    for script in
        ["while :; do :; done".to_owned(), format!("{}; sleep 60", copying()), "exec 4>&-; sleep 60".into()]
    {
        let shell = Shell::new(&script);
        let compiler = Compiler { timeout: Duration::from_millis(300), ..shell.compiler() };
        let started = Instant::now();
        let error = obtain(&place.cache, "0123456789abcdef", &module(b"x"), compiler).expect_err("too long");
        assert!(error.to_string().contains("compile.timeout_seconds"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    assert!(place.cache.list().unwrap().is_empty());
}

#[test]
fn a_program_that_cannot_be_executed_is_an_error() {
    let place = cache(u64::MAX);
    let program = File::open("/etc/passwd").unwrap();
    let shell = Shell::new("");
    let compiler = Compiler { program: program.as_fd(), ..shell.compiler() };
    let error = obtain(&place.cache, "0123456789abcdef", &module(b"x"), compiler).expect_err("no program");
    assert!(matches!(error, CacheError::Spawn { .. }), "{error}");
}

#[test]
fn the_compiler_has_its_descriptors_and_no_others() {
    let place = cache(u64::MAX);
    let script = format!(
        "exec >&6; cd /proc/self/fd; for fd in *; do [ -e $fd ] && echo $fd; done; env; {}",
        compiled()
    );
    let said = text(run(&place, &script, b"x").unwrap());
    let numbers: Vec<_> = said.lines().filter(|line| line.parse::<u32>().is_ok()).collect();
    assert_eq!(numbers, ["0", "1", "2", "3", "4", "5", "6", "7"], "{said}");
    // These a shell sets itself.
    let own = ["PWD=", "OLDPWD=", "SHLVL=", "_="];
    assert!(
        said.lines().all(|line| !line.contains('=') || own.iter().any(|name| line.starts_with(name))),
        "{said}"
    );
}

#[test]
fn threads_that_wait_for_one_key_share_one_compile_and_one_verdict() {
    let failed = say(&Outcome::Failed(Failure { message: "unknown world".into() }));
    for (script, fine) in [(copying(), true), (failed, false)] {
        let place = cache(u64::MAX);
        let count = place.temp.path().join("count");
        let script = format!("echo x >> {}; sleep 0.5; {script}", count.display());
        let barrier = Barrier::new(6);
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    barrier.wait();
                    let had = run(&place, &script, b"shared");
                    assert_eq!(had.is_ok(), fine, "{had:?}");
                    if let Err(error) = had {
                        assert_eq!(error.to_string(), "unknown world");
                    }
                });
            }
        });
        assert_eq!(std::fs::read_to_string(&count).unwrap().lines().count(), 1);
    }
}

#[test]
fn no_more_than_the_node_allows_run_at_once() {
    let place = cache(u64::MAX);
    let log = place.temp.path().join("log");
    let script = format!("echo + >> {0}; sleep 0.2; echo - >> {0}; {1}", log.display(), copying());
    thread::scope(|scope| {
        for byte in 0..5_u8 {
            let (place, script) = (&place, &script);
            scope.spawn(move || run(place, script, &[byte]).unwrap());
        }
    });
    let mut running = 0_i32;
    for line in std::fs::read_to_string(&log).unwrap().lines() {
        running += if line == "+" { 1 } else { -1 };
        assert!(running <= 2, "more than two at once");
    }
}

/// What the other process of the race does: this very test, told by its environment where the cache is.
#[test]
fn two_processes_that_race_for_one_key_compile_once() {
    const PLACE: &str = "PINNACE_TEST_RACE";
    let script =
        |root: &Path| format!("echo x >> {}; sleep 0.5; {}", root.join("count").display(), copying());
    if let Some(root) = std::env::var_os(PLACE) {
        let root = Path::new(&root);
        let cache = Cache::open(&root.join("lib/pinnace"), &root.join("run"), u64::MAX).unwrap();
        let shell = Shell::new(&script(root));
        let had = obtain(&cache, "0123456789abcdef", &module(b"raced"), shell.compiler()).unwrap();
        assert_eq!(text(had), "raced");
        return;
    }
    let place = cache(u64::MAX);
    let root = place.temp.path();
    let name = "obtain::tests::two_processes_that_race_for_one_key_compile_once";
    let racers: Vec<_> = (0..3)
        .map(|_| {
            let mut racer = Command::new(std::env::current_exe().unwrap());
            racer.args(["--exact", name, "--test-threads=1"]).env(PLACE, root).spawn().unwrap()
        })
        .collect();
    for mut racer in racers {
        assert!(racer.wait().unwrap().success());
    }
    assert_eq!(std::fs::read_to_string(root.join("count")).unwrap().lines().count(), 1);
}

#[test]
fn when_a_server_is_killed_its_compile_dies_and_the_next_one_compiles() {
    const PLACE: &str = "PINNACE_TEST_KILLED";
    if let Some(root) = std::env::var_os(PLACE) {
        let root = Path::new(&root);
        let cache = Cache::open(&root.join("lib/pinnace"), &root.join("run"), u64::MAX).unwrap();
        let shell = Shell::new(&format!("echo $$ > {}; exec sleep 600", root.join("pid").display()));
        let _ = obtain(&cache, "0123456789abcdef", &module(b"module"), shell.compiler());
        return;
    }
    let place = cache(u64::MAX);
    let root = place.temp.path();
    let name = "obtain::tests::when_a_server_is_killed_its_compile_dies_and_the_next_one_compiles";
    let mut server = Command::new(std::env::current_exe().unwrap());
    let mut server = server.args(["--exact", name, "--test-threads=1"]).env(PLACE, root).spawn().unwrap();
    let pid = loop {
        let pid = std::fs::read_to_string(root.join("pid")).unwrap_or_default();
        if pid.ends_with('\n') {
            break pid.trim().to_owned();
        }
        thread::sleep(Duration::from_millis(10));
    };
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(text(run(&place, &copying(), b"module").unwrap()), "module");
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

#[test]
fn an_artifact_that_does_not_fit_is_refused_however_it_comes() {
    for script in [
        "exec cat <&5 >&6".to_owned(),
        copying(),
        format!("cat <&5 >&6; {}", say(&Outcome::Failed(Failure { message: "cannot write".into() }))),
    ] {
        let place = cache(50);
        let message = run(&place, &script, &[b'x'; 100]).expect_err(&script).to_string();
        assert!(message.contains("/app.wasm does not fit the cache's 50 bytes"), "{script}: {message}");
        assert!(place.cache.list().unwrap().is_empty());
    }
}
