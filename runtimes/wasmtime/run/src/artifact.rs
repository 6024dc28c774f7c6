//! Artifacts as mapped memory: read by nobody, shared by all containers of one image.
//!
//! A core module is mapped by Wasmtime from the open file, so its data segments stay file-backed too.
//! Components have no such entrance, so their file is mapped here, and made executable through
//! [`CustomCodeMemory`] where Wasmtime's own mappings would have been.

#![allow(
    unsafe_code,
    reason = "native code is mapped and trusted: it is our own compiler's, checked by the cache"
)]

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect};
use std::fs::File;
use std::io;
use std::ptr::{self, NonNull};
use wasmtime::component::Component;
use wasmtime::{CustomCodeMemory, Engine, Module};

/// The page size code is aligned to; artifacts are, for every page size of this architecture up to it.
const PAGE: usize = 4096;

/// Makes the code of an own mapping executable.
pub(crate) struct MappedCode;

impl CustomCodeMemory for MappedCode {
    fn required_alignment(&self) -> usize {
        PAGE
    }

    fn publish_executable(&self, start: *const u8, length: usize) -> wasmtime::Result<()> {
        protect(start, length, MprotectFlags::READ | MprotectFlags::EXEC)
    }

    fn unpublish_executable(&self, start: *const u8, length: usize) -> wasmtime::Result<()> {
        protect(start, length, MprotectFlags::READ)
    }
}

fn protect(start: *const u8, length: usize, flags: MprotectFlags) -> wasmtime::Result<()> {
    // SAFETY: Wasmtime gives a page-aligned part of a mapping that it was given and that is never unmapped;
    // no reference writes to it.
    unsafe { mprotect(start.cast_mut().cast(), length, flags) }.map_err(|errno| io::Error::from(errno).into())
}

/// Maps a core module.
pub(crate) fn module(engine: &Engine, artifact: File) -> wasmtime::Result<Module> {
    // SAFETY: the plan's artifact is the output of our own compiler, opened by the server from a directory
    // only root can write; nothing changes it (the cache replaces files, it never rewrites them).
    unsafe { Module::deserialize_open_file(engine, artifact) }
}

/// Maps a component's file for [`component`]. It stays mapped as long as the process lives.
pub(crate) fn map(artifact: &File) -> io::Result<NonNull<[u8]>> {
    let length = usize::try_from(artifact.metadata()?.len()).map_err(io::Error::other)?;
    // SAFETY: a fresh private mapping at an address of the kernel's choice touches no other memory.
    let start = unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, artifact, 0) }?;
    NonNull::new(ptr::slice_from_raw_parts_mut(start.cast(), length))
        .ok_or_else(|| io::Error::other("mapped at null"))
}

/// Loads a component from its mapping.
pub(crate) fn component(engine: &Engine, mapping: NonNull<[u8]>) -> wasmtime::Result<Component> {
    // SAFETY: as in `module`; and the mapping is never written nor unmapped.
    unsafe { Component::deserialize_raw(engine, mapping) }
}
