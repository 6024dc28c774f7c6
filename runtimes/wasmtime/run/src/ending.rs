//! From what Wasmtime returns to how the guest ended.

use pinnace_plan::ExitCause;
use rustix::stdio::stderr;
use std::fmt::Write;
use wasmtime_wasi::I32Exit;

/// How a call into the guest ended. A trap tells its story on stderr.
pub(crate) fn ending(result: wasmtime::Result<u8>, refused: Option<u64>) -> ExitCause {
    let error = match result {
        Ok(code) => return ExitCause::Exited { code },
        Err(error) => error,
    };
    if let Some(I32Exit(code)) = error.downcast_ref() {
        // As with a native process, only the low byte is the code.
        return ExitCause::Exited { code: code.to_le_bytes()[0] };
    }
    let mut story = String::new();
    let cause = match refused {
        Some(limit) => {
            let _ = writeln!(
                story,
                "out of memory: the guest could not grow within the container's memory limit of {limit} bytes"
            );
            ExitCause::OutOfMemory { limit }
        }
        None => {
            // The error's own long form holds the backtrace, with names and, if the module has them, lines.
            let _ = writeln!(story, "{}", format!("{error:?}").trim_end());
            ExitCause::Trapped
        }
    };
    tell(story.as_bytes());
    cause
}

/// Nobody may be reading; then there is nobody to tell.
fn tell(mut story: &[u8]) {
    while !story.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::write(stderr(), story)) {
            Ok(0) | Err(_) => return,
            Ok(written) => story = &story[written..],
        }
    }
}
