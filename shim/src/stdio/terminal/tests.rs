//! Terminals between fake FIFOs: the process and the client are threads, and block as theirs do.

use super::super::{Owner, Request, Stdio, StdioError};
use crate::process::Process;
use pinnace_spawn::{Birth, Join, Namespaces};
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::termios::{OptionalActions, OutputModes, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

const OWNER: Owner<'static> = Owner { namespace: "tests", id: "container" };

/// What must not be waited for.
const PROMPT: Duration = Duration::from_secs(5);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    timeout(Duration::from_secs(60), spawn_blocking(work)).await.expect("in time").expect("no panic")
}

fn fifos() -> (TempDir, Request) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| {
        let path = directory.path().join(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
        path.display().to_string()
    };
    let request = Request { stdin: path("in"), stdout: path("out"), stderr: String::new(), terminal: true };
    (directory, request)
}

/// Streams whose client came in time, and may have gone again.
fn opened(request: &Request, open: fn(&Request, Owner<'static>) -> Result<Stdio, StdioError>) -> Stdio {
    let _client = request.stdout.starts_with('/').then(|| reader(&request.stdout));
    open(request, OWNER).expect("opens")
}

/// The process' side.
fn slave(stdio: &mut Stdio) -> File {
    let slave = stdio.child_fds()[0].try_clone_to_owned().expect("a copy");
    stdio.release_child_ends();
    assert!(isatty(&slave));
    File::from(slave)
}

/// Has nothing added to what the process writes.
fn plain(slave: &File) {
    let mut modes = tcgetattr(slave).expect("modes");
    modes.output_modes.remove(OutputModes::OPOST);
    tcsetattr(slave, OptionalActions::Now, &modes).expect("set");
}

/// A client's end, which blocks once it is open.
fn reader(path: &str) -> File {
    let fd = open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).expect("opens");
    let flags = fcntl_getfl(&fd).expect("flags");
    fcntl_setfl(&fd, flags - OFlags::NONBLOCK).expect("blocks");
    File::from(fd)
}

fn writer(path: &str) -> File {
    File::options().write(true).open(path).expect("opens")
}

async fn next(client: &File, length: usize) -> String {
    let mut client = client.try_clone().expect("a copy");
    blocking(move || {
        let mut bytes = vec![0; length];
        client.read_exact(&mut bytes).expect("reads");
        String::from_utf8(bytes).expect("text")
    })
    .await
}

async fn rest(mut client: File) -> Vec<u8> {
    blocking(move || {
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).expect("reads");
        bytes
    })
    .await
}

/// One read of the process': a line, or nothing at the end of its input.
async fn line(slave: &File) -> String {
    let mut slave = slave.try_clone().expect("a copy");
    blocking(move || {
        let mut bytes = [0; 4096];
        let length = slave.read(&mut bytes).expect("reads");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    })
    .await
}

