//! The ways of a form to a running container, each as its user goes it: first plainly, then with every remedy
//! that the table knows.

use crate::case::Case;
use pinnace_e2e::cri::{self, Pod};
use pinnace_e2e::{Node, PINNACE, Registry, until};
use pinnace_oci::support::Client;
use std::cell::Cell;
use std::fs;
use std::process::Command;

/// What the container printed, or which words met the user.
pub(crate) type Outcome = Result<String, String>;

/// Whether a user does nothing about what may be refused, or all that can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    Plain,
    Remedied,
}

/// One node with all that the ways need.
pub(crate) struct Ways<'node> {
    node: &'node Node,
    pod: &'node Pod<'node>,
    registry: &'node Registry,
    tags: Cell<u32>,
}

impl<'node> Ways<'node> {
    pub(crate) fn new(node: &'node Node, pod: &'node Pod<'node>, registry: &'node Registry) -> Self {
        Self { node, pod, registry, tags: Cell::new(0) }
    }

    /// Brings the image and runs it; nothing of it is left for the next.
    pub(crate) fn go(&self, case: &Case, client: Client, effort: Effort) -> Outcome {
        match client {
            Client::Ctr => self.ctr(case, effort),
            Client::Api => self.api(case, effort),
            Client::Cri => self.pulled(case, effort),
            Client::Imported => self.imported(case, effort),
        }
    }

    fn ctr(&self, case: &Case, effort: Effort) -> Outcome {
        let name = library(case);
        let platform = ["--platform", &case.platform()];
        let (flags, command) = match effort {
            Effort::Plain => (&[][..], &[][..]),
            Effort::Remedied => (&platform[..], case.command),
        };
        let ran = self.import(&[], effort, &name, case).and_then(|()| run(self.node, flags, &name, command));
        remove(self.node, &[], &name);
        ran
    }

    fn api(&self, case: &Case, effort: Effort) -> Outcome {
        let image = match case.index() {
            Some(index) => self.node.index(&index),
            None => self.node.image(&case.image()),
        };
        let mut draft = self.node.container(&image);
        if effort == Effort::Remedied {
            draft = draft.args(case.command.iter().copied());
        }
        let ran = draft.create().map_err(|status| status.message().to_owned()).and_then(|container| {
            let ended = container.run_to_end();
            ended_well(ended.code.cast_signed(), ended.stdout + &ended.stderr)
        });
        remove(self.node, &[], image.name());
        ran
    }

    fn pulled(&self, case: &Case, effort: Effort) -> Outcome {
        let name = self.registry.push(&case.name, &case.archive(&case.name));
        let pulled = self.pod.pull(&name).map_err(|status| status.message().to_owned());
        let ran = pulled.and_then(|()| self.in_pod(&name, case, effort));
        remove(self.node, PODS, &name);
        ran
    }

    fn imported(&self, case: &Case, effort: Effort) -> Outcome {
        let name = library(case);
        let ran = self.import(PODS, effort, &name, case).and_then(|()| {
            self.settle();
            self.in_pod(&name, case, effort)
        });
        remove(self.node, PODS, &name);
        ran
    }

    fn in_pod(&self, name: &str, case: &Case, effort: Effort) -> Outcome {
        let command = if effort == Effort::Remedied { case.command } else { &[] };
        loop {
            let lost = self.lost();
            let ended = self.pod.run(name, command).map_err(|status| status.message().to_owned())?;
            if self.lost() == lost {
                return ended_well(ended.code, ended.output);
            }
        }
    }

    /// How often containerd lost a container's output by its own doing.
    fn lost(&self) -> usize {
        let log = fs::read_to_string(self.node.dir().join("containerd.log")).expect("containerd's log");
        log.matches(LOST).count()
    }

    fn import(&self, namespace: &[&str], effort: Effort, name: &str, case: &Case) -> Result<(), String> {
        let flags = match effort {
            Effort::Plain => &[][..],
            Effort::Remedied => &["--all-platforms", "--no-unpack"],
        };
        import(self.node, namespace, flags, &case.archive(name))
    }

    /// Waits until the CRI has heard of everything imported so far: it hears in order, so a tag tells.
    fn settle(&self) {
        self.tags.set(self.tags.get() + 1);
        let tag = format!("docker.io/library/settled:{}", self.tags.get());
        let mut ctr = self.node.ctr();
        done(ctr.args(PODS).args(["images", "tag", cri::SANDBOX_IMAGE, &tag])).expect("a tag");
        until("the CRI to hear of an image", || self.pod.knows(&tag).then_some(()));
    }
}

/// `ctr images import`.
pub(crate) fn import(node: &Node, namespace: &[&str], flags: &[&str], archive: &[u8]) -> Result<(), String> {
    let file = node.dir().join("form.tar");
    fs::write(&file, archive).expect("write an archive");
    let done = done(node.ctr().args(namespace).args(["images", "import"]).args(flags).arg(&file));
    fs::remove_file(&file).expect("remove an archive");
    done.map(drop)
}

/// `ctr run`.
pub(crate) fn run(node: &Node, flags: &[&str], image: &str, command: &[&str]) -> Outcome {
    let id = node.id();
    let cgroup = format!("{}/{id}", node.cgroup_parent());
    let mut ctr = node.ctr();
    ctr.args(["run", "--rm", "--runtime", PINNACE, "--cgroup", &cgroup]).args(flags);
    done(ctr.args([image, &id]).args(command))
}

/// Removes an image, and waits until its content is gone too. One that never came is as good.
pub(crate) fn remove(node: &Node, namespace: &[&str], image: &str) {
    let _none = done(node.ctr().args(namespace).args(["images", "remove", "--sync", image]));
}

/// What containerd says when a container ended before it had opened its end of the output, which it then gives
/// up: it happens to containers of any runtime, on a machine that is busy enough.
pub(crate) const LOST: &str = "reading from a closed fifo";

/// Where the CRI's images are.
const PODS: &[&str] = &["--namespace", cri::NAMESPACE];

fn library(case: &Case) -> String {
    format!("docker.io/library/{}", case.name)
}

fn ended_well(code: i32, output: String) -> Outcome {
    if code == 0 { Ok(output) } else { Err(format!("exit {code}: {output}")) }
}

fn done(command: &mut Command) -> Outcome {
    let output = command.output().expect("start ctr");
    let text = |bytes| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("exit {}: {}", output.status.code().unwrap_or(-1), text(&output.stderr)))
}
