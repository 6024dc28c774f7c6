//! The CRI's messages (`runtime.v1`), of each the fields that a test sets or reads.
//!
//! Protobuf readers pass over what they do not know, so a message here is as short as its use; numbers and types
//! are those of `api.proto`. Nothing is generated, and a field that a test needs is one line more.

use prost::Message;
use std::collections::HashMap;

/// Namespaces that are the pod's.
pub(super) const POD: i32 = 0;

/// Namespaces that are the container's own.
pub(super) const CONTAINER: i32 = 1;

/// Namespaces that are the node's.
pub(super) const NODE: i32 = 2;

/// Namespaces that are another container's.
pub(super) const TARGET: i32 = 3;

/// The state of a pod that is ready; the other is 1.
pub(super) const READY: i32 = 0;

/// The state of a container that has ended.
pub(super) const EXITED: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) uid: String,
    #[prost(string, tag = "3")]
    pub(super) namespace: String,
}

/// Of a container: its second field is another than a pod's.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Named {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Namespaces {
    #[prost(int32, tag = "1")]
    pub(super) network: i32,
    #[prost(int32, tag = "2")]
    pub(super) pid: i32,
    #[prost(int32, tag = "3")]
    pub(super) ipc: i32,
    /// Whose pid namespace it is, if it is a container's.
    #[prost(string, tag = "4")]
    pub(super) target: String,
    #[prost(message, optional, tag = "5")]
    pub(super) users: Option<Users>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Users {
    #[prost(int32, tag = "1")]
    pub(super) mode: i32,
    #[prost(message, repeated, tag = "2")]
    pub(super) uids: Vec<IdMapping>,
    #[prost(message, repeated, tag = "3")]
    pub(super) gids: Vec<IdMapping>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct IdMapping {
    #[prost(uint32, tag = "1")]
    pub(super) host: u32,
    #[prost(uint32, tag = "2")]
    pub(super) container: u32,
    #[prost(uint32, tag = "3")]
    pub(super) length: u32,
}

/// A number that may be absent.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Number {
    #[prost(int64, tag = "1")]
    pub(super) value: i64,
}

/// Of the kind `RuntimeDefault`, when it is there and says nothing.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Profile {
    #[prost(int32, tag = "1")]
    pub(super) kind: i32,
    #[prost(string, tag = "2")]
    pub(super) file: String,
}

