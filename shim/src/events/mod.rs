//! Events: what happens to tasks, told to containerd in the order in which it happened.
//!
//! ```text
//!   send ──▶ queue (2048) ──▶ one sender: forward ──ok──▶ next
//!            full: the oldest                 └─fails──▶ again after 1, 2, 3, 4, 5 s ──▶ given up, logged
//!            gives way
//! ```
//!
//! One event is under way at a time, and the others wait behind it: a retry never overtakes. [`Publisher::send`]
//! never waits. While containerd is away nothing spins: each try is a failed connect, then a sleep. What is lost
//! in a long absence containerd asks for itself when it comes back (State, Pids); the newest events are worth
//! most, so a full queue loses the oldest.

mod event;
mod policy;
mod queue;

pub use event::Event;

use crate::protocol::forward::Forwarder;
use policy::Next;
use queue::{Dated, Queue};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{sleep, timeout};

/// Where events go; clones share one queue.
#[derive(Debug, Clone)]
pub struct Publisher {
    queue: Arc<Queue>,
}

impl Publisher {
    /// Starts the sender; must be called inside the runtime. Without an address (nobody listens, as in a shim
    /// started by hand) events are dropped.
    #[must_use]
    pub fn new(ttrpc_address: &str, namespace: &str) -> Self {
        let queue = Arc::new(Queue::default());
        match ttrpc_address {
            "" => {
                log::warn!("containerd gave no address for events (TTRPC_ADDRESS): none will be sent");
                queue.close();
            }
            _ => {
                let forwarder = Forwarder::new(ttrpc_address, namespace);
                tokio::spawn(deliver_all(queue.clone(), forwarder));
            }
        }
        Self { queue }
    }

    /// Queues an event, dated now.
    pub fn send(&self, event: Event) {
        self.queue.push(Dated { at: SystemTime::now(), event });
    }

    /// Waits until everything sent so far is delivered or given up, `within` at most; whether it was.
    pub async fn flush(&self, within: Duration) -> bool {
        timeout(within, self.queue.drained()).await.is_ok()
    }
}

async fn deliver_all(queue: Arc<Queue>, mut forwarder: Forwarder) {
    loop {
        let event = queue.next().await;
        deliver(&event, &mut forwarder).await;
        queue.done();
    }
}

async fn deliver(dated: &Dated, forwarder: &mut Forwarder) {
    let mut failures = 0;
    while let Err(error) = forwarder.forward(dated.at, &dated.event).await {
        failures += 1;
        match policy::after(failures) {
            Next::Again(wait) => sleep(wait).await,
            Next::GiveUp => {
                log::error!("gave up an event after {failures} tries: {error}: {:?}", dated.event);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
