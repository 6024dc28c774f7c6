//! Against a fake containerd that fails, goes away and comes back.

use super::*;
use async_trait::async_trait;
use containerd_shim_protos::api::{Empty, ForwardRequest};
use containerd_shim_protos::shim_async::{Events, create_events};
use containerd_shim_protos::ttrpc;
use containerd_shim_protos::ttrpc::r#async::{Server, TtrpcContext};
use containerd_shim_protos::ttrpc::{Code, error::get_rpc_status};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

const SOON: Duration = Duration::from_secs(20);

/// Counts and keeps what it takes; refuses as often as it is told.
#[derive(Clone, Default)]
struct Fake {
    taken: Arc<Mutex<Vec<String>>>,
    refusals: Arc<Mutex<u32>>,
    tries: Arc<Mutex<u32>>,
}

#[async_trait]
impl Events for Fake {
    async fn forward(&self, _: &TtrpcContext, request: ForwardRequest) -> ttrpc::Result<Empty> {
        *self.tries.lock().unwrap() += 1;
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            return Err(get_rpc_status(Code::INTERNAL, "not now"));
        }
        let envelope = request.envelope.unwrap();
        assert!(envelope.timestamp.seconds > 0);
        let id = String::from_utf8(envelope.event.value[2..].to_vec()).unwrap();
        self.taken.lock().unwrap().push(format!("{} {} {id}", envelope.namespace, envelope.topic));
        Ok(Empty::new())
    }
}

impl Fake {
    async fn listen(&self, socket: &Path) -> Server {
        let address = format!("unix://{}", socket.display());
        let service = create_events(Arc::new(self.clone()));
        let mut server = Server::new().bind(&address).unwrap().register_service(service);
        server.start().await.unwrap();
        server
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

fn socket() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("containerd.sock.ttrpc");
    (directory, socket)
}

fn send(publisher: &Publisher, numbers: impl IntoIterator<Item = u32>) {
    numbers.into_iter().for_each(|number| publisher.send(Event::TaskOom { id: number.to_string() }));
}

fn expected(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("k8s.io /tasks/oom {number}")).collect()
}

#[tokio::test]
async fn events_arrive_in_order_and_flush_waits_for_them() {
    let (_directory, socket) = socket();
    let containerd = Fake::default();
    let _server = containerd.listen(&socket).await;
    let publisher = Publisher::new(&format!("unix://{}", socket.display()), "k8s.io");
    send(&publisher, 0..100);
    assert!(publisher.flush(SOON).await);
    assert_eq!(containerd.taken(), expected(0..100));
}

#[tokio::test]
async fn a_refused_event_is_sent_again_before_the_next() {
    let (_directory, socket) = socket();
    let containerd = Fake::default();
    *containerd.refusals.lock().unwrap() = 1;
    let _server = containerd.listen(&socket).await;
    let publisher = Publisher::new(socket.to_str().unwrap(), "k8s.io");
    send(&publisher, 0..5);
    assert!(publisher.flush(SOON).await);
    assert_eq!(containerd.taken(), expected(0..5));
    assert_eq!(*containerd.tries.lock().unwrap(), 6);
}

#[tokio::test]
async fn a_restart_of_containerd_loses_nothing() {
    let (_directory, socket) = socket();
    let containerd = Fake::default();
    let mut server = containerd.listen(&socket).await;
    let publisher = Publisher::new(socket.to_str().unwrap(), "k8s.io");
    send(&publisher, 0..3);
    assert!(publisher.flush(SOON).await);

    server.shutdown().await.unwrap();
    drop(server);
    std::fs::remove_file(&socket).unwrap();
    let begin = Instant::now();
    send(&publisher, 3..6);
    assert!(!publisher.flush(Duration::from_millis(100)).await);
    assert!(begin.elapsed() < Duration::from_secs(1), "sending and flushing wait for nobody");

    let _server = containerd.listen(&socket).await;
    assert!(publisher.flush(SOON).await);
    assert_eq!(containerd.taken(), expected(0..6));
}

#[tokio::test]
async fn the_first_event_after_a_restart_is_not_late() {
    let (_directory, socket) = socket();
    let containerd = Fake::default();
    let mut server = containerd.listen(&socket).await;
    let publisher = Publisher::new(socket.to_str().unwrap(), "k8s.io");
    send(&publisher, [0]);
    assert!(publisher.flush(SOON).await);

    server.shutdown().await.unwrap();
    drop(server);
    std::fs::remove_file(&socket).unwrap();
    let _server = containerd.listen(&socket).await;
    send(&publisher, [1]);
    assert!(publisher.flush(Duration::from_millis(800)).await, "no pause before the first retry");
    assert_eq!(containerd.taken(), expected(0..2));
}

#[tokio::test(start_paused = true)]
async fn an_event_nobody_takes_is_given_up_after_five_retries() {
    let (_directory, socket) = socket();
    let publisher = Publisher::new(socket.to_str().unwrap(), "k8s.io");
    let begin = tokio::time::Instant::now();
    send(&publisher, [1]);
    assert!(publisher.flush(Duration::from_secs(60)).await);
    assert_eq!(begin.elapsed().as_secs(), 15);
}

#[tokio::test]
async fn without_an_address_there_is_nothing_to_flush() {
    let publisher = Publisher::new("", "k8s.io");
    send(&publisher, 0..10);
    assert!(publisher.flush(Duration::ZERO).await);
}
