//! The user namespace of a container, and the user namespaces by which its mounts are mapped.
//!
//! ```text
//!  no `user` in linux.namespaces          none; linux.uidMappings would be lost, so they are refused
//!  without a path                         a new one, with linux.uidMappings and linux.gidMappings
//!  with a path                            that one, with the maps it has; those of the spec must be the same
//!    └ network, IPC, UTS without a path   new, and its own: what a capability in it is for
//! ```
//!
//! The engine is born outside and enters last (`runtimes/sandbox`), so its root must be mapped: it owns what is made
//! on the way.

use super::id_maps::{self, IdMapError};
use oci_spec::runtime::{LinuxNamespaceType as Type, Process, Spec};
use pinnace_plan::Namespace;
use pinnace_spawn::{IdMaps, UserNamespace, UserNamespaceError};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A user namespace that a container cannot have.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Maps that are wrong in themselves.
    #[error(transparent)]
    Map(#[from] IdMapError),
    /// A new one without maps.
    #[error(
        "the container has a new user namespace, but linux.uidMappings and linux.gidMappings are empty: say which ids of the host it gets"
    )]
    NoMaps,
    /// Maps without one.
    #[error(
        "linux.uidMappings and linux.gidMappings are given, but linux.namespaces has no user namespace: add it, or remove the maps"
    )]
    NoNamespace,
    /// Nobody is root in it.
    #[error("{map} does not map id 0, which owns what is made in the container: add it")]
    NoRoot {
        /// The map.
        map: &'static str,
    },
    /// A user or group of the process that it does not have.
    #[error("process.user.{field} is {id}, which {map} does not map")]
    Unmapped {
        /// The field.
        field: &'static str,
        /// The id.
        id: u32,
        /// The map.
        map: &'static str,
    },
    /// The maps of a named one are others.
    #[error(
        "linux.uidMappings and linux.gidMappings are not those of the user namespace {}: leave them out",
        path.display()
    )]
    Differs {
        /// Its path.
        path: PathBuf,
    },
    /// A path that cannot be opened.
    #[error("cannot open user namespace {}: {source}", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refuses it.
    #[error(transparent)]
    Namespace(#[from] UserNamespaceError),
    /// Another descriptor of it.
    #[error("cannot keep a user namespace open")]
    Keep(#[source] io::Error),
}

/// A container's user namespace.
#[derive(Debug)]
pub(super) struct Users {
    namespace: UserNamespace,
    root: Namespace,
}

impl Users {
    /// That of a spec, made or joined; nothing if it has none.
    ///
    /// # Errors
    /// When it cannot be had, or lacks an id of the process.
    pub(super) fn of(spec: &Spec, process: &Process) -> Result<Option<Self>, UserError> {
        let linux = spec.linux().as_ref();
        let given = id_maps::of_spec(
            "linux",
            linux.and_then(|linux| linux.uid_mappings().as_ref()),
            linux.and_then(|linux| linux.gid_mappings().as_ref()),
        )?;
        let listed = || linux.and_then(|linux| linux.namespaces().as_ref()).into_iter().flatten();
        let Some(user) = listed().find(|namespace| namespace.typ() == Type::User) else {
            return if given.is_some() { Err(UserError::NoNamespace) } else { Ok(None) };
        };
        let is_new = |path: &Option<PathBuf>| path.as_ref().is_none_or(|path| path.as_os_str().is_empty());
        let owned = listed()
            .filter(|namespace| is_new(namespace.path()))
            .fold(0, |flags, namespace| flags | owned_flag(namespace.typ()));
        let namespace = match user.path().as_ref().filter(|_| !is_new(user.path())) {
            None => UserNamespace::make(given.ok_or(UserError::NoMaps)?, owned)?,
            Some(path) => {
                let file =
                    File::open(path).map_err(|source| UserError::Open { path: path.clone(), source })?;
                let namespace = UserNamespace::join(OwnedFd::from(file).as_fd(), owned)?;
                if given.is_some_and(|given| sorted(given) != sorted(namespace.maps.clone())) {
                    return Err(UserError::Differs { path: path.clone() });
                }
                namespace
            }
        };
        let users = Self::with(namespace)?;
        users.has(process)?;
        Ok(Some(users))
    }

    /// That of a container's first process, for another of its processes; nothing if it is the server's own.
    ///
    /// # Errors
    /// When the first process has ended, or the namespace lacks an id of the other.
    pub(super) fn of_process(pid: i32, process: &Process) -> Result<Option<Self>, UserError> {
        let namespace = UserNamespace::of(pid)?;
        let place =
            |file: File| file.metadata().map(|seen| (seen.dev(), seen.ino())).map_err(UserError::Keep);
        let own = File::open("/proc/self/ns/user").map_err(UserError::Keep)?;
        let kept = namespace.fd.try_clone().map_err(UserError::Keep)?;
        if place(own)? == place(kept.into())? {
            return Ok(None);
        }
        let users = Self::with(namespace)?;
        users.has(process)?;
        Ok(Some(users))
    }

    /// Its root must be mapped.
    fn with(namespace: UserNamespace) -> Result<Self, UserError> {
        let uid = namespace.maps.uid(0).ok_or(UserError::NoRoot { map: UIDS })?;
        let gid = namespace.maps.gid(0).ok_or(UserError::NoRoot { map: GIDS })?;
        Ok(Self { namespace, root: Namespace::User { uid, gid } })
    }

    /// Whether every id of the process is one of its own.
    fn has(&self, process: &Process) -> Result<(), UserError> {
        let (user, maps) = (process.user(), &self.namespace.maps);
        if maps.uid(user.uid()).is_none() {
            return Err(UserError::Unmapped { field: "uid", id: user.uid(), map: UIDS });
        }
        let more = user.additional_gids().iter().flatten().map(|&gid| ("additionalGids", gid));
        match [("gid", user.gid())].into_iter().chain(more).find(|(_, gid)| maps.gid(*gid).is_none()) {
            Some((field, id)) => Err(UserError::Unmapped { field, id, map: GIDS }),
            None => Ok(()),
        }
    }

    /// Its maps.
    pub(super) fn maps(&self) -> &IdMaps {
        &self.namespace.maps
    }

    /// It and those that belong to it, as the engine's init joins them.
    pub(super) fn into_join(self) -> Vec<(Namespace, OwnedFd)> {
        let owned = self.namespace.owned.into_iter().filter_map(|(flag, fd)| {
            let kind = OWNED.iter().find(|(_, _, owned)| *owned == flag)?.1;
            Some((kind, fd))
        });
        owned.chain([(self.root, self.namespace.fd)]).collect()
    }
}

/// As the kernel shows long maps.
fn sorted(mut maps: IdMaps) -> IdMaps {
    maps.uids.sort_unstable_by_key(|range| range.inside);
    maps.gids.sort_unstable_by_key(|range| range.inside);
    maps
}

const UIDS: &str = "linux.uidMappings";
const GIDS: &str = "linux.gidMappings";

/// The kinds that belong to it when they are new.
const OWNED: [(Type, Namespace, u64); 3] = [
    (Type::Network, Namespace::Network, libc::CLONE_NEWNET as u64),
    (Type::Ipc, Namespace::Ipc, libc::CLONE_NEWIPC as u64),
    (Type::Uts, Namespace::Uts, libc::CLONE_NEWUTS as u64),
];

fn owned_flag(kind: Type) -> u64 {
    OWNED.iter().find(|(owned, _, _)| *owned == kind).map_or(0, |(_, _, flag)| *flag)
}

/// A user namespace with these maps, to map a mount by: the container's own, if it has the same.
///
/// # Errors
/// When the kernel refuses it.
pub(super) fn mapping(maps: IdMaps, users: Option<&Users>) -> Result<OwnedFd, UserError> {
    match users.filter(|users| users.namespace.maps == maps) {
        Some(users) => users.namespace.fd.try_clone().map_err(UserError::Keep),
        None => Ok(UserNamespace::make(maps, 0)?.fd),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong is told before anything is made, so no test here needs root.
    fn refused(linux: serde_json::Value) -> String {
        let spec = serde_json::json!({
            "ociVersion": "1.1.0", "linux": linux,
            "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}}
        });
        let spec: Spec = serde_json::from_value(spec).expect("a spec");
        Users::of(&spec, spec.process().as_ref().expect("a process")).expect_err("refused").to_string()
    }

    #[test]
    fn a_user_namespace_and_its_maps_come_together() {
        let maps = serde_json::json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]);
        let error = refused(serde_json::json!({"uidMappings": maps, "gidMappings": maps}));
        assert!(error.contains("linux.namespaces has no user namespace"), "{error}");
        let error = refused(serde_json::json!({"namespaces": [{"type": "user"}]}));
        assert!(error.contains("linux.uidMappings and linux.gidMappings are empty"), "{error}");
        let error = refused(serde_json::json!({"namespaces": [{"type": "user", "path": "/nowhere/user"}]}));
        assert!(error.contains("/nowhere/user"), "{error}");
    }

    #[test]
    fn without_one_there_is_none() {
        let spec: Spec = serde_json::from_value(serde_json::json!({
            "ociVersion": "1.1.0", "linux": {"namespaces": [{"type": "network"}]},
            "process": {"cwd": "/", "user": {"uid": 5, "gid": 5}}
        }))
        .expect("a spec");
        assert!(Users::of(&spec, spec.process().as_ref().expect("a process")).expect("fine").is_none());
    }
}
