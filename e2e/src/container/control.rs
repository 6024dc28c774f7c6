//! Calls that change a container while it lives.

use super::Container;
use crate::client::request;
use containerd_client::services::v1::{PauseTaskRequest, ResumeTaskRequest, UpdateTaskRequest};
use prost_types::Any;
use serde_json::Value;
use std::collections::HashMap;
use tonic::Status;

/// The type of what Update changes, as containerd's clients name it.
const RESOURCES: &str = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

impl Container<'_> {
    /// Freezes its processes.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn pause(&self) -> Result<(), Status> {
        let pause = PauseTaskRequest { container_id: self.id.clone() };
        self.client().answer(self.client().tasks().pause(request(pause))).map(drop)
    }

    /// Lets its processes go on.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn resume(&self) -> Result<(), Status> {
        let resume = ResumeTaskRequest { container_id: self.id.clone() };
        self.client().answer(self.client().tasks().resume(request(resume))).map(drop)
    }

    /// Changes its limits: `linux.resources` of a spec, or a part of it.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn update(&self, resources: &Value) -> Result<(), Status> {
        let resources = Any { type_url: RESOURCES.to_owned(), value: resources.to_string().into_bytes() };
        let update = UpdateTaskRequest {
            container_id: self.id.clone(),
            resources: Some(resources),
            annotations: HashMap::new(),
        };
        self.client().answer(self.client().tasks().update(request(update))).map(drop)
    }
}
