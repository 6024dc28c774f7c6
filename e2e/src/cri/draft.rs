//! A pod that does not run yet: what it shall share with the node, and how.

use super::messages::{
    CONTAINER, Dns, Id, IdMapping, Metadata, NODE, Namespaces, POD, PodConfig, PodLinux, PodSecurity,
    Profile, RunPod, Users,
};
use super::pod::Pod;
use super::{HANDLER, RUNC_HANDLER, call, call_all};
use crate::log::OTHERS;
use crate::node::Node;
use tonic::Status;

/// The plan of a pod. Without any word: a network of its own, and nothing special.
#[derive(Debug)]
pub struct PodDraft<'node> {
    node: &'node Node,
    handler: &'static str,
    config: PodConfig,
    namespaces: Namespaces,
    security: PodSecurity,
    linux: PodLinux,
}

impl<'node> PodDraft<'node> {
    pub(crate) fn new(node: &'node Node) -> Self {
        let name = node.pod_name();
        let config = PodConfig {
            metadata: Some(Metadata { name: name.clone(), uid: name, namespace: "default".to_owned() }),
            log_directory: node.dir().join("logs").display().to_string(),
            ..Default::default()
        };
        let linux = PodLinux { cgroup_parent: node.cgroup_parent(), ..Default::default() };
        let namespaces = Namespaces { network: POD, pid: CONTAINER, ipc: POD, ..Default::default() };
        Self { node, handler: HANDLER, config, namespaces, security: PodSecurity::default(), linux }
    }

    /// In the host's network.
    #[must_use]
    pub fn host_network(mut self) -> Self {
        self.namespaces.network = NODE;
        self
    }

    /// Its containers share one pid namespace.
    #[must_use]
    pub fn shared_pids(mut self) -> Self {
        self.namespaces.pid = POD;
        self
    }

    /// In the host's pid namespace.
    #[must_use]
    pub fn host_pids(mut self) -> Self {
        self.namespaces.pid = NODE;
        self
    }

    /// In the host's IPC namespace.
    #[must_use]
    pub fn host_ipc(mut self) -> Self {
        self.namespaces.ipc = NODE;
        self
    }

    /// In a user namespace whose ids are those of the host from `first` on.
    #[must_use]
    pub fn users(mut self, first: u32, length: u32) -> Self {
        let map = vec![IdMapping { host: first, container: 0, length }];
        self.namespaces.users = Some(Users { mode: POD, uids: map.clone(), gids: map });
        self
    }

    /// A sysctl.
    #[must_use]
    pub fn sysctl(mut self, name: &str, value: &str) -> Self {
        self.linux.sysctls.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A host name.
    #[must_use]
    pub fn hostname(mut self, name: &str) -> Self {
        name.clone_into(&mut self.config.hostname);
        self
    }

    /// What `/etc/resolv.conf` says.
    #[must_use]
    pub fn dns(mut self, server: &str, search: &str) -> Self {
        self.config.dns = Some(Dns { servers: vec![server.to_owned()], searches: vec![search.to_owned()] });
        self
    }

    /// A group that all its containers are in, as `fsGroup` gives one.
    #[must_use]
    pub fn group(mut self, group: i64) -> Self {
        self.security.groups.push(group);
        self
    }

    /// The runtime's own seccomp profile, as a kubelet asks for it.
    #[must_use]
    pub fn seccomp(mut self) -> Self {
        self.security.seccomp = Some(Profile::default());
        self
    }

    /// Privileged containers may be in it.
    #[must_use]
    pub fn privileged(mut self) -> Self {
        self.security.privileged = true;
        self
    }

    /// By runc, to compare with.
    #[must_use]
    pub fn by_runc(mut self) -> Self {
        OTHERS.iter().for_each(|text| self.node.expect_log(text));
        self.handler = RUNC_HANDLER;
        self
    }

    /// Runs it.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn run(self) -> Result<Pod<'node>, Status> {
        let client = self.node.client();
        let (request, made) = self.request();
        let pod: Id = call(client, RUN, request)?;
        Ok(made(pod.id))
    }

    /// Runs several at once.
    ///
    /// # Panics
    /// If one does not become ready.
    #[must_use]
    pub fn run_all(drafts: Vec<Self>) -> Vec<Pod<'node>> {
        let Some(client) = drafts.first().map(|draft| draft.node.client()) else { return Vec::new() };
        let (requests, made): (Vec<_>, Vec<_>) = drafts.into_iter().map(Self::request).unzip();
        let answers = call_all::<_, Id>(client, RUN, requests);
        made.into_iter().zip(answers).map(|(made, answer)| made(answer.expect("a pod").id)).collect()
    }

    /// The request, and the pod that its answer makes.
    fn request(mut self) -> (RunPod, impl FnOnce(String) -> Pod<'node>) {
        self.security.namespaces = Some(self.namespaces.clone());
        self.linux.security = Some(self.security);
        self.config.linux = Some(self.linux);
        let run = RunPod { config: Some(self.config.clone()), handler: self.handler.to_owned() };
        (run, move |id| Pod::new(self.node, id, self.config, self.namespaces, self.handler))
    }
}

const RUN: &str = "/runtime.v1.RuntimeService/RunPodSandbox";
