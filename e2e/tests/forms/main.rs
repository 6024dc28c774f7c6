//! Images on a real containerd as `ctr`, clients of its API and Kubernetes bring them: which form runs where.
//!
//! `PINNACE_CONTAINERD` names the version; `cargo xtask test` runs everything once for each.

mod pods;
