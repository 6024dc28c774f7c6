//! Who is measured, and the same small work for each: a line of output, or sleep.

use pinnace_conformance::guests;
use pinnace_e2e::{Cost, Draft, Image, Node, PINNACE, RUNC, places};
use pinnace_oci::build;
use std::fs;

/// A shim, and how to give it work.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) runtime: &'static str,
    pub(crate) shim: &'static str,
    image: Image,
    line: &'static [&'static str],
    /// What sleeps, by name; nothing for a shim that runs nothing.
    sleepers: &'static [(&'static str, &'static [&'static str])],
}

/// All contenders, in the order of their turns.
pub(crate) fn all(node: &Node) -> [Contender; 3] {
    let busybox = fs::read(places::tools().join("busybox")).expect("busybox; run `cargo xtask tools`");
    let wasm = build::Image::rootfs()
        .file("/hello.wasm", guests::hello_p1(), 0o755)
        .file("/sleep-p1.wasm", guests::sleep_p1(), 0o755)
        .file("/sleep-p2.wasm", guests::sleep_p2(), 0o755);
    let native = node.image(&build::Image::rootfs().file("/bin/busybox", busybox, 0o755));
    [
        Contender {
            name: "Pinnace",
            runtime: PINNACE,
            shim: "containerd-shim-wasm-v1",
            image: node.image(&wasm),
            line: &["/hello.wasm"],
            sleepers: &[("p1 module", &["/sleep-p1.wasm"]), ("p2 component", &["/sleep-p2.wasm"])],
        },
        Contender {
            name: "runc",
            runtime: RUNC,
            shim: "containerd-shim-runc-v2",
            image: native.clone(),
            line: &["/bin/busybox", "echo", "hello from busybox"],
            sleepers: &[(
                "static native",
                &["/bin/busybox", "sh", "-c", "echo ready; exec /bin/busybox sleep 3600"],
            )],
        },
        Contender {
            name: "null shim",
            runtime: "io.containerd.null.v1",
            shim: "containerd-shim-null-v1",
            image: native,
            line: &["/bin/busybox", "echo", "hello from nobody"],
            sleepers: &[],
        },
    ]
}

impl Contender {
    /// A container that prints a line and ends.
    pub(crate) fn line<'node>(&self, node: &'node Node) -> Draft<'node> {
        self.draft(node, self.line)
    }

    /// What each sleeping guest costs.
    pub(crate) fn asleep(&self, node: &Node) -> Vec<(&'static str, Vec<Cost>)> {
        let mut costs = Vec::new();
        for (what, args) in self.sleepers {
            // The first start of an image also pays for compiling it.
            for warm in [false, true] {
                let mut container = self.draft(node, args).create().expect("create");
                container.start().expect("start");
                container.stdout().wait_for("ready");
                if warm {
                    costs.push((*what, container.cost()));
                }
                container.kill(9).expect("kill");
                container.wait();
                container.delete().expect("delete");
            }
        }
        costs
    }

    fn draft<'node>(&self, node: &'node Node, args: &[&str]) -> Draft<'node> {
        node.container(&self.image).runtime(self.runtime).args(args.iter().copied())
    }
}
