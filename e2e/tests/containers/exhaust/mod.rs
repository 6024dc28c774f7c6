//! When something has run out: an error that says so, nothing left, and all well again once it is back.
//!
//! ```text
//!  keeper    a container that runs all the time; its server is the one that lacks something
//!  step      n of it are left: another container of the group is made and run, or a call is made
//!              └ refused ─▶ says why ─▶ nothing of it left, the server as it was, the keeper as well as before
//!  n + 1     … until there is enough
//! ```
//!
//! So each place where the scarce thing is asked for is the one that fails, once. Without `PINNACE_FULL` only
//! some n are tried.

mod cage;
mod descriptors;
mod disk;
mod filesystem;
mod memory;
mod processes;
mod read_only;

use crate::ready;
use cage::Cage;
use pinnace_e2e::{Container, Draft, Image, Node, State, Status, places, within};
use rustix::process::Pid;
use std::fs::{self, DirEntry};
use std::path::PathBuf;
use std::time::Duration;

/// What ends just after the last answer may take a moment, but no more than this.
const GRACE: Duration = Duration::from_secs(20);

/// By which containers share a server.
const GROUP: &str = "io.containerd.runc.v2.group";

/// Something that can run out.
trait Scarce {
    /// Leaves so many of it.
    fn leave(&self, count: u64);

    /// Gives it back.
    fn restore(&self);

    /// Proves that an error says what is missing and what can be done.
    fn told(&self, status: &Status);
}

/// With how many to begin, and how many more each time; with `PINNACE_FULL` it is 0 and 1.
#[derive(Clone, Copy)]
struct Steps(u64, usize);

impl Steps {
    /// Tries with ever more until that is enough.
    fn until(self, mut enough: impl FnMut(u64) -> bool) {
        let Self(first, stride) = if places::full() { Self(0, 1) } else { self };
        let last = (first..400).step_by(stride).find(|left| enough(*left));
        assert!(last.is_some(), "400 of it are not enough");
    }
}

/// A server, and a container in it that is not concerned.
struct Group<'node> {
    node: &'node Node,
    keeper: Container<'node>,
    id: String,
    server: u32,
    /// Connections to it that somebody else forgets.
    kept_by_others: usize,
}

/// What a server has that only grows while something is under way.
#[derive(Debug)]
struct Footprint {
    descriptors: Vec<String>,
    children: Vec<String>,
    threads: usize,
}

impl<'node> Group<'node> {
    /// `image` is the keeper's, whose guest says "ready" and sleeps.
    fn new(node: &'node Node, image: &Image) -> Self {
        Self::with(node, node.container(image))
    }

    /// The same of any container.
    fn with(node: &'node Node, draft: Draft<'node>) -> Self {
        let id = draft.id().to_owned();
        let keeper = ready(draft.annotation(GROUP, &id));
        let server = keeper.cost().first().expect("a server").pid;
        Self { node, keeper, id, server, kept_by_others: 0 }
    }

    /// Another container in it.
    fn draft(&self, image: &Image) -> Draft<'node> {
        self.node.container(image).annotation(GROUP, &self.id)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.server.cast_signed()).expect("a pid")
    }

    /// Has `action` done with ever more; each time that it fails it must tell why and leave nothing. The action names
    /// what it was done to.
    fn step(
        &self,
        scarce: &impl Scarce,
        steps: Steps,
        mut action: impl FnMut() -> (String, Result<(), Status>),
    ) {
        let before = self.footprint();
        // Of an OCI runtime that could not be run to take something back: then `delete` does so.
        self.node.expect_log("was not made");
        steps.until(|left| {
            scarce.leave(left);
            let (id, done) = action();
            scarce.restore();
            if let Err(status) = &done {
                // Seen when the test fails.
                eprintln!("with {left}: {}", status.message());
                scarce.told(status);
            }
            self.is_as(&before, &id);
            done.is_ok()
        });
    }

    /// Steps through the making and starting of a container.
    fn step_through(&self, scarce: &impl Scarce, steps: Steps, code: u32, draft: impl Fn() -> Draft<'node>) {
        self.step(scarce, steps, || {
            let draft = draft();
            let id = draft.id().to_owned();
            let done = draft.create().and_then(|mut container| {
                let started = container.start().map(drop);
                scarce.restore();
                if started.is_err() {
                    container.kill(9).expect("kill");
                }
                let ended = container.wait();
                assert!(started.is_err() || ended == code, "{ended}");
                container.delete().expect("delete");
                started
            });
            (id, done)
        });
        assert_eq!(draft().run().code, code, "with all that it needs");
    }

    /// Steps through the making and starting of another process in the keeper.
    fn step_through_exec(&self, scarce: &impl Scarce, steps: Steps, code: u32, args: &[&str]) {
        self.step(scarce, steps, || {
            let mut exec = self.keeper.exec(args.iter().copied()).add().expect("an exec");
            let started = exec.start().map(drop);
            scarce.restore();
            assert!(started.is_err() || exec.wait() == code);
            exec.delete().expect("delete");
            (exec.id().to_owned(), started)
        });
        assert_eq!(self.keeper.exec(args.iter().copied()).run().code, code, "with all that it needs");
    }

    /// The server when nothing is under way. Connections, and threads that have nothing to do, take a moment to end.
    fn footprint(&self) -> Footprint {
        let inside = |what: &str| fs::read_dir(format!("/proc/{}/{what}", self.server)).into_iter().flatten();
        let link = |entry: DirEntry| Some(fs::read_link(entry.path()).ok()?.display().to_string());
        Footprint {
            // The log is open from its first line on.
            descriptors: inside("fd").flatten().filter_map(link).filter(|to| !to.ends_with("/log")).collect(),
            children: children(self.server),
            threads: inside("task").count(),
        }
    }

    /// Whether nothing is under way but what was before. A descriptor that is kept in reserve may still be out.
    fn is_within(&self, before: &Footprint) -> bool {
        let now = self.footprint();
        now.descriptors.len() <= before.descriptors.len() + self.kept_by_others
            && now.children == before.children
            && now.threads == before.threads
    }

    /// What there is of a container, its OCI runtime's state included: `<state>/<boot>/oci/<namespace>/<id>`.
    fn traces(&self, id: &str) -> Vec<String> {
        let inside = |dir: PathBuf| -> Vec<PathBuf> {
            fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
        };
        let boots = inside(self.node.dir().join("pinnace/state"));
        let namespaces = boots.into_iter().flat_map(|boot| inside(boot.join("oci")));
        let states = namespaces.map(|namespace| namespace.join(id)).filter(|state| state.exists());
        let mut found = self.node.traces_of(id);
        found.extend(states.map(|state| state.display().to_string()));
        found
    }

    /// Proves that all is as it was before something failed.
    #[track_caller]
    fn is_as(&self, before: &Footprint, id: &str) {
        let same = || self.traces(id).is_empty() && self.is_within(before);
        let kept = within(GRACE, || same().then_some(()));
        assert!(kept.is_some(), "{:?}, {:?} instead of {before:?}", self.traces(id), self.footprint());
        assert!(matches!(self.keeper.state(), State::Running | State::Paused));
    }
}

fn children(pid: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[track_caller]
fn tells(status: &Status, parts: &[&str]) {
    for part in parts {
        assert!(status.message().contains(part), "{part:?} in {:?}", status.message());
    }
}
