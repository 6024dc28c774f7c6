//! The compiler behind the trait.

use crate::error::CompileError;
use crate::fingerprint::fingerprint;
use crate::inspect::inspect;
use crate::text;
use pinnace_engine::{Compiled, Compiler};
use pinnace_plan::Kind;
use pinnace_plan::compile::Request;
use pinnace_wasmtime_config::config;
use wasmtime::Engine;

/// Wasmtime with Cranelift.
pub(crate) struct Wasmtime;

impl Compiler for Wasmtime {
    type Error = CompileError;

    fn fingerprint() -> Result<String, CompileError> {
        Ok(fingerprint(&Engine::new(&config()).map_err(CompileError::Engine)?))
    }

    fn compile(request: &Request, wasm: &[u8]) -> Result<Compiled, CompileError> {
        let name = &request.name;
        let wasm = &*text::binary(name, wasm)?;
        let kind = inspect(name, wasm)?;
        let parallel = request.threads > 1;
        if parallel {
            rayon::ThreadPoolBuilder::new()
                .num_threads(usize::try_from(request.threads).unwrap_or(1))
                .build_global()
                .map_err(|source| CompileError::Threads { threads: request.threads, source })?;
        }
        // Says how to compile, not what comes out: no part of the fingerprint.
        let mut config = config();
        config.parallel_compilation(parallel);
        let engine = Engine::new(&config).map_err(CompileError::Engine)?;
        let artifact = match kind {
            Kind::Module => engine.precompile_module(wasm),
            Kind::Component => engine.precompile_component(wasm),
        };
        let artifact = artifact.map_err(|source| refused(name, source))?;
        Ok(Compiled { kind, artifact })
    }
}

/// Tells apart what is wrong and what is only not offered: the remedies differ.
fn refused(name: &str, source: wasmtime::Error) -> CompileError {
    // Wasmtime has no type for it; these are the ways its parser says so.
    const OFF: [&str; 3] = ["not enabled", "must be enabled", "is disabled"];
    let name = name.to_owned();
    let off = source.chain().any(|cause| {
        let cause = cause.to_string();
        OFF.iter().any(|off| cause.contains(off))
    });
    if off { CompileError::Unsupported { name, source } } else { CompileError::Compile { name, source } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pinnace_conformance::guests;

    fn compile(wasm: &[u8]) -> Result<Compiled, String> {
        let request = Request { name: "/app.wasm".into(), threads: 1, memory: 0 };
        Wasmtime::compile(&request, wasm).map_err(|error| {
            let mut message = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                message = format!("{message}: {cause}");
                source = cause.source();
            }
            message
        })
    }

    fn refusal(wasm: &[u8]) -> String {
        let message = compile(wasm).expect_err("refused");
        assert!(message.contains("/app.wasm"), "{message}");
        message
    }

    #[test]
    fn both_kinds_are_told_apart_and_compiled() {
        assert_eq!(compile(&guests::hello_p1()).expect("compiled").kind, Kind::Module);
        assert_eq!(compile(&guests::hello_p2()).expect("compiled").kind, Kind::Component);
    }

    #[test]
    fn what_is_not_wasm_is_told_what_it_is() {
        assert!(refusal(b"").contains("empty"));
        assert!(refusal(b"#!/bin/sh\n").contains("not WebAssembly"));
        assert!(refusal(b"\x7fELF\x02\x01").contains("native code"));
        assert!(refusal(b"(module\n  (func").contains("/app.wasm:2:"));
        assert!(refusal(b"\0asm\x02\0\0\0").contains("version 0x2"));
    }

    #[test]
    fn our_own_artifact_is_native_code() {
        let artifact = compile(&guests::hello_p1()).expect("compiled").artifact;
        assert!(refusal(&artifact).contains("native code"));
    }

    #[test]
    fn a_cut_file_is_truncated_wherever_it_was_cut() {
        for guest in [guests::hello_p1(), guests::hello_p2()] {
            for length in [3, 6, 9, guest.len() / 2, guest.len() - 1] {
                let message = refusal(&guest[..length]);
                assert!(message.contains("truncated"), "cut at {length}: {message}");
            }
        }
    }

    #[test]
    fn a_component_that_is_no_command_names_its_exports() {
        let component = wat::parse_str(
            r#"(component (instance $i) (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#,
        )
        .expect("a component");
        let message = refusal(&component);
        assert!(message.contains("wasi:http/incoming-handler@0.2.0"), "{message}");
    }

    #[test]
    fn proposals_that_are_off_are_named() {
        let shared = wat::parse_str("(module (memory 1 2 shared))").expect("a module");
        assert!(refusal(&shared).contains("threads proposal"));
        let wide = wat::parse_str("(module (func (drop (i64.mul_wide_u (i64.const 1) (i64.const 1))) drop))")
            .expect("a module");
        let message = refusal(&wide);
        assert!(message.contains("wide arithmetic") && message.contains("build it without"), "{message}");
        let pages = wat::parse_str("(module (memory 1 (pagesize 1)))").expect("a module");
        let message = refusal(&pages);
        assert!(message.contains("custom page sizes") && message.contains("build it without"), "{message}");
    }

    #[test]
    fn garbage_is_an_error_and_nothing_worse() {
        let mut bytes = guests::hello_p1();
        for index in 8..bytes.len() {
            bytes[index] ^= 0x55;
            let _ = compile(&bytes);
        }
    }
}
