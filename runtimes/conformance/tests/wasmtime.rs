//! The suite on Wasmtime. Needs root, and the paths of the two programs in `PINNACE_RUNNER` and
//! `PINNACE_COMPILER`; without them it fails.

use pinnace_conformance::Programs;

fn programs() -> Programs {
    let path =
        |name| std::env::var_os(name).unwrap_or_else(|| panic!("set {name} to the program's path")).into();
    Programs { runner: path("PINNACE_RUNNER"), compiler: path("PINNACE_COMPILER") }
}

pinnace_conformance::suite!(programs);
