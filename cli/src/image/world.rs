//! What a Wasm needs and gives: its imports and exports, and what they mean to a host.
//!
//! Only the outermost module or component counts: what is nested in a component is its own affair.

use std::collections::BTreeMap;

use serde::Serialize;
use wasmparser::{ComponentExternalKind, ExternalKind, Parser, Payload};

/// The interfaces of WASI 0.2 that a command gets.
const OFFERED: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];
const PREVIEW1: &str = "wasi_snapshot_preview1";

/// The two kinds of Wasm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// A core module.
    Module,
    /// A component.
    Component,
}

/// What stands between a Wasm and its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct World {
    pub(super) kind: Kind,
    /// In words.
    pub(super) world: String,
    /// What it wants: by module for a module, by interface for a component.
    pub(super) imports: BTreeMap<String, Vec<String>>,
    /// Functions and interfaces that it gives.
    pub(super) exports: Vec<String>,
    /// What it wants and no container gets.
    pub(super) unknown: Vec<String>,
}

impl World {
    /// Reads it; the error is one line.
    pub(super) fn of(wasm: &[u8]) -> Result<Self, String> {
        let mut world = Self {
            kind: Kind::Module,
            world: String::new(),
            imports: BTreeMap::new(),
            exports: Vec::new(),
            unknown: Vec::new(),
        };
        world.read(wasm).map_err(|error| error.to_string().escape_debug().to_string())?;
        world.unknown = world.unknown();
        world.world = world.words();
        Ok(world)
    }

    fn read(&mut self, wasm: &[u8]) -> wasmparser::Result<()> {
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::Version { encoding: wasmparser::Encoding::Component, .. } if depth == 0 => {
                    self.kind = Kind::Component;
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ImportSection(section) if depth == 0 => {
                    for import in section.into_imports() {
                        let import = import?;
                        self.imports
                            .entry(import.module.to_owned())
                            .or_default()
                            .push(import.name.to_owned());
                    }
                }
                Payload::ExportSection(section) if depth == 0 => {
                    for export in section {
                        let export = export?;
                        if export.kind == ExternalKind::Func {
                            self.exports.push(export.name.to_owned());
                        }
                    }
                }
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        self.imports.entry(import?.name.name.to_owned()).or_default();
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let export = export?;
                        if [ComponentExternalKind::Instance, ComponentExternalKind::Func]
                            .contains(&export.kind)
                        {
                            self.exports.push(export.name.name.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn unknown(&self) -> Vec<String> {
        match self.kind {
            Kind::Module => {
                let others = self.imports.iter().filter(|(module, _)| *module != PREVIEW1);
                others
                    .flat_map(|(module, names)| names.iter().map(move |name| format!("{module}.{name}")))
                    .collect()
            }
            Kind::Component => self.imports.keys().filter(|name| !offered(name)).cloned().collect(),
        }
    }

    fn words(&self) -> String {
        let gives = |start: &str| self.exports.iter().any(|export| export.starts_with(start));
        match self.kind {
            Kind::Module if gives("_start") => "WASI preview 1 command".to_owned(),
            Kind::Module if self.exports.is_empty() => "module that exports no function".to_owned(),
            Kind::Module => "module without _start: name a function as in /path#function".to_owned(),
            Kind::Component if gives("wasi:cli/run@0.2") => "WASI 0.2 command".to_owned(),
            Kind::Component if gives("wasi:http/incoming-handler@0.2") => {
                "WASI 0.2 HTTP handler, which is not run: only commands are".to_owned()
            }
            Kind::Component => "component that is no command: it does not export wasi:cli/run@0.2".to_owned(),
        }
    }
}

fn offered(interface: &str) -> bool {
    let version = interface.rsplit_once('@').map(|(_, version)| version);
    OFFERED.iter().any(|start| interface.starts_with(start)) && version.is_some_and(|v| v.starts_with("0.2."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(text: &str) -> World {
        World::of(&wat::parse_str(text).expect("text")).expect("a world")
    }

    #[test]
    fn a_world_is_told_by_imports_and_exports() {
        for (text, kind, words, unknown) in [
            (r#"(module (func (export "_start")))"#, Kind::Module, "WASI preview 1 command", &[][..]),
            (r#"(module (func (export "add")))"#, Kind::Module, "module without _start", &[]),
            ("(module)", Kind::Module, "module that exports no function", &[]),
            (
                r#"(module (import "env" "print" (func)) (import "wasi_snapshot_preview1" "fd_write" (func))
                   (func (export "_start")))"#,
                Kind::Module,
                "WASI preview 1 command",
                &["env.print"],
            ),
            (
                r#"(component
                     (import "wasi:cli/environment@0.2.3" (instance))
                     (import "wasi:http/types@0.2.3" (instance))
                     (import "wasi:cli/environment@0.3.0" (instance))
                     (import "acme:rockets/launch" (instance))
                     (instance $i) (export "wasi:cli/run@0.2.3" (instance $i)))"#,
                Kind::Component,
                "WASI 0.2 command",
                &["acme:rockets/launch", "wasi:cli/environment@0.3.0", "wasi:http/types@0.2.3"],
            ),
            (
                r#"(component (instance $i) (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#,
                Kind::Component,
                "WASI 0.2 HTTP handler",
                &[],
            ),
            // What is nested is not the component's.
            (
                r#"(component (core module (import "env" "x" (func)) (func (export "_start"))))"#,
                Kind::Component,
                "component that is no command",
                &[],
            ),
        ] {
            let world = world(text);
            assert_eq!(
                (world.kind, world.unknown.as_slice()),
                (kind, &unknown.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..]),
                "{text}"
            );
            assert!(world.world.starts_with(words), "{}", world.world);
        }
    }

    #[test]
    fn broken_wasm_is_one_line_of_error() {
        for bytes in [&b"\0asm"[..], b"\0asm\x01\0\0\0\x02\xff", b"\0asm\x07\0\0\0", b""] {
            let error = World::of(bytes).expect_err("an error");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
