//! OCI hooks of a container without an OCI runtime: programs of the host's, named in `config.json` by its tools.
//!
//! ```text
//!   Create: files mounted, not entered ─ prestart, createRuntime, createContainer   one fails: nothing is left of it
//!   Start:  guest entered ─ poststart ─────────────▶ answer        one that fails: the container is killed
//!   Delete: all is removed ─ poststop ─────────────▶ answer        one that fails: logged, the next one runs
//! ```
//!
//! Each gets the container's state as JSON on its stdin (runtime-spec, State) and runs in the host's namespaces, one
//! after the other; they end with this server, and at their time limit. `createContainer` alone runs in the container's
//! namespaces, so its process runs them (`runtimes/sandbox`). `startContainer` would be a program of the container's own
//! files: native code of an image never runs in a Wasm container, so it is refused.

use crate::process::launch::launch;
use oci_spec::runtime::{ContainerState, Hook, Hooks, Spec, StateBuilder};
use pinnace_spawn::sealed;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::time::timeout;

/// A hook that did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// One that is a program of the container's files.
    #[error(
        "startContainer hook {}: no native program of its own files runs in a Wasm container: make it a createContainer hook, or remove it",
        path.display()
    )]
    Inside {
        /// The program.
        path: PathBuf,
    },
    /// One for files that a pod's own container does not have.
    #[error(
        "createContainer hook {}: a pod's own container has no files for it: make it a createRuntime hook, or remove it",
        path.display()
    )]
    Pod {
        /// The program.
        path: PathBuf,
    },
    /// The container's state could not be written down.
    #[error("cannot write the state of the container for its hooks: {source}")]
    State {
        /// Why.
        source: io::Error,
    },
    /// It could not be run.
    #[error("{kind} hook {}: cannot run it: {source}", path.display())]
    Run {
        /// Its kind.
        kind: &'static str,
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It took too long.
    #[error("{kind} hook {}: did not end within its {seconds} s", path.display())]
    Late {
        /// Its kind.
        kind: &'static str,
        /// The program.
        path: PathBuf,
        /// Its time limit.
        seconds: u64,
    },
    /// It says no.
    #[error("{kind} hook {}: ended with status {status}: {said}", path.display())]
    Failed {
        /// Its kind.
        kind: &'static str,
        /// The program.
        path: PathBuf,
        /// 1 to 255.
        status: u32,
        /// The end of what it wrote to stderr.
        said: String,
    },
}

/// When hooks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// By the end of Create.
    Create,
    /// By the end of Start.
    Start,
    /// By the end of Delete.
    Delete,
}

/// A container with hooks.
#[derive(Debug)]
pub struct Hooked {
    hooks: Hooks,
    id: String,
    bundle: PathBuf,
    annotations: HashMap<String, String>,
}

impl Hooked {
    /// The hooks of a spec; none if it has none.
    ///
    /// # Errors
    /// When one of them is a program of the container's files.
    pub fn of(spec: &Spec, id: &str, bundle: &Path) -> Result<Option<Self>, HookError> {
        let Some(hooks) = spec.hooks() else { return Ok(None) };
        if let Some(hook) = hooks.start_container().iter().flatten().next() {
            return Err(HookError::Inside { path: hook.path().clone() });
        }
        let annotations = spec.annotations().clone().unwrap_or_default();
        Ok(Some(Self { hooks: hooks.clone(), id: id.to_owned(), bundle: bundle.to_owned(), annotations }))
    }

    /// As [`Self::of`], for a pod's own container.
    ///
    /// # Errors
    /// When one of them works on a container's files, too.
    pub fn of_pod(spec: &Spec, id: &str, bundle: &Path) -> Result<Option<Self>, HookError> {
        let hooked = Self::of(spec, id, bundle)?;
        let inner = hooked.as_ref().and_then(|hooked| hooked.hooks.create_container().as_ref()?.first());
        match inner {
            Some(hook) => Err(HookError::Pod { path: hook.path().clone() }),
            None => Ok(hooked),
        }
    }

