//! A container that does not exist yet: what it shall run, and how.

use crate::client::{Client, NAMESPACE, request};
use crate::container::{Container, Ended, Streams};
use crate::image::{Image, SNAPSHOTTER, kept};
use crate::log::OTHERS;
use crate::node::Node;
use crate::stdio::{Input, Pipe};
use crate::{PINNACE, spec};
use containerd_client::services::v1::container::Runtime;
use containerd_client::services::v1::snapshots::{PrepareSnapshotRequest, RemoveSnapshotRequest};
use containerd_client::services::v1::{Container as Record, CreateContainerRequest, DeleteContainerRequest};
use containerd_client::types::Mount;
use prost_types::Any;
use serde_json::{Value, json};
use std::path::Path;
use tonic::Status;

const SPEC_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/// The plan of one container. Without any word: the image's command, as root, in new namespaces.
#[derive(Debug)]
pub struct Draft<'node> {
    node: &'node Node,
    image: Image,
    id: String,
    runtime: String,
    options: Option<Any>,
    spec: Value,
    stdin: bool,
    stdout: Option<String>,
    terminal: bool,
}

impl<'node> Draft<'node> {
    pub(crate) fn new(node: &'node Node, image: &Image, id: String) -> Self {
        let spec = spec::default(&id, &node.cgroup_parent(), &image.command());
        Self {
            node,
            image: image.clone(),
            id,
            runtime: PINNACE.to_owned(),
            options: None,
            spec,
            stdin: false,
            stdout: None,
            terminal: false,
        }
    }

    /// Another runtime than Pinnace.
    #[must_use]
    pub fn runtime(mut self, name: &str) -> Self {
        if !name.starts_with("io.containerd.wasm") {
            OTHERS.iter().for_each(|text| self.node.expect_log(text));
        }
        name.clone_into(&mut self.runtime);
        self
    }

    /// Options of the runtime, as the CRI gives those of a handler.
    #[must_use]
    pub fn options(mut self, type_url: &str, value: Vec<u8>) -> Self {
        self.options = Some(Any { type_url: type_url.to_owned(), value });
        self
    }

