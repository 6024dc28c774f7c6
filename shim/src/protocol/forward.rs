//! Events as containerd takes them: an envelope over its ttrpc socket.
//!
//! The envelope's type URL is the message's full name, without a host in front. One connection is kept; after
//! any failure of the transport the next event makes a new one, so a restarted containerd is found again.

use super::task::timestamp;
use crate::events::Event;
use containerd_shim_protos::api::{ForwardRequest, Mount};
use containerd_shim_protos::events::task as events;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Error as ProtobufError, Message, MessageField};
use containerd_shim_protos::shim::event::Envelope;
use containerd_shim_protos::shim_async::{Client, EventsClient};
use containerd_shim_protos::topics;
use containerd_shim_protos::ttrpc::{self, r#async::transport::Socket, context};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// An event that was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    /// Nobody is there.
    #[error("cannot connect to {}: {source}", path.display())]
    Connect {
        /// containerd's socket for events.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written down.
    #[error("cannot encode the event: {0}")]
    Encode(ProtobufError),
    /// The call failed.
    #[error("containerd did not take the event: {0}")]
    Refused(ttrpc::Error),
    /// No answer.
    #[error("containerd did not answer within {} s", TRY.as_secs())]
    Silent,
}

/// How long one try may take.
const TRY: Duration = Duration::from_secs(5);

/// The way to containerd.
pub(crate) struct Forwarder {
    socket: PathBuf,
    namespace: String,
    client: Option<EventsClient>,
}

impl Forwarder {
    /// `address` is a path, or a `unix://` one.
    pub(crate) fn new(address: &str, namespace: &str) -> Self {
        let socket = PathBuf::from(address.strip_prefix("unix://").unwrap_or(address));
        Self { socket, namespace: namespace.to_owned(), client: None }
    }

    /// One try.
    pub(crate) async fn forward(&mut self, at: SystemTime, event: &Event) -> Result<(), ForwardError> {
        let request = envelope(&self.namespace, at, event).map_err(ForwardError::Encode)?;
        if let Some(client) = self.client.take() {
            match self.ask(client, &request).await {
                // The connection had broken: containerd was restarted since the last event.
                Err(ForwardError::Refused(_)) if self.client.is_none() => {}
                done => return done,
            }
        }
        let client = self.connect().await?;
        self.ask(client, &request).await
    }

    /// The client is kept only if the connection is known to be good.
    async fn ask(&mut self, client: EventsClient, request: &ForwardRequest) -> Result<(), ForwardError> {
        let time = context::with_duration(TRY);
        let answer = timeout(TRY, client.forward(time, request)).await.map_err(|_| ForwardError::Silent)?;
        let delivered = matches!(answer, Ok(_) | Err(ttrpc::Error::RpcStatus(_)));
        self.client = delivered.then_some(client);
        answer.map(drop).map_err(ForwardError::Refused)
    }

    async fn connect(&self) -> Result<EventsClient, ForwardError> {
        // Not by ttrpc: its connect waits, and with it the whole server, while a backlog is full.
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ForwardError::Connect { path: self.socket.clone(), source })?;
        Ok(EventsClient::new(Client::new(Socket::new(stream))))
    }
}

fn envelope(namespace: &str, at: SystemTime, event: &Event) -> Result<ForwardRequest, ProtobufError> {
    let (topic, name, value) = encode(event)?;
    let envelope = Envelope {
        timestamp: timestamp(at),
        namespace: namespace.to_owned(),
        topic: topic.to_owned(),
        event: MessageField::some(Any { type_url: name.to_owned(), value, ..Any::default() }),
        ..Envelope::default()
    };
    Ok(ForwardRequest { envelope: MessageField::some(envelope), ..ForwardRequest::default() })
}

