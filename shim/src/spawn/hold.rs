//! A pod's own container: where others run the pause image, a holder of ours keeps the pod's namespaces.
//!
//! ```text
//!  place       namespaces, cgroup, streams, as of any container
//!  holder      `pinnace-holder`: namespaces named and tuned, an empty root, waits for Go, then for the pod's end
//! ```
//!
//! Nothing of the image is looked at: its root is not mounted, its program not run. The CRI says which container
//! it is by an annotation; whoever gives that to another container gets a process that sleeps.

use super::bundle::Bundle;
use super::engine::{Descriptors, Engine, Launch};
use super::error::SpawnFailure;
use super::host::Host;
use super::place::Place;
use super::runner::{Born, Runner};
use super::user::Users;
use super::walls;
use crate::hooks::Hooked;
use crate::task::CreateRequest;
use oci_spec::runtime::{Process, Spec};
use std::os::fd::AsFd;

/// By which the CRI tells a pod's own container from those in it.
const TYPE: (&str, &str) = ("io.kubernetes.cri.container-type", "sandbox");

/// Its name in process lists, before the pod's id.
const NAME: &str = "pinnace-holder";

/// Whether this is a pod's own container.
pub(super) fn is_pod(spec: &Spec) -> bool {
    let annotations = spec.annotations().as_ref();
    annotations.and_then(|all| all.get(TYPE.0)).is_some_and(|kind| kind == TYPE.1)
}

/// Makes a pod's holder.
pub(super) async fn hold(
    host: &Host,
    request: &CreateRequest,
    spec: &Spec,
    process: &Process,
) -> Result<Born, SpawnFailure> {
    let hooks = Hooked::of_pod(spec, &request.id, &request.bundle)?;
    let program = host.installation.holder_program()?;
    let users = Users::of(spec, process)?;
    let mut place = Place::make(host, request, spec, users).await?;
    place.stdio.ready().await?;
    let mut descriptors = Descriptors::new(place.stdio.child_fds());
    let join = place.namespaces.join.iter().map(|(kind, fd)| (*kind, descriptors.add(fd.as_fd()))).collect();
    let plan = walls::holding(spec, process, join);
    let entrance = place.entrance.fds();
    let launch = Launch {
        program: program.as_fd(),
        name: NAME,
        args: std::slice::from_ref(&request.id),
        descriptors,
        namespaces: place.birth(),
        join: place.entrance.to_spawn(&entrance),
        hooks: hooks.as_ref(),
    };
    let launched = Engine::launch(launch, &plan).await;
    place.settle(host, Bundle(&request.bundle), process, hooks, (launched, Runner::Holder)).await
}

#[cfg(test)]
mod tests {
    use super::is_pod;

    #[test]
    fn the_annotation_of_the_cri_says_what_is_a_pod() {
        let is = |annotations: serde_json::Value| {
            let spec = serde_json::json!({"ociVersion": "1.1.0", "annotations": annotations});
            is_pod(&serde_json::from_value(spec).expect("a spec"))
        };
        assert!(is(serde_json::json!({"io.kubernetes.cri.container-type": "sandbox"})));
        assert!(!is(serde_json::json!({"io.kubernetes.cri.container-type": "container"})));
        assert!(!is(serde_json::json!({"io.kubernetes.cri.sandbox-id": "sandbox"})));
        assert!(!is(serde_json::Value::Null));
    }
}
