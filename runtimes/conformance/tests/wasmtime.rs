//! The suite on Wasmtime. Needs root, and the paths of the two programs in `PINNACE_RUNNER` and
//! `PINNACE_COMPILER`; without them it fails.

use pinnace_conformance::Programs;

fn programs() -> Programs {
    let path = |name| std::env::var_os(name).expect(name).into();
    Programs { runner: path("PINNACE_RUNNER"), compiler: path("PINNACE_COMPILER") }
}

pinnace_conformance::suite!(programs);

/// The runner carries no compiler, and none of the libc's ways to load a name service.
#[test]
fn the_runner_has_neither_compiler_nor_name_service() {
    let program = std::fs::read(programs().runner).expect("the runner is there");
    let holds = |symbol: &str| program.windows(symbol.len()).any(|bytes| bytes == symbol.as_bytes());
    assert!(holds("wasmtime"), "symbols were stripped: nothing can be told");
    for symbol in [
        "cranelift_codegen",
        "cranelift_frontend",
        "regalloc2",
        "wasmtime_internal_cranelift",
        "winch_codegen",
    ] {
        assert!(!holds(symbol), "{symbol} is in the runner");
    }
    for symbol in ["__nss_", "_nss_files", "nss_database"] {
        assert!(!holds(symbol), "{symbol} is in the runner");
    }
}
