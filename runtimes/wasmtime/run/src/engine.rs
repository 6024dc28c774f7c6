//! The engine behind the trait: the choice between the two kinds of guest.

use crate::artifact::MappedCode;
use crate::component::PreparedComponent;
use crate::error::PrepareError;
use crate::module::PreparedModule;
use pinnace_engine::{Description, Engine, Given, Prepared};
use pinnace_plan::{ExitCause, Kind, Plan};
use pinnace_wasmtime_config::{NAME, PROPOSALS, WASMTIME, WORLDS, config};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How long a helper thread waits for more work. It is there for name lookups and for the file streams of
/// asynchronous guests only.
const IDLE: Duration = Duration::from_millis(500);

/// The most helper threads at once: what a guest can start at the same time, the rest waits.
const HELPERS: usize = 4;

/// Wasmtime, without its compiler.
pub(crate) struct Wasmtime;

/// A guest of either kind.
pub(crate) enum Guest {
    Module(PreparedModule),
    Component(PreparedComponent),
}

impl Engine for Wasmtime {
    type Prepared = Guest;
    type Error = PrepareError;

    // The preopened directories are handed to wasmtime-wasi as ".", and it starts threads for file streams.
    const SYSTEM_CALLS: &'static [&'static str] = &["fchdir", "clone"];

    fn describe() -> Description {
        Description { name: NAME, version: WASMTIME.to_owned(), worlds: WORLDS, proposals: PROPOSALS }
    }

    fn prepare(plan: &Plan, given: Given) -> Result<Guest, PrepareError> {
        let mut config = config();
        config.with_custom_code_memory(Some(Arc::new(MappedCode)));
        let engine = wasmtime::Engine::new(&config).map_err(PrepareError::Engine)?;
        let runtime = runtime().map_err(PrepareError::Runtime)?;
        match plan.module.kind {
            Kind::Module => PreparedModule::new(plan, given, &engine, runtime).map(Guest::Module),
            Kind::Component => PreparedComponent::new(plan, given, &engine, runtime).map(Guest::Component),
        }
    }
}

impl Prepared for Guest {
    fn run(self) -> ExitCause {
        match self {
            Self::Module(module) => module.run(),
            Self::Component(component) => component.run(),
        }
    }
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(HELPERS)
        .thread_keep_alive(IDLE)
        .build()
}
