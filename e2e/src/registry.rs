//! A registry on loopback: the reading half of the distribution API over archives, without TLS.
//!
//! ```text
//!  GET|HEAD /v2/                          200
//!  GET|HEAD /v2/<name>/manifests/<tag>    the document that the tag points at now
//!  GET|HEAD /v2/<name>/{manifests,blobs}/sha256:…   the blob of that digest
//!  anything else                          404
//! ```
//!
//! One thread takes connections, one serves each, one request a connection; all end with the registry.

use crate::node::Node;
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A connection on which nothing is asked for this long is closed.
const IDLE: Duration = Duration::from_secs(5);

/// What the registry holds: blobs by digest, and the digest that each tag points at.
#[derive(Debug, Default)]
struct Store {
    blobs: HashMap<String, Vec<u8>>,
    tags: HashMap<String, String>,
}

/// A registry that a node's containerd pulls from.
#[derive(Debug)]
pub struct Registry {
    store: Arc<Mutex<Store>>,
    ending: Arc<AtomicBool>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Registry {
    /// Starts one, and tells this node's CRI that it speaks plain HTTP.
    ///
    /// # Panics
    /// If there is no port for it.
    #[must_use]
    pub fn start(node: &Node) -> Self {
        let registry = Self::listen();
        let address = registry.address;
        let server = format!("server = \"http://{address}\"\n");
        registry.known_as(node, &address.to_string(), &server);
        registry
    }

    /// Starts one that this node's CRI asks in the place of every other.
    ///
    /// # Panics
    /// If there is no port for it.
    #[must_use]
    pub fn instead_of_all(node: &Node) -> Self {
        let registry = Self::listen();
        registry.known_as(node, "_default", "");
        registry
    }

    fn known_as(&self, node: &Node, host: &str, server: &str) {
        let hosts = node.dir().join("certs.d").join(host);
        fs::create_dir_all(&hosts).expect("a directory for a registry's configuration");
        let text = format!("{server}[host.\"http://{}\"]\n", self.address);
        fs::write(hosts.join("hosts.toml"), text).expect("a registry's configuration");
    }

    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("the address of a listener");

        let store = Arc::<Mutex<Store>>::default();
        let ending = Arc::<AtomicBool>::default();
        let (shared, end) = (Arc::clone(&store), Arc::clone(&ending));
        let thread = thread::spawn(move || take(&listener, &shared, &end));
        Self { store, ending, address, thread: Some(thread) }
    }

    /// Takes an archive; gives the name to pull it by. Another archive of the same `name:tag` moves the tag.
    ///
    /// # Panics
    /// If it is no archive of an OCI layout.
    #[must_use]
    pub fn push(&self, name: &str, archive: &[u8]) -> String {
        let mut store = self.store.lock().unwrap();
        let mut tar = tar::Archive::new(archive);
        for entry in tar.entries().expect("an archive") {
            let mut entry = entry.expect("an entry of an archive");
            let path = entry.path().expect("a path in an archive").display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("a file of an archive");
            if let Some(digest) = path.strip_prefix("blobs/sha256/") {
                store.blobs.insert(format!("sha256:{digest}"), bytes);
            } else if path == "index.json" {
                let layout: Value = serde_json::from_slice(&bytes).expect("the index of a layout");
                let target = layout["manifests"][0]["digest"].as_str().expect("the target of a layout");
                let (repository, tag) = name.split_once(':').expect("a name with a tag");
                store.tags.insert(format!("{repository}/manifests/{tag}"), target.to_owned());
            }
        }
        format!("{}/{name}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for the next connection.
        let _woken = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn take(listener: &TcpListener, store: &Arc<Mutex<Store>>, ending: &AtomicBool) {
    for connection in listener.incoming().flatten() {
        if ending.load(Ordering::SeqCst) {
            return;
        }
        let store = Arc::clone(store);
        // A client that goes away in the middle is its own concern.
        thread::spawn(move || drop(serve(connection, &store)));
    }
}

/// Answers the one request of a connection.
fn serve(mut connection: TcpStream, store: &Mutex<Store>) -> io::Result<()> {
    connection.set_read_timeout(Some(IDLE))?;
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let found = store.lock().unwrap().find(path);
    let (status, kind, digest, body) = match found {
        Some((kind, digest, body)) => ("200 OK", kind, digest, body),
        None => ("404 Not Found", "text/plain".to_owned(), String::new(), Vec::new()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Docker-Content-Digest: {digest}\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(head.as_bytes())?;
    if method == "GET" {
        connection.write_all(&body)?;
    }
    connection.flush()
}

impl Store {
    /// The type, digest and bytes of what a path names.
    fn find(&self, path: &str) -> Option<(String, String, Vec<u8>)> {
        let path = path.strip_prefix("/v2/")?;
        if path.is_empty() {
            return Some(("application/json".to_owned(), String::new(), b"{}".to_vec()));
        }
        let (rest, reference) = path.rsplit_once('/')?;
        let digest = self.tags.get(path).map_or(reference, String::as_str);
        let bytes = self.blobs.get(digest)?;
        let document = rest.ends_with("/manifests").then(|| serde_json::from_slice::<Value>(bytes).ok());
        let kind = document.flatten().and_then(|document| document["mediaType"].as_str().map(str::to_owned));
        let kind = kind.unwrap_or_else(|| "application/octet-stream".to_owned());
        Some((kind, digest.to_owned(), bytes.clone()))
    }
}
