//! What a file is, before it costs a compile: its kind, and why not.
//!
//! Only sections are looked at, function bodies are passed over: this takes no longer than reading the file
//! once. What is wrong inside a body is the compiler's to tell.

use crate::error::CompileError;
use pinnace_plan::Kind;
use wasmparser::{Chunk, ComponentExternalKind, Encoding, Parser, Payload, TypeRef};

const MAGIC: &[u8] = b"\0asm";

/// The export that makes a component a command.
const RUN: &str = "wasi:cli/run@0.2.";

/// What to compile the bytes as.
pub(crate) fn inspect(name: &str, bytes: &[u8]) -> Result<Kind, CompileError> {
    header(name, bytes)?;
    let mut found = Found { kind: Kind::Module, exports: Vec::new() };
    let mut outer: Vec<Parser> = Vec::new();
    let mut parser = Parser::new(0);
    let mut rest = bytes;
    loop {
        let chunk = parser.parse(rest, rest.is_empty());
        let (consumed, payload) = match chunk.map_err(|source| invalid(name, source))? {
            Chunk::Parsed { consumed, payload } => (consumed, payload),
            // All bytes are there, and they were not enough.
            Chunk::NeedMoreData(_) => return Err(truncated(name, bytes)),
        };
        rest = &rest[consumed..];
        match payload {
            Payload::ModuleSection { parser: inner, .. }
            | Payload::ComponentSection { parser: inner, .. } => {
                outer.push(std::mem::replace(&mut parser, inner));
            }
            Payload::End(_) => match outer.pop() {
                Some(next) => parser = next,
                None => return found.judge(name),
            },
            payload => found.look(name, outer.is_empty(), payload)?,
        }
    }
}

/// What was seen so far.
struct Found {
    kind: Kind,
    /// Functions and instances that the outermost component exports.
    exports: Vec<String>,
}

impl Found {
    fn look(&mut self, name: &str, outermost: bool, payload: Payload<'_>) -> Result<(), CompileError> {
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } if outermost => {
                self.kind = Kind::Component;
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    unshared(name, memory.map_err(|source| invalid(name, source))?.shared)?;
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if let TypeRef::Memory(memory) = import.map_err(|source| invalid(name, source))?.ty {
                        unshared(name, memory.shared)?;
                    }
                }
            }
            Payload::ComponentExportSection(section) if outermost => {
                for export in section {
                    let export = export.map_err(|source| invalid(name, source))?;
                    if matches!(export.kind, ComponentExternalKind::Instance | ComponentExternalKind::Func) {
                        self.exports.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn judge(self, name: &str) -> Result<Kind, CompileError> {
        if self.kind == Kind::Component && !self.exports.iter().any(|export| export.starts_with(RUN)) {
            let exports =
                if self.exports.is_empty() { "nothing".to_owned() } else { self.exports.join(", ") };
            return Err(CompileError::World { name: name.to_owned(), exports });
        }
        Ok(self.kind)
    }
}

/// Tells what a file is that does not begin as Wasm does.
fn header(name: &str, bytes: &[u8]) -> Result<(), CompileError> {
    let file = || name.to_owned();
    if bytes.is_empty() {
        Err(CompileError::Empty { name: file() })
    } else if bytes.starts_with(b"\x7fELF") {
        Err(CompileError::Native { name: file() })
    } else if !bytes.starts_with(MAGIC) && !MAGIC.starts_with(bytes) {
        Err(CompileError::NotWasm { name: file(), start: bytes.iter().copied().take(4).collect() })
    } else {
        match bytes.get(4..8) {
            // A core module, or a component.
            Some([1, 0, 0, 0] | [0x0d, 0, 1, 0]) => Ok(()),
            Some(&[a, b, c, d]) => {
                Err(CompileError::Version { name: file(), version: u32::from_le_bytes([a, b, c, d]) })
            }
            _ => Err(truncated(name, bytes)),
        }
    }
}

fn truncated(name: &str, bytes: &[u8]) -> CompileError {
    CompileError::Truncated { name: name.to_owned(), length: bytes.len() }
}

fn invalid(name: &str, source: wasmparser::BinaryReaderError) -> CompileError {
    CompileError::Invalid { name: name.to_owned(), source }
}

/// Wasmtime would compile a module with a shared memory and then refuse to make the memory.
fn unshared(name: &str, shared: bool) -> Result<(), CompileError> {
    if shared {
        Err(CompileError::Proposal {
            name: name.to_owned(),
            proposal: "shared memory (the threads proposal)",
        })
    } else {
        Ok(())
    }
}
