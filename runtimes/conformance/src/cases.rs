//! The cases, one function each: a guest, its setting, and what must come of it.
//!
//! Every function takes an engine's programs and panics where the engine does otherwise. `suite!` makes a
//! test of each; one that the macro does not name fails `every_case_is_in_the_suite`.

use crate::{Artifact, Ended, Programs, Running, Setting, guests};
use pinnace_plan::{ExitCause, Kind};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Makes a test of every case. Takes the name of a function that gives the engine's [`Programs`].
#[macro_export]
macro_rules! suite {
    ($programs:path) => {
        $crate::suite!(@ $programs:
            hello_of_both_worlds arguments_and_environment exit_codes trap_with_names trap_in_a_component traps_of_the_processor
            growth_refused_then_trap growth_refused_and_coped_with no_limit_is_no_limit
            initial_memory_above_the_limit reads_a_file writes_a_file write_to_a_read_only_root
            missing_file missing_import no_start a_function_by_name an_unknown_function
            a_function_of_a_component stdin_to_its_end stdin_that_waits a_terminal_is_known_as_one
            a_key_of_its_terminal_ends_it busy_loop_ends_at_once sleeping_guests_end_at_once
            one_thread_while_asleep closed_stdout_is_no_signal garbage_artifact refused_inputs
            names_from_the_containers_files names_that_nobody_knows
        );
    };
    (@ $programs:path: $($case:ident)*) => {
        $(#[test] fn $case() { $crate::cases::$case(&$programs()); })*
    };
}

fn compiled(programs: &Programs, wasm: &[u8]) -> Artifact {
    programs.compile("/app.wasm", wasm).expect("the compile program runs").expect("compiles")
}

fn started(programs: &Programs, wasm: &[u8], setting: &Setting<'_>) -> Running {
    programs.start(&compiled(programs, wasm), setting).expect("the runner runs").expect("starts")
}

fn ended(programs: &Programs, wasm: &[u8], setting: &Setting<'_>) -> Ended {
    started(programs, wasm, setting).wait().expect("ends")
}

fn refused(programs: &Programs, wasm: &[u8], setting: &Setting<'_>) -> String {
    let started = programs.start(&compiled(programs, wasm), setting).expect("the runner runs");
    let message = started.expect_err("must not start");
    assert!(message.contains("/app.wasm"), "names no file: {message}");
    message
}

#[track_caller]
fn exited(ended: &Ended, code: u8) {
    assert_eq!(ended.cause, Some(ExitCause::Exited { code }), "{ended:?}");
    assert_eq!(ended.code, i32::from(code), "{ended:?}");
}

/// Both worlds print.
pub fn hello_of_both_worlds(programs: &Programs) {
    for guest in [guests::hello_p1(), guests::hello_p2()] {
        let ended = ended(programs, &guest, &Setting::default());
        exited(&ended, 0);
        assert_eq!(ended.stdout, "hello from wasm\n");
        assert_eq!(ended.stderr, "");
    }
}

/// Arguments and environment arrive whole and in order; a core module finds its directory in `PWD`.
pub fn arguments_and_environment(programs: &Programs) {
    let setting = Setting {
        args: &["app.wasm", "", "two words", "ü"],
        env: &[("A", "1"), ("B", "x=y")],
        ..Setting::default()
    };
    let module = ended(programs, &guests::args_env_p1(), &setting);
    assert_eq!(module.stdout, "app.wasm\n\ntwo words\nü\nA=1\nB=x=y\nPWD=/\n");
    let component = ended(programs, &guests::args_env_p2(), &setting);
    assert_eq!(component.stdout, "app.wasm\n\ntwo words\nü\nA=1\nB=x=y\n");
}

/// The guest's code is the process's, all of them.
pub fn exit_codes(programs: &Programs) {
    for code in [0, 1, 42, 125, 126, 134, 137, 255] {
        exited(&ended(programs, &guests::exit_code(code), &Setting::default()), code);
    }
    for code in [0, 1] {
        let guest = guests::component(&guests::exit_code(code));
        exited(&ended(programs, &guest, &Setting::default()), code);
    }
}

#[track_caller]
fn trapped(ended: &Ended) {
    assert_eq!(ended.cause, Some(ExitCause::Trapped), "{ended:?}");
    assert_eq!(ended.code, 134, "{ended:?}");
    for name in ["open_the_valve", "start_the_pump", "main", "unreachable"] {
        assert!(ended.stderr.contains(name), "no {name} in: {}", ended.stderr);
    }
}

/// A trap is 134, and its backtrace has names.
pub fn trap_with_names(programs: &Programs) {
    trapped(&ended(programs, &guests::trap_p1(), &Setting::default()));
}

/// In a component too.
pub fn trap_in_a_component(programs: &Programs) {
    trapped(&ended(programs, &guests::trap_p2(), &Setting::default()));
}

/// A fault of guest code is a trap, though every signal ends the process otherwise.
pub fn traps_of_the_processor(programs: &Programs) {
    for (guest, function) in
        [(guests::out_of_bounds_p1(), "read_the_horizon"), (guests::overflow_p1(), "dig_deeper")]
    {
        let ended = ended(programs, &guest, &Setting::default());
        assert_eq!(ended.cause, Some(ExitCause::Trapped), "{ended:?}");
        assert_eq!(ended.code, 134, "{ended:?}");
        assert!(ended.stderr.contains(function), "no {function} in: {}", ended.stderr);
    }
}

/// A guest that dies of a refused growth is out of memory, and its user learns of which limit.
pub fn growth_refused_then_trap(programs: &Programs) {
    let limit = 64 << 20;
    for guest in [guests::grow_p1(), guests::component(&guests::grow_p1())] {
        let ended = ended(programs, &guest, &Setting { limit: Some("67108864"), ..Setting::default() });
        assert_eq!(ended.cause, Some(ExitCause::OutOfMemory { limit }), "{ended:?}");
        assert_eq!(ended.code, 137);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(ended.stderr.contains("67108864"), "{}", ended.stderr);
    }
}

/// One that copes goes on.
pub fn growth_refused_and_coped_with(programs: &Programs) {
    let setting = Setting { limit: Some("67108864"), ..Setting::default() };
    let ended = ended(programs, &guests::grow_cope_p1(), &setting);
    exited(&ended, 0);
    assert_eq!(ended.stdout, "coped\n");
}

/// Every way a kernel writes "no limit" is none.
pub fn no_limit_is_no_limit(programs: &Programs) {
    for limit in ["max", "9223372036854771712"] {
        let setting = Setting { limit: Some(limit), ..Setting::default() };
        exited(&ended(programs, &guests::big_initial_p1(4096), &setting), 0);
    }
}

/// A guest that starts above the ceiling is not started, and told what it needs.
pub fn initial_memory_above_the_limit(programs: &Programs) {
    let setting = Setting { limit: Some("67108864"), ..Setting::default() };
    for guest in [guests::big_initial_p1(2048), guests::component(&guests::big_initial_p1(2048))] {
        let message = refused(programs, &guest, &setting);
        // A component's own tables come on top.
        assert!(message.contains("needs 1342177") && message.contains("67108864"), "{message}");
    }
    exited(&ended(programs, &guests::big_initial_p1(512), &setting), 0);
}

/// The root's files are the guest's.
pub fn reads_a_file(programs: &Programs) {
    let setting = Setting {
        args: &["app.wasm", "/etc/motd"],
        files: &[("/etc/motd", b"welcome aboard\n")],
        ..Setting::default()
    };
    for guest in [guests::cat_file_p1(), guests::component(&guests::cat_file_p1())] {
        let ended = ended(programs, &guest, &setting);
        exited(&ended, 0);
        assert_eq!(ended.stdout, "welcome aboard\n");
    }
}

/// A writable root can be written by who owns it.
pub fn writes_a_file(programs: &Programs) {
    let setting = Setting { args: &["app.wasm", "/new"], uid: 0, ..Setting::default() };
    let ended = ended(programs, &guests::write_file_p1(), &setting);
    exited(&ended, 0);
    assert_eq!(ended.read_file("/new").expect("the file is there"), b"written by wasm\n");
}

/// A read-only one cannot, and the guest is told so.
pub fn write_to_a_read_only_root(programs: &Programs) {
    let setting = Setting { args: &["app.wasm", "/new"], uid: 0, writable: false, ..Setting::default() };
    let ended = ended(programs, &guests::write_file_p1(), &setting);
    assert_ne!(ended.code, 0, "{ended:?}");
    assert!(ended.read_file("/new").is_err());
}

/// A file that is not there is `noent` (44) to the guest.
pub fn missing_file(programs: &Programs) {
    let setting = Setting { args: &["app.wasm", "/nowhere"], ..Setting::default() };
    exited(&ended(programs, &guests::cat_file_p1(), &setting), 44);
}

/// An import nobody has is named.
pub fn missing_import(programs: &Programs) {
    let message = refused(programs, &guests::missing_import_p1(), &Setting::default());
    assert!(message.contains("company") && message.contains("secret_sauce"), "{message}");
    let message = refused(programs, &guests::missing_import_p2(), &Setting::default());
    assert!(message.contains("company:secret/sauce"), "{message}");
}

/// A module without `_start` is no command.
pub fn no_start(programs: &Programs) {
    let message = refused(programs, &guests::function_export_p1(), &Setting::default());
    assert!(message.contains("_start"), "{message}");
}

/// But its exports can be called by name.
pub fn a_function_by_name(programs: &Programs) {
    let setting = Setting { function: Some("greet"), ..Setting::default() };
    let ended = ended(programs, &guests::function_export_p1(), &setting);
    exited(&ended, 0);
    assert_eq!(ended.stdout, "greetings\n");
}

/// If they are there.
pub fn an_unknown_function(programs: &Programs) {
    let setting = Setting { function: Some("farewell"), ..Setting::default() };
    let message = refused(programs, &guests::function_export_p1(), &setting);
    assert!(message.contains("farewell"), "{message}");
}

/// A component has one way in.
pub fn a_function_of_a_component(programs: &Programs) {
    let setting = Setting { function: Some("greet"), ..Setting::default() };
    let message = refused(programs, &guests::hello_p2(), &setting);
    assert!(message.contains("greet"), "{message}");
}

/// stdin arrives whole and ends.
pub fn stdin_to_its_end(programs: &Programs) {
    let text = "all of it, ".repeat(2000);
    let setting = Setting { stdin: text.as_bytes(), ..Setting::default() };
    for guest in [guests::echo_stdin_p1(), guests::echo_stdin_p2()] {
        let ended = ended(programs, &guest, &setting);
        exited(&ended, 0);
        assert_eq!(ended.stdout, text);
    }
}

/// A guest waits for its stdin without a thread, gets each word as it comes, and ends at once.
pub fn stdin_that_waits(programs: &Programs) {
    let setting = Setting { stdin_stays_open: true, ..Setting::default() };
    for guest in [guests::echo_stdin_p1(), guests::echo_stdin_p2()] {
        let mut running = started(programs, &guest, &setting);
        for word in ["one\n", "two\n"] {
            // Long enough for the guest to run out of input.
            std::thread::sleep(Duration::from_millis(30));
            running.write_stdin(word.as_bytes()).expect("it reads");
            assert_eq!(running.read_stdout(word.len()).expect("it answers"), word);
        }
        assert_eq!(threads(&running), 1);
        ends_at_once(running);
    }
}

/// A guest learns that its streams are a terminal, or that they are none; reads by lines, and meets the end that its
/// user types.
pub fn a_terminal_is_known_as_one(programs: &Programs) {
    for guest in [guests::terminal_p1(), guests::terminal_p2()] {
        let setting = Setting { terminal: true, stdin_stays_open: true, ..Setting::default() };
        let mut running = started(programs, &guest, &setting);
        assert_eq!(running.read_stdout(5).expect("speaks"), "yyy\r\n");
        for typed in ["part of ", "a line\n"] {
            // Long enough for the guest to read a part, if it could.
            std::thread::sleep(Duration::from_millis(30));
            running.write_stdin(typed.as_bytes()).expect("typed");
        }
        assert_eq!(running.read_stdout(32).expect("speaks"), "part of a line\r\npart of a line\r\n");
        assert_eq!(threads(&running), 1);
        running.write_stdin(b"\x04").expect("typed");
        exited(&running.wait().expect("ends"), 0);
        let piped = ended(programs, &guest, &Setting { stdin: b"in", ..Setting::default() });
        assert_eq!(piped.stdout, "nnn\nin");
    }
}

/// The keys that end a process end a guest, whatever it does.
pub fn a_key_of_its_terminal_ends_it(programs: &Programs) {
    let setting = Setting { terminal: true, stdin_stays_open: true, ..Setting::default() };
    for (guest, key, code) in [(guests::busy_p1(), b"\x03", 130), (guests::sleep_p2(), b"\x1c", 131)] {
        let mut running = started(programs, &guest, &setting);
        assert_eq!(running.read_stdout(7).expect("speaks"), "ready\r\n");
        running.write_stdin(key).expect("typed");
        assert_eq!(running.wait().expect("ends").code, code);
    }
}

fn threads(running: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", running.pid())).expect("it lives").count()
}

#[track_caller]
fn ends_at_once(running: Running) {
    running.signal(Signal::TERM).expect("it lives");
    let asked = Instant::now();
    let ended = running.wait().expect("ends");
    let took = asked.elapsed();
    assert_eq!(ended.code, 143, "{ended:?}");
    assert!(took < Duration::from_millis(100), "took {took:?}");
}

/// A signal ends a guest that never calls the host, though it is process 1.
pub fn busy_loop_ends_at_once(programs: &Programs) {
    let mut running = started(programs, &guests::busy_p1(), &Setting::default());
    assert_eq!(running.read_stdout(6).expect("speaks"), "ready\n");
    ends_at_once(running);
}

/// And one that waits in the host.
pub fn sleeping_guests_end_at_once(programs: &Programs) {
    for guest in [guests::sleep_p1(), guests::sleep_p2()] {
        let mut running = started(programs, &guest, &Setting::default());
        assert_eq!(running.read_stdout(6).expect("speaks"), "ready\n");
        ends_at_once(running);
    }
}

/// A container is one thread, as long as its guest does not ask for what takes another.
pub fn one_thread_while_asleep(programs: &Programs) {
    for guest in [guests::sleep_p1(), guests::sleep_p2()] {
        let mut running = started(programs, &guest, &Setting::default());
        running.read_stdout(6).expect("speaks");
        assert_eq!(threads(&running), 1);
        running.signal(Signal::TERM).expect("it lives");
        running.wait().expect("ends");
    }
}

/// Nobody reading is an error to the guest, not its death.
pub fn closed_stdout_is_no_signal(programs: &Programs) {
    let mut running = started(programs, &guests::late_word_p1(), &Setting::default());
    running.close_stdout();
    exited(&running.wait().expect("ends"), 1);
}

/// What is no artifact of the compiler's is refused, not run.
pub fn garbage_artifact(programs: &Programs) {
    for kind in [Kind::Module, Kind::Component] {
        let mut garbage = tempfile::tempfile().expect("a file");
        std::io::Write::write_all(&mut garbage, &[0x7f; 8192]).expect("written");
        let artifact = Artifact { file: garbage, kind };
        let message = programs
            .start(&artifact, &Setting::default())
            .expect("the runner runs")
            .expect_err("must not start");
        assert!(message.contains("/app.wasm") && message.contains("cache"), "{message}");
    }
}

/// What cannot be compiled is refused by name, whatever it is.
pub fn refused_inputs(programs: &Programs) {
    let hello = guests::hello_p1();
    let inputs: [&[u8]; 6] =
        [b"", b"#!/bin/sh\necho", b"\x7fELF\x02\x01\x01", b"(module", &hello[..hello.len() - 3], &[0; 64]];
    for input in inputs {
        let message = programs.compile("/app.wasm", input).expect("the compile program runs");
        let message = message.expect_err("must not compile");
        assert!(message.contains("/app.wasm"), "names no file: {message}");
    }
}

/// Names come from the container's own files; the libc is not asked, whatever its configuration says.
pub fn names_from_the_containers_files(programs: &Programs) {
    let setting = Setting {
        files: &[
            ("/etc/hosts", b"10.9.8.7 db db.test\n"),
            ("/etc/nsswitch.conf", b"hosts: hostile\n"),
            ("/lib/x86_64-linux-gnu/libnss_hostile.so.2", b"not even a library"),
        ],
        ..Setting::default()
    };
    for name in ["db", "db.test"] {
        exited(&ended(programs, &guests::lookup_p2(name), &setting), 7);
    }
    exited(&ended(programs, &guests::lookup_p2("localhost"), &setting), 1);
    exited(&ended(programs, &guests::lookup_p2("192.0.2.33"), &setting), 33);
}

/// A name that cannot be looked up is `name-unresolvable` (18) to the guest, at once.
pub fn names_that_nobody_knows(programs: &Programs) {
    exited(&ended(programs, &guests::lookup_p2("nowhere.test"), &Setting::default()), 118);
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_is_in_the_suite() {
        let source = include_str!("cases.rs");
        let (_, rest) = source.split_once("$crate::suite!(@ $programs:").expect("the macro's list");
        let (list, _) = rest.split_once(");").expect("the end of the list");
        let listed: Vec<&str> = list.split_whitespace().collect();
        let cases = source
            .lines()
            .filter_map(|line| line.strip_prefix("pub fn ")?.strip_suffix("(programs: &Programs) {"));
        let missing: Vec<&str> = cases.filter(|case| !listed.contains(case)).collect();
        assert!(missing.is_empty(), "not in the suite: {missing:?}");
        assert!(listed.len() > 25, "{listed:?}");
    }
}
