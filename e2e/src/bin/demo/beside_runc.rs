//! Time and memory of one container, beside runc's for the same work.
//!
//! The work is one line of output, by a Wasm module here and by a static native program there; memory is taken
//! while each sleeps. The runs take turns, so both meet the same machine.

use pinnace_conformance::guests;
use pinnace_e2e::{Cost, Draft, Image, Node, PINNACE, RUNC, places};
use pinnace_oci::build;
use std::fs;
use std::time::Duration;

/// Enough for a median that holds on a busy machine.
const RUNS: usize = 15;

/// Who is compared: how to print a line, and how to sleep.
struct Contender {
    name: &'static str,
    runtime: &'static str,
    image: Image,
    line: &'static [&'static str],
    sleep: &'static [&'static str],
}

pub(crate) fn compare(node: &Node) {
    let Ok(busybox) = fs::read(places::tools().join("busybox")) else {
        println!("No comparison with runc: busybox could not be had on this machine.\n");
        return;
    };
    println!("\x1b[1mThe same work by Pinnace and by runc\x1b[0m, {RUNS} runs each, in turn");
    let wasm = build::Image::rootfs().file("/hello.wasm", guests::hello_p1(), 0o755).file(
        "/sleep.wasm",
        guests::sleep_p1(),
        0o755,
    );
    let native = build::Image::rootfs().file("/bin/busybox", busybox, 0o755);
    let contenders = [
        Contender {
            name: "Pinnace",
            runtime: PINNACE,
            image: node.image(&wasm),
            line: &["/hello.wasm"],
            sleep: &["/sleep.wasm"],
        },
        Contender {
            name: "runc",
            runtime: RUNC,
            image: node.image(&native),
            line: &["/bin/busybox", "echo", "hello from busybox"],
            sleep: &["/bin/busybox", "sh", "-c", "echo ready; exec /bin/busybox sleep 3600"],
        },
    ];
    let mut times = contenders.each_ref().map(|_| Vec::new());
    for _ in 0..RUNS {
        for (contender, times) in contenders.iter().zip(&mut times) {
            times.push(to_first_byte(contender.draft(node, contender.line)));
        }
    }
    println!(
        "{:<10}{:>24}{:>16}{:>16}{:>12}",
        "", "Create to first byte", "private memory", "PSS", "processes"
    );
    for (contender, mut times) in contenders.iter().zip(times) {
        times.sort();
        // A server that has compiled keeps 50 KiB of that for as long as it lives: once per image and node.
        let [_first, cost] = [(); 2].map(|()| cost(contender.draft(node, contender.sleep)));
        let sum = |of: fn(&Cost) -> u64| cost.iter().map(of).sum::<u64>();
        println!(
            "{:<10}{:>21.1} ms{:>12} KiB{:>12} KiB{:>12}",
            contender.name,
            times[RUNS / 2].as_secs_f64() * 1000.0,
            sum(|process| process.private),
            sum(|process| process.pss),
            cost.len()
        );
    }
    println!();
}

impl Contender {
    fn draft<'node>(&self, node: &'node Node, args: &[&str]) -> Draft<'node> {
        node.container(&self.image).runtime(self.runtime).args(args.iter().copied())
    }
}

fn to_first_byte(draft: Draft<'_>) -> Duration {
    let mut container = draft.create().expect("create");
    container.start().expect("start");
    assert_eq!(container.wait(), 0, "{}: {}", container.id(), container.stderr().so_far());
    let _line = container.stdout().to_end();
    let time = container.to_first_byte().expect("a line of output");
    container.delete().expect("delete");
    time
}

fn cost(draft: Draft<'_>) -> Vec<Cost> {
    let mut container = draft.create().expect("create");
    container.start().expect("start");
    container.stdout().wait_for("ready");
    let cost = container.cost();
    container.kill(9).expect("kill");
    container.wait();
    container.delete().expect("delete");
    cost
}
