//! Calls to systemd's manager, and the waits for its jobs.
//!
//! A connection lives for one container's call and is closed: between calls systemd costs the server nothing, and a
//! systemd that was re-executed meanwhile nothing to find out. It is systemd's own socket, as `systemctl` of root
//! uses it: it is there without a dbus-daemon, with one the message passes through one process less, and the ends of
//! jobs are told on it without asking.

use super::SystemdError;
use super::properties::Property;
use super::wire::{self, Message, Writer};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Exists when systemd is the init of this machine, and only then.
const BOOTED: &str = "/run/systemd/system";
const SOCKET: &str = "/run/systemd/private";
const SERVICE: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";

/// How long a call with its job may take; runc waits as long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a unit of the name may still be there, each time twice as long after the last: one that has just died
/// is forgotten a moment later. Two seconds in all.
const TRIES: u32 = 11;
/// The longest line of a greeting.
const GREETING: usize = 256;

/// A connection to systemd.
#[derive(Debug)]
pub(super) struct Manager {
    stream: UnixStream,
    serial: u32,
}

impl Manager {
    /// Connects.
    pub(super) async fn connect() -> Result<Self, SystemdError> {
        if !Path::new(BOOTED).exists() {
            return Err(SystemdError::NotRunning { directory: BOOTED });
        }
        let greeted = tokio::time::timeout(PATIENCE, greet()).await;
        let stream = greeted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let stream = stream.map_err(|source| SystemdError::Connect { socket: SOCKET, source })?;
        Ok(Self { stream, serial: 0 })
    }

    /// Starts a scope and waits until it is there.
    pub(super) async fn start(&mut self, unit: &str, properties: &[Property]) -> Result<(), SystemdError> {
        let mut tries = 0..TRIES;
        loop {
            let mut body = names(&[unit, "fail"]);
            body.properties(properties);
            // Units that come along: none.
            body.list(8, |_| {});
            match self.job("StartTransientUnit", "ssa(sv)a(sa(sv))", unit, body).await {
                Err(SystemdError::Refused { name, .. }) if is(&name, "UnitExists") => {
                    let Some(round) = tries.next() else {
                        return Err(SystemdError::Exists { unit: unit.to_owned() });
                    };
                    // One that failed stays until it is reset; on one that lives this does nothing.
                    let _ = self.call("ResetFailedUnit", "s", unit, names(&[unit])).await?;
                    tokio::time::sleep(Duration::from_millis(1 << round)).await;
                }
                done => return done,
            }
        }
    }

    /// Tells a scope's limits, and waits until systemd has written them: it answers first and writes before it takes
    /// the next call.
    pub(super) async fn set(&mut self, unit: &str, properties: &[Property]) -> Result<(), SystemdError> {
        let mut body = names(&[unit]);
        // Until the machine is booted anew, or the unit is gone.
        body.flag(true);
        body.properties(properties);
        self.done("SetUnitProperties", "sba(sv)", unit, body).await?;
        self.done("GetUnit", "s", unit, names(&[unit])).await
    }

    /// Has a process join what systemd keeps of a scope.
    pub(super) async fn attach(&mut self, unit: &str, pid: u32) -> Result<(), SystemdError> {
        let mut body = names(&[unit, ""]);
        body.pids(&[pid]);
        self.done("AttachProcessesToUnit", "ssau", unit, body).await
    }

    /// Stops a scope and waits until it is gone; one that is gone is fine.
    pub(super) async fn stop(&mut self, unit: &str) -> Result<(), SystemdError> {
        match self.job("StopUnit", "ss", unit, names(&[unit, "replace"])).await {
            Err(SystemdError::Refused { name, .. }) if is(&name, "NoSuchUnit") => Ok(()),
            done => done,
        }
    }

    /// Calls a method that has done its work when it answers.
    async fn done(
        &mut self,
        method: &'static str,
        kind: &str,
        unit: &str,
        body: Writer,
    ) -> Result<(), SystemdError> {
        let late = SystemdError::Late { unit: unit.to_owned(), waited: PATIENCE };
        let answered = tokio::time::timeout(PATIENCE, self.call(method, kind, unit, body)).await;
        let (answer, _) = answered.unwrap_or(Err(late))?;
        answer.map(drop).map_err(|refused| refused.told(method, unit))
    }