/// A flood that anybody can check.
fn flood(length: usize) -> Vec<u8> {
    (0..length / 8)
        .flat_map(|number| (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect()
}

#[test]
fn what_is_typed_is_echoed_and_read_by_lines() {
    let (_directory, request) = fifos();
    block_on(async {
        let mut stdio = opened(&request, Stdio::open);
        let mut slave = slave(&mut stdio);
        let (mut keyboard, screen) = (writer(&request.stdin), reader(&request.stdout));
        keyboard.write_all(b"ahx\x7foy\n").expect("types");
        assert_eq!(line(&slave).await, "ahoy\n");
        assert_eq!(next(&screen, 10).await, "ahx\x08 \x08oy\r\n");
        slave.write_all(b"aye\n").expect("writes");
        assert_eq!(next(&screen, 5).await, "aye\r\n");
        keyboard.write_all(b"\x04").expect("types");
        assert_eq!(line(&slave).await, "");
        drop(slave);
        drop(stdio.finish());
    });
}

#[test]
fn the_end_of_the_input_is_its_key() {
    for (typed, lines) in [("", &[""][..]), ("line\n", &["line\n", ""]), ("part", &["part", ""])] {
        let (_directory, request) = fifos();
        block_on(async {
            let mut stdio = opened(&request, Stdio::open);
            let slave = slave(&mut stdio);
            let mut keyboard = writer(&request.stdin);
            keyboard.write_all(typed.as_bytes()).expect("types");
            drop(keyboard);
            stdio.close_stdin();
            for expected in lines {
                assert_eq!(line(&slave).await, *expected);
            }
        });
    }
}

#[test]
fn a_client_that_goes_and_comes_finds_everything() {
    let (_directory, request) = fifos();
    block_on(async {
        let mut stdio = opened(&request, Stdio::open);
        let mut slave = slave(&mut stdio);
        slave.write_all(b"early").expect("writes");
        for said in ["first", "again", "later"] {
            let (mut keyboard, screen) = (writer(&request.stdin), reader(&request.stdout));
            assert_eq!(next(&screen, 5).await, if said == "first" { "early" } else { "while" });
            keyboard.write_all(format!("{said}\n").as_bytes()).expect("types");
            assert_eq!(line(&slave).await, format!("{said}\n"));
            assert_eq!(next(&screen, 7).await, format!("{said}\r\n"));
            drop((keyboard, screen));
            slave.write_all(b"while").expect("writes");
        }
        drop(slave);
        let tail = stdio.finish();
        assert_eq!(rest(reader(&request.stdout)).await, b"while");
        timeout(PROMPT, tail.stop()).await.expect("in time").expect_err("closed");
    });
}

#[test]
fn a_flood_arrives_whole_and_what_reads_slowly_holds_up_nobody() {
    let (_directory, request) = fifos();
    let expected = flood(8 << 20);
    block_on(async {
        let mut stdio = opened(&request, Stdio::open);
        let mut slave = slave(&mut stdio);
        plain(&slave);
        let flood = expected.clone();
        let writing = spawn_blocking(move || slave.write_all(&flood));
        let mut screen = reader(&request.stdout);
        // Nobody reads: the process waits, and this thread, the server's, does not.
        let begin = Instant::now();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
        assert!(!writing.is_finished());
        let reading = spawn_blocking(move || {
            let (mut bytes, mut part) = (Vec::new(), vec![0; 5000]);
            loop {
                match screen.read(&mut part).expect("reads") {
                    0 => return bytes,
                    length => bytes.extend_from_slice(&part[..length]),
                }
            }
        });
        writing.await.expect("no panic").expect("writes");
        let tail = stdio.finish();
        let bytes = timeout(Duration::from_secs(30), reading).await.expect("in time").expect("no panic");
        assert!(bytes == expected, "{} bytes", bytes.len());
        timeout(PROMPT, tail.stop()).await.expect("in time").expect_err("closed");
    });
}

#[test]
fn a_paste_that_is_longer_than_any_buffer_arrives_whole() {
    let (_directory, request) = fifos();
    let text: String = (0..40_000).map(|number| format!("line {number} of a long paste\n")).collect();
    block_on(async {
        let mut stdio = opened(&request, Stdio::open);
        let slave = slave(&mut stdio);
        let mut modes = tcgetattr(&slave).expect("modes");
        modes.local_modes.remove(rustix::termios::LocalModes::ECHO);
        tcsetattr(&slave, OptionalActions::Now, &modes).expect("set");
        let (mut keyboard, paste) = (writer(&request.stdin), text.clone());
        let typing = spawn_blocking(move || keyboard.write_all(paste.as_bytes()));
        let mut lines = String::new();
        while lines.len() < text.len() {
            lines.push_str(&line(&slave).await);
        }
        assert!(lines == text);
        typing.await.expect("no panic").expect("types");
    });
}

#[test]
fn a_process_in_the_background_holds_up_nobody() {
    let (_directory, request) = fifos();
    block_on(async {
        let mut stdio = opened(&request, Stdio::open);
        let mut slave = slave(&mut stdio);
        slave.write_all(b"last words\n").expect("writes");
        let screen = reader(&request.stdout);
        let begin = Instant::now();
        let tail = stdio.finish();
        assert_eq!(rest(screen).await, b"last words\r\n");
        assert!(begin.elapsed() < PROMPT, "{:?}", begin.elapsed());
        timeout(PROMPT, tail.stop()).await.expect("in time").expect_err("closed");
        // One that never stops writing neither.
        let mut stdio = opened(&request, Stdio::open);
        let mut background = self::slave(&mut stdio);
        let flooding = spawn_blocking(move || while background.write_all(&[b'y'; 512]).is_ok() {});
        let screen = reader(&request.stdout);
        let tail = stdio.finish();
        assert!(rest(screen).await.len() < 1 << 20);
        timeout(PROMPT, tail.stop()).await.expect("in time").expect_err("closed");
        flooding.await.expect("its terminal is gone");
    });
}

#[test]
fn who_never_reads_is_waited_for_only_by_delete_and_not_for_long() {
    let (_directory, request) = fifos();
    block_on(async {
        let mut stdio = opened(&request, Stdio::open);
        let slave = slave(&mut stdio);
        let mut writing = slave.try_clone().expect("a copy");
        plain(&slave);
        // More than a FIFO takes.
        let flooding = spawn_blocking(move || writing.write_all(&[b'y'; 70_000]));
        timeout(PROMPT, flooding)
            .await
            .expect("the terminal takes the rest")
            .expect("no panic")
            .expect("writes");
        drop(slave);
        let tail = stdio.finish();
        tokio::time::pause();
        let begin = tokio::time::Instant::now();
        tail.stop().await.expect_err("closed");
        assert!((9..12).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    });
}

#[test]
fn its_size_is_the_clients() {
    let (_directory, request) = fifos();
    block_on(async {
        let mut stdio = opened(&request, Stdio::open);
        let slave = slave(&mut stdio);
        stdio.resize(132, 43).expect("resized");
        let size = tcgetwinsize(&slave).expect("a size");
        assert_eq!((size.ws_col, size.ws_row), (132, 43));
        let without = Stdio::open(&Request::default(), OWNER).expect("opens");
        without.resize(1, 1).expect("nothing to resize");
    });
}

/// A shell born on the terminal, as an engine is.
fn shell(stdio: &mut Stdio, script: &str) -> Process {
    let program = File::open("/bin/sh").expect("a shell");
    let strings = |list: &[&str]| -> Vec<CString> {
        list.iter().map(|text| CString::new(*text).expect("no NUL")).collect()
    };
    let [stdin, stdout, stderr] = stdio.child_fds();
    let birth = Birth {
        program: program.as_fd(),
        args: &strings(&["sh", "-c", script]),
        env: &strings(&["PATH=/usr/bin:/bin"]),
        fds: &[(stdin, 0), (stdout, 1), (stderr, 2)],
        namespaces: Namespaces::default(),
        join: Join::Inherit,
    };
    let child = birth.spawn().expect("born");
    stdio.release_child_ends();
    Process::watch(child.pid, child.pidfd).expect("watched")
}

#[test]
fn a_process_learns_of_a_new_size_and_of_its_keys() {
    for (script, shown, code) in [
        ("trap 'stty size; exit 3' WINCH; echo ready; sleep 60 & wait", "43 132\r\n", 3),
        ("trap 'echo caught; exit 4' INT; echo ready; sleep 60 & wait", "^Ccaught\r\n", 4),
        ("echo ready; exec sleep 60", "^C", 130),
    ] {
        let (_directory, request) = fifos();
        block_on(async {
            let mut stdio = opened(&request, Stdio::open);
            let (mut keyboard, screen) = (writer(&request.stdin), reader(&request.stdout));
            let process = shell(&mut stdio, script);
            assert_eq!(next(&screen, 7).await, "ready\r\n");
            stdio.resize(132, 43).expect("resized");
            if !script.contains("WINCH") {
                keyboard.write_all(b"\x03").expect("types");
            }
            assert_eq!(timeout(PROMPT, process.ended()).await.expect("in time"), code, "{script}");
            let tail = stdio.finish();
            assert_eq!(String::from_utf8_lossy(&rest(screen).await), shown, "{script}");
            timeout(PROMPT, tail.stop()).await.expect("in time").expect_err("closed");
        });
    }
}

#[test]
fn the_last_words_of_a_process_are_never_lost() {
    // More than the terminal holds, so that the end finds some of it still on its way.
    let script =
        "i=0; while [ $i -lt 600 ]; do echo line $i of the last words that were spoken; i=$((i+1)); done";
    let expected: String =
        (0..600).map(|number| format!("line {number} of the last words that were spoken\r\n")).collect();
    for _ in 0..20 {
        let (_directory, request) = fifos();
        block_on(async {
            let mut stdio = opened(&request, Stdio::open);
            let screen = reader(&request.stdout);
            let process = shell(&mut stdio, script);
            assert_eq!(timeout(PROMPT, process.ended()).await.expect("in time"), 0);
            let _tail = stdio.finish();
            assert!(rest(screen).await == expected.as_bytes());
        });
    }
}

#[test]
fn a_terminal_outlives_a_process_that_closes_its_own_for_a_time() {
    let (_directory, request) = fifos();
    block_on(async {
        let mut stdio = opened(&request, Stdio::open);
        let first = slave(&mut stdio);
        let path = fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&first)));
        drop(first);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut second = File::options().write(true).open(path.expect("its path")).expect("opens");
        second.write_all(b"back\n").expect("writes");
        assert_eq!(next(&reader(&request.stdout), 6).await, "back\r\n");
    });
}

