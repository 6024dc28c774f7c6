//! The harness: a real containerd of one's own, containers in it, and proof that nothing stays behind.
//!
//! ```text
//!  let node = Node::start();                            a containerd in a temporary directory
//!  let image = node.import("hello", &archive);          content, unpacked into snapshots
//!  let ended = node.container(&image).args(["/hello.wasm"]).run();
//!  assert_eq!(ended.code, 0);
//!                                                       drop: everything deleted, then looked for
//! ```
//!
//! A test that needs more than a run takes the steps one by one: [`Draft::create`], [`Container::start`],
//! [`Container::kill`], [`Container::wait`], [`Container::delete`].
//!
//! When a [`Node`] is dropped it removes what the test left, stops containerd, and fails the test if a process,
//! mount, cgroup, socket, FIFO or file of it is still there ([`leaks`]), or if containerd's log holds a warning
//! that the test did not [expect](Node::expect_log). Everything a node makes carries the node's name, so nodes
//! side by side and other work on the machine do not disturb each other.
//!
//! Nothing here sleeps for a fixed time: [`until`] waits for a condition.

#![forbid(unsafe_code)]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a harness fails by panicking, that is how a test fails"
)]

mod client;
mod container;
pub mod cost;
pub mod cri;
mod daemon;
mod draft;
mod events;
mod exec;
mod faults;
mod image;
pub mod leaks;
mod log;
mod node;
pub mod places;
mod registry;
mod spec;
mod stdio;
mod wait;

pub use container::{Container, Ended, State};
pub use cost::Cost;
pub use draft::Draft;
pub use events::{Event, Events};
pub use exec::{Exec, ExecDraft};
pub use faults::{Armed, Faults, Hit};
pub use image::Image;
pub use node::Node;
pub use registry::Registry;
pub use stdio::Pipe;
pub use tonic::{Code, Status};
pub use wait::{until, within};

/// The runtime that is tested.
pub const PINNACE: &str = "io.containerd.wasm.v1";

/// The runtime that the harness itself was proven with.
pub const RUNC: &str = "io.containerd.runc.v2";