    /// What the container's process has to do in the moment of Create; nothing if there are no hooks for it. `root` is
    /// where they look for the container's root.
    ///
    /// # Errors
    /// When the state cannot be written down.
    pub fn to_plan(&self, root: &Path) -> Result<Option<pinnace_plan::Hooks>, HookError> {
        let inner = self.hooks.create_container().as_deref().unwrap_or_default();
        if inner.is_empty() && self.hooks_of(Moment::Create).is_empty() {
            return Ok(None);
        }
        let state = String::from_utf8_lossy(&self.state(Moment::Create, None)?).into_owned();
        let create_container = inner.iter().map(planned).collect();
        Ok(Some(pinnace_plan::Hooks { root: root.display().to_string(), state, create_container }))
    }

    /// Runs the hooks of one moment, in their order. `pid` is the container's first process; at Delete there is none
    /// any more.
    ///
    /// # Errors
    /// With the first that fails; those behind it do not run then, except at Delete.
    pub async fn run(&self, moment: Moment, pid: Option<i32>) -> Result<(), HookError> {
        let hooks = self.hooks_of(moment);
        if hooks.is_empty() {
            return Ok(());
        }
        let state = self.state(moment, pid)?;
        for (kind, hook) in hooks {
            match (run(kind, hook, &state).await, moment) {
                (Err(error), Moment::Delete) => log::warn!("container {}: {error}", self.id),
                (done, _) => done?,
            }
        }
        Ok(())
    }

    fn hooks_of(&self, moment: Moment) -> Vec<(&'static str, &Hook)> {
        let prestart = self.hooks.prestart();
        let lists = match moment {
            Moment::Create => {
                vec![("prestart", prestart), ("createRuntime", self.hooks.create_runtime())]
            }
            Moment::Start => vec![("poststart", self.hooks.poststart())],
            Moment::Delete => vec![("poststop", self.hooks.poststop())],
        };
        lists
            .into_iter()
            .flat_map(|(kind, list)| list.iter().flatten().map(move |hook| (kind, hook)))
            .collect()
    }

    /// The state, as the hooks read it.
    fn state(&self, moment: Moment, pid: Option<i32>) -> Result<Vec<u8>, HookError> {
        let failed = |source| HookError::State { source };
        let status = match moment {
            Moment::Create => ContainerState::Creating,
            Moment::Start => ContainerState::Running,
            Moment::Delete => ContainerState::Stopped,
        };
        let state = StateBuilder::default().version(VERSION).id(&self.id).status(status).bundle(&self.bundle);
        let state = state.annotations(self.annotations.clone());
        let state = match pid {
            Some(pid) => state.pid(pid),
            None => state,
        };
        let state = state.build().map_err(|error| failed(io::Error::other(error)))?;
        serde_json::to_vec(&state).map_err(|error| failed(error.into()))
    }
}

/// Of the runtime-spec whose State this is.
const VERSION: &str = "1.2.0";

/// Those of an environment that are pairs.
fn pairs(env: &[String]) -> impl Iterator<Item = (&str, &str)> {
    env.iter().filter_map(|pair| pair.split_once('='))
}

/// As the container's process gets it. Without an environment of its own it has this server's, like the others.
fn planned(hook: &Hook) -> pinnace_plan::Hook {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    pinnace_plan::Hook {
        path: hook.path().display().to_string(),
        args: hook.args().clone().unwrap_or_default(),
        env: match hook.env() {
            Some(env) => pairs(env).map(owned).collect(),
            None => std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        },
        timeout: time_limit(hook),
    }
}

fn time_limit(hook: &Hook) -> Option<u64> {
    hook.timeout().and_then(|seconds| u64::try_from(seconds).ok())
}

