//! Tasks: the containers of this server, each owned by one actor.
//!
//! ```text
//!            Create                 Start              report: Started
//!   (spawn) ───────▶ Created ─────────────▶ Starting ─────────────────▶ Running
//!                       │ │                    │ report: Failed            │
//!                Delete │ │ process ends       ▼                           │ process ends
//!                       ▼ │                 Failing ── process ends ──┐    │
//!                    Doomed ── process ends ──▶ (gone)                ▼    ▼
//!                         └─────────────────────────────────────────▶ Stopped ── Delete ──▶ (gone)
//! ```
//!
//! [`state`] is that picture as a pure function: inputs in, effects out, typed refusals. [`actor`] feeds it
//! with calls, control records and the process' end, and carries the effects out. [`registry`] finds the
//! actor of an id. What fails in Create leaves nothing: there is no state before Created.

mod actor;
mod call;
mod effects;
mod error;
mod keeper;
mod member;
mod registry;
mod request;
mod state;

pub use error::{Of, TaskError, chain};
pub use registry::Tasks;
pub use request::{CreateRequest, ExecRequest, Exit, HandlerOptions, Listed, RootMount, Snapshot, Status};
