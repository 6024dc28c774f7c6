//! Hearing of the kernel's OOM killer while a container lives.
//!
//! A container of one process needs none of this: its end tells, by [`Cgroup::oom_kills`]. Where there are more (a
//! native container, execs), the killer takes the largest, and init may go on.
//!
//! ```text
//!  v1   an eventfd, registered in cgroup.event_control for memory.oom_control
//!         fires before the kill, for an OOM of any cgroup above too, and when the cgroup is removed:
//!         so the count is looked at, for a while ─▶ higher: told │ as before: not ours │ gone: the end
//!  v2   memory.events, polled: fires after the kill, and for other events
//!         so the count is looked at, once
//! ```
//!
//! No thread, and nothing runs while nothing happens. An OOM of the whole machine fires on v2 only; on v1 it shows in
//! the count at the end.

use super::{Cgroup, CgroupError, Controller, files};
use crate::cgroups::stats::flat_value;
use crate::process::watch;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::OFlags;
use rustix::io::{Errno, pread, read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

/// v1: looks after an event, each twice as late as the last: the kill follows in about a second, or was elsewhere.
const LOOKS: u32 = 11;

/// Watches one cgroup, with those below it on v2. Dropping it ends that.
#[derive(Debug)]
pub struct OomWatch {
    /// None where memory is not controlled: then nobody is killed for a limit.
    source: Option<Source>,
    /// Kills that were told of, or from before.
    told: u64,
    /// Looks that are left after the last event.
    looks: u32,
}

#[derive(Debug)]
enum Source {
    V1 { events: AsyncFd<OwnedFd>, control: OwnedFd },
    V2 { events: AsyncFd<OwnedFd> },
}

impl Cgroup {
    /// Watches for processes that the OOM killer ends from now on.
    ///
    /// # Errors
    /// When the cgroup is gone, or the kernel refuses.
    pub fn watch_oom(&self) -> Result<OomWatch, CgroupError> {
        let unwatched = OomWatch { source: None, told: 0, looks: 0 };
        let Some(tree) = self.hierarchies.tree_of(Controller::Memory) else { return Ok(unwatched) };
        let unified = self.hierarchies.is_unified();
        let name = self.path.file(if unified { "memory.events" } else { "memory.oom_control" });
        let failed = |source| CgroupError::Watch { path: tree.whole(&name), source };
        let file = match files::open(tree, &name, OFlags::RDONLY) {
            Err(Errno::NOENT) if files::open(tree, self.path.relative(), OFlags::PATH).is_ok() => {
                return Ok(unwatched);
            }
            file => file.map_err(|errno| self.unreadable(tree, &name, errno))?,
        };
        let source = if unified {
            Source::V2 { events: watch::urgent(file).map_err(failed)? }
        } else {
            let events = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
            let events = events.map_err(|errno| failed(errno.into()))?;
            let pair = format!("{} {}", events.as_raw_fd(), file.as_raw_fd());
            files::write(tree, &self.path.file("cgroup.event_control"), &pair)
                .map_err(|errno| failed(errno.into()))?;
            Source::V1 { events: watch::readable(events).map_err(failed)?, control: file }
        };
        let told = source.count().unwrap_or_default();
        Ok(OomWatch { source: Some(source), told, looks: 0 })
    }
}

impl OomWatch {
    /// Waits until processes were killed, and gives their number since the last time; `None` when the cgroup is
    /// found gone. May be dropped and called again: nothing is lost or told twice.
    pub async fn next(&mut self) -> Option<u64> {
        let Some(source) = &self.source else { return std::future::pending().await };
        loop {
            let count = source.count()?;
            if count > self.told {
                let more = count - self.told;
                (self.told, self.looks) = (count, 0);
                return Some(more);
            }
            if self.looks == 0 {
                self.looks = source.fired().await?;
            } else {
                sleep(Duration::from_millis(1 << (LOOKS - self.looks))).await;
                self.looks -= 1;
            }
        }
    }
}

impl Source {
    /// Kills so far; `None` when the cgroup is gone.
    fn count(&self) -> Option<u64> {
        let file = match self {
            Self::V1 { control, .. } => control,
            Self::V2 { events } => events.get_ref(),
        };
        let mut text = [0; 512];
        let length = pread(file, &mut text, 0).ok()?;
        Some(flat_value(&String::from_utf8_lossy(&text[..length]), "oom_kill"))
    }

    /// Waits for an event, and gives how often to look for the kill that follows it.
    async fn fired(&self) -> Option<u32> {
        match self {
            Self::V1 { events, .. } => {
                events.readable().await.ok()?.clear_ready();
                // How often it fired does not matter; that it did not is a false alarm.
                let _ = read(events.get_ref(), &mut [0; 8]);
                Some(LOOKS)
            }
            Self::V2 { events } => {
                events.ready(Interest::PRIORITY).await.ok()?.clear_ready();
                Some(0)
            }
        }
    }
}
