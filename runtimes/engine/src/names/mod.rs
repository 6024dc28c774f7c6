//! Names without the libc.
//!
//! A libc asks `nsswitch.conf` which libraries to load to resolve a name, and once the image's root is ours
//! that file and those libraries are the image's: native code, in our process. A static glibc does so too.
//! So this crate defines `getaddrinfo` itself; the linker takes it instead of the libc's, whoever calls it:
//! the standard library (and through it Tokio and wasmtime-wasi), or an engine in C.
//!
//! ```text
//!  getaddrinfo(name) → a number? → localhost? → /etc/hosts → servers of /etc/resolv.conf
//! ```
//!
//! Both files are the container's, read anew at each call. Asynchronous engines call from a thread made for
//! the occasion, so a lookup never stops the guest's own thread and has a runtime to itself.

mod resolve;
mod symbols;
