//! Kubernetes' side of a node: containerd asked through the CRI, as a kubelet asks it.
//!
//! ```text
//!  Node::with_cri() ──▶ Node::pod() ──▶ RunPodSandbox: a Wasm program that sleeps, in the host's network
//!                          │ Pod::pull(name) · images that were imported into the namespace `k8s.io`
//!                          ▼
//!                       Pod::run(image, command) ──▶ CreateContainer, StartContainer, its exit code and log
//!                          │
//!                          ▼ drop
//!                       StopPodSandbox, RemovePodSandbox
//! ```
//!
//! The pod's own container is of the runtime under test too, so its image is a Wasm image too:
//! the one that [`Node::with_cri`](crate::Node::with_cri) imports.

mod config;
mod messages;
mod pod;

pub(crate) use config::configuration;
pub use pod::{Pod, PodEnded};

use crate::client::Client;
use crate::node::Node;
use crate::wait::until;
use messages::{ImageIs, ImageSpec, OfImage};
use pinnace_conformance::guests;
use pinnace_oci::build::Image;
use prost::Message;
use std::fs;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// The namespace in which containerd keeps what Kubernetes asks for.
pub const NAMESPACE: &str = "k8s.io";

/// The image of every pod's own container, which sleeps.
pub const SANDBOX_IMAGE: &str = "docker.io/library/pause:wasm";

/// The handler of a pod that is ours, as a RuntimeClass names it.
const HANDLER: &str = "wasm";

/// What a kubelet gives such a call, or more.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a healthy CRI says on such a node: no network for pods is set up, and a pod is gone before its last event.
const OWN: [&str; 3] = [
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
    let pause = Image::rootfs().file("/pause.wasm", guests::sleep_p1(), 0o755).entrypoint(["/pause.wasm"]);
    let mut archive = Vec::new();
    pause.archive(SANDBOX_IMAGE, &mut archive).expect("an archive");
    let file = node.dir().join("pause.tar");
    fs::write(&file, archive).expect("write an archive");
    let mut ctr = node.ctr();
    let output = ctr.args(["--namespace", NAMESPACE, "images", "import"]).arg(&file).output();
    let output = output.expect("start ctr");
    assert!(output.status.success(), "ctr images import: {}", String::from_utf8_lossy(&output.stderr));
    fs::remove_file(&file).expect("remove an archive");
    until("the CRI to know its own image", || knows(node.client(), SANDBOX_IMAGE).then_some(()));
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
    let mut grpc = Grpc::new(client.channel());
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    let path = PathAndQuery::from_static(method);
    client.answer(async move {
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        grpc.unary(request, path, ProstCodec::<Q, A>::default()).await
    })
}
