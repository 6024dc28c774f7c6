//! `cargo xtask test-cgroup2` and `cargo xtask machine`: tests on other machines than this one, in qemu.
//!
//! ```text
//!  Debian's kernel ──────────────────────────────┐
//!  busybox, containerd, runc, guests (tools) ─┐   ├─▶ qemu ─▶ init.sh ─▶ boot.sh or systemd ─▶ report.sh ─▶ job
//!  the release programs (dist) ───────────────┼─▶ archive
//!  the tests' programs, with their libraries ─┘
//! ```
//!
//! A guest lives in memory, also its disk, and has no network: nothing of it stays, and nothing of this machine is
//! changed. Its exit code is the job's.

mod cpio;
mod debian;
mod parts;
mod qemu;
mod root;
mod suite;

use crate::demo::newest;
use crate::error::Error;
use crate::run::say;
use crate::{paths, programs, tools};
use root::Root;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many times longer tests wait in a guest: an emulated processor is slow, and its machine may be busy.
const PATIENCE: u32 = 6;

/// How many seconds a guest may take: everything in it takes half of them on two busy processors.
const LIMIT: u64 = 3600;

/// Which tests.
#[derive(clap::Args)]
pub(crate) struct Tests {
    #[command(flatten)]
    machine: Machine,
    /// Everything that needs a containerd, not only what depends on cgroups
    #[arg(long)]
    full: bool,
    /// Only tests whose name contains this
    filter: Option<String>,
}

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Command {
    #[command(flatten)]
    machine: Machine,
    /// With the tests' programs, in /pinnace/tests
    #[arg(long)]
    tests: bool,
    /// With this program, in /pinnace/tests too
    #[arg(long, value_name = "FILE")]
    with: Vec<PathBuf>,
    /// The command; without one, a shell
    #[arg(last = true)]
    command: Vec<String>,
}

/// What every guest has.
#[derive(clap::Args)]
struct Machine {
    /// Without systemd, or with it on these cgroups
    #[arg(long, value_name = "CGROUPS")]
    systemd: Option<Systemd>,
    /// With this containerd instead of the newest
    #[arg(long, value_name = "VERSION")]
    containerd: Option<String>,
    /// With the programs of this directory instead of built ones
    #[arg(long, value_name = "DIR")]
    dist: Option<PathBuf>,
    /// End it after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = LIMIT)]
    limit: u64,
}

/// What the first program is, and what it mounts.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Systemd {
    /// A script, one hierarchy
    None,
    /// systemd, every controller in a hierarchy of its own
    V1,
    /// systemd, one hierarchy
    V2,
}

/// Tests on machines that this one is not.
pub(crate) fn test(options: &Tests) -> Result<(), Error> {
    let machines = match options.machine.systemd {
        None => vec![Systemd::None, Systemd::V2, Systemd::V1],
        Some(one) => vec![one],
    };
    for systemd in machines {
        let mut job = String::from("status=0\n");
        let mut programs = Vec::new();
        for suite in suites(systemd)? {
            programs.push((suite.target.clone(), suite.build()?));
            let words = suite.words(options.full, options.filter.as_deref());
            job.push_str(&format!("echo '▸ {}'\n{words} || status=$?\n", suite.target));
        }
        job.push_str("exit $status\n");
        options.machine.boot(systemd, &programs, &job, false)?;
    }
    Ok(())
}

/// All tests on all machines.
pub(crate) fn full() -> Result<(), Error> {
    let machine = Machine { systemd: None, containerd: None, dist: None, limit: LIMIT };
    test(&Tests { machine, full: true, filter: None })
}

fn suites(systemd: Systemd) -> Result<Vec<suite::Suite>, Error> {
    match systemd {
        Systemd::None => suite::unified(),
        Systemd::V1 | Systemd::V2 => Ok(suite::systemd()),
    }
}

/// Any command on such a machine.
pub(crate) fn command(options: &Command) -> Result<(), Error> {
    let mut programs = Vec::new();
    let systemd = options.machine.systemd.unwrap_or(Systemd::None);
    if options.tests {
        for suite in suites(systemd)? {
            programs.push((suite.target.clone(), suite.build()?));
        }
    }
    for program in &options.with {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        programs.push((name, program.clone()));
    }
    if options.command.is_empty() {
        return options.machine.boot(systemd, &programs, "exec setsid cttyhack sh -l", true);
    }
    let words: Vec<_> = options.command.iter().map(|word| quoted(word)).collect();
    options.machine.boot(systemd, &programs, &words.join(" "), false)
}

