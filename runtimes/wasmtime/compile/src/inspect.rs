//! What a file is, before it costs a compile: its kind, and why not.
//!
//! Only the outermost sections are looked at, function bodies are passed over: this takes no longer than
//! reading the file once.

use crate::error::CompileError;
use pinnace_plan::Kind;
use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload, TypeRef};

const MAGIC: &[u8] = b"\0asm";

/// The export that makes a component a command.
const RUN: &str = "wasi:cli/run@0.2.";

/// What to compile the bytes as.
pub(crate) fn inspect(name: &str, bytes: &[u8]) -> Result<Kind, CompileError> {
    let name = || name.to_owned();
    header(name, bytes)?;
    let mut depth = 0_u32;
    let mut kind = Kind::Module;
    let mut exports: Vec<String> = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|source| broken(name, bytes, source))?;
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } if depth == 0 => kind = Kind::Component,
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::MemorySection(memories) => {
                for memory in memories {
                    shared(name, memory.map_err(|source| broken(name, bytes, source))?.shared)?;
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.map_err(|source| broken(name, bytes, source))?;
                    if let TypeRef::Memory(memory) = import.ty {
                        shared(name, memory.shared)?;
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.map_err(|source| broken(name, bytes, source))?;
                    if export.kind == ComponentExternalKind::Instance
                        || export.kind == ComponentExternalKind::Func
                    {
                        exports.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    if kind == Kind::Component && !exports.iter().any(|export| export.starts_with(RUN)) {
        let exports = if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") };
        return Err(CompileError::World { name: name(), exports });
    }
    Ok(kind)
}

/// Tells what a file is that does not begin as Wasm does.
fn header(name: impl Fn() -> String, bytes: &[u8]) -> Result<(), CompileError> {
    if bytes.is_empty() {
        return Err(CompileError::Empty { name: name() });
    }
    if bytes.starts_with(b"\x7fELF") {
        return Err(CompileError::Native { name: name() });
    }
    if !bytes.starts_with(MAGIC) {
        let text = bytes.trim_ascii_start();
        return Err(
            if text.starts_with(b"(module") || text.starts_with(b"(component") || text.starts_with(b";;") {
                CompileError::Text { name: name() }
            } else if MAGIC.starts_with(bytes) {
                CompileError::Truncated { name: name(), length: bytes.len() }
            } else {
                CompileError::NotWasm { name: name(), start: bytes.iter().copied().take(4).collect() }
            },
        );
    }
    match bytes.get(4..8) {
        None => Err(CompileError::Truncated { name: name(), length: bytes.len() }),
        // A core module, or a component.
        Some([1, 0, 0, 0] | [0x0d, 0, 1, 0]) => Ok(()),
        Some(&[a, b, c, d]) => {
            Err(CompileError::Version { name: name(), version: u32::from_le_bytes([a, b, c, d]) })
        }
        Some(_) => Err(CompileError::Truncated { name: name(), length: bytes.len() }),
    }
}

/// A parser's error as one of ours: an end too soon is told apart.
pub(crate) fn broken(
    name: impl Fn() -> String,
    bytes: &[u8],
    source: wasmparser::BinaryReaderError,
) -> CompileError {
    // The parser says "end-of-file" also where a section is shorter than its contents; only what runs over
    // the end of the file itself is cut off.
    if source.message().contains("unexpected end") && source.offset() >= bytes.len().saturating_sub(16) {
        CompileError::Truncated { name: name(), length: bytes.len() }
    } else {
        CompileError::Invalid { name: name(), source }
    }
}

fn shared(name: impl Fn() -> String, shared: bool) -> Result<(), CompileError> {
    if shared {
        // Wasmtime compiles such a module and then refuses to make the memory.
        Err(CompileError::Proposal { name: name(), proposal: "shared memory (the threads proposal)" })
    } else {
        Ok(())
    }
}
