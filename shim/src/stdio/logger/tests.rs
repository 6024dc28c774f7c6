use super::*;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

const OWNER: Owner<'static> = Owner { namespace: "tests", id: "container" };

/// What a script sees of what is written to it.
const COPY: &str = "echo >&5; exec 5>&-; cat <&3 >$0.out & cat <&4 >$0.err; wait; exit 3";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn script(directory: &TempDir, text: &str, readiness: Readiness) -> Program {
    let path = directory.path().join("logger");
    fs::write(&path, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{text}\n")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    Program { path, args: ["-a", "b"].map(Into::into).to_vec(), readiness }
}

async fn gone(logger: Logger) {
    // Its sender is dropped, which is the news.
    let _closed = timeout(Duration::from_secs(30), logger.stop()).await.expect("in time");
}

#[test]
fn a_logger_gets_both_streams_its_arguments_and_its_environment() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = format!("echo $* $CONTAINER_NAMESPACE $CONTAINER_ID $(env | wc -l) >$0.args\n{COPY}");
    block_on(async {
        let (mut logger, guest) =
            Logger::start(script(&directory, &text, Readiness::Byte), OWNER).expect("started");
        logger.ready(READY).await.expect("ready");
        let [out, err] = guest.map(File::from);
        (&out).write_all(b"to out").expect("written");
        (&err).write_all(b"to err").expect("written");
        drop((out, err));
        gone(logger).await;
    });
    let read = |end: &str| fs::read_to_string(directory.path().join(format!("logger.{end}"))).expect("read");
    assert_eq!((read("out").as_str(), read("err").as_str()), ("to out", "to err"));
    // And `PWD`, `PATH` is no exported one, `_` may be there: nothing of the server's.
    assert!(read("args").starts_with("-a b tests container "), "{}", read("args"));
}

#[test]
fn no_other_descriptor_of_the_servers_is_the_loggers() {
    let directory = tempfile::tempdir().expect("a directory");
    let inherited = File::open("/dev/zero").expect("opens");
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).expect("kept over exec");
    let text = "for fd in /proc/$$/fd/*; do readlink $fd; done >$0.fds; exec 5>&-; cat <&3";
    block_on(async {
        let (mut logger, guest) =
            Logger::start(script(&directory, text, Readiness::ByteOrEnd), OWNER).expect("started");
        logger.ready(READY).await.expect("ready");
        drop(guest);
        gone(logger).await;
    });
    let fds = fs::read_to_string(directory.path().join("logger.fds")).expect("read");
    assert!(!fds.contains("/dev/zero"), "{fds}");
    assert_eq!(fds.lines().filter(|line| line.starts_with("pipe:")).count(), 3, "{fds}");
}

#[test]
fn ready_is_a_byte_or_for_the_older_scheme_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let ready = |text: &str, readiness| {
        block_on(async {
            let (mut logger, _guest) =
                Logger::start(script(&directory, text, readiness), OWNER).expect("started");
            logger.ready(Duration::from_millis(500)).await
        })
    };
    let stay = "exec cat <&3";
    ready(&format!("echo >&5; {stay}"), Readiness::Byte).expect("a byte");
    ready(&format!("echo >&5; {stay}"), Readiness::ByteOrEnd).expect("a byte");
    ready(&format!("exec 5>&-; {stay}"), Readiness::ByteOrEnd).expect("the end");
    ready("exit 7", Readiness::ByteOrEnd).expect("the end, as containerd has it");
    let error = ready("exit 7", Readiness::Byte).expect_err("no byte");
    assert!(matches!(error, StdioError::LoggerNotReady { .. }), "{error}");
    for readiness in [Readiness::Byte, Readiness::ByteOrEnd] {
        let error = ready(stay, readiness).expect_err("neither");
        assert!(matches!(error, StdioError::LoggerLate { .. }), "{error}");
    }
}

#[test]
fn what_cannot_be_run_is_told_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let start = |path: PathBuf| {
        block_on(async {
            let program = Program { path, args: Vec::new(), readiness: Readiness::Byte };
            Logger::start(program, OWNER).map(drop).expect_err("no logger").to_string()
        })
    };
    let plain = directory.path().join("plain");
    fs::write(&plain, "words").expect("written");
    assert!(start("/no/such/logger".into()).contains("No such file"));
    assert!(start(plain).contains("Permission denied"));
    assert!(start(directory.path().into()).contains("Permission denied"));
}

#[test]
fn a_dropped_logger_is_killed_and_its_reader_gone() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = "trap '' TERM; echo >&5; while :; do sleep 1; done";
    block_on(async {
        let (mut logger, [out, _err]) =
            Logger::start(script(&directory, text, Readiness::Byte), OWNER).expect("started");
        logger.ready(READY).await.expect("ready");
        let Logger { gone, orders, .. } = logger;
        drop(orders);
        let _closed = timeout(Duration::from_secs(10), gone).await.expect("killed");
        // `sleep` was a child of its own and may hold the pipe a moment longer.
        let mut out = File::from(out);
        let error = std::iter::repeat_with(|| {
            std::thread::sleep(Duration::from_millis(10));
            out.write_all(b"x")
        })
        .take(1000)
        .find_map(Result::err);
        assert_eq!(error.expect("no reader").kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn one_that_ignores_the_end_is_told_to_end_and_one_that_ignores_that_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let sleeping = "while :; do sleep 0.1 3<&- 4<&-; done";
    let text = format!("trap 'echo told >$0.term; exit 0' TERM; echo >&5; {sleeping}");
    block_on(async {
        let (mut logger, guest) =
            Logger::start(script(&directory, &text, Readiness::Byte), OWNER).expect("started");
        logger.ready(READY).await.expect("ready");
        drop(guest);
        gone(logger).await;
    });
    assert_eq!(fs::read_to_string(directory.path().join("logger.term")).expect("read"), "told\n");
    let text = format!("trap '' TERM; echo >&5; {sleeping}");
    let begin = std::time::Instant::now();
    block_on(async {
        let (mut logger, guest) =
            Logger::start(script(&directory, &text, Readiness::Byte), OWNER).expect("started");
        logger.ready(READY).await.expect("ready");
        drop(guest);
        gone(logger).await;
    });
    assert!(begin.elapsed() >= DRAIN + FLUSH, "{:?}", begin.elapsed());
}
