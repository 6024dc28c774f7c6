use super::*;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use rustix::fs::{OFlags, fcntl_getfl};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const OWNER: Owner<'static> = Owner { namespace: "tests", id: "container" };

fn fifos() -> (TempDir, Request) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| {
        let path = directory.path().join(name);
        mkfifo(&path, Mode::S_IRWXU).expect("a FIFO");
        path.display().to_string()
    };
    let request = Request { stdin: path("in"), stdout: path("out"), stderr: path("err"), terminal: false };
    (directory, request)
}

/// What the guest does with one of its descriptors.
fn guest(stdio: &Stdio, number: usize) -> File {
    File::from(stdio.child_fds()[number].try_clone_to_owned().expect("a copy"))
}

fn client_reader(path: &str) -> File {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).expect("fits");
    OpenOptions::new().read(true).custom_flags(nonblocking).open(path).expect("opens")
}

#[test]
fn nothing_asked_for_is_null() {
    let stdio = Stdio::open(&Request::default(), OWNER).expect("opens");
    let mut text = String::new();
    guest(&stdio, 0).read_to_string(&mut text).expect("reads");
    assert_eq!(text, "");
    guest(&stdio, 1).write_all(b"gone").expect("writes");
    guest(&stdio, 2).write_all(b"gone").expect("writes");
}

#[test]
fn opening_waits_for_nobody_and_the_guests_ends_block() {
    let (_directory, request) = fifos();
    let begin = Instant::now();
    let stdio = Stdio::open(&request, OWNER).expect("opens");
    assert!(begin.elapsed() < Duration::from_secs(1));
    for fd in stdio.child_fds() {
        assert!(!fcntl_getfl(fd).expect("flags").contains(OFlags::NONBLOCK));
    }
}

#[test]
fn output_written_before_anybody_reads_is_not_lost() {
    let (_directory, request) = fifos();
    let mut first = client_reader(&request.stdout);
    let mut stdio = Stdio::open(&request, OWNER).expect("opens");
    let mut out = guest(&stdio, 1);
    stdio.release_child_ends();
    out.write_all(b"early").expect("writes");
    // containerd reads, restarts, reads again.
    let mut bytes = [0; 5];
    first.read_exact(&mut bytes).expect("reads");
    drop(first);
    out.write_all(b"later").expect("no SIGPIPE");
    let mut second = client_reader(&request.stdout);
    second.read_exact(&mut bytes).expect("reads");
    assert_eq!(&bytes, b"later");
    // The process ends: so does its output.
    drop(out);
    assert_eq!(second.read(&mut bytes).expect("the end"), 0);
}

#[tokio::test]
async fn a_client_that_opens_late_is_awaited_and_hears_everything() {
    let (_directory, request) = fifos();
    let mut stdio = Stdio::open(&request, OWNER).expect("opens");
    // As containerd's clients open: waiting for somebody who writes.
    let late = |path: &str| {
        let path = path.to_owned();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            std::fs::read_to_string(path).expect("reads")
        })
    };
    let (out, err) = (late(&request.stdout), late(&request.stderr));
    stdio.ready().await.expect("ready");
    // A guest that has ended before anybody else does anything.
    guest(&stdio, 1).write_all(b"out").expect("writes");
    guest(&stdio, 2).write_all(b"err").expect("writes");
    stdio.release_child_ends();
    drop(stdio.finish());
    assert_eq!((out.join().expect("no panic"), err.join().expect("no panic")), ("out".into(), "err".into()));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_comes_is_as_one_that_has_gone() {
    let (_directory, request) = fifos();
    let mut stdio = Stdio::open(&request, OWNER).expect("opens");
    stdio.ready().await.expect("ready");
    guest(&stdio, 1).write_all(b"nobody reads it").expect("no SIGPIPE");
}

