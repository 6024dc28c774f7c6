//! Components, WASI 0.2 commands.

use crate::error::PrepareError;
use crate::limiter::Limiter;
use crate::{artifact, ending, wasi};
use pinnace_engine::Given;
use pinnace_plan::{ExitCause, Plan};
use tokio::runtime::Runtime;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::p2::add_to_linker_async;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// The world, for messages.
const WORLD: &str = "wasi:cli/command@0.2";

/// What the host keeps for the guest.
struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    limiter: Limiter,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A component, mapped and linked.
pub(crate) struct PreparedComponent {
    runtime: Runtime,
    store: Store<State>,
    command: CommandPre<State>,
}

impl PreparedComponent {
    pub(crate) fn new(
        plan: &Plan,
        given: Given,
        engine: &Engine,
        runtime: Runtime,
    ) -> Result<Self, PrepareError> {
        let name = &plan.module.name;
        if let Some(function) = &plan.module.function {
            return Err(PrepareError::FunctionOfComponent { name: name.clone(), function: function.clone() });
        }
        let unusable = |source| PrepareError::Artifact { name: name.clone(), source };
        let mapping = artifact::map(&given.artifact)
            .map_err(|source| PrepareError::Map { name: name.clone(), source })?;
        let component = artifact::component(engine, mapping).map_err(unusable)?;
        let limiter = Limiter::new(given.ceiling);
        if let Some(required) = component.resources_required() {
            limiter.admit(name, &required)?;
        }

        let mut linker = Linker::new(engine);
        add_to_linker_async(&mut linker)
            .map_err(|source| PrepareError::Wasi { name: name.clone(), source })?;
        let instance = linker.instantiate_pre(&component).map_err(|source| PrepareError::Link {
            name: name.clone(),
            world: WORLD,
            source,
        })?;
        let command = CommandPre::new(instance)
            .map_err(|source| PrepareError::NoCommand { name: name.clone(), source })?;
        // Before the last wall: afterwards no file may be made for it.
        component.initialize_copy_on_write_image().map_err(unusable)?;

        let wasi = wasi::context(plan, given.preopens)?.build();
        let mut store = Store::new(engine, State { wasi, table: ResourceTable::new(), limiter });
        store.limiter(|state| &mut state.limiter);
        Ok(Self { runtime, store, command })
    }

    pub(crate) fn run(mut self) -> ExitCause {
        let result = self.runtime.block_on(async {
            let command = self.command.instantiate_async(&mut self.store).await?;
            let result = command.wasi_cli_run().call_run(&mut self.store).await?;
            Ok(if result.is_ok() { 0 } else { 1 })
        });
        ending::ending(result, self.store.data().limiter.refused())
    }
}