async fn run(kind: &'static str, hook: &Hook, state: &[u8]) -> Result<(), HookError> {
    let path = || hook.path().clone();
    let failed = |source| HookError::Run { kind, path: path(), source };
    let stdin = sealed("pinnace-hook-state", state).map_err(failed)?;
    let stdout = File::options().write(true).open("/dev/null").map_err(failed)?;
    let mut stderr = tempfile().map_err(failed)?;
    let streams = [stdin, stdout.into(), stderr.try_clone().map_err(failed)?.into()];
    let mut command = Command::new(hook.path());
    if let Some((name, args)) = hook.args().as_ref().and_then(|args| args.split_first()) {
        command.arg0(name).args(args);
    }
    // Without one of its own it is the server's, as with an OCI runtime.
    if let Some(env) = hook.env() {
        command.env_clear().envs(pairs(env));
    }
    let process = launch(command, streams).map_err(failed)?;
    let status = match time_limit(hook) {
        None => process.ended().await,
        Some(seconds) => match timeout(Duration::from_secs(seconds), process.ended()).await {
            Ok(status) => status,
            Err(_elapsed) => {
                process.signal(libc::SIGKILL).map_err(failed)?;
                process.ended().await;
                return Err(HookError::Late { kind, path: path(), seconds });
            }
        },
    };
    match status {
        0 => Ok(()),
        status => Err(HookError::Failed { kind, path: path(), status, said: said(&mut stderr) }),
    }
}

/// A file without a name.
fn tempfile() -> io::Result<File> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    Ok(rustix::fs::memfd_create("pinnace-hook-stderr", flags).map(File::from)?)
}

/// How much of a hook's last words is told.
const WORDS: u64 = 1024;

