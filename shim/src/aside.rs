//! Work that blocks, on a thread of its own for as long as it lasts.
//!
//! tokio ends the whole server when there is no thread to be had for such work. Here that is an error of whoever
//! asked for it, and of nobody else.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// How many threads there are.
static UNDER_WAY: Mutex<usize> = Mutex::new(0);

/// One has ended.
static ENDED: Condvar = Condvar::new();

/// A thread that is under way.
struct Counted(());

impl Counted {
    fn new() -> Self {
        *UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_all();
    }
}

/// Has it done, and waits for it. It goes on if nobody waits any more.
///
/// # Errors
/// When no thread can be made.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (tell, told) = oneshot::channel();
    let counted = Counted::new();
    let thread = thread::Builder::new().spawn(move || {
        let _counted = counted;
        // Whoever waited may have gone.
        drop(tell.send(work()));
    })?;
    // Its end is known by what it tells.
    drop(thread);
    told.await.map_err(|_| io::Error::other("a thread ended early"))
}

/// Waits until all of it is done, at most for this time.
pub(crate) fn finish(limit: Duration) {
    let under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    drop(ENDED.wait_timeout_while(under_way, limit, |count| *count > 0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn it_is_done_beside_and_waited_for_at_the_end() {
        assert_eq!(aside(|| 7).await.expect("a thread"), 7);
        let (go, told) = mpsc::channel::<()>();
        let (done, heard) = mpsc::channel();
        let waiting = tokio::spawn(aside(move || {
            told.recv().expect("told");
            done.send(()).expect("heard");
        }));
        tokio::task::yield_now().await;
        // Nobody waits for it any more, and it goes on.
        waiting.abort();
        go.send(()).expect("it is there");
        finish(Duration::from_secs(60));
        heard.try_recv().expect("it was done");
    }
}
