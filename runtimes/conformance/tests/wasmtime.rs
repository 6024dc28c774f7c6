//! The suite on Wasmtime. Needs root, and the paths of the two programs in `PINNACE_RUNNER` and
//! `PINNACE_COMPILER`; without them it fails.

use object::{Object, ObjectSymbol};
use pinnace_conformance::Programs;

fn programs() -> Programs {
    let path = |name| std::env::var_os(name).expect(name).into();
    Programs { runner: path("PINNACE_RUNNER"), compiler: path("PINNACE_COMPILER") }
}

pinnace_conformance::suite!(programs);

/// The runner carries no compiler, and none of the libc's ways to load a name service. What it only names does not
/// count: a libc's `fork` would tell a name service of it, if there was one.
#[test]
fn the_runner_has_neither_compiler_nor_name_service() {
    let program = std::fs::read(programs().runner).expect("the runner is there");
    let program = object::File::parse(&*program).expect("a program");
    let defined: Vec<_> = program
        .symbols()
        .filter(|symbol| symbol.is_definition())
        .map(|symbol| symbol.name().expect("a name"))
        .collect();
    let holds = |part: &str| defined.iter().any(|symbol| symbol.contains(part));
    assert!(holds("wasmtime"), "symbols were stripped: nothing can be told");
    for part in [
        "cranelift_codegen",
        "cranelift_frontend",
        "regalloc2",
        "wasmtime_internal_cranelift",
        "winch_codegen",
        "__nss_",
        "_nss_files",
        "nss_database",
    ] {
        assert!(!holds(part), "{part} is in the runner");
    }
}
