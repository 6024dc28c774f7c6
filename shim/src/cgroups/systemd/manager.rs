//! Calls to systemd's manager, and the waits for its jobs.
//!
//! A connection lives for one container's call and is closed: between calls systemd costs the server nothing, and a
//! systemd that was re-executed meanwhile nothing to find out. It is systemd's own socket, as `systemctl` of root
//! uses it: it is there without a dbus-daemon, and with one the message passes through one process less. The man
//! page calls that socket private, so the bus is the way when it is not there.

use super::SystemdError;
use super::properties::Property;
use futures_core::Stream;
use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;
use zbus::connection::Builder;
use zbus::zvariant::{DynamicType, OwnedObjectPath};
use zbus::{Connection, MatchRule, Message, MessageStream};

/// Exists when systemd is the init of this machine, and only then.
const BOOTED: &str = "/run/systemd/system";
const SOCKET: &str = "/run/systemd/private";
const SERVICE: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";

/// How long a job may take; runc waits as long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a unit of the name may still be there: one that has just died is forgotten a moment later.
const TRIES: u32 = 8;

/// A properties' part of an auxiliary unit; a scope has none.
type Auxiliary = (&'static str, Vec<Property>);

/// A connection to systemd.
pub(super) struct Manager(Connection);

impl Manager {
    /// Connects.
    pub(super) async fn connect() -> Result<Self, SystemdError> {
        if !Path::new(BOOTED).exists() {
            return Err(SystemdError::NotRunning { directory: BOOTED });
        }
        let own = async { Builder::address(format!("unix:path={SOCKET}").as_str())?.p2p().build().await };
        if let Ok(connection) = own.await {
            return Ok(Self(connection));
        }
        let bus = async { Builder::system()?.build().await };
        let failed = |source| SystemdError::Connect { socket: SOCKET, source: Box::new(source) };
        let manager = Self(bus.await.map_err(failed)?);
        // On the bus systemd tells of jobs only while somebody wants to know.
        manager.call("Subscribe", &()).await.map_err(failed)?;
        Ok(manager)
    }

    /// Starts a scope and waits until it is there.
    pub(super) async fn start(&self, unit: &str, properties: &[Property]) -> Result<(), SystemdError> {
        let none: &[Auxiliary] = &[];
        let mut tries = 0..TRIES;
        loop {
            match self.job("StartTransientUnit", unit, &(unit, "fail", properties, none)).await {
                Err(SystemdError::Refused { source, .. }) if is(&source, "UnitExists") => {
                    let Some(round) = tries.next() else {
                        return Err(SystemdError::Exists { unit: unit.to_owned() });
                    };
                    // One that failed stays until it is reset; one that lives is none of ours to end.
                    let _ = self.call("ResetFailedUnit", &(unit,)).await;
                    tokio::time::sleep(Duration::from_millis(1 << round)).await;
                }
                done => return done,
            }
        }
    }

    /// Stops a scope and waits until it is gone; one that is gone is fine.
    pub(super) async fn stop(&self, unit: &str) -> Result<(), SystemdError> {
        match self.job("StopUnit", unit, &(unit, "replace")).await {
            Err(SystemdError::Refused { source, .. }) if is(&source, "NoSuchUnit") => Ok(()),
            done => done,
        }
    }

    /// Calls a method that answers with a job, and waits for the end of that.
    async fn job<B>(&self, method: &'static str, unit: &str, body: &B) -> Result<(), SystemdError>
    where
        B: serde::Serialize + DynamicType,
    {
        let refused =
            |source| SystemdError::Refused { method, unit: unit.to_owned(), source: Box::new(source) };
        let work = async {
            // Listening comes first: the job may be done before its number is known here.
            let rule = MatchRule::builder()
                .msg_type(zbus::message::Type::Signal)
                .interface(INTERFACE)
                .and_then(|rule| rule.member("JobRemoved"))
                .and_then(|rule| rule.arg(2, unit))
                .map_err(refused)?
                .build();
            let mut ends = MessageStream::for_match_rule(rule, &self.0, None).await.map_err(refused)?;
            let answer = self.call(method, body).await.map_err(refused)?;
            let job: OwnedObjectPath = answer.body().deserialize().map_err(refused)?;
            loop {
                let Some(Ok(end)) = poll_fn(|context| Pin::new(&mut ends).poll_next(context)).await else {
                    return Err(SystemdError::Closed { unit: unit.to_owned() });
                };
                let body = end.body();
                let (_, path, _, result): (u32, OwnedObjectPath, &str, &str) =
                    body.deserialize().map_err(refused)?;
                match result {
                    _ if path != job => {}
                    "done" => return Ok(()),
                    other => {
                        return Err(SystemdError::Job { unit: unit.to_owned(), result: other.to_owned() });
                    }
                }
            }
        };
        let late = SystemdError::Late { unit: unit.to_owned(), waited: PATIENCE };
        tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(late))
    }

    async fn call<B>(&self, method: &'static str, body: &B) -> zbus::Result<Message>
    where
        B: serde::Serialize + DynamicType,
    {
        self.0.call_method(Some(SERVICE), OBJECT, Some(INTERFACE), method, body).await
    }
}

/// Whether an error is the one of this name in systemd's own space of names.
fn is(error: &zbus::Error, name: &str) -> bool {
    match error {
        zbus::Error::MethodError(found, _, _) => {
            found.strip_prefix(SERVICE).and_then(|rest| rest.strip_prefix('.')) == Some(name)
        }
        _ => false,
    }
}
