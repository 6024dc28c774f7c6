//! A node of a test's own: one containerd, its containers, and the proof that they are gone.

use crate::client::{Client, NAMESPACE, request};
use crate::cri::{self, Network, Pod, PodDraft};
use crate::daemon::{self, Cri, Daemon};
use crate::draft::Draft;
use crate::events::Events;
use crate::faults::{self, Faults};
use crate::image::Image;
use crate::leaks::{self, COMPILE, Traces};
use crate::places;
use crate::wait::until;
use containerd_client::services::v1::{CreateNamespaceRequest, Namespace};
use pinnace_oci::build;
use rustix::process::Signal;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLockReadGuard};
use tempfile::TempDir;

/// A private containerd, ready. Several threads may use it at once.
pub struct Node {
    // Dropped in this order: the directory last.
    faults: Option<Faults>,
    network: Option<Network>,
    client: Client,
    daemon: Mutex<Daemon>,
    expected: Mutex<Vec<String>>,
    containers: Mutex<Vec<String>>,
    made: AtomicU32,
    dir: TempDir,
}

impl Node {
    /// Starts the containerd that this test run is for.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_version(&places::version())
    }

    /// Starts this version of containerd.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_version(version: &str) -> Self {
        Self::with(version, "", Cri::Off)
    }

    /// Starts containerd on a node whose `config.toml` has these lines too, keys written with dots.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn configured(configuration: &str) -> Self {
        Self::with(&places::version(), configuration, Cri::Off)
    }

    /// Starts containerd with the CRI, whose default handler is Pinnace, and with the image of its pods' own
    /// containers. Pods have the host's network.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn with_cri() -> Self {
        Self::configured_with_cri("")
    }

    fn configured_with_cri(configuration: &str) -> Self {
        let node = Self::with(&places::version(), configuration, Cri::On);
        cri::prepare(&node);
        node
    }

    /// The same with a network for pods.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn with_pods() -> Self {
        Self::configured_with_pods("")
    }

    /// The same on a node whose `config.toml` has these lines too, keys written with dots.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn configured_with_pods(configuration: &str) -> Self {
        let mut node = Self::configured_with_cri(configuration);
        node.network = Some(Network::start(&node.client, node.dir(), node.name()));
        node
    }

    /// The same with a network that the machine reaches.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn with_reachable_pods() -> Self {
        let mut node = Self::with_cri();
        node.network = Some(Network::reachable(&node.client, node.dir(), node.name()));
        node
    }

    /// Runs a pod in the host's network; the node is [one with a CRI](Node::with_cri).
    ///
    /// # Panics
    /// If it does not become ready.
    #[must_use]
    pub fn pod(&self) -> Pod<'_> {
        self.draft_pod().host_network().run().expect("a pod")
    }

    /// Drafts a pod; the node is [one with a network for it](Node::with_pods), or the pod takes the host's.
    #[must_use]
    pub fn draft_pod(&self) -> PodDraft<'_> {
        PodDraft::new(self)
    }

    /// Imports an image for pods, and gives the name by which they know it.
    ///
    /// # Panics
    /// If containerd refuses it.
    #[must_use]
    pub fn pod_image(&self, image: &build::Image) -> String {
        // Not the node's name: the CRI takes no capitals.
        let name = format!("docker.io/library/image:{}", self.next());
        cri::import(self, &name, image);
        name
    }

    fn with(version: &str, configuration: &str, cri: Cri) -> Self {
        Self::in_directory(directory(), version, configuration, cri, None)
    }

    fn in_directory(
        dir: TempDir,
        version: &str,
        configuration: &str,
        cri: Cri,
        faults: Option<Faults>,
    ) -> Self {
        let mut environment = configure_pinnace(dir.path(), name(dir.path()), configuration);
        if let Some(faults) = &faults {
            let path = daemon::path(&places::faults(), version);
            let socket = faults.socket().display().to_string();
            environment.extend([("PATH".to_owned(), path), (faults::VARIABLE.to_owned(), socket)]);
        }
        let daemon = Daemon::start(version, dir.path(), environment, cri);
        let client = Client::connect(&daemon.socket());
        let namespace = Namespace { name: NAMESPACE.to_owned(), ..Default::default() };
        let create = CreateNamespaceRequest { namespace: Some(namespace) };
        client.answer(client.namespaces().create(request(create))).expect("a namespace");
        Self {
            client,
            daemon: Mutex::new(daemon),
            expected: Mutex::default(),
            containers: Mutex::default(),
            made: AtomicU32::new(0),
            dir,
            network: None,
            faults,
        }
    }

    /// Starts containerd with programs that stop where a test says so.
    ///
    /// # Panics
    /// If it does not start, or those programs are not there.
    #[must_use]
    pub fn faulty(configuration: impl FnOnce(&Path) -> String) -> Self {
        let dir = directory();
        let faults = Faults::listen(dir.path());
        let configuration = configuration(dir.path());
        Self::in_directory(dir, &places::version(), &configuration, Cri::Off, Some(faults))
    }

    /// Where its programs can be made to stop.
    ///
    /// # Panics
    /// If it is not [one with such programs](Node::faulty).
    #[must_use]
    pub fn faults(&self) -> &Faults {
        self.faults.as_ref().expect("a node with faults")
    }

    /// Which containerd this is.
    #[must_use]
    pub fn version(&self) -> String {
        locked(&self.daemon).version().to_owned()
    }

    /// Whether this containerd counts a layer of Wasm among those to unpack, as 1.6 does, and so refuses the image.
    ///
    /// An image that the harness unpacks is not concerned: [`Node::image`] leaves such layers out itself.
    #[must_use]
    pub fn refuses_layers(&self) -> bool {
        places::release(&self.version()) < (1, 7)
    }

    /// The node's own directory, gone with it. Tests may put files into it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The name that everything of this node carries.
    #[must_use]
    pub fn name(&self) -> &str {
        name(self.dir.path())
    }

    /// The cgroup above those of all its containers.
    #[must_use]
    pub fn cgroup_parent(&self) -> String {
        format!("/{}", self.name())
    }

    /// containerd's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        locked(&self.daemon).socket()
    }

    /// Whether somebody is connected to the shim of this container.
    #[must_use]
    pub fn reached(&self, id: &str) -> bool {
        let address = leaks::socket(&self.socket(), id).display().to_string();
        let sockets = fs::read_to_string("/proc/net/unix").expect("the sockets");
        // The one that listens carries the path, and so does each end that it accepted.
        sockets.lines().filter(|line| line.ends_with(&address)).count() > 1
    }

    /// containerd's process.
    #[must_use]
    pub fn containerd_pid(&self) -> u32 {
        locked(&self.daemon).pid()
    }

    /// Imports an image and unpacks it.
    ///
    /// # Panics
    /// If containerd refuses it.
    #[must_use]
    pub fn image(&self, image: &build::Image) -> Image {
        self.image_named(&self.image_name(), image)
    }

    /// Imports an image under a name for the reader's eyes and unpacks it.
    ///
    /// # Panics
    /// If containerd refuses it.
    #[must_use]
    pub fn image_named(&self, name: &str, image: &build::Image) -> Image {
        let mut archive = Vec::new();
        image.archive(name, &mut archive).expect("an archive");
        self.import(name, &archive)
    }

    /// Imports an index of images and unpacks the first.
    ///
    /// # Panics
    /// If containerd refuses it.
    #[must_use]
    pub fn index(&self, index: &build::Index) -> Image {
        let name = self.image_name();
        let mut archive = Vec::new();
        index.archive(&name, &mut archive).expect("an archive");
        self.import(&name, &archive)
    }

    /// Brings an archive into containerd, under the name that it gives itself, and unpacks the image.
    fn import(&self, name: &str, archive: &[u8]) -> Image {
        let file = self.dir().join("import.tar");
        fs::write(&file, archive).expect("write an archive");
        let import = ["images", "import", "--all-platforms", "--no-unpack"];
        let output = self.ctr().args(import).arg(&file).output().expect("start ctr");
        assert!(output.status.success(), "ctr images import: {}", String::from_utf8_lossy(&output.stderr));
        fs::remove_file(&file).expect("remove an archive");
        Image::unpacked(&self.client, name)
    }

    fn image_name(&self) -> String {
        format!("docker.io/{}/image:{}", self.name(), self.next())
    }

    /// A new pod's name.
    pub(crate) fn pod_name(&self) -> String {
        format!("{}-pod-{}", self.name(), self.next())
    }

    /// Drafts a container of this image.
    #[must_use]
    pub fn container(&self, image: &Image) -> Draft<'_> {
        Draft::new(self, image, self.id())
    }

    /// A new container's id. None is the beginning of another, so that each can be looked for.
    ///
    /// Who uses it with [`Node::ctr`] puts the container into a cgroup of this name below
    /// [`Node::cgroup_parent`].
    #[must_use]
    pub fn id(&self) -> String {
        let id = format!("{}-{:05}", self.name(), self.next());
        locked(&self.containers).push(id.clone());
        id
    }

    /// A number that no other thing of this node has.
    fn next(&self) -> u32 {
        self.made.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Subscribes to the tasks' events.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::subscribe(&self.client)
    }

    /// `ctr` on this containerd, in the tests' namespace.
    #[must_use]
    pub fn ctr(&self) -> Command {
        let mut ctr = Command::new(places::containerd(&self.version()).join("ctr"));
        ctr.arg("--address").arg(self.socket()).args(["--namespace", NAMESPACE]);
        ctr
    }

    /// Ends containerd by this signal and starts it again; containers stay.
    pub fn restart(&self, signal: Signal) {
        self.while_down(signal, || ());
    }

    /// Ends containerd by this signal, lets `meanwhile` happen, and starts it again.
    pub fn while_down(&self, signal: Signal, meanwhile: impl FnOnce()) {
        self.becomes(&self.version(), signal, meanwhile);
    }

    /// Ends containerd by this signal, lets `meanwhile` happen, and starts this version of it on the same directories.
    pub fn becomes(&self, version: &str, signal: Signal, meanwhile: impl FnOnce()) {
        let _changing = self.client.changing();
        let mut daemon = locked(&self.daemon);
        daemon.stop(signal);
        meanwhile();
        daemon.start_again(version);
        self.client.reconnect(&daemon.socket());
        if daemon.has_cri() {
            // Without a network for pods the CRI never calls itself ready.
            let serves = || match self.network {
                Some(_) => cri::serves(&self.client),
                None => cri::answers(&self.client),
            };
            until("the CRI to serve again", || serves().then_some(()));
        }
    }

    /// Keeps containerd as it is until the guard is dropped: whoever [restarts](Node::restart) it waits. Not to be
    /// asked for by a thread that has it.
    pub fn steady(&self) -> RwLockReadGuard<'_, ()> {
        self.client.steady()
    }

    /// Declares that containerd's log will hold warnings or errors with this text.
    pub fn expect_log(&self, text: &str) {
        locked(&self.expected).push(text.to_owned());
    }

    /// What containerd has said so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(locked(&self.daemon).log()).unwrap_or_default()
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// What there is of one container, as lines for the reader.
    #[must_use]
    pub fn traces_of(&self, id: &str) -> Vec<String> {
        leaks::of_container(&self.traces(), id, &[self.containerd_pid(), std::process::id()])
    }

    fn traces(&self) -> Traces {
        let socket = self.socket();
        Traces {
            name: self.name().to_owned(),
            dir: self.dir().to_owned(),
            sockets: locked(&self.containers).iter().map(|id| leaks::socket(&socket, id)).collect(),
        }
    }

    fn prove_clean(&self) {
        let traces = self.traces();
        let mut daemon = locked(&self.daemon);
        let left = leaks::left(&traces, &[daemon.pid(), std::process::id()]);
        daemon.stop(Signal::TERM);
        let said = daemon.unexpected(&locked(&self.expected));
        leaks::remove_parents(&traces);
        // Both, for the one often tells the reason of the other.
        let told = |what: &str, lines: &[String]| match lines {
            [] => String::new(),
            lines => format!("{what}:\n  {}\n", lines.join("\n  ")),
        };
        let found = told("left behind", &left) + &told("containerd's log", &said);
        assert!(found.is_empty(), "{found}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- containerd {} ---\n{}---", self.version(), self.log());
            leaks::remove_parents(&self.traces());
        } else {
            self.prove_clean();
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("version", &self.version()).field("dir", &self.dir.path()).finish()
    }
}

/// A node's directory.
fn directory() -> TempDir {
    // Short, for the paths of sockets have 107 bytes; and a name that nothing else on the machine carries.
    let dir = tempfile::Builder::new().prefix("pnc-").tempdir_in("/tmp").expect("a directory");
    fs::create_dir(dir.path().join("io")).expect("a directory for FIFOs");
    dir
}

/// Writes the node's own configuration of Pinnace, and tells containerd (and so the shim) of it.
fn configure_pinnace(dir: &Path, name: &str, more: &str) -> Vec<(String, String)> {
    let file = dir.join("pinnace.toml");
    let place = dir.join("pinnace").display().to_string();
    let text = format!(
        "cache.dir = \"{place}/cache\"\nstate.dir = \"{place}/state\"\n\
         compile.cgroup = \"/{name}/{COMPILE}\"\n{more}\n"
    );
    fs::write(&file, text).expect("write Pinnace's configuration");
    vec![("PINNACE_CONFIG".to_owned(), file.display().to_string())]
}

/// Whoever panicked meanwhile tells why; a node's end is looked at all the same.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `pnc-…`, the last part of the node's directory.
fn name(dir: &Path) -> &str {
    dir.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
