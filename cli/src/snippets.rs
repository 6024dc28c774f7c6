//! What an administrator adds elsewhere after an installation.

/// For containerd's CRI plugin in both formats of its configuration, and for Docker.
pub(crate) const CONTAINERD: &str = r#"
`ctr run --runtime io.containerd.wasm.v1` and `docker run --runtime io.containerd.wasm.v1` work now, if the links'
directory is on containerd's PATH. For Kubernetes, add to /etc/containerd/config.toml and restart containerd:

  # containerd 1.7 (version = 2)
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.wasm]
    runtime_type = "io.containerd.wasm.v1"
    pod_annotations = ["pinnace.dev/*"]

  # containerd 2.x (version = 3)
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.wasm]
    runtime_type = "io.containerd.wasm.v1"
    pod_annotations = ["pinnace.dev/*"]

For the short name `wasm` in Docker, add to /etc/docker/daemon.json:

  { "runtimes": { "wasm": { "runtimeType": "io.containerd.wasm.v1" } } }
"#;
