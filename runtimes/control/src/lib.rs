//! What a process of a container has from its server, seen from the process: its descriptors, the plan in one of
//! them, and the socket on which both say what they must.
//!
//! Engines, compile programs and holders are born alike (`pinnace_plan::fds`), so each finds these here.

pub mod inherited;
mod message;
mod socket;

pub use inherited::InheritedError;
pub use message::failure;
pub use socket::{Control, ControlError};
