//! What a pod costs through the CRI, with Pinnace and with runc, in a network of its own and in the host's.
//!
//! ```text
//!  for each cycle, for each contender in turn:   RunPodSandbox ─ CreateContainer ─ StartContainer ─ first byte in its log
//!  then, while a guest sleeps:                   processes and memory of one pod
//! ```
//!
//! `cargo run -p pinnace-e2e --bin measure_pods [CYCLES]`, with the release programs in place (`cargo xtask build`). All in one
//! run, interleaved: ratios compare, figures of another run do not.

#![forbid(unsafe_code)]

use pinnace_e2e::cri::PodDraft;
use pinnace_e2e::{Node, cost, places};
use pinnace_oci::build::Image;
use std::fs;
use std::time::{Duration, Instant};

/// Who is measured, and in which network.
struct Contender<'node> {
    name: &'static str,
    draft: Box<dyn Fn() -> PodDraft<'node> + 'node>,
    image: String,
    says: &'static [&'static str],
    sleeps: &'static [&'static str],
    pods: Vec<Duration>,
    bytes: Vec<Duration>,
}

fn main() {
    let cycles = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(20);
    let node = Node::with_pods();
    let read = |name: &str| fs::read(places::tools().join(name)).expect("run `cargo xtask tools`");
    let wasm = Image::rootfs().file("/tool.wasm", read("tool.wasm"), 0o755).entrypoint(["/tool.wasm"]);
    let native = Image::rootfs().file("/busybox", read("busybox"), 0o755).entrypoint(["/busybox"]);
    let (wasm, native) = (node.pod_image(&wasm), node.pod_image(&native));
    let node = &node;
    let mut contenders = [
        Contender::pinnace("Pinnace, own network", &wasm, || node.draft_pod()),
        Contender::runc("runc, own network", &native, || node.draft_pod().by_runc()),
        Contender::pinnace("Pinnace, host's network", &wasm, || node.draft_pod().host_network()),
        Contender::runc("runc, host's network", &native, || node.draft_pod().by_runc().host_network()),
    ];
    for cycle in 0..=cycles {
        for contender in &mut contenders {
            let (pod, byte) = contender.cycle();
            // The first compiles the guest, and brings every program into memory.
            if cycle > 0 {
                contender.pods.push(pod);
                contender.bytes.push(byte);
            }
        }
    }
    println!("containerd {}, {cycles} cycles; median (least) in ms", node.version());
    for contender in &mut contenders {
        let (pod, byte) = (told(&mut contender.pods), told(&mut contender.bytes));
        println!("{:24} RunPodSandbox {pod}, to the first byte in the log {byte}", contender.name);
    }
    println!();
    for contender in &contenders {
        contender.asleep();
    }
}

impl<'node> Contender<'node> {
    fn pinnace(name: &'static str, image: &str, draft: impl Fn() -> PodDraft<'node> + 'node) -> Self {
        let (draft, image) = (Box::new(draft), image.to_owned());
        Self {
            name,
            draft,
            image,
            says: &["env", "A"],
            sleeps: &["sleep"],
            pods: Vec::new(),
            bytes: Vec::new(),
        }
    }

    fn runc(name: &'static str, image: &str, draft: impl Fn() -> PodDraft<'node> + 'node) -> Self {
        Self { says: &["echo", "A="], sleeps: &["sleep", "1000"], ..Self::pinnace(name, image, draft) }
    }

    fn cycle(&self) -> (Duration, Duration) {
        let began = Instant::now();
        let pod = (self.draft)().run().expect("a pod");
        let ran = began.elapsed();
        let container = pod.draft(&self.image).args(self.says).start().expect("start");
        while container.log().is_empty() {
            std::thread::sleep(Duration::from_micros(100));
        }
        let first_byte = began.elapsed();
        // containerd's own shim, told to stop a pod whose container is just ending, may fail to (`ttrpc: closed`).
        let _status = container.wait();
        (ran, first_byte)
    }

    fn asleep(&self) {
        let pod = (self.draft)().run().expect("a pod");
        let container = pod.draft(&self.image).args(self.sleeps).start().expect("start");
        let family = cost::family(pod.pid());
        let all: Vec<_> = family.iter().map(|one| format!("{} {}", one.name, one.private)).collect();
        let sum: u64 = family.iter().map(|one| one.private).sum();
        println!("{:24} {} processes, {sum} KiB private: {}", self.name, family.len(), all.join(", "));
        container.remove();
    }
}

/// The median and the least.
fn told(values: &mut [Duration]) -> String {
    values.sort_unstable();
    let of = |index: usize| values.get(index).map_or(0.0, |value| value.as_secs_f64() * 1000.0);
    format!("{:.1} ({:.1})", of(values.len() / 2), of(0))
}
