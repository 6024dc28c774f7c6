//! What there is to be run: one image with every guest, and for pods another of the same files.

use crate::plan::{CODES, Home, Kind};
use pinnace_conformance::guests;
use pinnace_e2e::{Draft, Image, Node, places};
use pinnace_oci::build;
use std::fs;

/// The images.
pub(crate) struct Kit {
    image: Image,
    /// For pods.
    pub(crate) pod_image: String,
}

/// Sleeps until SIGTERM, as the first process of its namespace: it ends with 15.
const SLEEPER: &str = "trap 'exit 15' TERM; echo ready; /bin/busybox sleep 100000 & wait";

const GROUP: &str = "io.containerd.runc.v2.group";

impl Kit {
    pub(crate) fn new(node: &Node) -> Self {
        let busybox = fs::read(places::tools().join("busybox")).expect("busybox; run `cargo xtask tools`");
        let mut image = build::Image::rootfs()
            .file("/bin/busybox", busybox, 0o755)
            .file("/late.wasm", guests::late_word_p1(), 0o755)
            .file("/traps.wasm", guests::trap_p1(), 0o755)
            .file("/grows.wasm", guests::grow_p1(), 0o755)
            .file("/sleeps.wasm", guests::sleep_p1(), 0o755)
            .file("/component.wasm", guests::sleep_p2(), 0o755)
            .file("/echoes.wasm", guests::echo_stdin_p1(), 0o755)
            .file("/impossible.wasm", guests::missing_import_p1(), 0o755);
        for directory in ["/proc", "/dev", "/sys", "/tmp"] {
            image = image.directory(directory);
        }
        for code in CODES {
            image = image.file(&format!("/exits-{code}.wasm"), guests::exit_code(code), 0o755);
        }
        let image = image.entrypoint(["/sleeps.wasm"]);
        Self { image: node.image(&image), pod_image: node.pod_image(&image) }
    }

    /// A container of this kind.
    pub(crate) fn draft<'node>(&self, node: &'node Node, kind: Kind, group: Option<&str>) -> Draft<'node> {
        let mut draft = node.container(&self.image);
        if let Some(group) = group {
            draft = draft.annotation(GROUP, group);
        }
        let words = command(kind);
        draft = draft.args(words.iter().map(String::as_str));
        match kind {
            Kind::Grows => draft.memory(64 << 20),
            Kind::Echoes => draft.with_stdin(),
            Kind::AtTerminal | Kind::NativeAtTerminal => draft.with_terminal(),
            _ => draft,
        }
    }
}

/// What it runs.
pub(crate) fn command(kind: Kind) -> Vec<String> {
    let guest = |name: &str| vec![format!("/{name}.wasm")];
    let shell = |script: &str| ["/bin/busybox", "sh", "-c", script].map(str::to_owned).to_vec();
    match kind {
        Kind::Exits(code) => guest(&format!("exits-{code}")),
        Kind::Late => guest("late"),
        Kind::Traps => guest("traps"),
        Kind::Grows => guest("grows"),
        Kind::Sleeps | Kind::AtTerminal => guest("sleeps"),
        Kind::SleepsAsComponent => guest("component"),
        Kind::Echoes => guest("echoes"),
        Kind::Impossible => guest("impossible"),
        Kind::NativeExits(code) => shell(&format!("exit {code}")),
        Kind::NativeSleeps | Kind::NativeAtTerminal => shell(SLEEPER),
    }
}

/// What another process of it runs, that ends with this code.
pub(crate) fn exec(kind: Kind, code: u8) -> Vec<String> {
    match kind {
        kind if is_native(kind) => command(Kind::NativeExits(code)),
        _ => command(Kind::Exits(code)),
    }
}

pub(crate) fn is_native(kind: Kind) -> bool {
    matches!(kind, Kind::NativeExits(_) | Kind::NativeSleeps | Kind::NativeAtTerminal)
}

/// The code with which it ends by itself.
pub(crate) fn end(kind: Kind) -> Option<u32> {
    match kind {
        Kind::Exits(code) | Kind::NativeExits(code) => Some(code.into()),
        Kind::Late => Some(0),
        Kind::Traps => Some(134),
        Kind::Grows => Some(137),
        _ => None,
    }
}

/// Whether it says that it runs.
pub(crate) fn says_ready(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Sleeps
            | Kind::SleepsAsComponent
            | Kind::AtTerminal
            | Kind::NativeSleeps
            | Kind::NativeAtTerminal
    )
}

/// The code of one that this signal ended, once it had said that it runs.
pub(crate) fn end_by(kind: Kind, signal: u32) -> u32 {
    match (kind, signal) {
        (Kind::NativeSleeps | Kind::NativeAtTerminal, 15) => 15,
        (_, signal) => 128 + signal,
    }
}

/// The name of the server that it shares, if it does.
pub(crate) fn group<'a>(home: Home, clients: &'a str, shared: &'a str) -> Option<&'a str> {
    match home {
        Home::Own => None,
        Home::Clients => Some(clients),
        Home::Shared => Some(shared),
    }
}
