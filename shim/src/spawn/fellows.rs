//! What a pod's bundle says of the other containers in the pod.
//!
//! containerd 2.3 executes one `delete` for a pod whose server was killed, none for the containers in it, and has
//! removed their bundles by then. So each has a place in the bundle of the pod itself, for what must be known then:
//!
//! ```text
//!  <bundles>/<pod>/fellow-<id>/    while <bundles>/<id> is there
//!    cgroup                        linux.cgroupsPath of the container
//!    …                             what a native container's bundle says of it
//! ```
//!
//! The place of a container whose bundle is gone is removed by the next one's Create.

use super::bundle::{Bundle, BundleError, note};
use oci_spec::runtime::Spec;
use std::fs;
use std::path::PathBuf;

/// By which the CRI tells in which pod a container is.
const POD: &str = "io.kubernetes.cri.sandbox-id";

const PLACE: &str = "fellow-";

const CGROUP: &str = "cgroup";

/// Another container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fellow {
    /// Its id.
    pub id: String,
    /// Its place in the pod's bundle.
    pub place: PathBuf,
    /// The path of its cgroup.
    pub cgroups_path: String,
}

impl Bundle<'_> {
    /// Notes a container with its cgroup in the bundle of its pod, if it is in one, and says where.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_in_pod(
        &self,
        id: &str,
        spec: &Spec,
        cgroups_path: &str,
    ) -> Result<Option<PathBuf>, BundleError> {
        let pod = spec.annotations().as_ref().and_then(|all| all.get(POD)).filter(|pod| *pod != id);
        let named = pod.filter(|pod| !pod.is_empty() && !pod.contains('/') && !pod.starts_with('.'));
        let (Some(pod), Some(bundles)) = (named, self.0.parent()) else { return Ok(None) };
        let pod = bundles.join(pod);
        if !pod.is_dir() {
            return Ok(None);
        }
        for (fellow, place) in places(&Bundle(&pod)) {
            if !bundles.join(fellow).exists() {
                fs::remove_dir_all(&place).map_err(|source| BundleError::Write { path: place, source })?;
            }
        }
        let place = pod.join(format!("{PLACE}{id}"));
        let written =
            fs::create_dir(&place).and_then(|()| note(&place.join(CGROUP), cgroups_path.as_bytes()));
        match written {
            Ok(()) => Ok(Some(place)),
            Err(source) => Err(BundleError::Write { path: place, source }),
        }
    }

    /// The containers that were noted in this bundle.
    #[must_use]
    pub fn fellows(&self) -> Vec<Fellow> {
        let read = |(id, place): (String, PathBuf)| {
            let cgroups_path = fs::read_to_string(place.join(CGROUP)).ok()?;
            Some(Fellow { id, place, cgroups_path })
        };
        places(self).filter_map(read).collect()
    }
}

/// The places in a bundle, with the ids whose they are.
fn places(bundle: &Bundle<'_>) -> impl Iterator<Item = (String, PathBuf)> + use<> {
    fs::read_dir(bundle.0).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        Some((name.strip_prefix(PLACE)?.to_owned(), entry.path()))
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
            Bundle(path).note_in_pod(id, &of_pod(pod), &format!("/parent/{id}")).expect("noted")
        };
        let known = || -> Vec<_> {
            let fellows = Bundle(&pod).fellows().into_iter();
            fellows.map(|fellow| (fellow.id, fellow.cgroups_path)).collect()
        };
        let fellow = |id: &str| (id.to_owned(), format!("/parent/{id}"));
        assert_eq!(note(&pod, "pod", "pod"), None);
        assert_eq!(known(), []);
        assert_eq!(note(&one, "one", "pod"), Some(pod.join("fellow-one")));
        assert_eq!(known(), [fellow("one")]);
        fs::remove_dir(&one).expect("deleted");
        assert!(note(&two, "two", "pod").is_some());
        assert_eq!(known(), [fellow("two")]);
        // A pod that is not there, or is none.
        for pod in ["gone", "", ".", "../two", "/etc"] {
            assert_eq!(note(&two, "two", pod), None);
        }
        assert_eq!(fs::read_dir(&two).expect("a bundle").count(), 0);
    }
}