fn said(stderr: &mut File) -> String {
    let length = stderr.seek(SeekFrom::End(0)).unwrap_or(0);
    let mut bytes = Vec::new();
    let start = length.saturating_sub(WORDS);
    if stderr.seek(SeekFrom::Start(start)).and_then(|_| stderr.read_to_end(&mut bytes)).is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooked(hooks: serde_json::Value, bundle: &Path) -> Result<Hooked, HookError> {
        let spec = serde_json::json!({"ociVersion": "1.2.0", "hooks": hooks});
        let spec = serde_json::from_value(spec).expect("a spec");
        Ok(Hooked::of(&spec, "c1", bundle)?.expect("it has hooks"))
    }

    fn shell(script: &str) -> serde_json::Value {
        serde_json::json!({"path": "/bin/sh", "args": ["sh", "-c", script]})
    }

    fn run_all(hooks: serde_json::Value, moment: Moment, bundle: &Path) -> Result<(), HookError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(hooked(hooks, bundle)?.run(moment, Some(7)))
    }

    #[test]
    fn each_reads_the_state_and_they_run_in_order() {
        let bundle = tempfile::tempdir().expect("a directory");
        let out = bundle.path().join("out");
        let say = |word: &str| shell(&format!("echo {word} $(cat) >>{}", out.display()));
        let hooks = serde_json::json!({
            "prestart": [say("one"), say("two")], "createRuntime": [say("three")], "poststop": [say("never")]
        });
        run_all(hooks, Moment::Create, bundle.path()).expect("all run");
        let said = std::fs::read_to_string(&out).expect("written");
        let words: Vec<_> = said.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(words, ["one", "two", "three"]);
        for line in said.lines() {
            let (_, json) = line.split_once(' ').expect("a state");
            let state: serde_json::Value = serde_json::from_str(json).expect("json");
            assert_eq!((state["id"].as_str(), state["pid"].as_i64()), (Some("c1"), Some(7)));
            assert_eq!(state["status"].as_str(), Some("creating"));
            assert_eq!(state["bundle"].as_str(), bundle.path().to_str());
        }
    }

    #[test]
    fn the_first_that_fails_is_the_last_that_runs_but_at_delete() {
        let bundle = tempfile::tempdir().expect("a directory");
        let mark = bundle.path().join("mark");
        let list = [shell("echo no network >&2; exit 3"), shell(&format!("touch {}", mark.display()))];
        let hooks = serde_json::json!({"createRuntime": list, "poststop": list});
        let text = run_all(hooks.clone(), Moment::Create, bundle.path()).expect_err("it fails").to_string();
        for part in ["createRuntime", "/bin/sh", "3", "no network"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!mark.exists());
        run_all(hooks, Moment::Delete, bundle.path()).expect("only told");
        assert!(mark.exists());
    }

    #[test]
    fn a_script_gets_its_name_and_its_own_environment() {
        let bundle = tempfile::tempdir().expect("a directory");
        let (script, out) = (bundle.path().join("hook"), bundle.path().join("out"));
        std::fs::write(&script, "#!/bin/sh\necho $2 $GREETING $HOME >$1\n").expect("written");
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
        let hook = serde_json::json!({"path": script, "args": ["hook", out, "b"], "env": ["GREETING=hello"]});
        run_all(serde_json::json!({"prestart": [hook]}), Moment::Create, bundle.path()).expect("it runs");
        assert_eq!(std::fs::read_to_string(&out).expect("written"), "b hello\n");
    }

    #[test]
    fn one_that_takes_too_long_is_ended() {
        let slow = serde_json::json!({"path": "/bin/sh", "args": ["sh", "-c", "sleep 60"], "timeout": 1});
        let hooks = serde_json::json!({"poststart": [slow]});
        let error = run_all(hooks, Moment::Start, Path::new("/b")).expect_err("late");
        assert!(matches!(error, HookError::Late { seconds: 1, .. }), "{error}");
    }

    #[test]
    fn what_is_not_there_and_what_would_run_inside_is_named() {
        let none = serde_json::json!({"prestart": [{"path": "/nowhere/hook"}]});
        let error = run_all(none, Moment::Create, Path::new("/b")).expect_err("missing");
        assert!(error.to_string().contains("/nowhere/hook"), "{error}");
        let inside = serde_json::json!({"startContainer": [{"path": "/x"}]});
        let error = run_all(inside, Moment::Create, Path::new("/b")).expect_err("refused");
        assert!(error.to_string().contains("startContainer hook /x"), "{error}");
    }

    #[test]
    fn those_in_the_container_s_namespaces_are_its_process_to_run() {
        let hook =
            serde_json::json!({"path": "/x", "args": ["x", "a"], "env": ["A=b=c", "odd"], "timeout": 5});
        let hooks = serde_json::json!({"createContainer": [hook]});
        let hooked = hooked(hooks.clone(), Path::new("/b")).expect("fine");
        let plan = hooked.to_plan(Path::new("/b/rootfs")).expect("fine").expect("there is one");
        assert_eq!(plan.root, "/b/rootfs");
        let state: serde_json::Value = serde_json::from_str(&plan.state).expect("json");
        assert_eq!((state["status"].as_str(), state.get("pid")), (Some("creating"), None));
        let expected = pinnace_plan::Hook {
            path: "/x".into(),
            args: vec!["x".into(), "a".into()],
            env: vec![("A".into(), "b=c".into())],
            timeout: Some(5),
        };
        assert_eq!(plan.create_container, [expected]);
        let spec = serde_json::json!({"ociVersion": "1.2.0", "hooks": hooks});
        let spec = serde_json::from_value(spec).expect("a spec");
        let error = Hooked::of_pod(&spec, "p", Path::new("/b")).expect_err("it has no files").to_string();
        assert!(error.contains("createContainer hook /x") && error.contains("createRuntime"), "{error}");
    }

    #[test]
    fn the_moment_is_passed_by_where_nothing_is_to_be_run_in_it() {
        let of =
            |hooks| hooked(hooks, Path::new("/b")).expect("fine").to_plan(Path::new("/r")).expect("fine");
        assert!(
            of(serde_json::json!({"poststart": [{"path": "/x"}], "poststop": [{"path": "/x"}]})).is_none()
        );
        let plan = of(serde_json::json!({"prestart": [{"path": "/x"}]})).expect("the server's");
        assert!(plan.create_container.is_empty());
    }
}
