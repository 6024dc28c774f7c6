//! A container of a pod: what it shall be, and what can be asked of it.

use super::call;
use super::messages::{
    AskAll, Capabilities, ContainerConfig, ContainerLinux, ContainerSecurity, CreateContainer, EXITED, Empty,
    ExecSync, Executed, Id, LOCALHOST, Mount, Named, Namespaces, Number, Profile, StatusOf, StopContainer,
    TARGET, Variable,
};
use super::pod::{Pod, PodEnded, id, pid};
use crate::wait::until;
use std::fs;
use std::path::Path;
use tonic::Status;

/// The plan of a container. Without any word: the image's command, as the image's user.
#[derive(Debug, Clone)]
pub struct ContainerDraft<'pod, 'node> {
    pod: &'pod Pod<'node>,
    config: ContainerConfig,
    security: ContainerSecurity,
}

impl<'pod, 'node> ContainerDraft<'pod, 'node> {
    pub(super) fn new(pod: &'pod Pod<'node>, image: &str, name: &str) -> Self {
        let config = ContainerConfig {
            log_path: format!("{}-{name}.log", pod.id),
            metadata: Some(Named { name: name.to_owned() }),
            image: Some(pod.image(image)),
            ..Default::default()
        };
        let namespaces = Some(pod.namespaces.clone());
        Self { pod, config, security: ContainerSecurity { namespaces, ..Default::default() } }
    }

    /// A command instead of the image's.
    #[must_use]
    pub fn command(mut self, words: &[&str]) -> Self {
        self.config.command = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Arguments instead of the image's.
    #[must_use]
    pub fn args(mut self, words: &[&str]) -> Self {
        self.config.args = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// A variable in the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.config.env.push(Variable { name: name.to_owned(), value: value.to_owned() });
        self
    }

    /// A file or directory of the host, as a kubelet mounts a volume.
    #[must_use]
    pub fn mount(mut self, host: &Path, inside: &str, read_only: bool) -> Self {
        let host = host.display().to_string();
        self.config.mounts.push(Mount { inside: inside.to_owned(), host, read_only });
        self
    }

    /// A user and a group.
    #[must_use]
    pub fn user(mut self, uid: i64, gid: i64) -> Self {
        (self.security.user, self.security.group) =
            (Some(Number { value: uid }), Some(Number { value: gid }));
        self
    }

    /// A group beside its own, as `fsGroup` gives one.
    #[must_use]
    pub fn group(mut self, group: i64) -> Self {
        self.security.groups.push(group);
        self
    }

    /// A root that cannot be written to.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.security.read_only = true;
        self
    }

    /// Capabilities to add and to drop.
    #[must_use]
    pub fn capabilities(mut self, add: &[&str], drop: &[&str]) -> Self {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.security.capabilities = Some(Capabilities { add: list(add), drop: list(drop) });
        self
    }

    /// The runtime's own seccomp profile.
    #[must_use]
    pub fn seccomp(mut self) -> Self {
        self.security.seccomp = Some(Profile::default());
        self
    }

    /// A seccomp profile of the node's.
    #[must_use]
    pub fn seccomp_file(mut self, file: &Path) -> Self {
        self.security.seccomp = Some(Profile { kind: LOCALHOST, file: file.display().to_string() });
        self
    }

    /// In another container's pid namespace, as `kubectl debug --target` wants it.
    #[must_use]
    pub fn debugging(mut self, other: &PodContainer<'_, '_>) -> Self {
        let own = self.security.namespaces.take().unwrap_or_default();
        self.security.namespaces = Some(Namespaces { pid: TARGET, target: other.id().to_owned(), ..own });
        self
    }

    /// With all the devices and rights that there are; its pod must be so, too.
    #[must_use]
    pub fn privileged(mut self) -> Self {
        self.security.privileged = true;
        self
    }

    /// A device by its name in CDI.
    #[must_use]
    pub fn device(mut self, name: &str) -> Self {
        self.config.devices.push(Named { name: name.to_owned() });
        self
    }

    /// Runs it to its end, and again if containerd lost what it wrote.
    ///
    /// # Panics
    /// If a call fails.
    #[must_use]
    #[track_caller]
    pub fn run(self) -> PodEnded {
        let lost = || self.pod.node.log().matches(LOST).count();
        loop {
            let before = lost();
            let ended = self.clone().start().expect("start").to_end();
            if lost() == before {
                return ended;
            }
        }
    }