#[test]
fn nothing_is_asked_for_but_a_terminal() {
    block_on(async {
        let request = Request { terminal: true, ..Request::default() };
        let mut stdio = opened(&request, Stdio::open);
        let mut slave = slave(&mut stdio);
        let mode = slave.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "nobody else of the host may write to it");
        // Nobody has to read it.
        let writing = spawn_blocking(move || slave.write_all(&[b'x'; 1 << 20]));
        timeout(PROMPT, writing).await.expect("in time").expect("no panic").expect("writes");
        timeout(PROMPT, stdio.finish().stop()).await.expect("in time").expect_err("closed");
    });
}

#[test]
fn a_file_and_a_logger_get_what_it_shows() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = directory.path().join("logger");
    let text = "#!/bin/sh\nPATH=/bin:/usr/bin\necho >&5; exec 5>&-; cat <&3 >$0.out; cat <&4 >$0.err\n";
    fs::write(&script, text).expect("written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("executable");
    let file = directory.path().join("a/file");
    let expected = flood(1 << 20);
    for (address, output) in [
        (format!("file://{}", file.display()), file.clone()),
        (format!("binary-v2://{}", script.display()), directory.path().join("logger.out")),
    ] {
        let request = Request { stdout: address, terminal: true, ..Request::default() };
        let flood = expected.clone();
        block_on(async {
            let mut stdio = opened(&request, Stdio::open);
            stdio.ready().await.expect("ready");
            let mut slave = slave(&mut stdio);
            plain(&slave);
            blocking(move || slave.write_all(&flood)).await.expect("writes");
            timeout(PROMPT, stdio.finish().stop()).await.expect("in time").expect_err("closed");
        });
        assert!(fs::read(&output).expect("read") == expected, "{}", output.display());
    }
}

