//! One container by `ctr run`: the command, what it printed, its exit code and its time.

use pinnace_e2e::{Node, PINNACE};
use pinnace_oci::build;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

/// What to show.
pub(crate) struct Show {
    title: &'static str,
    name: &'static str,
    options: Vec<String>,
    args: Vec<String>,
}

impl Show {
    pub(crate) fn new(name: &'static str, title: &'static str) -> Self {
        Self { title, name, options: Vec::new(), args: Vec::new() }
    }

    /// With a host directory, read-only.
    pub(crate) fn mount(mut self, source: &Path, destination: &str) -> Self {
        let mount = format!("type=bind,src={},dst={destination},options=rbind:ro", source.display());
        self.options.extend(["--mount".to_owned(), mount]);
        self
    }

    /// With a variable.
    pub(crate) fn env(mut self, variable: &str) -> Self {
        self.options.extend(["--env".to_owned(), variable.to_owned()]);
        self
    }

    /// With these arguments instead of the image's.
    pub(crate) fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.args = args.map(str::to_owned).to_vec();
        self
    }

    /// Runs it twice: the first run of an image compiles it, the second finds it compiled.
    pub(crate) fn run(self, node: &Node, image: &build::Image, code: i32) {
        println!("\x1b[1m{}\x1b[0m", self.title);
        let image = node.image_named(&format!("docker.io/demo/{}:1", self.name), image);
        self.once(node, image.name(), code, "compiled on the way");
        self.once(node, image.name(), code, "from the cache");
        println!();
    }

    fn once(&self, node: &Node, image: &str, code: i32, how: &str) {
        let id = node.id();
        let cgroup = format!("{}/{id}", node.cgroup_parent());
        let mut words = vec!["run", "--rm", "--runtime", PINNACE, "--cgroup", &cgroup];
        words.extend(self.options.iter().map(String::as_str));
        words.extend([image, &id]);
        words.extend(self.args.iter().map(String::as_str));
        println!("$ ctr {}", words.join(" "));
        let began = Instant::now();
        let output = node.ctr().args(&words).output().expect("start ctr");
        let took = began.elapsed();
        let mut screen = io::stdout().lock();
        // A reader who has gone away is no failure of the demonstration.
        let _gone = screen.write_all(&output.stdout).and_then(|()| screen.write_all(&output.stderr));
        drop(screen);
        let ended = output.status.code().unwrap_or(-1);
        println!("\x1b[2mexit code {ended}, {} ms, {how}\x1b[0m", took.as_millis());
        assert_eq!(ended, code, "the exit code of {image}");
    }
}
