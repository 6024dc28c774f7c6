//! A soak: eight clients do what dice say, a ninth kills, and nothing may be wrong, grow, or be left.
//!
//! ```text
//!  seed ─▶ plan    what each client will do, and who will be killed         the same seed, the same plan
//!            │
//!  round ────┼─▶ client × 8   slots of containers (own server, the client's, the shared one) and pods
//!            │      call ─▶ is the answer what the container's phase and fate say, or was something killed?
//!            └─▶ killer       processes, servers, holders, containerd          marks first, then kills
//!  between rounds: everything is ended, every exit code looked at; what the shared server has for itself is measured
//! ```
//!
//! `cargo xtask soak` runs it for 30 minutes, `make test` for half a minute. `PINNACE_SOAK_SECONDS` says how long,
//! `PINNACE_SOAK_SEED` replays a plan; when the kills meet it is the machine's affair.

mod board;
mod client;
mod killer;
mod kit;
mod plan;
mod pods;
mod slot;
mod tally;

use board::Board;
use client::{Client, LONG, World};
use killer::Killer;
use kit::Kit;
use pinnace_e2e::{Container, Node, cost, leaks, places, within};
use plan::Kind;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use tally::Tally;

const CLIENTS: u64 = 8;

/// What containerd says of calls that are refused and of what is killed. Each answer is judged where it was asked for.
const OF_KILLS: [&str; 8] = [
    "rpc error: code =",
    "failed to handle",
    "failed to load shim",
    "ttrpc: ",
    "no such file or directory",
    // Of servers whose containerd is gone.
    "respond failed for stream",
    "write_message got error",
    "gave up an event",
];

/// What a server has at a quiet moment.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// KiB of its own.
    private: u64,
    descriptors: usize,
}

impl Size {
    fn of(pid: u32) -> Self {
        let private = cost::of(pid).expect("the shared server").private;
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("the shared server").count();
        Self { private, descriptors }
    }
}

#[test]
fn nothing_is_wrong_grows_or_is_left() {
    let number = |name: &str| {
        env::var(name).ok().map(|value| value.parse().expect("PINNACE_SOAK_… is a whole number"))
    };
    let seconds = number("PINNACE_SOAK_SECONDS").unwrap_or(if places::full() { 1800 } else { 30 });
    let seed = number("PINNACE_SOAK_SEED").unwrap_or(1);
    println!("soak: {seconds} s, seed {seed}");
    let node = Node::with_cri();
    OF_KILLS.iter().for_each(|text| node.expect_log(text));
    let world = World {
        node: &node,
        kit: Kit::new(&node),
        board: Board::default(),
        tally: Tally::default(),
        shared: node.id(),
    };
    let anchor = anchor(&world);
    let server = anchor.cost().first().expect("a server").pid;
    let began = Instant::now();
    let sizes = rounds(&world, seed, Duration::from_secs(seconds), server);

    // Servers that wait for a container that a killed containerd will never bring go by themselves.
    anchor.kill(15).expect("kill");
    assert_eq!(anchor.wait(), 143);
    drop(anchor);
    let ours = [std::process::id(), node.containerd_pid()];
    let _gone = within(LONG, || leaks::processes(node.name(), &ours).is_empty().then_some(()));

    remove_half_removed(&node);
    println!(
        "{:.0} s on containerd {}, seed {seed}\n\n{}",
        began.elapsed().as_secs_f64(),
        node.version(),
        world.tally
    );
    let (first, last) = (sizes[sizes.len().min(2) - 1], sizes[sizes.len() - 1]);
    println!(
        "shared server: {} KiB and {} descriptors at first, {} KiB and {} at the end",
        first.private, first.descriptors, last.private, last.descriptors
    );
    let wrong = world.tally.all_wrong();
    assert!(wrong.is_empty(), "seed {seed}:\n  {}", wrong.join("\n  "));
    assert!(world.tally.kills() > 0, "nobody was killed");
    // A connection of containerd's more or less; not one for each container.
    assert!(last.descriptors <= first.descriptors + 4, "descriptors: {sizes:?}");
    assert!(last.private <= first.private + first.private / 4 + 128, "memory: {sizes:?}");
}

/// containerd renames a bundle before it removes it, and one that is killed between the two never looks at it again.
fn remove_half_removed(node: &Node) {
    let inside = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().collect::<Vec<_>>();
    let namespaces = inside(&node.dir().join("state/io.containerd.runtime.v2.task"));
    for bundle in namespaces.iter().flat_map(|namespace| inside(&namespace.path())) {
        if bundle.file_name().as_encoded_bytes().starts_with(b".") {
            fs::remove_dir_all(bundle.path()).expect("remove what containerd left");
        }
    }
}

/// A container that keeps the shared server from beginning to end.
fn anchor<'node>(world: &World<'node>) -> Container<'node> {
    let anchor = world.kit.draft(world.node, Kind::Sleeps, Some(&world.shared)).create().expect("create");
    anchor.start().expect("start");
    anchor.stdout().wait_for("ready");
    anchor
}

/// Rounds of a minute, or shorter ones if that is too few; after each the shared server's size.
fn rounds(world: &World<'_>, seed: u64, long: Duration, server: u32) -> Vec<Size> {
    let mut clients: Vec<_> = (0..CLIENTS).map(|number| Client::new(world, seed, number)).collect();
    let mut killer = Killer::new(world, seed, CLIENTS);
    let (began, round) = (Instant::now(), (long / 4).min(Duration::from_secs(60)));
    let mut sizes = Vec::new();
    while began.elapsed() < long && world.tally.all_wrong().is_empty() {
        let end = Instant::now() + round;
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(move || client.round(end));
            }
            scope.spawn(|| killer.round(end));
        });
        sizes.push(Size::of(server));
    }
    sizes
}
