//! What one guest is given: the parts of a plan that cases vary.

use pinnace_plan::{Build, Capabilities, Fd, Guest, Kind, Module, Plan, Preopen, Root, Sandbox, User};

/// A guest's surroundings. The default is an empty writable root, user 65534, no limit, nothing on stdin.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// Arguments, the program's name first.
    pub args: &'a [&'a str],
    /// Environment.
    pub env: &'a [(&'a str, &'a str)],
    /// Files of the root, by absolute path.
    pub files: &'a [(&'a str, &'a [u8])],
    /// Whether the root can be written.
    pub writable: bool,
    /// Who runs it.
    pub uid: u32,
    /// Whether all its streams are one terminal.
    pub terminal: bool,
    /// What is on stdin.
    pub stdin: &'a [u8],
    /// Whether stdin stays open after that.
    pub stdin_stays_open: bool,
    /// The memory limit, as a cgroup file would have it.
    pub limit: Option<&'a str>,
    /// The export to call.
    pub function: Option<&'a str>,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self {
            args: &["app.wasm"],
            env: &[],
            files: &[],
            writable: true,
            uid: 65534,
            terminal: false,
            stdin: b"",
            stdin_stays_open: false,
            limit: None,
            function: None,
        }
    }
}

impl Setting<'_> {
    /// The plan, with the descriptors at these numbers.
    pub(crate) fn plan(&self, kind: Kind, root: Fd, artifact: Fd, limit: Option<Fd>) -> Plan {
        Plan {
            id: "conformance".into(),
            guest: Guest {
                args: self.args.iter().map(|&arg| arg.to_owned()).collect(),
                env: self.env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
                cwd: "/".into(),
                preopens: vec![Preopen { path: "/".into(), writable: self.writable }],
            },
            module: Module {
                name: "/app.wasm".into(),
                artifact,
                kind,
                function: self.function.map(str::to_owned),
            },
            memory_limits: limit.into_iter().collect(),
            sandbox: Sandbox {
                join: Vec::new(),
                hostname: Some("conformance".into()),
                domainname: None,
                sysctls: Vec::new(),
                root: Root::Build(Build {
                    fd: root,
                    read_only: !self.writable,
                    mounts: Vec::new(),
                    masked_paths: Vec::new(),
                    readonly_paths: Vec::new(),
                }),
                rlimits: Vec::new(),
                user: User { uid: self.uid, gid: self.uid, groups: Vec::new(), umask: None },
                capabilities: Capabilities::default(),
                seccomp: None,
            },
        }
    }
}
