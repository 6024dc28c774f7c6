//! The three FIFOs of a container, as containerd's clients make them.
//!
//! A [`Pipe`] reads in a thread of its own from its making on, so nothing is ever lost or blocked; the end of
//! the file is part of what it tells.

use crate::wait::{until, within};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What came out of one FIFO so far.
#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    first: Option<Instant>,
    ended: bool,
}

/// The reading end of a container's stdout or stderr.
#[derive(Debug)]
pub struct Pipe {
    path: PathBuf,
    heard: Arc<Mutex<Heard>>,
}

impl Pipe {
    pub(crate) fn new(path: PathBuf) -> Self {
        fifo(&path);
        let heard = Arc::new(Mutex::new(Heard::default()));
        let into = Arc::clone(&heard);
        // Open before anybody writes: a container may have ended before the thread first runs.
        let reader = open(&path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .expect("open a FIFO");
        thread::spawn(move || listen(File::from(reader), &into));
        Self { path, heard }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What was written so far.
    #[must_use]
    pub fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap().bytes).into_owned()
    }

    /// Waits until `text` was written.
    pub fn wait_for(&self, text: &str) {
        until(&format!("{text:?} in {:?}", self.so_far()), || self.so_far().contains(text).then_some(()));
    }

    /// When the first byte came.
    #[must_use]
    pub fn first_byte(&self) -> Option<Instant> {
        self.heard.lock().unwrap().first
    }

    /// Waits for the end of the file, and gives everything that was written.
    #[must_use]
    pub fn to_end(&self) -> String {
        until("the end of a FIFO", || self.ended().then_some(()));
        self.so_far()
    }

    /// Whether the end of the file comes within this time.
    #[must_use]
    pub fn ends_within(&self, limit: Duration) -> bool {
        within(limit, || self.ended().then_some(())).is_some()
    }

    fn ended(&self) -> bool {
        self.heard.lock().unwrap().ended
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // A container that was never created leaves the thread waiting: a writer that comes and goes frees it.
        drop(open(&self.path, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()));
        let _gone = fs::remove_file(&self.path);
    }
}

/// The writing end of a container's stdin.
#[derive(Debug)]
pub(crate) struct Input {
    path: PathBuf,
    // Both ends, as containerd's clients do it: a reader that is not there yet must not end the writer.
    file: Option<File>,
}

impl Input {
    pub(crate) fn new(path: PathBuf) -> Self {
        fifo(&path);
        let mut input = Self { path, file: None };
        input.open();
        input
    }

    pub(crate) fn open(&mut self) {
        let file = File::options().read(true).write(true).open(&self.path).expect("open a FIFO");
        self.file = Some(file);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&mut self, text: &str) {
        let file = self.file.as_mut().expect("a stdin that is still open");
        file.write_all(text.as_bytes()).expect("write to a FIFO");
    }

    pub(crate) fn close(&mut self) {
        self.file = None;
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.path);
    }
}

fn listen(mut reader: File, heard: &Mutex<Heard>) {
    let mut part = [0; 8192];
    loop {
        // A FIFO that nobody has written to yet is not at its end, though a read would say so.
        let _ready = poll(&mut [PollFd::new(&reader, PollFlags::IN)], None);
        let read = match reader.read(&mut part) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
            read => read.unwrap_or(0),
        };
        let mut heard = heard.lock().unwrap();
        if read == 0 {
            heard.ended = true;
            return;
        }
        heard.first.get_or_insert_with(Instant::now);
        heard.bytes.extend_from_slice(&part[..read]);
    }
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("make a FIFO");
}
