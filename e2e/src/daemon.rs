//! A private containerd process: its configuration, its start, its end.
//!
//! It shares nothing with another one but the directory of shim sockets, which containerd has compiled in.
//! Plugins that a test never uses stay out: they cost start-up time, and some make directories in `/opt`.

use crate::cri;
use crate::log::Log;
use crate::places;
use crate::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, OpenOptions};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Plugins of both generations that no test uses. A name that a version does not know is ignored by it.
const UNUSED: [&str; 13] = [
    "io.containerd.internal.v1.opt",
    "io.containerd.internal.v1.tracing",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.nri.v1.nri",
    "io.containerd.monitor.container.v1.restart",
    "io.containerd.internal.v1.restart",
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.blockfile",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.erofs",
    "io.containerd.snapshotter.v1.native",
    "io.containerd.snapshotter.v1.zfs",
];

/// Those of the CRI: only tests of pods want them.
const PODS: [&str; 4] = [
    "io.containerd.grpc.v1.cri",
    "io.containerd.cri.v1.images",
    "io.containerd.cri.v1.runtime",
    "io.containerd.podsandbox.controller.v1.podsandbox",
];

/// Whether a containerd serves the CRI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cri {
    On,
    Off,
}

/// A running containerd.
pub(crate) struct Daemon {
    version: String,
    cri: Cri,
    dir: PathBuf,
    environment: Vec<(String, String)>,
    child: Child,
    said: Log,
}

impl Daemon {
    /// Starts containerd below `dir` and waits until it answers.
    pub(crate) fn start(version: &str, dir: &Path, environment: Vec<(String, String)>, cri: Cri) -> Self {
        let file = dir.join("containerd.toml");
        fs::write(file, configuration(version, dir, cri)).expect("write containerd's configuration");
        let child = spawn(version, dir, &environment);
        let mut daemon = Self {
            version: version.to_owned(),
            cri,
            dir: dir.to_owned(),
            environment,
            child,
            said: Log::default(),
        };
        daemon.answers();
        daemon
    }

    /// The socket of its gRPC API.
    pub(crate) fn socket(&self) -> PathBuf {
        socket(&self.dir)
    }

    /// Its log.
    pub(crate) fn log(&self) -> PathBuf {
        log(&self.dir)
    }

    /// What it said in its lives and should not have; its last words when it was stopped do not count.
    pub(crate) fn unexpected(&self, expected: &[String]) -> Vec<String> {
        self.said.unexpected(expected)
    }

    /// Which one it is.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Whether it serves the CRI, once it does.
    pub(crate) fn has_cri(&self) -> bool {
        self.cri == Cri::On
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it and waits for its end.
    pub(crate) fn stop(&mut self, signal: Signal) {
        self.said.count(&self.log());
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // It may be gone already, which is what is wanted.
            let _gone = kill_process(pid, signal);
        }
        self.child.wait().expect("wait for containerd");
        self.said.skip(&self.log());
    }

    /// Starts it again with the same directories, as this version.
    pub(crate) fn start_again(&mut self, version: &str) {
        if version != self.version {
            version.clone_into(&mut self.version);
            let file = self.dir.join("containerd.toml");
            fs::write(file, configuration(version, &self.dir, self.cri))
                .expect("write containerd's configuration");
        }
        self.child = spawn(&self.version, &self.dir, &self.environment);
        self.answers();
    }

    fn answers(&mut self) {
        let socket = self.socket();
        until("containerd to answer", || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("containerd: {status}\n{}", fs::read_to_string(self.log()).unwrap_or_default());
            }
            UnixStream::connect(&socket).ok()
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.stop(Signal::TERM);
        }
    }
}

fn spawn(version: &str, dir: &Path, environment: &[(String, String)]) -> Child {
    let programs = places::containerd(version);
    let log = OpenOptions::new().create(true).append(true).open(log(dir)).expect("open containerd's log");
    Command::new(programs.join("containerd"))
        .arg("--config")
        .arg(dir.join("containerd.toml"))
        .env_clear()
        .env("PATH", path(&places::dist(), version))
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("share containerd's log"))
        .stderr(log)
        .spawn()
        .expect("start containerd")
}

/// Where programs are looked for. Ours first, and the machine's own last: what is tested is what was built.
pub(crate) fn path(ours: &Path, version: &str) -> String {
    let system = Path::new("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let (programs, tools) = (places::containerd(version), places::tools());
    [ours, &programs, &tools, system].map(|dir| dir.display().to_string()).join(":")
}

/// The newest format of its configuration that this version reads; of older ones it would warn.
fn format(version: &str) -> u32 {
    match places::release(version) {
        (..2, _) => 2,
        (2, ..3) => 3,
        _ => 4,
    }
}

fn configuration(version: &str, dir: &Path, cri: Cri) -> String {
    let format = format(version);
    let (pods, more) = match cri {
        Cri::On => (&[][..], cri::configuration(format, dir)),
        Cri::Off => (&PODS[..], String::new()),
    };
    let unused: Vec<_> = UNUSED.iter().chain(pods).map(|plugin| format!("{plugin:?}")).collect();
    let unused = unused.join(", ");
    let dir = dir.display();
    // Since format 4 its servers are plugins.
    let (grpc, ttrpc) = match format {
        ..=3 => ("grpc", "ttrpc"),
        _ => ("plugins.'io.containerd.server.v1.grpc'", "plugins.'io.containerd.server.v1.ttrpc'"),
    };
    format!(
        "version = {format}\nroot = \"{dir}/root\"\nstate = \"{dir}/state\"\ndisabled_plugins = [{unused}]\n\
         [{grpc}]\naddress = \"{dir}/c.sock\"\n[{ttrpc}]\naddress = \"{dir}/t.sock\"\n[debug]\nlevel = \"info\"\n\
         {more}"
    )
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("c.sock")
}

fn log(dir: &Path) -> PathBuf {
    dir.join("containerd.log")
}