#[test]
fn a_slow_reader_slows_the_guest_down() {
    let (_directory, request) = fifos();
    let mut reader = client_reader(&request.stdout);
    let stdio = Stdio::open(&request, OWNER).expect("opens");
    let mut out = guest(&stdio, 1);
    let length = 1 << 20;
    let writer = std::thread::spawn(move || out.write_all(&vec![b'x'; length]));
    let (mut total, mut bytes) = (0, vec![0; 5000]);
    while total < length {
        match reader.read(&mut bytes) {
            Ok(count) => total += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
    writer.join().expect("no panic").expect("never EAGAIN");
}

#[test]
fn input_ends_only_after_close_stdin() {
    let (_directory, request) = fifos();
    let mut stdio = Stdio::open(&request, OWNER).expect("opens");
    let mut input = guest(&stdio, 0);
    stdio.release_child_ends();
    let mut client = OpenOptions::new().write(true).open(&request.stdin).expect("opens");
    client.write_all(b"hello").expect("writes");
    drop(client);
    let mut bytes = [0; 5];
    input.read_exact(&mut bytes).expect("reads");
    let (told, heard) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let count = input.read(&mut bytes).expect("the end");
        told.send(count).expect("heard");
    });
    // The client has closed its side; the server has not.
    assert!(heard.recv_timeout(Duration::from_millis(100)).is_err());
    stdio.close_stdin();
    assert_eq!(heard.recv_timeout(Duration::from_secs(10)).expect("the end"), 0);
    reader.join().expect("no panic");
}

#[test]
fn dropping_closes_all() {
    let (_directory, request) = fifos();
    let stdio = Stdio::open(&request, OWNER).expect("opens");
    drop(stdio);
    let mut reader = client_reader(&request.stdout);
    assert_eq!(reader.read(&mut [0; 1]).expect("the end"), 0);
}

#[test]
fn both_outputs_go_to_the_end_of_one_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a/b c/log");
    let stdout = format!("file://{}", path.display().to_string().replace(' ', "%20"));
    let request = Request { stdout, stderr: "/not/looked/at".to_owned(), ..Request::default() };
    for _ in 0..2 {
        let stdio = Stdio::open(&request, OWNER).expect("opens");
        guest(&stdio, 1).write_all(b"out ").expect("writes");
        guest(&stdio, 2).write_all(b"err ").expect("writes");
    }
    assert_eq!(std::fs::read_to_string(&path).expect("read"), "out err out err ");
    let mode = std::fs::metadata(directory.path().join("a")).expect("made").permissions().mode();
    assert_eq!(mode & 0o700, 0o700);
}

#[test]
fn mistakes_are_named() {
    let (directory, request) = fifos();
    let file = directory.path().join("file");
    std::fs::write(&file, "mine").expect("written");
    let file = file.display().to_string();
    for (request, message) in [
        (Request { stdout: file.clone(), ..request.clone() }, "is not a FIFO"),
        (Request { stdin: file.clone(), ..request.clone() }, "is not a FIFO"),
        (Request { stdin: format!("file://{file}"), ..request.clone() }, "is a plain file"),
        (Request { stderr: format!("{file}.absent"), ..request.clone() }, "cannot open the stream"),
        (Request { stdout: "tcp://1.2.3.4:5".to_owned(), ..request.clone() }, "tcp:// are not supported"),
        (Request { stdin: "binary:///logger".to_owned(), ..request.clone() }, "cannot come from a logger"),
        (Request { stderr: "binary:///logger".to_owned(), ..request.clone() }, "name /logger for stdout"),
        (Request { stdout: "binary://logger".to_owned(), ..request.clone() }, "no absolute path"),
        (
            Request { stdout: "binary:///logger?a=%".to_owned(), ..request.clone() },
            "\"a=%\" of the logger /logger",
        ),
    ] {
        let error = Stdio::open(&request, OWNER).expect_err(message);
        assert!(error.to_string().contains(message), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&file).expect("read"), "mine");
}
