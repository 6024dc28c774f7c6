//! The guest's standard streams: the process's own descriptors, without a thread and without a buffer.
//!
//! The descriptors are the log's FIFOs, pipes, files or `/dev/null`, and shared with whoever else holds them,
//! so they are never made non-blocking: that would be a surprise at the other end.

mod input;
mod output;

pub(crate) use input::Stdin;
pub(crate) use output::Output;
