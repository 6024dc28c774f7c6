//! Much output, byte for byte, past readers of every kind: none reads too slowly for the server.

use crate::guest;
use crate::terminal::ticks;
use pinnace_e2e::{Container, Node, State, cost, until};
use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, mknodat, open};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// 1 GiB.
const GIBIBYTE: usize = 16 << 10;

/// A quarter of it: each 16 KiB of it pass the server, with two processes in turns.
const BY_TERMINAL: usize = GIBIBYTE / 4;

/// More than anybody reads of it.
const ENDLESS: usize = u32::MAX as usize;

/// What an answer may take while output is stuck.
const AT_ONCE: Duration = Duration::from_millis(100);

/// How much the server may grow for any volume: a few chunks on their way.
const FLAT: u64 = 256;

/// A guest that writes `count` blocks of 64 KiB to stdout, 1024 lines each, of which the first begins with the
/// block's number. It ends with the first error of a write, or with 0.
fn printer(count: usize) -> Vec<u8> {
    let text = format!(
        "(module
          (import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) (result i32)))
          (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
          (memory (export \"memory\") 2)
          (func $all (local $from i32) (local $error i32)
            (local.set $from (i32.const 65536))
            (loop $more
              (i32.store (i32.const 0) (local.get $from))
              (i32.store (i32.const 4) (i32.sub (i32.const 131072) (local.get $from)))
              (local.set $error
                (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
              (if (local.get $error) (then (call $exit (local.get $error))))
              (local.set $from (i32.add (local.get $from) (i32.load (i32.const 8))))
              (br_if $more (i32.lt_u (local.get $from) (i32.const 131072)))))
          (func (export \"_start\") (local $block i32) (local $line i32)
            (memory.fill (i32.const 65536) (i32.const 46) (i32.const 65536))
            (local.set $line (i32.const 65599))
            (loop $lines
              (i32.store8 (local.get $line) (i32.const 10))
              (local.set $line (i32.add (local.get $line) (i32.const 64)))
              (br_if $lines (i32.lt_u (local.get $line) (i32.const 131072))))
            (loop $next
              (i32.store (i32.const 65536) (local.get $block))
              (call $all)
              (local.set $block (i32.add (local.get $block) (i32.const 1)))
              (br_if $next (i32.lt_u (local.get $block) (i32.const {count}))))))"
    );
    wat::parse_str(text).expect("a module")
}

/// Block after block, as a pipe or as a terminal shows them.
struct Blocks {
    next: u32,
    terminal: bool,
    /// All of a block but its number.
    rest: Vec<u8>,
}

impl Blocks {
    fn new(terminal: bool) -> Self {
        let line: &[u8] = if terminal { b"\r\n" } else { b"\n" };
        let rest = [b".".repeat(63).as_slice(), line].concat().repeat(1024).split_off(4);
        Self { next: 0, terminal, rest }
    }
}

impl Iterator for Blocks {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut block = Vec::with_capacity(self.rest.len() + 8);
        for byte in self.next.to_le_bytes() {
            // A newline in the number too is shown as one.
            block.extend((self.terminal && byte == b'\n').then_some(b'\r'));
            block.push(byte);
        }
        block.extend_from_slice(&self.rest);
        self.next += 1;
        Some(block)
    }
}

/// A FIFO, and its reader, who came before anybody wrote.
fn fifo(node: &Node) -> (PathBuf, File) {
    let path = node.dir().join(format!("volume-{}", node.id()));
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    let reader = open(&path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    let reader = reader.expect("opens");
    fcntl_setfl(&reader, fcntl_getfl(&reader).expect("flags") - OFlags::NONBLOCK).expect("blocks");
    (path, File::from(reader))
}

/// Reads to the end and compares. Gives how many bytes were to come, how many came, and how many of them were right.
fn compare(mut reader: File, count: usize, terminal: bool) -> JoinHandle<[u64; 3]> {
    std::thread::spawn(move || {
        let ([mut due, mut came, mut right], mut wrong) = ([0; 3], false);
        let mut bytes = vec![0; 128 << 10];
        for expected in Blocks::new(terminal).take(count) {
            let length = fill(&mut reader, &mut bytes[..expected.len()]);
            wrong |= bytes[..length] != expected[..length];
            due += expected.len() as u64;
            came += length as u64;
            right += if wrong { 0 } else { length as u64 };
        }
        // Whatever is more is wrong.
        [due, came + fill(&mut reader, &mut bytes) as u64, right]
    })
}

fn fill(reader: &mut File, bytes: &mut [u8]) -> usize {
    let mut length = 0;
    while length < bytes.len() {
        match reader.read(&mut bytes[length..]).expect("reads") {
            0 => break,
            more => length += more,
        }
    }
    length
}

fn server(container: &Container<'_>) -> u32 {
    container.cost().first().expect("a server").pid
}

/// Much through one of the two ways, with an eye on the server's own memory.
fn volume(blocks: usize, terminal: bool) {
    let node = Node::start();
    let image = guest(&node, printer(blocks));
    let (path, reader) = fifo(&node);
    let draft = node.container(&image).output_to(&path.display().to_string());
    let mut container = if terminal { draft.with_terminal() } else { draft }.create().expect("create");
    let server = server(&container);
    let private = || cost::of(server).expect("a server").private;
    let before = private();
    let comparing = compare(reader, blocks, terminal);
    let begin = Instant::now();
    container.start().expect("start");
    let ended = container.watch();
    let (mut most, mut slowest) = (before, Duration::ZERO);
    while ended.recv_timeout(Duration::from_millis(50)).is_err() {
        most = most.max(private());
        let asked = Instant::now();
        container.process().expect("a state");
        slowest = slowest.max(asked.elapsed());
    }
    assert_eq!(container.wait(), 0);
    let [due, came, right] = comparing.join().expect("no panic");
    let took = begin.elapsed();
    assert_eq!([came, right], [due, due]);
    container.delete().expect("delete");
    eprintln!(
        "{} MiB, terminal {terminal}: {took:?}; server before {before} KiB, most {most}; slowest State {slowest:?}",
        blocks >> 4
    );
    assert!(most <= before + FLAT, "the server grew from {before} to {most} KiB");
}

#[test]
fn a_gibibyte_arrives_whole_and_the_server_stays_as_small_as_it_was() {
    volume(GIBIBYTE, false);
}

#[test]
fn a_terminal_shows_every_byte_and_the_server_stays_as_small_as_it_was() {
    volume(BY_TERMINAL, true);
}

/// Everything that a client may ask while nobody reads the output.
fn everything_answers_at_once(container: &Container<'_>) {
    let mut took: Vec<Duration> = (0..20)
        .map(|_| {
            let asked = Instant::now();
            assert_eq!(container.state(), State::Running);
            asked.elapsed()
        })
        .collect();
    // Not the slowest: other tests may have the processors just then.
    took.sort_unstable();
    assert!(took[took.len() / 2] < AT_ONCE, "{took:?}");
    container.resize(80, 24).expect("resize");
    assert_eq!(container.pids().expect("pids"), [container.pid()]);
    container.metrics().expect("metrics");
}

/// A guest whose output is stuck, because it writes more than fits on the way.
fn stuck<'node>(node: &'node Node, path: &Path, terminal: bool) -> Container<'node> {
    let image = guest(node, printer(ENDLESS));
    let draft = node.container(&image).output_to(&path.display().to_string());
    let container = if terminal { draft.with_terminal() } else { draft }.create().expect("create");
    container.start().expect("start");
    until("a guest that waits for its reader", || {
        let before = ticks(container.pid());
        std::thread::sleep(Duration::from_millis(100));
        (ticks(container.pid()) == before).then_some(())
    });
    container
}

#[test]
fn a_reader_who_is_slow_keeps_neither_server_nor_exit_waiting() {
    let node = Node::start();
    for terminal in [false, true] {
        let (path, mut reader) = fifo(&node);
        let mut container = stuck(&node, &path, terminal);
        everything_answers_at_once(&container);
        // It reads a little: the guest goes on, from where it was.
        let mut begin = vec![0; 200_000];
        assert_eq!(fill(&mut reader, &mut begin), begin.len());
        let whole: Vec<u8> = Blocks::new(terminal).take(8).flatten().collect();
        assert!(begin == whole[..begin.len()], "terminal {terminal}");
        everything_answers_at_once(&container);
        let ended = container.watch();
        let killed = Instant::now();
        container.kill(9).expect("kill");
        let told = ended.recv_timeout(Duration::from_secs(10)).expect("its exit");
        assert!(told - killed < Duration::from_secs(1), "{:?}", told - killed);
        assert_eq!(container.wait(), 137);
        // Everything it had written is still to be had, and then the end.
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).expect("reads");
        assert!(
            rest.len() > 50_000 && rest == whole[begin.len()..begin.len() + rest.len()],
            "{}",
            rest.len()
        );
        let asked = Instant::now();
        assert_eq!(container.delete().expect("delete"), 137);
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    }
}

#[test]
fn a_client_that_never_reads_can_delete() {
    let node = Node::start();
    node.expect_log("its last output is lost");
    for terminal in [false, true] {
        let (path, _reader) = fifo(&node);
        let mut container = stuck(&node, &path, terminal);
        container.kill(15).expect("kill");
        assert_eq!(container.wait(), 143);
        let asked = Instant::now();
        assert_eq!(container.delete().expect("delete"), 143);
        // A terminal's last output is kept for it for 10 s.
        assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    }
}