impl Machine {
    fn boot(
        &self,
        systemd: Systemd,
        tests: &[(String, PathBuf)],
        job: &str,
        interactive: bool,
    ) -> Result<(), Error> {
        let parts = parts::bring()?;
        let emulator = parts::qemu()?;
        let brought = tools::bring()?;
        let version = self.containerd.clone().map_or_else(|| newest(&brought), Ok)?;
        let dist = self.dist.clone().map_or_else(programs::build, Ok)?;
        let dir = tempfile::tempdir().map_err(Error::file("mkdir", std::env::temp_dir()))?;
        let archive = dir.path().join("root.cpio");

        let mut root = Root::new();
        match systemd {
            Systemd::None => unified(&mut root),
            Systemd::V1 | Systemd::V2 => debian::fill(&mut root, &parts.debian)?,
        }
        for (at, module) in parts.modules.iter().enumerate() {
            root.file(format!("/pinnace/modules/{at}.ko"), module);
        }
        common(&mut root, &version, &dist)?;
        for (name, program) in tests {
            root.program(format!("/pinnace/tests/{name}"), program)?;
        }
        root.text("/pinnace/job", format!("#!/bin/sh\n{}\n{job}\n", environment(&version)));
        root.write(&archive)?;

        let (named, words) = match systemd {
            Systemd::None => ("pure cgroup v2", String::new()),
            Systemd::V2 => ("systemd on cgroup v2", debian::WORDS.to_owned()),
            Systemd::V1 => ("systemd on cgroup v1", format!("{} {}", debian::WORDS, debian::WORDS_V1)),
        };
        say(format!("boot a guest: {named}, containerd {version}"));
        let guest = qemu::Guest {
            qemu: emulator,
            kernel: &parts.kernel,
            archive: &archive,
            words: &words,
            interactive,
            limit: Duration::from_secs(self.limit),
        };
        match guest.run(dir.path())? {
            0 => Ok(()),
            code => Err(Error::Guest { code }),
        }
    }
}

/// What only a guest without systemd has.
fn unified(root: &mut Root) {
    root.text("/sbin/init", include_str!("machine/boot.sh"));
    root.text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n");
    root.text("/etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n");
}

/// Programs of this machine that guests get: to make their disk, and for tests that make disks.
const BROUGHT: [&str; 2] = ["mkfs.ext4", "debugfs"];

/// What every guest has.
fn common(root: &mut Root, version: &str, dist: &Path) -> Result<(), Error> {
    root.text("/init", include_str!("machine/init.sh"));
    root.text("/pinnace/report", include_str!("machine/report.sh"));
    root.text("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n");
    root.text("/etc/hostname", "pinnace\n");
    root.file("/bin/busybox", paths::tools().join("busybox"));
    for name in BROUGHT {
        let program = paths::which(name).ok_or_else(|| Error::Missing {
            what: name.to_owned(),
            remedy: "install e2fsprogs".to_owned(),
        })?;
        root.program(Path::new("/usr/sbin").join(name), program)?;
    }
    for program in files(dist)? {
        root.program(Path::new("/pinnace/dist").join(program.file_name().unwrap_or_default()), &program)?;
    }
    for tool in files(&paths::tools())? {
        root.program(Path::new("/pinnace/tools").join(tool.file_name().unwrap_or_default()), &tool)?;
    }
    let containerd = format!("containerd-{version}/bin");
    for program in ["containerd", "ctr", "containerd-shim-runc-v2"] {
        let file = paths::tools().join(&containerd).join(program);
        if !file.is_file() {
            return Err(Error::Missing {
                what: file.display().to_string(),
                remedy: "see what was left out above".to_owned(),
            });
        }
        root.program(Path::new("/pinnace/tools").join(&containerd).join(program), file)?;
    }
    Ok(())
}

/// Where a job finds everything.
fn environment(version: &str) -> String {
    format!(
        "export PINNACE_TOOLS=/pinnace/tools PINNACE_DIST=/pinnace/dist PINNACE_CONTAINERD={version}\n\
         export PINNACE_PATIENCE={PATIENCE}\n\
         export PAGER=cat SYSTEMD_PAGER= PATH=/pinnace/dist:/pinnace/tools:/pinnace/tools/containerd-{version}/bin:$PATH\n"
    )
}

/// The files of a directory, also those behind links.
fn files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).map_err(Error::file("read", dir))?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect())
}

/// A word as the shell reads it back.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
