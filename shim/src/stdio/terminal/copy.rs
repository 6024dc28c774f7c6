//! The task of a terminal.

use super::Streams;
use super::master::Master;
use super::pair::end_key;
use super::sink::Sink;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

/// How long after the end of the process a read that finds nothing is not the last one: for what processes say that
/// the dead one leaves in the background.
const BACKGROUND: Duration = Duration::from_secs(1);

/// The most that can be on its way when the process ends; more is theirs. The kernel holds 8 KiB, and 4 that are
/// ready to be read.
const ON_ITS_WAY: usize = 64 << 10;

/// What is typed at once.
const TYPED: usize = 4 << 10;

/// Copies until the output is over.
pub(super) async fn copy(
    master: Arc<Master>,
    slave: OwnedFd,
    streams: Streams,
    ended: oneshot::Receiver<()>,
) {
    let typing = async {
        if let Some(input) = streams.input
            && let Err(error) = typing(&master, &input).await
        {
            log::debug!("the input of a terminal ended: {error}");
        }
        pending::<()>().await;
    };
    tokio::select! {
        () = showing(&master, slave, streams.output, ended) => {}
        () = typing => {}
    }
}

/// From the master to where the screen is, until there is no output any more.
async fn showing(master: &Master, slave: OwnedFd, mut output: Sink, mut ended: oneshot::Receiver<()>) {
    loop {
        let chunk = tokio::select! {
            biased;
            // A terminal that is let go is as one whose process has ended.
            _told = &mut ended => break,
            chunk = master.read() => chunk,
        };
        let Ok(chunk) = chunk else { return };
        output.write(chunk).await;
        // Who writes without an end is not to keep everybody else waiting.
        yield_now().await;
    }
    drop(slave);
    let until = Instant::now() + BACKGROUND;
    let mut left = ON_ITS_WAY;
    while left > 0
        && let Ok(Ok(chunk)) = timeout_at(until, master.read()).await
    {
        left = left.saturating_sub(chunk.len());
        output.write(chunk).await;
        yield_now().await;
    }
}

/// From the keyboard to the master, until its end.
async fn typing(master: &Master, input: &pipe::Receiver) -> io::Result<()> {
    let mut within_a_line = false;
    loop {
        input.readable().await?;
        let mut typed = Vec::with_capacity(TYPED);
        match input.try_read_buf(&mut typed) {
            Ok(0) => break,
            Ok(_) => {
                master.write(&typed).await?;
                within_a_line = typed.last() != Some(&b'\n');
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(key) = end_key(master.fd()) {
        // Within a line the key only hands over what was typed of it.
        let times = if within_a_line { 2 } else { 1 };
        master.write(&[key; 2][..times]).await?;
    }
    Ok(())
}
