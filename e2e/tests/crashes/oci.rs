//! An OCI runtime that stops where it is told to: a script around the node's runc, and hooks for what is amid.
//!
//! ```text
//!  <dir>/armed   "create Amid"        the next such command takes the file away, says who it is, and stops
//!  <dir>/hit     "<who stopped> <the runtime>"
//! ```

use crate::case::{Op, Place};
use pinnace_e2e::{Node, places, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What both scripts begin with.
fn opening(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\narmed=$(cat {dir}/armed 2>/dev/null)\n\
         halt() {{ rm {dir}/armed; echo $$ $1 >{dir}/told; mv {dir}/told {dir}/hit; kill -STOP $$; }}\n"
    )
}

fn place(dir: &Path) -> PathBuf {
    dir.join("oci")
}

/// Writes the scripts into a node's directory, and gives the line of the node's configuration.
pub(crate) fn configure(dir: &Path) -> String {
    let dir = place(dir);
    fs::create_dir(&dir).expect("a directory");
    let runc = places::tools().join("runc");
    let runc = runc.display();
    let around = format!(
        "{}for word; do case $word in create|start|exec|update|delete) command=$word; break;; esac; done\n\
         [ \"$armed\" = \"$command Before\" ] && halt $$\n\
         [ \"$armed\" = \"$command After\" ] || exec {runc} \"$@\"\n\
         {runc} \"$@\"; code=$?; halt $$; exit $code\n",
        opening(&dir)
    );
    let hook = format!("{}[ \"$armed\" = \"$1 Amid\" ] && halt $PPID\nexit 0\n", opening(&dir));
    for (name, text) in [("around", around), ("hook", hook)] {
        let file = dir.join(name);
        fs::write(&file, text).expect("a script");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a script");
    }
    format!("native.runtime = \"{}\"", dir.join("around").display())
}

/// The hooks that a container needs for this.
pub(crate) fn hooks(node: &Node) -> Value {
    let hook = |command: &str| json!([{"path": place(node.dir()).join("hook"), "args": ["hook", command]}]);
    json!({"createRuntime": hook("create"), "poststop": hook("delete")})
}

/// Has the runtime's next command of this kind stop.
pub(crate) fn arm(node: &Node, op: Op, at: Place) {
    let command = format!("{op:?}").to_lowercase();
    fs::write(place(node.dir()).join("armed"), format!("{command} {at:?}\n")).expect("armed");
}

/// A command that has stopped. Dropped, it goes on.
#[derive(Debug)]
pub(crate) struct Stopped {
    script: i32,
    pub(crate) runtime: u32,
}

/// Waits for it.
pub(crate) fn hit(node: &Node) -> Stopped {
    let hit = place(node.dir()).join("hit");
    let words = until("the OCI runtime at its place", || fs::read_to_string(&hit).ok());
    let mut pids = words.split_whitespace().map(|pid| pid.parse::<i32>().expect("a pid"));
    let (script, runtime) = (pids.next().expect("a script"), pids.next().expect("a runtime"));
    let stat = format!("/proc/{script}/stat");
    until("it to stop", || fs::read_to_string(&stat).ok().filter(|stat| stat.contains(") T ")));
    Stopped { script, runtime: runtime.unsigned_abs() }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.script) {
            // The one that was killed is gone.
            let _gone = kill_process(pid, Signal::CONT);
        }
    }
}
