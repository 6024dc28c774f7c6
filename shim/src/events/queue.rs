//! The events that wait, and whether one is under way.

use super::Event;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::sync::Notify;

/// An event and when it happened.
#[derive(Debug)]
pub(super) struct Dated {
    pub(super) at: SystemTime,
    pub(super) event: Event,
}

/// First in, first out, never more than [`LONGEST`].
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Dated>,
    under_way: bool,
    /// Since nothing waited.
    lost: u64,
    closed: bool,
}

/// As many as containerd's own shim keeps.
const LONGEST: usize = 2048;

impl Queue {
    /// Adds one; the oldest gives way when there are too many.
    pub(super) fn push(&self, event: Dated) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        if state.waiting.len() >= LONGEST {
            state.waiting.pop_front();
            state.lost += 1;
            // Told once here and counted at the end: a line per event would only make things worse.
            if state.lost == 1 {
                log::warn!("{LONGEST} events wait for containerd: the oldest are dropped");
            }
        }
        state.waiting.push_back(event);
        drop(state);
        self.filled.notify_one();
    }

    /// The oldest, once there is one. It is under way until [`Queue::done`].
    pub(super) async fn next(&self) -> Dated {
        loop {
            if let Some(event) = self.take() {
                return event;
            }
            self.filled.notified().await;
        }
    }

    fn take(&self) -> Option<Dated> {
        let mut state = self.lock();
        let event = state.waiting.pop_front();
        state.under_way = event.is_some();
        event
    }

    /// The one under way is delivered, or given up.
    pub(super) fn done(&self) {
        let mut state = self.lock();
        state.under_way = false;
        if state.waiting.is_empty() {
            // Memory of a long absence is given back.
            state.waiting.shrink_to(0);
            let lost = std::mem::take(&mut state.lost);
            if lost > 0 {
                log::warn!("{lost} events were dropped while containerd was away");
            }
            self.drained.notify_waiters();
        }
    }

    /// Takes nothing from now on.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    /// Waits until nothing waits.
    pub(super) async fn drained(&self) {
        loop {
            // Made before the look, so that a notification in between is not missed.
            let drained = self.drained.notified();
            if self.is_idle() {
                return;
            }
            drained.await;
        }
    }

    fn is_idle(&self) -> bool {
        let state = self.lock();
        state.waiting.is_empty() && !state.under_way
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: usize) -> Dated {
        Dated { at: SystemTime::now(), event: Event::TaskOom { id: number.to_string() } }
    }

    fn number(dated: &Dated) -> usize {
        match &dated.event {
            Event::TaskOom { id } => id.parse().expect("a number"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_oldest_give_way_and_the_rest_keep_their_order() {
        let queue = Queue::default();
        (0..LONGEST + 10).for_each(|number| queue.push(event(number)));
        let left: Vec<_> = std::iter::from_fn(|| queue.take()).map(|dated| number(&dated)).collect();
        assert_eq!(left, (10..LONGEST + 10).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn drained_waits_for_the_one_under_way() {
        let queue = Queue::default();
        queue.drained().await;
        queue.push(event(1));
        let taken = queue.next().await;
        assert_eq!((number(&taken), queue.is_idle()), (1, false));
        queue.done();
        queue.drained().await;
    }

    #[tokio::test]
    async fn a_closed_queue_takes_nothing() {
        let queue = Queue::default();
        queue.close();
        queue.push(event(1));
        queue.drained().await;
    }
}
