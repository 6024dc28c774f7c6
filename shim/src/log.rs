//! Log lines, into the FIFO `log` of a bundle, from where containerd copies them into its own log.
//!
//! The FIFO is opened for reading and writing at once. So it opens without a reader, it never breaks (no
//! SIGPIPE), and a containerd that restarts finds what was written meanwhile when it opens its end again; nothing
//! needs to be reopened here. It does not block either: when it is full, lines are dropped and counted, and the
//! next line that fits says how many.
//!
//! A server outlives the bundle it was started for. Each container [`attach`]es its bundle and [`detach`]es it
//! when it is deleted; lines go to the oldest that is left. Before the first and after the last they go nowhere.

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

static LOGGER: Logger = Logger { sinks: Mutex::new(Sinks { bundles: Vec::new(), open: None, lost: 0 }) };

/// Makes the `log` crate's macros, and panics, write here. Called again it changes the level.
pub fn init(level: LevelFilter) {
    log::set_max_level(level);
    if log::set_logger(&LOGGER).is_ok() {
        std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    }
}

/// Uses the log of this bundle too.
pub fn attach(bundle: &Path) {
    let mut sinks = LOGGER.sinks();
    if !sinks.bundles.iter().any(|known| known == bundle) {
        sinks.bundles.push(bundle.to_owned());
    }
}

/// Uses the log of this bundle no more: it is about to be removed.
pub fn detach(bundle: &Path) {
    LOGGER.sinks().remove(bundle);
}

struct Logger {
    sinks: Mutex<Sinks>,
}

/// The bundles in the order they came, and the log of the first that can be opened.
#[derive(Debug)]
struct Sinks {
    bundles: Vec<PathBuf>,
    open: Option<(PathBuf, File)>,
    lost: u64,
}

impl Logger {
    fn sinks(&self) -> MutexGuard<'_, Sinks> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let text = line(SystemTime::now(), record.level(), &record.args().to_string());
        self.sinks().write(&text);
    }

    fn flush(&self) {}
}

impl Sinks {
    fn remove(&mut self, bundle: &Path) {
        self.bundles.retain(|known| known != bundle);
        self.open.take_if(|(open, _)| open == bundle);
    }

    fn write(&mut self, line: &str) {
        let lost = self.lost;
        let Some(fifo) = self.fifo() else { return };
        let told = match lost {
            0 => Ok(()),
            _ => put(
                fifo,
                &self::line(SystemTime::now(), Level::Warn, &format!("{lost} log lines were dropped")),
            ),
        };
        let written = told.is_ok() && put(fifo, line).is_ok();
        self.lost = if told.is_ok() { 0 } else { lost };
        self.lost += u64::from(!written);
    }

    fn fifo(&mut self) -> Option<&mut File> {
        if self.open.is_none() {
            let mut logs = self.bundles.iter().filter_map(|bundle| Some((bundle.clone(), fifo(bundle)?)));
            self.open = logs.next();
        }
        self.open.as_mut().map(|(_, file)| file)
    }
}

/// One write; up to PIPE_BUF bytes go all at once or not at all.
fn put(fifo: &mut File, line: &str) -> io::Result<()> {
    fifo.write(line.as_bytes()).map(drop)
}

fn fifo(bundle: &Path) -> Option<File> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = open(bundle.join("log"), flags, Mode::empty()).ok()?;
    let kind = FileType::from_raw_mode(fstat(&fd).ok()?.st_mode);
    (kind == FileType::Fifo).then(|| File::from(fd))
}

/// PIPE_BUF.
const LONGEST: usize = 4096;

/// A line as containerd's own logger (logfmt) writes it.
fn line(at: SystemTime, level: Level, message: &str) -> String {
    let level = match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let mut line = format!("time=\"{}\" level={level} msg=\"", timestamp(at));
    for character in message.chars() {
        // Room for the longest escape and the end.
        if line.len() + 12 > LONGEST {
            break;
        }
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            '\n' => line.push_str("\\n"),
            control if control.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(line, "\\u{:04x}", u32::from(control));
            }
            other => line.push(other),
        }
    }
    line.push_str("\"\n");
    line
}

