use super::super::join::{Answer, reserve};
use super::*;
use containerd_shim_protos::api;
use containerd_shim_protos::protobuf::well_known_types::empty::Empty;
use containerd_shim_protos::shim_async::{Client, TaskClient};
use containerd_shim_protos::ttrpc::context;
use std::io::Write;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use tokio::sync::Notify;

/// Answers Connect, waits for ever in Wait, and tells of Shutdown.
#[derive(Default)]
struct Fake {
    shutdown: Arc<Notify>,
    wait_dropped: Arc<Notify>,
}

struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[async_trait]
impl Task for Fake {
    async fn connect(&self, _: &TtrpcContext, _: api::ConnectRequest) -> ttrpc::Result<api::ConnectResponse> {
        Ok(api::ConnectResponse { shim_pid: 7, ..Default::default() })
    }

    async fn wait(&self, _: &TtrpcContext, _: api::WaitRequest) -> ttrpc::Result<api::WaitResponse> {
        let _told = OnDrop(self.wait_dropped.clone());
        std::future::pending().await
    }

    async fn shutdown(&self, _: &TtrpcContext, _: api::ShutdownRequest) -> ttrpc::Result<Empty> {
        self.shutdown.notify_one();
        Ok(Empty::new())
    }
}

struct Served {
    _directory: tempfile::TempDir,
    socket: PathBuf,
    server: Server,
    expected: Expected,
}

async fn served(task: Fake) -> Served {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("s");
    let listener = StdListener::bind(&socket).expect("bound");
    let expected = Expected::default();
    let server = serve(listener, Arc::new(task), expected.clone()).await.expect("serves");
    Served { _directory: directory, socket, server, expected }
}

async fn client(socket: &Path) -> Client {
    Client::connect(&format!("unix://{}", socket.display())).await.expect("connected")
}

async fn call(client: &Client, service: &str, method: &str) -> Result<Response, ttrpc::Error> {
    let request = Request { service: service.to_owned(), method: method.to_owned(), ..Request::default() };
    client.request(request).await
}

fn code(answer: Result<Response, ttrpc::Error>) -> Code {
    match answer {
        Ok(_) => Code::OK,
        Err(ttrpc::Error::RpcStatus(status)) => status.code(),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn both_versions_are_served_and_the_rest_is_unimplemented() {
    let served = served(Fake::default()).await;
    let client = client(&served.socket).await;
    for (service, method, expected) in [
        ("containerd.task.v2.Task", "Connect", Code::OK),
        ("containerd.task.v3.Task", "Connect", Code::OK),
        ("containerd.task.v3.Task", "Dance", Code::UNIMPLEMENTED),
        ("containerd.runtime.sandbox.v1.Sandbox", "Platform", Code::UNIMPLEMENTED),
    ] {
        assert_eq!(code(call(&client, service, method).await), expected, "{service}/{method}");
    }
}

#[tokio::test]
async fn a_broken_connection_harms_nobody_else() {
    let task = Fake::default();
    let wait_dropped = task.wait_dropped.clone();
    let served = served(task).await;
    let healthy = client(&served.socket).await;

    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[0; 10], b"\0\0\0\x05"] {
        let mut stream = StdStream::connect(&served.socket).expect("connected");
        stream.write_all(garbage).expect("written");
    }
    let waiting = client(&served.socket).await;
    let wait = tokio::spawn(async move {
        let _ = TaskClient::new(waiting).wait(context::with_duration(PAUSE / 10), &Default::default()).await;
    });
    wait.await.expect("gave up");
    // Its call ends with its connection.
    timeout(PAUSE * 5, wait_dropped.notified()).await.expect("the call was dropped");
    assert_eq!(code(call(&healthy, "containerd.task.v2.Task", "Connect").await), Code::OK);
}

#[tokio::test]
async fn the_last_answer_arrives_before_the_server_is_gone() {
    for _ in 0..100 {
        let task = Fake::default();
        let asked = task.shutdown.clone();
        let Served { _directory, socket, server, .. } = served(task).await;
        let client = TaskClient::new(client(&socket).await);
        let answer =
            tokio::spawn(async move { client.shutdown(context::with_timeout(0), &Default::default()).await });
        asked.notified().await;
        server.shutdown().await;
        answer.await.expect("no panic").expect("answered");
    }
}

#[tokio::test]
async fn calls_that_wait_do_not_hold_the_end() {
    let served = served(Fake::default()).await;
    let waiting = TaskClient::new(client(&served.socket).await);
    let wait = tokio::spawn(async move { waiting.wait(context::with_timeout(0), &Default::default()).await });
    tokio::task::yield_now().await;
    timeout(GRACE * 2, served.server.shutdown()).await.expect("ended in time");
    drop(wait);
}

#[tokio::test]
async fn a_start_reserves_its_place_until_the_server_leaves() {
    let served = served(Fake::default()).await;
    let ask = |id: &'static str| {
        let stream = StdStream::connect(&served.socket).expect("connected");
        tokio::task::spawn_blocking(move || reserve(stream, id).expect("an answer"))
    };
    assert_eq!(ask("a").await.expect("no panic"), Answer::Welcome);
    assert!(served.expected.retire(&served.socket).is_err());
    served.expected.arrived("a");
    // This one connects before the socket is gone, and is heard after it.
    let late = StdStream::connect(&served.socket).expect("connected");
    served.expected.retire(&served.socket).expect("nobody is expected");
    let late = tokio::task::spawn_blocking(move || reserve(late, "b").expect("an answer"));
    assert_eq!(late.await.expect("no panic"), Answer::Leaving);
}
