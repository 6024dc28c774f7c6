//! A pod and what can be asked of it.

use super::container::ContainerDraft;
use super::messages::{AskAll, Empty, Id, ImageSpec, Namespaces, OfImage, PodConfig, PodIs, READY};
use super::{NAMESPACE, call, knows};
use crate::client::Client;
use crate::leaks;
use crate::node::Node;
use crate::wait::until;
use std::cell::Cell;
use tonic::Status;

/// A pod that is ready: its own container runs.
#[derive(Debug)]
pub struct Pod<'node> {
    pub(super) node: &'node Node,
    pub(super) id: String,
    pub(super) config: PodConfig,
    pub(super) namespaces: Namespaces,
    handler: &'static str,
    made: Cell<u32>,
    removed: Cell<bool>,
}

/// What is left of a container of a pod.
#[derive(Debug)]
pub struct PodEnded {
    /// Its exit code.
    pub code: i32,
    /// What its log holds of stdout and stderr, in the order in which it was written.
    pub output: String,
}

impl<'node> Pod<'node> {
    pub(super) fn new(
        node: &'node Node,
        id: String,
        config: PodConfig,
        namespaces: Namespaces,
        handler: &'static str,
    ) -> Self {
        Self { node, id, config, namespaces, handler, made: Cell::new(0), removed: Cell::new(false) }
    }

    /// Pulls an image, as a kubelet does for a pod of this handler.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn pull(&self, image: &str) -> Result<(), Status> {
        let pull = OfImage { image: Some(self.image(image)) };
        call::<_, Id>(self.client(), "/runtime.v1.ImageService/PullImage", pull).map(drop)
    }

    /// Whether the CRI knows an image by this name.
    ///
    /// # Panics
    /// If it does not answer.
    #[must_use]
    pub fn knows(&self, image: &str) -> bool {
        knows(self.client(), image)
    }

    /// Drafts a container of an image that is there.
    #[must_use]
    pub fn draft<'pod>(&'pod self, image: &str) -> ContainerDraft<'pod, 'node> {
        self.made.set(self.made.get() + 1);
        ContainerDraft::new(self, image, &format!("container-{}", self.made.get()))
    }

    /// Runs a container of an image that is there to its end, and removes it.
    ///
    /// # Errors
    /// With containerd's answer to CreateContainer or StartContainer.
    ///
    /// # Panics
    /// If any other call fails.
    pub fn run(&self, image: &str, command: &[&str]) -> Result<PodEnded, Status> {
        Ok(self.draft(image).command(command).start()?.to_end())
    }

    /// The pod's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the CRI says that it is ready.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.status().status.is_some_and(|status| status.state == READY)
    }

    /// Its address, if it has a network of its own.
    #[must_use]
    pub fn address(&self) -> String {
        self.status().status.and_then(|status| status.network).unwrap_or_default().ip
    }

    /// The process of its own container.
    ///
    /// # Panics
    /// If the CRI does not tell.
    #[must_use]
    pub fn pid(&self) -> u32 {
        pid(&self.status().info)
    }

    /// Stops it, and what is in it.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn stop(&self) -> Result<(), Status> {
        call::<_, Empty>(self.client(), "/runtime.v1.RuntimeService/StopPodSandbox", id(&self.id)).map(drop)
    }

    /// Stops it, and removes it with its containers.
    ///
    /// # Errors
    /// With containerd's answer; it is still there then.
    pub fn remove(&self) -> Result<(), Status> {
        let stopped = self.stop();
        let remove = "/runtime.v1.RuntimeService/RemovePodSandbox";
        let removed = call::<_, Empty>(self.client(), remove, id(&self.id));
        stopped.and(removed.map(drop))?;
        self.removed.set(true);
        Ok(())
    }

    fn status(&self) -> PodIs {
        let ask = AskAll { id: self.id.clone(), verbose: true };
        call(self.client(), "/runtime.v1.RuntimeService/PodSandboxStatus", ask).expect("a pod's status")
    }

    /// An image as a kubelet names it for a pod of our handler: what each version looks at of that differs.
    pub(super) fn image(&self, name: &str) -> ImageSpec {
        let handler = ("io.containerd.cri.runtime-handler".to_owned(), self.handler.to_owned());
        ImageSpec {
            image: name.to_owned(),
            annotations: [handler].into(),
            user_specified: name.to_owned(),
            handler: self.handler.to_owned(),
        }
    }

    pub(super) fn client(&self) -> &'node Client {
        self.node.client()
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        if self.removed.get() {
            return;
        }
        let removed = self.remove();
        if !std::thread::panicking() {
            removed.expect("the end of a pod");
            let socket = leaks::socket_in(&self.node.socket(), NAMESPACE, &self.id);
            until("the pod's server to be gone", || (!socket.exists()).then_some(()));
        }
    }
}

pub(super) fn id(of: &str) -> Id {
    Id { id: of.to_owned() }
}

/// The process that containerd tells of in its own words.
pub(super) fn pid(info: &std::collections::HashMap<String, String>) -> u32 {
    let info: serde_json::Value = serde_json::from_str(&info["info"]).expect("what containerd knows");
    info["pid"].as_u64().and_then(|pid| pid.try_into().ok()).expect("a pid")
}