    /// Creates and starts it.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn start(self) -> Result<PodContainer<'pod, 'node>, Status> {
        let container = self.create()?;
        match container.start() {
            Ok(()) => Ok(container),
            Err(status) => {
                container.remove();
                Err(status)
            }
        }
    }

    /// Creates it.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn create(mut self) -> Result<PodContainer<'pod, 'node>, Status> {
        let (pod, log) = (self.pod, self.config.log_path.clone());
        self.config.linux = Some(ContainerLinux { security: Some(self.security) });
        let create = CreateContainer {
            pod: pod.id.clone(),
            config: Some(self.config),
            pod_config: Some(pod.config.clone()),
        };
        let created: Id = call(pod.client(), "/runtime.v1.RuntimeService/CreateContainer", create)?;
        Ok(PodContainer { pod, id: created.id, log })
    }
}

/// A container of a pod; it goes with its pod.
#[derive(Debug)]
pub struct PodContainer<'pod, 'node> {
    pod: &'pod Pod<'node>,
    id: String,
    log: String,
}

impl PodContainer<'_, '_> {
    /// Runs to its end and is removed.
    #[must_use]
    pub fn to_end(self) -> PodEnded {
        let code = self.wait();
        // After it, because containerd may still write the log when the container has ended.
        self.remove();
        PodEnded { code, output: self.log() }
    }

    /// Starts it.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn start(&self) -> Result<(), Status> {
        let start = "/runtime.v1.RuntimeService/StartContainer";
        call::<_, Empty>(self.pod.client(), start, id(&self.id)).map(drop)
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        pid(&self.status().info)
    }

    /// Waits for its end, and gives its exit code.
    #[must_use]
    #[track_caller]
    pub fn wait(&self) -> i32 {
        until("the end of a pod's container", || self.ended())
    }

    /// Its exit code, if it has ended.
    #[must_use]
    pub fn ended(&self) -> Option<i32> {
        self.status().status.filter(|status| status.state == EXITED).map(|status| status.exit_code)
    }

    /// Runs a command in it, as an exec probe does: its code, and its stdout before its stderr.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn exec(&self, command: &[&str]) -> Result<PodEnded, Status> {
        let command = command.iter().map(|&word| word.to_owned()).collect();
        let exec = ExecSync { id: self.id.clone(), command, timeout: 30 };
        let done: Executed = call(self.pod.client(), "/runtime.v1.RuntimeService/ExecSync", exec)?;
        let output = [done.stdout, done.stderr].concat();
        Ok(PodEnded { code: done.code, output: String::from_utf8_lossy(&output).into_owned() })
    }

    /// Stops it as a kubelet does: SIGTERM, and after this many seconds SIGKILL.
    ///
    /// # Errors
    /// With containerd's answer.
    pub fn stop(&self, timeout: i64) -> Result<(), Status> {
        let stop = StopContainer { id: self.id.clone(), timeout };
        call::<_, Empty>(self.pod.client(), "/runtime.v1.RuntimeService/StopContainer", stop).map(drop)
    }

    /// Removes it.
    ///
    /// # Panics
    /// If containerd refuses.
    pub fn remove(&self) {
        let remove = "/runtime.v1.RuntimeService/RemoveContainer";
        call::<_, Empty>(self.pod.client(), remove, id(&self.id)).expect("remove a container");
    }

    /// Waits until its log holds this.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        until(&format!("{text:?} in a container's log"), || self.log().contains(text).then_some(()));
    }

    /// What it has written so far, without the CRI's times, streams and tags.
    #[must_use]
    pub fn log(&self) -> String {
        let log = self.pod.node.dir().join("logs").join(&self.log);
        output(&fs::read_to_string(&log).unwrap_or_default())
    }

    fn status(&self) -> StatusOf {
        let ask = AskAll { id: self.id.clone(), verbose: true };
        let status = "/runtime.v1.RuntimeService/ContainerStatus";
        call(self.pod.client(), status, ask).expect("a container's status")
    }
}

/// What containerd says when a container ended before it had opened its end of the output, which it then gives up:
/// it happens to containers of any runtime, on a machine that is busy enough.
pub(super) const LOST: &str = "reading from a closed fifo";

/// What was written, without the CRI's time, stream and tag: whole lines have the tag F, parts of one P.
fn output(log: &str) -> String {
    let mut text = String::new();
    for line in log.lines() {
        let mut words = line.splitn(4, ' ').skip(2);
        let (tag, written) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        text.push_str(written);
        if tag == "F" {
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::output;

    #[test]
    fn a_log_is_read_as_it_was_written() {
        let log = "2026-01-01T00:00:00Z stdout F one two\n2026-01-01T00:00:00Z stderr P a part\n\
                   2026-01-01T00:00:00Z stderr F  and its end\n2026-01-01T00:00:00Z stdout F \n";
        assert_eq!(output(log), "one two\na part and its end\n\n");
    }
}
