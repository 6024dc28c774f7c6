//! A pod and its containers.

use super::messages::{
    CONTAINER, ContainerConfig, ContainerLinux, ContainerSecurity, CreateContainer, EXITED, Empty, Id,
    ImageSpec, Metadata, NODE, Named, Namespaces, OfImage, PodConfig, PodLinux, PodSecurity, RunPod,
    StatusOf,
};
use super::{HANDLER, NAMESPACE, call, knows};
use crate::client::Client;
use crate::leaks;
use crate::node::Node;
use crate::wait::until;
use std::cell::Cell;
use std::fs;
use tonic::Status;

/// A pod that is ready: its own container runs.
#[derive(Debug)]
pub struct Pod<'node> {
    node: &'node Node,
    id: String,
    config: PodConfig,
    made: Cell<u32>,
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
    /// Runs a pod in the host's network.
    ///
    /// # Panics
    /// If it does not become ready.
    pub(crate) fn run_on(node: &'node Node) -> Self {
        let namespaces = Namespaces { network: NODE, pid: CONTAINER };
        let name = node.name().to_owned();
        let config = PodConfig {
            metadata: Some(Metadata { name: name.clone(), uid: name, namespace: "default".to_owned() }),
            log_directory: node.dir().join("logs").display().to_string(),
            linux: Some(PodLinux {
                cgroup_parent: node.cgroup_parent(),
                security: Some(PodSecurity { namespaces: Some(namespaces) }),
            }),
        };
        let run = RunPod { config: Some(config.clone()), handler: HANDLER.to_owned() };
        let pod: Id = call(node.client(), "/runtime.v1.RuntimeService/RunPodSandbox", run).expect("a pod");
        Self { node, id: pod.id, config, made: Cell::new(0) }
    }

    /// Pulls an image, as a kubelet does for a pod of this handler.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn pull(&self, image: &str) -> Result<(), Status> {
        let pull = OfImage { image: Some(spec(image)) };
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

    /// Runs a container of an image that is there to its end, and removes it.
    ///
    /// # Errors
    /// With containerd's answer to CreateContainer or StartContainer.
    ///
    /// # Panics
    /// If any other call fails.
    pub fn run(&self, image: &str, command: &[&str]) -> Result<PodEnded, Status> {
        let container = self.create(image, command)?;
        let started =
            call::<_, Empty>(self.client(), "/runtime.v1.RuntimeService/StartContainer", id(&container));
        let code = started.map(|_started| self.code(&container));
        self.call::<Empty>("/runtime.v1.RuntimeService/RemoveContainer", &container);
        // Only now: containerd may still write it when the container has ended.
        code.map(|code| PodEnded { code, output: self.log() })
    }

    fn create(&self, image: &str, command: &[&str]) -> Result<String, Status> {
        self.made.set(self.made.get() + 1);
        let name = format!("container-{}", self.made.get());
        let namespaces = Namespaces { network: NODE, pid: CONTAINER };
        let config = ContainerConfig {
            log_path: log(&name),
            metadata: Some(Named { name }),
            image: Some(spec(image)),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            linux: Some(ContainerLinux {
                security: Some(ContainerSecurity { namespaces: Some(namespaces) }),
            }),
        };
        let create = CreateContainer {
            pod: self.id.clone(),
            config: Some(config),
            pod_config: Some(self.config.clone()),
        };
        let created: Id = call(self.client(), "/runtime.v1.RuntimeService/CreateContainer", create)?;
        Ok(created.id)
    }

    /// Waits for the end of a container.
    fn code(&self, container: &str) -> i32 {
        until("the end of a pod's container", || {
            let answer: StatusOf = self.call("/runtime.v1.RuntimeService/ContainerStatus", container);
            answer.status.filter(|status| status.state == EXITED).map(|status| status.exit_code)
        })
    }

    /// What the container that was made last has written.
    fn log(&self) -> String {
        let log = self.node.dir().join("logs").join(log(&format!("container-{}", self.made.get())));
        output(&fs::read_to_string(&log).expect("the log of a container"))
    }

    fn call<A: prost::Message + Default + 'static>(&self, method: &'static str, of: &str) -> A {
        call(self.client(), method, id(of)).expect("an answer of the CRI")
    }

    fn client(&self) -> &'node Client {
        self.node.client()
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        for method in
            ["/runtime.v1.RuntimeService/StopPodSandbox", "/runtime.v1.RuntimeService/RemovePodSandbox"]
        {
            let done = call::<_, Empty>(self.client(), method, id(&self.id));
            if !std::thread::panicking() {
                done.expect("the end of a pod");
            }
        }
        if !std::thread::panicking() {
            let socket = leaks::socket_in(&self.node.socket(), NAMESPACE, &self.id);
            until("the pod's server to be gone", || (!socket.exists()).then_some(()));
        }
    }
}

/// An image as a kubelet names it for a pod of our handler: what each version looks at of that differs.
fn spec(image: &str) -> ImageSpec {
    let handler = ("io.containerd.cri.runtime-handler".to_owned(), HANDLER.to_owned());
    ImageSpec {
        image: image.to_owned(),
        annotations: [handler].into(),
        user_specified: image.to_owned(),
        handler: HANDLER.to_owned(),
    }
}

fn id(of: &str) -> Id {
    Id { id: of.to_owned() }
}

fn log(container: &str) -> String {
    format!("{container}.log")
}

/// What was written, without the CRI's time, stream and tag: whole lines have the tag F, parts of one P.
fn output(log: &str) -> String {
    let mut text = String::new();
    for line in log.lines() {
        let mut words = line.splitn(4, ' ').skip(2);
        let (tag, written) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        text.push_str(written);
        if tag == "F" {
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::output;

    #[test]
    fn a_log_is_read_as_it_was_written() {
        let log = "2026-01-01T00:00:00Z stdout F one two\n2026-01-01T00:00:00Z stderr P a part\n\
                   2026-01-01T00:00:00Z stderr F  and its end\n2026-01-01T00:00:00Z stdout F \n";
        assert_eq!(output(log), "one two\na part and its end\n\n");
    }
}
