//! What containerd publishes, in the order it came.

use crate::client::{Client, request, stream};
use crate::wait::{PATIENCE, until, within};
use containerd_client::events::{TaskDelete, TaskExit, TaskOom};
use containerd_client::services::v1::{PublishRequest, SubscribeRequest};
use prost::Message;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// A topic of our own, by which a subscription is known to work.
const PROBE: &str = "/e2e/probe";

/// One event.
#[derive(Debug, Clone)]
pub struct Event {
    /// `/tasks/start` and the like.
    pub topic: String,
    body: Vec<u8>,
}

impl Event {
    /// The container it is about; every task event has it first.
    #[must_use]
    pub fn container(&self) -> String {
        self.decode::<TaskOom>().container_id
    }

    /// The exit, if it is `/tasks/exit`.
    #[must_use]
    pub fn exit(&self) -> Option<TaskExit> {
        (self.topic == "/tasks/exit").then(|| self.decode())
    }

    /// The deletion, if it is `/tasks/delete`.
    #[must_use]
    pub fn delete(&self) -> Option<TaskDelete> {
        (self.topic == "/tasks/delete").then(|| self.decode())
    }

    fn decode<T: Message + Default>(&self) -> T {
        T::decode(self.body.as_slice()).unwrap_or_default()
    }
}

/// A subscription: all task events from its making on.
#[derive(Debug)]
pub struct Events {
    heard: Arc<Mutex<Vec<Event>>>,
    listener: JoinHandle<()>,
}

impl Events {
    pub(crate) fn subscribe(client: &Client) -> Self {
        let filters = vec!["topic~=\"^/tasks/\"".to_owned(), format!("topic==\"{PROBE}\"")];
        let heard = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&heard);
        let mut service = client.events();
        // containerd answers a subscription with its first event, not before: nobody may wait for it here.
        let listener = client.runtime().spawn(async move {
            let answer = service.subscribe(stream(SubscribeRequest { filters })).await;
            let mut envelopes = answer.expect("subscribe").into_inner();
            while let Ok(Some(envelope)) = envelopes.message().await {
                let body = envelope.event.map(|event| event.value).unwrap_or_default();
                into.lock().unwrap().push(Event { topic: envelope.topic, body });
            }
        });
        let events = Self { heard, listener };
        until("a subscription to events", || {
            let event = Some(containerd_client::to_any(&TaskOom::default()));
            let probe = PublishRequest { topic: PROBE.to_owned(), event };
            client.answer(client.events().publish(request(probe))).expect("publish");
            events.heard.lock().unwrap().iter().any(|event| event.topic == PROBE).then_some(())
        });
        events
    }

    /// Everything so far.
    #[must_use]
    pub fn so_far(&self) -> Vec<Event> {
        self.heard.lock().unwrap().clone()
    }

    /// The topics about one container so far, without their `/tasks/`.
    #[must_use]
    pub fn topics(&self, container: &str) -> Vec<String> {
        let about = |event: &Event| event.container() == container;
        let short = |event: Event| event.topic.trim_start_matches("/tasks/").to_owned();
        self.so_far().into_iter().filter(about).map(short).collect()
    }

    /// Waits for the first event of this topic about this container.
    ///
    /// # Panics
    /// If none comes.
    #[must_use]
    pub fn wait_for(&self, topic: &str, container: &str) -> Event {
        let topic = format!("/tasks/{topic}");
        let matches = |event: &Event| event.topic == topic && event.container() == container;
        within(PATIENCE, || self.so_far().into_iter().find(matches)).unwrap_or_else(|| {
            panic!("no {topic} of {container} among {:?}", self.topics(container));
        })
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.listener.abort();
    }
}
