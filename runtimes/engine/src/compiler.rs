//! The main of every compile program.

use pinnace_control::{Control, InheritedError, failure, inherited};
use pinnace_plan::compile::{INPUT, LOCK, OUTPUT, Outcome, Request};
use pinnace_plan::{Kind, fds};
use pinnace_sandbox::SandboxError;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;

/// For a wrong command line, as `sysexits.h` has it.
const USAGE: u8 = 64;

/// A compiler of one engine.
pub trait Compiler {
    /// Why something cannot be compiled. Its message reaches the user through Create.
    type Error: std::error::Error + 'static;

    /// Names everything an artifact depends on beside its Wasm: the engine's version, its settings, the
    /// processor's features. Hexadecimal; equal fingerprints mean artifacts that can be exchanged.
    ///
    /// # Errors
    /// When the compiler cannot be set up on this machine.
    fn fingerprint() -> Result<String, Self::Error>;

    /// Compiles one module or component, behind the walls: no files, no network.
    ///
    /// # Errors
    /// With a message that names the module, what is wrong with it and what to do.
    fn compile(request: &Request, wasm: &[u8]) -> Result<Compiled, Self::Error>;
}

/// A native artifact.
#[derive(Debug)]
pub struct Compiled {
    /// The world it is for.
    pub kind: Kind,
    /// Its bytes.
    pub artifact: Vec<u8>,
}

/// Why there is no artifact.
#[derive(Debug, thiserror::Error)]
enum CompileError<E: std::error::Error + 'static> {
    /// Something the program was born with is unusable.
    #[error(transparent)]
    Inherited(#[from] InheritedError),
    /// A wall could not be built.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The address space could not be bounded.
    #[error("cannot limit the compiler's address space to {bytes} bytes")]
    AddressSpace {
        /// The limit.
        bytes: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The Wasm could not be read.
    #[error("cannot read {name}")]
    Read {
        /// The module.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The compiler refused it.
    #[error(transparent)]
    Compiler(E),
    /// The artifact could not be written.
    #[error("cannot write the artifact of {name} ({length} bytes); is the cache's file system full?")]
    Write {
        /// The module.
        name: String,
        /// How long the artifact is.
        length: usize,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Runs as this compiler's program: one compile when born from the server, else the command line.
pub fn compile<C: Compiler>() -> ExitCode {
    match Control::inherit() {
        Some(control) => {
            let outcome = match work::<C>() {
                Ok(kind) => Outcome::Compiled { kind },
                Err(error) => Outcome::Failed(failure(&error)),
            };
            match control.send(&outcome) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        None => command_line::<C>(),
    }
}

fn command_line<C: Compiler>() -> ExitCode {
    if std::env::args_os().nth(1).is_none_or(|argument| argument != "fingerprint") {
        eprintln!(
            "this program compiles for the artifact cache and is started by it; by hand it only knows `fingerprint`"
        );
        return ExitCode::from(USAGE);
    }
    match C::fingerprint() {
        Ok(fingerprint) => {
            println!("{fingerprint}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", failure(&error).message);
            ExitCode::FAILURE
        }
    }
}

fn work<C: Compiler>() -> Result<Kind, CompileError<C::Error>> {
    pinnace_sandbox::harden()?;
    let request: Request = inherited::read(fds::PLAN)?;
    let input = File::from(inherited::take(INPUT)?);
    let output = File::from(inherited::take(OUTPUT)?);
    // Bytes that are copied and not looked at need no walls yet; behind them no file tells its length.
    let wasm = read(&input).map_err(|source| CompileError::Read { name: request.name.clone(), source })?;
    bound(request.memory)?;
    pinnace_sandbox::confine_compiler(&[fds::CONTROL, INPUT, OUTPUT, LOCK])?;
    let compiled = C::compile(&request, &wasm).map_err(CompileError::Compiler)?;
    output.write_all_at(&compiled.artifact, 0).map_err(|source| CompileError::Write {
        name: request.name,
        length: compiled.artifact.len(),
        source,
    })?;
    Ok(compiled.kind)
}

/// Bounds the address space; 0 leaves it to the cgroup.
fn bound<E: std::error::Error>(bytes: u64) -> Result<(), CompileError<E>> {
    if bytes == 0 {
        return Ok(());
    }
    setrlimit(Resource::As, Rlimit { current: Some(bytes), maximum: Some(bytes) })
        .map_err(|errno| CompileError::AddressSpace { bytes, source: errno.into() })
}

fn read(file: &File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