    /// Arguments instead of the image's command; the first is the entrypoint.
    #[must_use]
    pub fn args<'a>(self, args: impl IntoIterator<Item = &'a str>) -> Self {
        let args: Vec<_> = args.into_iter().collect();
        self.edit(|spec| spec["process"]["args"] = json!(args))
    }

    /// One more variable in the environment, as `NAME=value`.
    #[must_use]
    pub fn env(self, variable: &str) -> Self {
        self.edit(|spec| push(&mut spec["process"]["env"], json!(variable)))
    }

    /// One more mount: a host directory or file, bound.
    #[must_use]
    pub fn bind(self, source: &Path, destination: &str, options: &[&str]) -> Self {
        let options = [&["rbind"], options].concat();
        let mount = spec::mount(&source.display().to_string(), destination, "bind", &options);
        self.edit(|spec| push(&mut spec["mounts"], mount))
    }

    /// One annotation.
    #[must_use]
    pub fn annotation(self, key: &str, value: &str) -> Self {
        self.edit(|spec| spec["annotations"][key] = json!(value))
    }

    /// A memory limit in bytes.
    #[must_use]
    pub fn memory(self, limit: u64) -> Self {
        self.edit(|spec| spec["linux"]["resources"]["memory"] = json!({ "limit": limit }))
    }

    /// Anything else in `config.json`.
    #[must_use]
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.spec);
        self
    }

    /// With a stdin that the test writes to; else it is `/dev/null`.
    #[must_use]
    pub fn with_stdin(mut self) -> Self {
        self.stdin = true;
        self
    }

    /// With a terminal, and somebody who types on it.
    #[must_use]
    pub fn with_terminal(mut self) -> Self {
        self.terminal = true;
        self.with_stdin().edit(|spec| spec["process"]["terminal"] = json!(true))
    }

    /// stdout and stderr to a URL (`file://…`) instead of FIFOs.
    #[must_use]
    pub fn output_to(mut self, url: &str) -> Self {
        self.stdout = Some(url.to_owned());
        self
    }

    /// The container's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Creates, starts, waits, deletes.
    ///
    /// # Panics
    /// If any of these fails.
    #[must_use]
    #[track_caller]
    pub fn run(self) -> Ended {
        self.create().expect("create").run_to_end()
    }

    /// Creates the container and its task. A failure leaves neither.
    ///
    /// # Errors
    /// With containerd's answer to the task's Create.
    ///
    /// # Panics
    /// If containerd cannot keep the container itself.
    pub fn create(self) -> Result<Container<'node>, Status> {
        let (mut container, rootfs) = self.record();
        match container.create(rootfs) {
            Ok(()) => Ok(container),
            Err(status) => {
                container.forget();
                Err(status)
            }
        }
    }

    /// The same, for whom a failure may be one of containerd itself: what is left of the task then nobody knows, and
    /// the container is given back with the failure.
    ///
    /// # Errors
    /// With the container, which may have a task or not, and containerd's answer.
    ///
    /// # Panics
    /// If containerd cannot keep the container itself.
    pub fn try_create(self) -> Result<Container<'node>, Box<(Container<'node>, Status)>> {
        let (mut container, rootfs) = self.record();
        match container.create(rootfs) {
            Ok(()) => Ok(container),
            Err(status) => Err(Box::new((container, status))),
        }
    }

    /// Makes the FIFOs, the snapshot and containerd's record of the container.
    fn record(self) -> (Container<'node>, Vec<Mount>) {
        let client = self.node.client();
        let io = self.node.dir().join("io");
        let stdin = self.stdin.then(|| Input::new(io.join(format!("{}-in", self.id))));
        let pipe = |name: &str| Pipe::new(io.join(format!("{}-{name}", self.id)));
        let (stdout, stderr) = match self.stdout {
            Some(_) => (None, None),
            None => (Some(pipe("out")), (!self.terminal).then(|| pipe("err"))),
        };
        let _steady = client.steady();
        let rootfs = self.snapshot(client);
        let streams = Streams { stdin, stdout, stderr, url: self.stdout, terminal: self.terminal };
        (Container::new(self.node, self.id, streams), rootfs)
    }

    /// Makes the snapshot and containerd's record of the container.
    fn snapshot(&self, client: &Client) -> Vec<Mount> {
        let prepare = PrepareSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            key: self.id.clone(),
            parent: self.image.chain().to_owned(),
            labels: kept(),
        };
        let mounts = client.answer(client.snapshots().prepare(request(prepare))).expect("a snapshot").mounts;
        let value = serde_json::to_vec(&self.spec).expect("a spec as JSON");
        let container = Record {
            id: self.id.clone(),
            image: self.image.name().to_owned(),
            runtime: Some(Runtime { name: self.runtime.clone(), options: self.options.clone() }),
            spec: Some(Any { type_url: SPEC_TYPE.to_owned(), value }),
            snapshotter: SNAPSHOTTER.to_owned(),
            snapshot_key: self.id.clone(),
            ..Default::default()
        };
        let create = CreateContainerRequest { container: Some(container) };
        client.answer(client.containers().create(request(create))).expect("a container");
        mounts
    }
}

/// Removes containerd's record and the snapshot; those of the container itself must be gone.
pub(crate) fn forget(client: &Client, id: &str) {
    let _steady = client.steady();
    let container = DeleteContainerRequest { id: id.to_owned() };
    client.answer(client.containers().delete(request(container))).expect("delete a container");
    let snapshot = RemoveSnapshotRequest { snapshotter: SNAPSHOTTER.to_owned(), key: id.to_owned() };
    client.answer(client.snapshots().remove(request(snapshot))).expect("remove a snapshot");
}

/// The directory of a task's bundle.
pub(crate) fn bundle(dir: &Path, id: &str) -> std::path::PathBuf {
    dir.join("state/io.containerd.runtime.v2.task").join(NAMESPACE).join(id)
}

fn push(list: &mut Value, item: Value) {
    if let Value::Array(items) = list {
        items.push(item);
    }
}
