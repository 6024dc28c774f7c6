//! What a case plays on: images, the pod around its container, and the container brought to where it begins.

use crate::case::{Case, Kind, Op, State, When};
use crate::oci;
use pinnace_conformance::guests;
use pinnace_e2e::{Container, Draft, Exec, Image, Node, leaks, places, until};
use pinnace_oci::build;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;

/// By which the CRI tells what a container is in its pod, and in which.
const TYPE: &str = "io.kubernetes.cri.container-type";
const POD: &str = "io.kubernetes.cri.sandbox-id";

/// Sleeps, and heeds SIGTERM.
const SCRIPT: &str = "trap 'exit 15' TERM; echo ready; /bin/busybox sleep 1000 & wait";

/// Its node, images, and what is in the pod besides.
pub(crate) struct Stage<'node> {
    pub(crate) node: &'node Node,
    kind: Kind,
    wasm: Option<Image>,
    native: Option<Image>,
    /// The pod's holder, and a native container in it.
    pub(crate) beside: Option<[Container<'node>; 2]>,
}

impl<'node> Stage<'node> {
    pub(crate) fn new(node: &'node Node, case: &Case) -> Self {
        let wasm = (case.kind != Kind::Native).then(|| wasm(node));
        let native = matches!(case.kind, Kind::Native | Kind::Member).then(|| native(node));
        let mut stage = Self { node, kind: case.kind, wasm, native, beside: None };
        if case.kind == Kind::Member {
            let holder = started(stage.draft_of(Kind::Holder), Kind::Holder);
            let sidecar = stage.draft_of(Kind::Native).annotation(TYPE, "container");
            let sidecar = started(sidecar.annotation(POD, holder.id()), Kind::Native);
            stage.beside = Some([holder, sidecar]);
        }
        stage
    }

    /// The case's container, not yet made.
    pub(crate) fn draft(&self) -> Draft<'node> {
        let draft = self.draft_of(self.kind);
        match &self.beside {
            Some([holder, _]) => draft.annotation(TYPE, "container").annotation(POD, holder.id()),
            None => draft,
        }
    }

    fn draft_of(&self, kind: Kind) -> Draft<'node> {
        let image = if kind == Kind::Native { &self.native } else { &self.wasm };
        let draft = self.node.container(image.as_ref().expect("an image of this kind"));
        match kind {
            Kind::Wasm | Kind::Member => draft,
            Kind::Native => {
                let hooks = oci::hooks(self.node);
                draft.args(["/bin/busybox", "sh", "-c", SCRIPT]).edit(|spec| spec["hooks"] = hooks)
            }
            Kind::Holder => {
                let id = draft.id().to_owned();
                draft.annotation(TYPE, "sandbox").annotation(POD, &id)
            }
        }
    }

    /// The container, where the case begins; none if it is not made yet.
    pub(crate) fn container(&self, when: When) -> Option<Container<'node>> {
        let created = || self.draft().create().expect("create");
        let running = || started(self.draft(), self.kind);
        let container = match when {
            When::At(Op::Create, _) | When::Runtime(Op::Create, _) => return None,
            When::In(State::Created) | When::At(Op::Start, _) | When::Runtime(Op::Start, _) => created(),
            When::In(State::Running | State::Executing) => running(),
            When::In(State::Paused) | When::At(Op::Resume, _) => {
                let container = running();
                container.pause().expect("pause");
                container
            }
            When::In(State::Stopped) | When::At(Op::Delete, _) | When::Runtime(Op::Delete, _) => {
                let container = running();
                container.kill(9).expect("kill");
                assert_eq!(container.wait(), 137);
                container
            }
            When::At(..) | When::Runtime(..) => running(),
        };
        Some(container)
    }

    /// The node's only server.
    pub(crate) fn server(&self) -> u32 {
        let ours = [std::process::id(), self.node.containerd_pid()];
        let of_name = |pid: &u32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == "pinnace-shim"
        };
        until("a server", || leaks::processes(self.node.name(), &ours).into_iter().find(of_name))
    }

    /// A child of the server's in the cgroup of this container, other than the one that is known.
    pub(crate) fn process_of(&self, id: &str, known: u32) -> u32 {
        let server = format!("PPid:\t{}\n", self.server());
        let ours = [std::process::id(), self.node.containerd_pid(), known];
        let inside = |pid: &u32| {
            let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            read("cgroup").contains(id) && read("status").contains(&server)
        };
        until("a process of the container", || leaks::processes(id, &ours).into_iter().find(inside))
    }
}

/// Adds a further process that sleeps.
pub(crate) fn further<'container, 'node>(
    kind: Kind,
    container: &'container Container<'node>,
) -> Exec<'container, 'node> {
    let args: &[&str] = match kind {
        Kind::Native => &["/bin/busybox", "sleep", "1000"],
        Kind::Wasm | Kind::Member | Kind::Holder => &["/guest.wasm"],
    };
    container.exec(args.iter().copied()).add().expect("exec")
}

/// What a container of this kind ends with when it is asked to.
pub(crate) fn heeds(kind: Kind) -> u32 {
    match kind {
        Kind::Wasm | Kind::Member => 143,
        Kind::Native => 15,
        Kind::Holder => 0,
    }
}

/// Kills a process, or one that is dead already.
pub(crate) fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
    let _dead = kill_process(pid, signal);
}

fn started<'node>(draft: Draft<'node>, kind: Kind) -> Container<'node> {
    let container = draft.create().expect("create");
    container.start().expect("start");
    if kind != Kind::Holder {
        container.stdout().wait_for("ready");
    }
    container
}

fn wasm(node: &Node) -> Image {
    let image = build::Image::rootfs().file("/guest.wasm", guests::sleep_p1(), 0o755);
    node.image(&image.entrypoint(["/guest.wasm"]))
}

fn native(node: &Node) -> Image {
    let busybox = fs::read(places::tools().join("busybox")).expect("busybox; run `cargo xtask tools`");
    node.image(&build::Image::rootfs().file("/bin/busybox", busybox, 0o755).directory("/proc"))
}