/// Topic, type and bytes.
fn encode(event: &Event) -> Result<(&'static str, &'static str, Vec<u8>), ProtobufError> {
    Ok(match event {
        Event::TaskCreate { id, bundle, rootfs, stdio, pid } => {
            let mount = |mount: &crate::task::RootMount| Mount {
                type_: mount.kind.clone(),
                source: mount.source.clone(),
                options: mount.options.clone(),
                ..Mount::default()
            };
            let io = events::TaskIO {
                stdin: stdio.stdin.clone(),
                stdout: stdio.stdout.clone(),
                stderr: stdio.stderr.clone(),
                terminal: stdio.terminal,
                ..events::TaskIO::default()
            };
            let message = events::TaskCreate {
                container_id: id.clone(),
                bundle: bundle.display().to_string(),
                rootfs: rootfs.iter().map(mount).collect(),
                io: MessageField::some(io),
                pid: *pid,
                ..events::TaskCreate::default()
            };
            (topics::TASK_CREATE_EVENT_TOPIC, "containerd.events.TaskCreate", message.write_to_bytes()?)
        }
        Event::TaskStart { id, pid } => {
            let message =
                events::TaskStart { container_id: id.clone(), pid: *pid, ..events::TaskStart::default() };
            (topics::TASK_START_EVENT_TOPIC, "containerd.events.TaskStart", message.write_to_bytes()?)
        }
        Event::TaskExit { id, exec_id, pid, status, exited_at } => {
            let message = events::TaskExit {
                container_id: id.clone(),
                id: exec_id.clone(),
                pid: *pid,
                exit_status: *status,
                exited_at: timestamp(*exited_at),
                ..events::TaskExit::default()
            };
            (topics::TASK_EXIT_EVENT_TOPIC, "containerd.events.TaskExit", message.write_to_bytes()?)
        }
        Event::TaskDelete { id, pid, status, exited_at } => {
            let message = events::TaskDelete {
                container_id: id.clone(),
                pid: *pid,
                exit_status: *status,
                exited_at: timestamp(*exited_at),
                ..events::TaskDelete::default()
            };
            (topics::TASK_DELETE_EVENT_TOPIC, "containerd.events.TaskDelete", message.write_to_bytes()?)
        }
        Event::ExecAdded { id, exec_id } => {
            let message = events::TaskExecAdded {
                container_id: id.clone(),
                exec_id: exec_id.clone(),
                ..events::TaskExecAdded::default()
            };
            (
                topics::TASK_EXEC_ADDED_EVENT_TOPIC,
                "containerd.events.TaskExecAdded",
                message.write_to_bytes()?,
            )
        }
        Event::ExecStarted { id, exec_id, pid } => {
            let message = events::TaskExecStarted {
                container_id: id.clone(),
                exec_id: exec_id.clone(),
                pid: *pid,
                ..events::TaskExecStarted::default()
            };
            let (topic, name) = (topics::TASK_EXEC_STARTED_EVENT_TOPIC, "containerd.events.TaskExecStarted");
            (topic, name, message.write_to_bytes()?)
        }
        Event::TaskPaused { id } => {
            let message = events::TaskPaused { container_id: id.clone(), ..events::TaskPaused::default() };
            (topics::TASK_PAUSED_EVENT_TOPIC, "containerd.events.TaskPaused", message.write_to_bytes()?)
        }
        Event::TaskResumed { id } => {
            let message = events::TaskResumed { container_id: id.clone(), ..events::TaskResumed::default() };
            (topics::TASK_RESUMED_EVENT_TOPIC, "containerd.events.TaskResumed", message.write_to_bytes()?)
        }
        Event::TaskOom { id } => {
            let message = events::TaskOOM { container_id: id.clone(), ..events::TaskOOM::default() };
            (topics::TASK_OOM_EVENT_TOPIC, "containerd.events.TaskOOM", message.write_to_bytes()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn each_event_has_its_topic_and_full_name() {
        let now = UNIX_EPOCH + Duration::new(7, 8);
        let id = || "abc".to_owned();
        let table = [
            (
                Event::TaskCreate {
                    id: id(),
                    bundle: "/b".into(),
                    rootfs: vec![],
                    stdio: Default::default(),
                    pid: 1,
                },
                "create",
                "TaskCreate",
            ),
            (Event::TaskStart { id: id(), pid: 1 }, "start", "TaskStart"),
            (
                Event::TaskExit { id: id(), exec_id: id(), pid: 1, status: 3, exited_at: now },
                "exit",
                "TaskExit",
            ),
            (Event::TaskDelete { id: id(), pid: 1, status: 3, exited_at: now }, "delete", "TaskDelete"),
            (Event::ExecAdded { id: id(), exec_id: "e".to_owned() }, "exec-added", "TaskExecAdded"),
            (
                Event::ExecStarted { id: id(), exec_id: "e".to_owned(), pid: 1 },
                "exec-started",
                "TaskExecStarted",
            ),
            (Event::TaskPaused { id: id() }, "paused", "TaskPaused"),
            (Event::TaskResumed { id: id() }, "resumed", "TaskResumed"),
            (Event::TaskOom { id: id() }, "oom", "TaskOOM"),
        ];
        for (event, topic, name) in table {
            let envelope = envelope("k8s.io", now, &event).expect("encodes").envelope.unwrap();
            assert_eq!(envelope.topic, format!("/tasks/{topic}"));
            assert_eq!(envelope.event.type_url, format!("containerd.events.{name}"));
            assert_eq!((envelope.namespace.as_str(), envelope.timestamp.seconds), ("k8s.io", 7));
            // The container's id is the first field of each.
            assert_eq!(envelope.event.value.get(..5), Some(&b"\x0a\x03abc"[..]), "{name}");
        }
    }

    #[test]
    fn an_exit_says_which_process_ended_how_and_when() {
        let exited_at = UNIX_EPOCH + Duration::new(7, 8);
        let event =
            Event::TaskExit { id: "c".to_owned(), exec_id: "e".to_owned(), pid: 5, status: 137, exited_at };
        let (_, _, bytes) = encode(&event).expect("encodes");
        let exit = events::TaskExit::parse_from_bytes(&bytes).expect("decodes");
        assert_eq!(
            (exit.container_id.as_str(), exit.id.as_str(), exit.pid, exit.exit_status),
            ("c", "e", 5, 137)
        );
        assert_eq!((exit.exited_at.seconds, exit.exited_at.nanos), (7, 8));
    }
}
