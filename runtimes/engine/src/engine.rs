//! The trait an engine implements.

use crate::{Ceiling, Description};
use pinnace_plan::{ExitCause, Plan};
use std::fs::File;
use std::os::fd::OwnedFd;

/// An engine: something that maps native artifacts of its own compiler and enters them.
pub trait Engine {
    /// A guest that is mapped and linked.
    type Prepared: Prepared;
    /// Why a guest cannot be prepared. Its message reaches the user through Create.
    type Error: std::error::Error;

    /// Calls the engine makes beyond those the sandbox allows every program.
    const SYSTEM_CALLS: &'static [&'static str];

    /// What the engine is. Called without any plan.
    fn describe() -> Description;

    /// Maps and links the guest. No guest code runs here, not even a start function.
    ///
    /// Called once, behind all walls but the last: memory can still be made executable, nothing else is
    /// left. Whatever can be known to fail (an import nobody has, a memory above the ceiling) fails here.
    ///
    /// # Errors
    /// With a message that names the module and what to do about it.
    fn prepare(plan: &Plan, given: Given) -> Result<Self::Prepared, Self::Error>;
}

/// A guest that is ready to be entered.
pub trait Prepared {
    /// Enters the guest and stays until it ends. What a trap has to tell goes to stderr.
    ///
    /// Behind the last wall: no memory can be made executable any more.
    fn run(self) -> ExitCause;
}

/// What a plan named by descriptor, opened.
#[derive(Debug)]
pub struct Given {
    /// The artifact, read-only.
    pub artifact: File,
    /// The preopened directories, in the plan's order.
    pub preopens: Vec<OwnedFd>,
    /// The memory the guest may have.
    pub ceiling: Ceiling,
}