/// RFC 3339 with nanoseconds, in UTC.
fn timestamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", since.subsec_nanos())
}

/// The Gregorian date this many days after 1970-01-01. Years are counted from March, so that the leap day is
/// the last of one.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let since_year_0 = days + 719_468;
    let (era, of_era) = (since_year_0 / DAYS_OF_400_YEARS, since_year_0 % DAYS_OF_400_YEARS);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    match month {
        0..10 => (era * 400 + year, month + 3, day),
        _ => (era * 400 + year + 1, month - 9, day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::stat::Mode as FifoMode;
    use nix::unistd::mkfifo;
    use std::io::Read;
    use tempfile::TempDir;

    fn bundle() -> TempDir {
        let bundle = tempfile::tempdir().expect("a directory");
        mkfifo(&bundle.path().join("log"), FifoMode::S_IRWXU).expect("a FIFO");
        bundle
    }

    fn sinks(bundles: &[&TempDir]) -> Sinks {
        Sinks {
            bundles: bundles.iter().map(|bundle| bundle.path().to_owned()).collect(),
            open: None,
            lost: 0,
        }
    }

    fn read(bundle: &TempDir) -> String {
        let mut text = vec![0; 1 << 20];
        let length = fifo(bundle.path()).and_then(|mut log| log.read(&mut text).ok()).unwrap_or(0);
        String::from_utf8(text[..length].to_vec()).expect("text")
    }

    #[test]
    fn a_line_is_logfmt() {
        let at = UNIX_EPOCH + Duration::new(1_795_226_645, 5);
        let line = line(at, Level::Warn, "a \"b\" \\ c\nd\x1b");
        let expected =
            "time=\"2026-11-21T02:04:05.000000005Z\" level=warning msg=\"a \\\"b\\\" \\\\ c\\nd\\u001b\"\n";
        assert_eq!(line, expected);
    }

    #[test]
    fn dates_are_gregorian() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_778, (2026, 11, 21)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(days), expected, "{days}");
        }
    }

    #[test]
    fn a_line_goes_into_the_pipe_in_one_piece_or_not_at_all() {
        for message in ["x".repeat(9000), "\u{1}".repeat(9000), "\u{10ffff}".repeat(9000)] {
            let line = line(UNIX_EPOCH, Level::Info, &message);
            assert!(line.len() <= LONGEST && line.ends_with("\"\n"), "{}", line.len());
        }
    }

    #[test]
    fn nobody_reads_and_nothing_waits() {
        let bundle = bundle();
        let mut sinks = sinks(&[&bundle]);
        for number in 0..5000 {
            sinks.write(&line(UNIX_EPOCH, Level::Info, &format!("line {number} {}", "x".repeat(100))));
        }
        assert!(sinks.lost > 0);
        let text = read(&bundle);
        assert!(text.contains("line 0 ") && !text.contains("line 4999 "));
        sinks.write(&line(UNIX_EPOCH, Level::Info, "again"));
        let text = read(&bundle);
        assert!(text.contains("log lines were dropped") && text.contains("again"), "{text}");
        assert_eq!(sinks.lost, 0);
    }

    #[test]
    fn when_a_bundle_goes_the_next_one_takes_the_lines() {
        let (first, second) = (bundle(), bundle());
        let mut sinks = sinks(&[&first, &second]);
        sinks.write("one\n");
        assert_eq!((read(&first).as_str(), read(&second).as_str()), ("one\n", ""));
        sinks.remove(first.path());
        sinks.write("two\n");
        assert_eq!((read(&first).as_str(), read(&second).as_str()), ("", "two\n"));
        sinks.remove(second.path());
        sinks.write("three\n");
        assert_eq!(sinks.lost, 0);
    }

    #[test]
    fn what_is_no_fifo_is_left_alone() {
        let bundle = tempfile::tempdir().expect("a directory");
        std::fs::write(bundle.path().join("log"), "mine").expect("written");
        let mut sinks = sinks(&[&bundle]);
        sinks.write("a line\n");
        assert_eq!(std::fs::read_to_string(bundle.path().join("log")).expect("read"), "mine");
    }
}