    /// Calls a method that answers with a job, and waits for the end of that.
    async fn job(
        &mut self,
        method: &'static str,
        kind: &str,
        unit: &str,
        body: Writer,
    ) -> Result<(), SystemdError> {
        let work = async {
            let (answer, mut ended) = self.call(method, kind, unit, body).await?;
            let job = answer.map_err(|refused| refused.told(method, unit))?;
            loop {
                match ended.pop() {
                    Some((path, result)) if path == job => {
                        return match result.as_str() {
                            "done" => Ok(()),
                            _ => Err(SystemdError::Job { unit: unit.to_owned(), result }),
                        };
                    }
                    Some(_) => {}
                    None => {
                        if let Message::JobRemoved { job, result } = self.receive(unit).await? {
                            ended.push((job, result));
                        }
                    }
                }
            }
        };
        let late = SystemdError::Late { unit: unit.to_owned(), waited: PATIENCE };
        tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(late))
    }

    /// Calls a method: its answer's text or why not, and the jobs that ended before the answer came.
    async fn call(
        &mut self,
        method: &'static str,
        kind: &str,
        unit: &str,
        body: Writer,
    ) -> Result<(Result<String, Refused>, Vec<(String, String)>), SystemdError> {
        self.serial += 1;
        let message = wire::call(self.serial, [SERVICE, OBJECT, INTERFACE, method], kind, body);
        let lost = |source| SystemdError::Lost { unit: unit.to_owned(), source };
        self.stream.write_all(&message).await.map_err(lost)?;
        let mut ended = Vec::new();
        loop {
            match self.receive(unit).await? {
                Message::Answer { to, text } if to == self.serial => return Ok((Ok(text), ended)),
                Message::Refusal { to, name, reason } if to == self.serial => {
                    return Ok((Err(Refused { name, reason }), ended));
                }
                Message::JobRemoved { job, result } => ended.push((job, result)),
                _ => {}
            }
        }
    }

    async fn receive(&mut self, unit: &str) -> Result<Message, SystemdError> {
        let lost = |source| SystemdError::Lost { unit: unit.to_owned(), source };
        let malformed = || SystemdError::Malformed { unit: unit.to_owned() };
        let mut prologue = [0; wire::PROLOGUE];
        self.stream.read_exact(&mut prologue).await.map_err(lost)?;
        let mut bytes = prologue.to_vec();
        bytes.resize(wire::PROLOGUE + wire::rest(&prologue).ok_or_else(malformed)?, 0);
        self.stream.read_exact(&mut bytes[wire::PROLOGUE..]).await.map_err(lost)?;
        wire::message(&bytes).ok_or_else(malformed)
    }
}

/// A method's refusal.
struct Refused {
    name: String,
    reason: String,
}

impl Refused {
    fn told(self, method: &'static str, unit: &str) -> SystemdError {
        SystemdError::Refused { method, unit: unit.to_owned(), name: self.name, reason: self.reason }
    }
}

/// Says who we are; the kernel has told systemd already, who takes root only.
///
/// All at once, as systemd's own clients do: a call that arrives together with `BEGIN` would lie there unread
/// until the next one comes.
async fn greet() -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(SOCKET).await?;
    let user = rustix::process::geteuid().as_raw().to_string();
    let user: String = user.bytes().map(|digit| format!("{digit:02x}")).collect();
    stream.write_all(format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n").as_bytes()).await?;
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        if line.len() > GREETING {
            return Err(io::ErrorKind::InvalidData.into());
        }
        line.push(stream.read_u8().await?);
    }
    if !line.starts_with(b"OK ") {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            String::from_utf8_lossy(&line).trim().to_owned(),
        ));
    }
    Ok(stream)
}

fn names(texts: &[&str]) -> Writer {
    let mut body = Writer::default();
    texts.iter().for_each(|text| body.text(text));
    body
}

/// Whether an error's name is this one of systemd's own.
fn is(found: &str, name: &str) -> bool {
    found.strip_prefix(SERVICE).and_then(|rest| rest.strip_prefix('.')) == Some(name)
}
