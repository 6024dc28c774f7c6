//! What an administrator adds elsewhere after an installation.

/// For containerd's CRI plugin in each format of its configuration, and for Docker.
///
/// A test puts what stands here below each `version =` into such a file, and asks each containerd what it read.
pub(crate) const CONTAINERD: &str = r#"
`ctr run --runtime io.containerd.wasm.v1` and `docker run --runtime io.containerd.wasm.v1` work now, if the links'
directory is on containerd's PATH. For Kubernetes, add to /etc/containerd/config.toml, by the version that it says it
has, and restart containerd:

  # version = 2 (of containerd 1.6 and 1.7)
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.wasm]
    runtime_type = "io.containerd.wasm.v1"
    pod_annotations = ["pinnace.dev/*"]

  # version = 3 (of containerd 2.0 to 2.2)
  # version = 4 (of containerd 2.3)
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.wasm]
    runtime_type = "io.containerd.wasm.v1"
    pod_annotations = ["pinnace.dev/*"]

For the short name `wasm` in Docker, add to /etc/docker/daemon.json:

  { "runtimes": { "wasm": { "runtimeType": "io.containerd.wasm.v1" } } }
"#;
