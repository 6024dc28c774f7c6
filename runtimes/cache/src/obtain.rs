//! The order in which an artifact is had: see the picture in the crate's documentation.

use crate::{
    Artifact, Cache, CacheError, Compiler, Input, Key,
    lock::{Lock, Slot, Turn},
};
use rustix::{fs::fstat, io::Errno};

/// The artifact of a module for the engine of this fingerprint: found, or compiled by us, or by somebody else
/// while we wait. Blocks; the compile process dies with the calling thread.
///
/// # Errors
/// If the module cannot be compiled, within the node's bounds; if the cache cannot be used. A verdict on the
/// module reaches everybody who waited for it.
pub fn obtain(
    cache: &Cache,
    fingerprint: &str,
    input: &Input,
    compiler: Compiler<'_>,
) -> Result<Artifact, CacheError> {
    let key = Key::new(input.digest(), fingerprint);
    loop {
        let lock = match Lock::acquire(cache.place(), &key)? {
            Turn::Ours(lock) => lock,
            Turn::Over(Some(message)) => return Err(CacheError::Refused { message }),
            // It succeeded, or its server was killed.
            Turn::Over(None) => match cache.find(&key)? {
                Some(artifact) => return Ok(artifact),
                None => continue,
            },
        };
        // One may have been faster between the caller's look and our lock.
        if let Some(artifact) = cache.find(&key)? {
            return Ok(artifact);
        }
        let made = make(cache, &key, &lock, input, compiler);
        if let Err(error) = &made
            && error.is_verdict()
        {
            lock.leave(&error.to_string());
        }
        return made;
    }
}

fn make(
    cache: &Cache,
    key: &Key,
    lock: &Lock<'_>,
    input: &Input,
    compiler: Compiler<'_>,
) -> Result<Artifact, CacheError> {
    let slot = Slot::acquire(cache.place(), compiler.concurrent)?;
    let output = cache.blank()?;
    let kind = match compiler.run(input, &output, lock, slot.number, cache.max_bytes) {
        // The compiler does not know where it writes to, and the module cannot help it.
        Err(CacheError::Refused { message }) if lacks_room(&message) => {
            return Err(cache.error("write compiled code to", "", Errno::NOSPC));
        }
        run => run?,
    };
    drop(slot);
    if fstat(&output).is_ok_and(|seen| seen.st_size == 0) {
        return Err(CacheError::Died { name: input.name().into(), how: "it wrote nothing".into() });
    }
    let artifact = cache.insert(key, lock, &output, kind)?;
    // The bound is kept by whoever adds. That it cannot be is no reason to refuse a good artifact.
    if let Err(error) = cache.evict() {
        log::warn!("cannot evict from the cache: {error}");
    }
    Ok(artifact)
}

/// Whether the file system of the output is full.
fn lacks_room(message: &str) -> bool {
    let told = |errno: Errno| message.contains(&format!("(os error {})", errno.raw_os_error()));
    told(Errno::NOSPC) || told(Errno::DQUOT)
}

#[cfg(test)]
mod tests;
