//! Core modules, WASI preview 1.

use crate::error::PrepareError;
use crate::limiter::Limiter;
use crate::{artifact, ending, wasi};
use pinnace_engine::Given;
use pinnace_plan::{ExitCause, Plan};
use tokio::runtime::Runtime;
use wasmtime::{Engine, ExternType, InstancePre, Linker, Module, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p1::{WasiP1Ctx, add_to_linker_async};

/// The world, for messages.
const WORLD: &str = "WASI preview 1";

/// The way into a command.
const START: &str = "_start";

/// What the host keeps for the guest.
struct State {
    wasi: WasiP1Ctx,
    limiter: Limiter,
}

/// A core module, mapped and linked.
pub(crate) struct PreparedModule {
    runtime: Runtime,
    store: Store<State>,
    instance: InstancePre<State>,
    entry: String,
}

impl PreparedModule {
    pub(crate) fn new(
        plan: &Plan,
        given: Given,
        engine: &Engine,
        runtime: Runtime,
    ) -> Result<Self, PrepareError> {
        let name = &plan.module.name;
        let module = artifact::module(engine, given.artifact)
            .map_err(|source| PrepareError::Artifact { name: name.clone(), source })?;
        let limiter = Limiter::new(given.ceiling);
        limiter.admit(name, &module.resources_required())?;
        let entry = entry(&module, name, plan.module.function.as_deref())?;

        let linker = linker(engine).map_err(|source| PrepareError::Wasi { name: name.clone(), source })?;
        let wasi = wasi::context(plan, given.preopens)?.build_p1();
        let mut store = Store::new(engine, State { wasi, limiter });
        store.limiter(|state| &mut state.limiter);
        known(&linker, &mut store, &module, name)?;
        let instance = linker.instantiate_pre(&module).map_err(|source| PrepareError::Link {
            name: name.clone(),
            world: WORLD,
            source,
        })?;
        // Before the last wall: afterwards no file may be made for it.
        module
            .initialize_copy_on_write_image()
            .map_err(|source| PrepareError::Artifact { name: name.clone(), source })?;
        Ok(Self { runtime, store, instance, entry })
    }

    pub(crate) fn run(mut self) -> ExitCause {
        let result = self.runtime.block_on(async {
            let instance = self.instance.instantiate_async(&mut self.store).await?;
            let entry = instance.get_typed_func::<(), ()>(&mut self.store, &self.entry)?;
            entry.call_async(&mut self.store, ()).await?;
            Ok(0)
        });
        ending::ending(result, self.store.data().limiter.refused())
    }
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    add_to_linker_async(&mut linker, |state: &mut State| &mut state.wasi)?;
    // WASI's own refuses codes from 126 on; a container's are the guest's, all of them.
    linker.allow_shadowing(true);
    linker.func_wrap("wasi_snapshot_preview1", "proc_exit", |code: i32| -> wasmtime::Result<()> {
        Err(I32Exit(code).into())
    })?;
    Ok(linker)
}

/// The export to call, looked up before anything is entered.
fn entry(module: &Module, name: &str, function: Option<&str>) -> Result<String, PrepareError> {
    let entry = function.unwrap_or(START);
    match module.get_export(entry) {
        Some(ExternType::Func(kind)) if kind.params().len() == 0 && kind.results().len() == 0 => {
            Ok(entry.to_owned())
        }
        Some(ExternType::Func(_)) => {
            Err(PrepareError::EntryType { name: name.to_owned(), function: entry.to_owned() })
        }
        _ => Err(PrepareError::NoEntry {
            name: name.to_owned(),
            function: entry.to_owned(),
            hint: if function.is_none() {
                "; build it as a command, or name an export as path#function"
            } else {
                ""
            },
        }),
    }
}

/// Names the first import that the world lacks.
fn known(
    linker: &Linker<State>,
    store: &mut Store<State>,
    module: &Module,
    name: &str,
) -> Result<(), PrepareError> {
    match module.imports().find(|import| linker.get_by_import(&mut *store, import).is_none()) {
        None => Ok(()),
        Some(import) => Err(PrepareError::Import {
            name: name.to_owned(),
            import: format!("{}::{}", import.module(), import.name()),
            world: WORLD,
        }),
    }
}