/// A profile of the kind `Localhost`.
pub(super) const LOCALHOST: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodSecurity {
    #[prost(message, optional, tag = "1")]
    pub(super) namespaces: Option<Namespaces>,
    #[prost(int64, repeated, tag = "5")]
    pub(super) groups: Vec<i64>,
    #[prost(bool, tag = "6")]
    pub(super) privileged: bool,
    #[prost(message, optional, tag = "9")]
    pub(super) seccomp: Option<Profile>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodLinux {
    #[prost(string, tag = "1")]
    pub(super) cgroup_parent: String,
    #[prost(message, optional, tag = "2")]
    pub(super) security: Option<PodSecurity>,
    #[prost(map = "string, string", tag = "3")]
    pub(super) sysctls: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Dns {
    #[prost(string, repeated, tag = "1")]
    pub(super) servers: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) searches: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodConfig {
    #[prost(message, optional, tag = "1")]
    pub(super) metadata: Option<Metadata>,
    #[prost(string, tag = "2")]
    pub(super) hostname: String,
    #[prost(string, tag = "3")]
    pub(super) log_directory: String,
    #[prost(message, optional, tag = "4")]
    pub(super) dns: Option<Dns>,
    #[prost(message, optional, tag = "8")]
    pub(super) linux: Option<PodLinux>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RunPod {
    #[prost(message, optional, tag = "1")]
    pub(super) config: Option<PodConfig>,
    #[prost(string, tag = "2")]
    pub(super) handler: String,
}

/// A message whose first field is an id, as most requests and answers here are.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Id {
    #[prost(string, tag = "1")]
    pub(super) id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ImageSpec {
    #[prost(string, tag = "1")]
    pub(super) image: String,
    #[prost(map = "string, string", tag = "2")]
    pub(super) annotations: HashMap<String, String>,
    #[prost(string, tag = "18")]
    pub(super) user_specified: String,
    #[prost(string, tag = "19")]
    pub(super) handler: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OfImage {
    #[prost(message, optional, tag = "1")]
    pub(super) image: Option<ImageSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Capabilities {
    #[prost(string, repeated, tag = "1")]
    pub(super) add: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) drop: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerSecurity {
    #[prost(message, optional, tag = "1")]
    pub(super) capabilities: Option<Capabilities>,
    #[prost(bool, tag = "2")]
    pub(super) privileged: bool,
    #[prost(message, optional, tag = "3")]
    pub(super) namespaces: Option<Namespaces>,
    #[prost(message, optional, tag = "5")]
    pub(super) user: Option<Number>,
    #[prost(bool, tag = "7")]
    pub(super) read_only: bool,
    #[prost(int64, repeated, tag = "8")]
    pub(super) groups: Vec<i64>,
    #[prost(message, optional, tag = "12")]
    pub(super) group: Option<Number>,
    #[prost(message, optional, tag = "15")]
    pub(super) seccomp: Option<Profile>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerLinux {
    #[prost(message, optional, tag = "2")]
    pub(super) security: Option<ContainerSecurity>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Variable {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Mount {
    #[prost(string, tag = "1")]
    pub(super) inside: String,
    #[prost(string, tag = "2")]
    pub(super) host: String,
    #[prost(bool, tag = "3")]
    pub(super) read_only: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    pub(super) metadata: Option<Named>,
    #[prost(message, optional, tag = "2")]
    pub(super) image: Option<ImageSpec>,
    #[prost(string, repeated, tag = "3")]
    pub(super) command: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub(super) args: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    pub(super) env: Vec<Variable>,
    #[prost(message, repeated, tag = "7")]
    pub(super) mounts: Vec<Mount>,
    #[prost(string, tag = "11")]
    pub(super) log_path: String,
    #[prost(message, optional, tag = "15")]
    pub(super) linux: Option<ContainerLinux>,
    /// By the names of CDI.
    #[prost(message, repeated, tag = "17")]
    pub(super) devices: Vec<Named>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreateContainer {
    #[prost(string, tag = "1")]
    pub(super) pod: String,
    #[prost(message, optional, tag = "2")]
    pub(super) config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    pub(super) pod_config: Option<PodConfig>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StopContainer {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(int64, tag = "2")]
    pub(super) timeout: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExecSync {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) command: Vec<String>,
    #[prost(int64, tag = "3")]
    pub(super) timeout: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Executed {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) stdout: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) stderr: Vec<u8>,
    #[prost(int32, tag = "3")]
    pub(super) code: i32,
}

/// A question about a pod or a container, to be answered with what containerd knows beyond the CRI.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AskAll {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(bool, tag = "2")]
    pub(super) verbose: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Network {
    #[prost(string, tag = "1")]
    pub(super) ip: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodStatus {
    #[prost(int32, tag = "3")]
    pub(super) state: i32,
    #[prost(message, optional, tag = "5")]
    pub(super) network: Option<Network>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodIs {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<PodStatus>,
    #[prost(map = "string, string", tag = "2")]
    pub(super) info: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "3")]
    pub(super) state: i32,
    #[prost(int32, tag = "7")]
    pub(super) exit_code: i32,
    #[prost(string, tag = "10")]
    pub(super) reason: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StatusOf {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(map = "string, string", tag = "2")]
    pub(super) info: HashMap<String, String>,
}

/// What the CRI says of the node.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeIs {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<NodeStatus>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeStatus {
    #[prost(message, repeated, tag = "1")]
    pub(super) conditions: Vec<Condition>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Condition {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bool, tag = "2")]
    pub(super) holds: bool,
}

/// The answer to a question about an image; of the image, its id.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ImageIs {
    #[prost(message, optional, tag = "1")]
    pub(super) image: Option<Id>,
}
