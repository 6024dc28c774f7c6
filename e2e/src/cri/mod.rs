//! Kubernetes' side of a node: containerd asked through the CRI, as a kubelet asks it.
//!
//! ```text
//!  Node::with_cri() ──▶ Node::pod() ──▶ RunPodSandbox, in the host's network
//!  Node::with_pods()      Node::draft_pod() … .run()          or as the draft says, in a network of the node's own
//!                          │ Pod::pull(name) · images that were imported into the namespace `k8s.io`
//!                          ▼
//!                       Pod::run(image, command) ──▶ CreateContainer, StartContainer, its exit code and log
//!                       Pod::draft(image) … .start()  the same step by step: PodContainer
//!                          │
//!                          ▼ drop
//!                       StopPodSandbox, RemovePodSandbox
//! ```
//!
//! The image of the pods' own containers is a native program: runc runs it, Pinnace does not.

mod config;
mod container;
mod draft;
mod messages;
mod network;
mod pod;

pub(crate) use config::configuration;
pub use container::{ContainerDraft, PodContainer};
pub use draft::PodDraft;
pub(crate) use network::{Network, serves};
pub use pod::{Pod, PodEnded};

use crate::client::Client;
use crate::node::Node;
use crate::places;
use crate::wait::until;
use messages::{Empty, ImageIs, ImageSpec, OfImage};
use pinnace_oci::build::Image;
use prost::Message;
use std::fs;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// The namespace in which containerd keeps what Kubernetes asks for.
pub const NAMESPACE: &str = "k8s.io";

/// The image of every pod's own container, which sleeps.
pub const SANDBOX_IMAGE: &str = "docker.io/library/pause:native";

/// The handler of a pod that is ours, as a RuntimeClass names it.
const HANDLER: &str = "wasm";

/// The handler of runc's shim.
pub const RUNC_HANDLER: &str = "runc";

/// What a kubelet gives such a call, or more.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a healthy CRI says on such a node: no network for pods is set up, and a pod is gone before its last event.
const OWN: [&str; 4] = [
    container::LOST,
    "failed to load cni during init",
    "Failed to get podSandbox status for container event",
    // 2.3 collects statistics on its own time, also of a container that is just being removed.
    "collecting metrics for",
];

/// Imports the image of the pods' own containers.
///
/// # Panics
/// If containerd refuses it.
pub(crate) fn prepare(node: &Node) {
    OWN.iter().for_each(|text| node.expect_log(text));
    let busybox = fs::read(places::tools().join("busybox")).expect("busybox; run `cargo xtask tools`");
    let sleeps = ["/busybox", "sleep", "1000000"];
    import(node, SANDBOX_IMAGE, &Image::rootfs().file("/busybox", busybox, 0o755).entrypoint(sleeps));
}

/// Imports an image for pods.
pub(crate) fn import(node: &Node, name: &str, image: &Image) {
    let mut archive = Vec::new();
    image.archive(name, &mut archive).expect("an archive");
    let file = node.dir().join("pods.tar");
    fs::write(&file, archive).expect("write an archive");
    let mut ctr = node.ctr();
    let output = ctr.args(["--namespace", NAMESPACE, "images", "import"]).arg(&file).output();
    let output = output.expect("start ctr");
    assert!(output.status.success(), "ctr images import: {}", String::from_utf8_lossy(&output.stderr));
    fs::remove_file(&file).expect("remove an archive");
    until("the CRI to know an image", || knows(node.client(), name).then_some(()));
}

/// Whether the CRI answers, which it does some time after containerd does.
pub(crate) fn answers(client: &Client) -> bool {
    call::<_, Empty>(client, "/runtime.v1.RuntimeService/Status", Empty {}).is_ok()
}

/// Whether the CRI knows an image by this name.
fn knows(client: &Client, image: &str) -> bool {
    let ask = OfImage { image: Some(ImageSpec { image: image.to_owned(), ..Default::default() }) };
    let answer: ImageIs = call(client, "/runtime.v1.ImageService/ImageStatus", ask).expect("an answer");
    answer.image.is_some()
}

/// Calls `service/method` and waits for the answer.
fn call<Q, A>(client: &Client, method: &'static str, message: Q) -> Result<A, Status>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    client.answer(ask(client, method, message))
}

/// Calls it with all messages at once, and waits for all answers.
fn call_all<Q, A>(client: &Client, method: &'static str, messages: Vec<Q>) -> Vec<Result<A, Status>>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let runtime = client.runtime();
    let calls: Vec<_> =
        messages.into_iter().map(|message| runtime.spawn(ask(client, method, message))).collect();
    let answers = calls.into_iter().map(|call| runtime.block_on(call).expect("a call"));
    answers.map(|answer| answer.map(Response::into_inner)).collect()
}

fn ask<Q, A>(
    client: &Client,
    method: &'static str,
    message: Q,
) -> impl Future<Output = Result<Response<A>, Status>> + Send + 'static
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let mut grpc = Grpc::new(client.channel());
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    let path = PathAndQuery::from_static(method);
    async move {
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        grpc.unary(request, path, ProstCodec::<Q, A>::default()).await
    }
}
