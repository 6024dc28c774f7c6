//! What a pod's bundle says of the other containers in the pod: their cgroups.
//!
//! containerd 2.3 executes one `delete` for a pod whose server was killed, none for the containers in it, and has
//! removed their bundles by then. So each leaves a note in the bundle of the pod itself:
//!
//! ```text
//!  <bundles>/<pod>/fellow-<id>     linux.cgroupsPath of the container <id>, while <bundles>/<id> is there
//! ```
//!
//! The note of a container whose bundle is gone is removed by the next one's Create.

use super::bundle::{Bundle, BundleError};
use oci_spec::runtime::Spec;
use std::fs;
use std::path::PathBuf;

/// By which the CRI tells in which pod a container is.
const POD: &str = "io.kubernetes.cri.sandbox-id";

const NOTE: &str = "fellow-";

impl Bundle<'_> {
    /// Notes the cgroup of a container in the bundle of its pod, if it is in one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_in_pod(&self, id: &str, spec: &Spec, cgroups_path: &str) -> Result<(), BundleError> {
        let pod = spec.annotations().as_ref().and_then(|all| all.get(POD)).filter(|pod| *pod != id);
        let named = pod.filter(|pod| !pod.is_empty() && !pod.contains('/') && !pod.starts_with('.'));
        let (Some(pod), Some(bundles)) = (named, self.0.parent()) else { return Ok(()) };
        let pod = bundles.join(pod);
        if !pod.is_dir() {
            return Ok(());
        }
        for (fellow, note) in notes(&Bundle(&pod)) {
            if !bundles.join(fellow).exists() {
                fs::remove_file(&note).map_err(|source| BundleError::Write { path: note, source })?;
            }
        }
        let path = pod.join(format!("{NOTE}{id}"));
        fs::write(&path, cgroups_path).map_err(|source| BundleError::Write { path, source })
    }

    /// The containers that were noted in this bundle, with their cgroups' paths.
    #[must_use]
    pub fn fellows(&self) -> Vec<(String, String)> {
        let read = |(id, note): (String, PathBuf)| Some((id, fs::read_to_string(note).ok()?));
        notes(self).filter_map(read).collect()
    }
}

/// The notes in a bundle, with the ids that they are of.
fn notes(bundle: &Bundle<'_>) -> impl Iterator<Item = (String, PathBuf)> + use<> {
    fs::read_dir(bundle.0).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        Some((name.strip_prefix(NOTE)?.to_owned(), entry.path()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_pod(pod: &str) -> Spec {
        let annotations = serde_json::json!({POD: pod});
        serde_json::from_value(serde_json::json!({"ociVersion": "1.1.0", "annotations": annotations}))
            .expect("a spec")
    }

    #[test]
    fn a_pod_knows_its_containers_as_long_as_they_are_there() {
        let bundles = tempfile::tempdir().expect("a directory");
        let bundle = |id: &str| {
            let path = bundles.path().join(id);
            fs::create_dir(&path).expect("a bundle");
            path
        };
        let (pod, one, two) = (bundle("pod"), bundle("one"), bundle("two"));
        let note = |path: &PathBuf, id: &str, pod: &str| {
            Bundle(path).note_in_pod(id, &of_pod(pod), &format!("/parent/{id}")).expect("noted");
        };
        note(&pod, "pod", "pod");
        assert_eq!(Bundle(&pod).fellows(), []);
        note(&one, "one", "pod");
        assert_eq!(Bundle(&pod).fellows(), [("one".to_owned(), "/parent/one".to_owned())]);
        fs::remove_dir(&one).expect("deleted");
        note(&two, "two", "pod");
        assert_eq!(Bundle(&pod).fellows(), [("two".to_owned(), "/parent/two".to_owned())]);
        // A pod that is not there, or is none.
        for pod in ["gone", "", ".", "../two", "/etc"] {
            note(&two, "two", pod);
        }
        assert_eq!(fs::read_dir(&two).expect("a bundle").count(), 0);
    }
}