#[test]
fn the_death_of_a_logger_does_not_stop_the_process() {
    block_on(async {
        let request =
            Request { stdout: "binary:///bin/true".to_owned(), terminal: true, ..Request::default() };
        let mut stdio = opened(&request, Stdio::open);
        stdio.ready().await.expect("ready");
        let mut slave = slave(&mut stdio);
        blocking(move || slave.write_all(&[b'x'; 1 << 20])).await.expect("writes");
        timeout(PROMPT, stdio.finish().stop()).await.expect("in time").expect_err("closed");
    });
}

#[test]
fn dropping_hangs_up() {
    let (_directory, request) = fifos();
    block_on(async {
        let mut stdio = opened(&request, Stdio::open);
        let mut slave = slave(&mut stdio);
        let screen = reader(&request.stdout);
        drop(stdio);
        assert_eq!(rest(screen).await, b"");
        let ended = blocking(move || slave.write_all(b"anybody there?")).await;
        assert_eq!(ended.expect_err("gone").raw_os_error(), Some(libc::EIO));
    });
}

#[test]
fn a_terminal_from_elsewhere_is_as_good() {
    let (_directory, request) = fifos();
    block_on(async {
        let mut stdio = opened(&request, Stdio::expect);
        stdio.resize(10, 10).expect("nothing to resize yet");
        for fd in stdio.child_fds() {
            assert!(!isatty(fd));
        }
        let master = super::open().expect("a terminal");
        let mut slave = File::from(super::pair::slave(&master).expect("its other side"));
        stdio.adopt(master).expect("adopted");
        slave.write_all(b"from there\n").expect("writes");
        drop(slave);
        let screen = reader(&request.stdout);
        let tail = stdio.finish();
        assert_eq!(rest(screen).await, b"from there\r\n");
        timeout(PROMPT, tail.stop()).await.expect("in time").expect_err("closed");
        // Something else is refused.
        let mut stdio = opened(&request, Stdio::expect);
        let null = File::open("/dev/null").expect("null");
        stdio.adopt(null.into()).expect_err("no terminal");
    });
}

#[test]
fn an_input_that_nobody_gives_is_none() {
    let (_directory, request) = fifos();
    block_on(async {
        let request = Request { stdin: String::new(), ..request };
        let mut stdio = opened(&request, Stdio::open);
        let slave = slave(&mut stdio);
        stdio.close_stdin();
        let flags = fcntl_getfl(&slave).expect("flags");
        fcntl_setfl(&slave, flags | OFlags::NONBLOCK).expect("set");
        tokio::time::sleep(Duration::from_millis(50)).await;
        // A terminal nobody types on, rather than one whose input has ended.
        let error = (&slave).read(&mut [0; 1]).expect_err("nothing");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}
