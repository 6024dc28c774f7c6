//! The guests, one function each, as bytes ready for an image.
//!
//! The sources are the `.wat` files beside this crate, each opening with what it does. Functions in `_p1`
//! give core modules of WASI preview 1, functions in `_p2` commands of WASI 0.2: the same module behind the
//! public preview 1 adapter, as compilers make them.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// Prints "hello from wasm\n".
#[must_use]
pub fn hello_p1() -> Vec<u8> {
    assemble(include_str!("../guests/hello.wat"))
}

/// As [`hello_p1`], as a component.
#[must_use]
pub fn hello_p2() -> Vec<u8> {
    component(&hello_p1())
}

/// Prints "ready\n", then sleeps for an hour.
#[must_use]
pub fn sleep_p1() -> Vec<u8> {
    assemble(include_str!("../guests/sleep.wat"))
}

/// As [`sleep_p1`], as a component.
#[must_use]
pub fn sleep_p2() -> Vec<u8> {
    component(&sleep_p1())
}

/// Ends with this code.
#[must_use]
pub fn exit_code(code: u8) -> Vec<u8> {
    assemble(&include_str!("../guests/exit.wat").replace("CODE", &code.to_string()))
}

/// Traps in `open_the_valve`, called by `start_the_pump`, called by `main`.
#[must_use]
pub fn trap_p1() -> Vec<u8> {
    assemble(include_str!("../guests/trap.wat"))
}

/// As [`trap_p1`], as a component.
#[must_use]
pub fn trap_p2() -> Vec<u8> {
    component(&trap_p1())
}

/// Reads beyond its memory in `read_the_horizon`.
#[must_use]
pub fn out_of_bounds_p1() -> Vec<u8> {
    assemble(include_str!("../guests/out_of_bounds.wat"))
}

/// Calls `dig_deeper` from itself until the stack is used up.
#[must_use]
pub fn overflow_p1() -> Vec<u8> {
    assemble(include_str!("../guests/overflow.wat"))
}

/// Prints "ready\n", then loops without calling the host.
#[must_use]
pub fn busy_p1() -> Vec<u8> {
    assemble(include_str!("../guests/busy.wat"))
}

/// Copies stdin to stdout.
#[must_use]
pub fn echo_stdin_p1() -> Vec<u8> {
    assemble(include_str!("../guests/echo_stdin.wat"))
}

/// As [`echo_stdin_p1`], as a component.
#[must_use]
pub fn echo_stdin_p2() -> Vec<u8> {
    component(&echo_stdin_p1())
}

/// Prints "y" or "n" for each of its streams: whether it is a terminal. Then copies stdin to stdout.
#[must_use]
pub fn terminal_p1() -> Vec<u8> {
    assemble(include_str!("../guests/terminal.wat"))
}

/// As [`terminal_p1`], as a component.
#[must_use]
pub fn terminal_p2() -> Vec<u8> {
    component(&terminal_p1())
}

/// Prints its arguments, then its environment, one per line.
#[must_use]
pub fn args_env_p1() -> Vec<u8> {
    assemble(include_str!("../guests/args_env.wat"))
}

/// As [`args_env_p1`], as a component.
#[must_use]
pub fn args_env_p2() -> Vec<u8> {
    component(&args_env_p1())
}

/// Prints the file that its first argument names; the preopen "/" must come first. Ends with the WASI
/// error number of what failed.
#[must_use]
pub fn cat_file_p1() -> Vec<u8> {
    assemble(include_str!("../guests/cat_file.wat"))
}

/// Writes "written by wasm\n" to the file that its first argument names. Ends as [`cat_file_p1`].
#[must_use]
pub fn write_file_p1() -> Vec<u8> {
    assemble(include_str!("../guests/write_file.wat"))
}

/// Grows by 16 MiB at a time until refused, then traps.
#[must_use]
pub fn grow_p1() -> Vec<u8> {
    assemble(&include_str!("../guests/grow.wat").replace("(i32.const COPED)", "(i32.const 0)"))
}

/// Grows by 16 MiB at a time until refused, then prints "coped\n".
#[must_use]
pub fn grow_cope_p1() -> Vec<u8> {
    assemble(&include_str!("../guests/grow.wat").replace("(i32.const COPED)", "(i32.const 1)"))
}

/// Has a memory of this many pages of 64 KiB from the start, and returns.
#[must_use]
pub fn big_initial_p1(pages: u32) -> Vec<u8> {
    assemble(&include_str!("../guests/big_initial.wat").replace("PAGES)", &format!("{pages})")))
}

/// Imports `company::secret_sauce`, which nobody has.
#[must_use]
pub fn missing_import_p1() -> Vec<u8> {
    assemble(include_str!("../guests/missing_import.wat"))
}

/// A component that imports `company:secret/sauce`, which nobody has.
#[must_use]
pub fn missing_import_p2() -> Vec<u8> {
    assemble(include_str!("../guests/missing_import_component.wat"))
}

/// Sleeps for 300 ms, then prints "late word\n"; ends with 1 if that fails.
#[must_use]
pub fn late_word_p1() -> Vec<u8> {
    assemble(include_str!("../guests/late_word.wat"))
}

/// Has no `_start`, but an export "greet" that prints "greetings\n".
#[must_use]
pub fn function_export_p1() -> Vec<u8> {
    assemble(include_str!("../guests/function_export.wat"))
}

/// A component that looks this name up and ends with the last byte of its first IPv4 address; with 100 and the
/// error code of `wasi:sockets` if it cannot, with 99 if there is none.
///
/// # Panics
/// Never: the text is part of this crate.
#[must_use]
pub fn lookup_p2(name: &str) -> Vec<u8> {
    let text = include_str!("../guests/lookup.wat")
        .replace("NAME\"", &format!("{name}\""))
        .replace("LENGTH", &name.len().to_string());
    let mut module = assemble(&text);
    let mut resolve = wit_parser::Resolve::default();
    resolve
        .push_str("lookup.wit", include_str!("../guests/lookup.wit"))
        .and_then(|package| resolve.select_world(&[package], None))
        .and_then(|world| {
            embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
            ComponentEncoder::default().module(&module)?.encode()
        })
        .expect("the interfaces of this crate are valid")
}

/// Turns a command of WASI preview 1 into a component of WASI 0.2.
///
/// # Panics
/// If the bytes are not such a command; only for the guests of this crate and of tests.
#[must_use]
pub fn component(p1: &[u8]) -> Vec<u8> {
    ComponentEncoder::default()
        .module(p1)
        .and_then(|encoder| {
            encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER)
        })
        .and_then(|mut encoder| encoder.encode())
        .expect("guests of this crate are commands of WASI preview 1")
}

fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("guests of this crate are valid text")
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_guest_assembles() {
        for guest in [
            super::hello_p1(),
            super::hello_p2(),
            super::sleep_p2(),
            super::exit_code(255),
            super::trap_p2(),
            super::busy_p1(),
            super::echo_stdin_p2(),
            super::terminal_p2(),
            super::args_env_p2(),
            super::cat_file_p1(),
            super::write_file_p1(),
            super::grow_p1(),
            super::grow_cope_p1(),
            super::big_initial_p1(65536),
            super::missing_import_p1(),
            super::missing_import_p2(),
            super::late_word_p1(),
            super::out_of_bounds_p1(),
            super::overflow_p1(),
            super::lookup_p2("db.test"),
            super::function_export_p1(),
        ] {
            assert_eq!(&guest[..4], b"\0asm");
        }
    }
}
