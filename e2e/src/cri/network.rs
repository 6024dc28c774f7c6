//! A network for pods: a bridge of the node's own, which nothing of the machine is attached to.
//!
//! The plugins are the usual ones, as a package brings them; pods reach each other, not the world. In a reachable
//! network the machine reaches them, too, by their addresses and by ports of its own.

use super::call;
use super::messages::{Empty, NodeIs};
use crate::client::Client;
use crate::places;
use crate::wait::until;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Whether the CRI says that it is ready, and that pods have a network.
pub(crate) fn serves(client: &Client) -> bool {
    let answer: Result<NodeIs, _> = call(client, "/runtime.v1.RuntimeService/Status", Empty {});
    let conditions = answer.ok().and_then(|answer| answer.status).unwrap_or_default().conditions;
    conditions.iter().filter(|condition| READY.contains(&condition.name.as_str())).all(|it| it.holds)
        && !conditions.is_empty()
}

/// What a kubelet asks for; newer versions of containerd tell of more.
const READY: [&str; 2] = ["RuntimeReady", "NetworkReady"];

/// A bridge, removed with this.
#[derive(Debug)]
pub(crate) struct Network {
    bridge: String,
}

impl Network {
    /// Describes the network to the CRI and waits until it says that pods have one.
    pub(crate) fn start(client: &Client, dir: &Path, name: &str) -> Self {
        Self::with(client, dir, name, "", "")
    }

    /// The same with an address of the machine's own in it.
    pub(crate) fn reachable(client: &Client, dir: &Path, name: &str) -> Self {
        let ports = r#", {"type": "portmap", "capabilities": {"portMappings": true}}"#;
        Self::with(client, dir, name, r#""isGateway": true, "ipMasq": false,"#, ports)
    }

    fn with(client: &Client, dir: &Path, name: &str, bridge: &str, more: &str) -> Self {
        let addresses = dir.join("addresses");
        // Nodes side by side have bridges of their own, which are not connected: their addresses may be the same.
        let subnet = name.bytes().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        let configuration = format!(
            r#"{{"cniVersion": "0.4.0", "name": "{name}", "plugins": [{{
                "type": "bridge", "bridge": "{name}", {bridge} "ipam": {{
                    "type": "host-local", "dataDir": "{}", "ranges": [[{{"subnet": "172.29.{subnet}.0/24"}}]]
                }}
            }}{more}]}}"#,
            addresses.display(),
        );
        fs::create_dir_all(dir.join("cni")).expect("a directory for networks");
        fs::write(dir.join("cni/10-pods.conflist"), configuration)
            .expect("write the network's configuration");
        until("a network for pods", || serves(client).then_some(()));
        Self { bridge: name.to_owned() }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let busybox = places::tools().join("busybox");
        // It is there once a pod was.
        let _removed = Command::new(busybox).args(["ip", "link", "delete", &self.bridge]).output();
    }
}
