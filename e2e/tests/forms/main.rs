//! Images on a real containerd as `ctr`, clients of its API and Kubernetes bring them: which form runs where.
//!
//! `PINNACE_CONTAINERD` names the version; `cargo xtask test` runs everything once for each. `PINNACE_FULL` takes
//! every form, else a sample of them is taken.

mod case;
mod document;
mod index_of_both;
mod matrix;
mod moved_tag;
mod one_configuration;
mod pods;
mod ways;
