//! A server in a subtree that was given to it: to a user who is not root, or as the root of a cgroup namespace. On
//! the machine's real hierarchies, v1 or v2. Needs root, to give, and says so.
//!
//! A process is in one cgroup as a whole, and sees one root of it, so each test lives in a process of its own:
//!
//! ```text
//!  main ─▶ test: makes the subtree, starts itself anew ─▶ waits to be told ─▶ the body, as the server would be
//!                └─ puts it into the subtree, tells it ───────┘                     └ its exit code is the test's
//! ```

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(dead_code, reason = "the place serves several tests")]

mod place;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use pinnace_shim::cgroups::{Cgroup, CgroupError, Hierarchies, Stats};
use pinnace_spawn::Child as Spawned;
use place::{resources, start, wait};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

type Body = fn(&Subtree);

/// Name, who the server is, where in the subtree it is, and what it does there.
type Test = (&'static str, u32, &'static str, Body);

const USER: u32 = 1000;

const TESTS: [Test; 3] = [
    ("a_user_with_a_subtree_has_containers_with_limits", USER, "server", limits_of_a_user),
    ("the_root_of_a_namespace_is_a_place_like_any", 0, "", root_of_a_namespace),
    ("a_controller_that_was_not_given_is_named", 0, "", without_pids),
];

fn main() -> ExitCode {
    if let Some((body, subtree)) = inside() {
        body(&subtree);
        return ExitCode::SUCCESS;
    }
    assert!(rustix::process::geteuid().is_root(), "this test makes cgroups: run it as root");
    let filters: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let chosen = |name: &str| filters.is_empty() || filters.iter().any(|part| name.contains(part));
    let mut failed = 0;
    for test in TESTS.iter().filter(|test| chosen(test.0)) {
        let passed = outside(test);
        println!("test {} ... {}", test.0, if passed { "ok" } else { "FAILED" });
        failed += i32::from(!passed);
    }
    println!("\ndelegated subtrees: {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes a subtree, gives it away, and runs the test's body there.
fn outside((name, user, place, _body): &Test) -> bool {
    let subtree = Subtree(format!("/pinnace-given-{}", std::process::id()));
    let hierarchies = Hierarchies::discover().unwrap();
    let cgroup = Cgroup::create(&hierarchies, &format!("{}/given/{place}", subtree.0)).unwrap();
    let given = subtree.directories("given");
    for directory in &given {
        for file in ["", "cgroup.procs", "tasks", "cgroup.threads", "cgroup.subtree_control"] {
            let path = directory.join(file);
            if path.exists() {
                chown(&path, Some(*user), Some(*user)).unwrap();
            }
        }
    }
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--inside", name, &subtree.0])
        .uid(*user)
        .gid(*user)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    for directory in &given {
        fs::write(directory.join(place).join("cgroup.procs"), server.id().to_string()).unwrap();
    }
    server.stdin.take().unwrap().write_all(b"!").unwrap();
    let status = server.wait().unwrap();
    let left = subtree.directories("given/c");
    subtree.directories("given/init").iter().for_each(|directory| fs::remove_dir(directory).unwrap());
    cgroup.remove().unwrap();
    assert_eq!(left, Vec::<PathBuf>::new());
    assert_eq!(subtree.directories(""), Vec::<PathBuf>::new());
    status.success()
}

/// The body to run and where, in the process that was started for it and is in its place now.
fn inside() -> Option<(Body, Subtree)> {
    let words: Vec<_> = std::env::args().collect();
    let [_, flag, name, subtree] = words.as_slice() else { return None };
    let test = TESTS.iter().find(|test| flag == "--inside" && test.0 == name)?;
    std::io::stdin().read_exact(&mut [0]).unwrap();
    Some((test.3, Subtree(subtree.clone())))
}

/// A path below each hierarchy.
struct Subtree(String);

impl Subtree {
    /// Where it is, in each hierarchy that has it.
    fn directories(&self, below: &str) -> Vec<PathBuf> {
        let path = format!("{}/{below}", self.0.trim_start_matches('/'));
        let mut all = vec![Path::new("/sys/fs/cgroup").to_owned()];
        all.extend(fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path()));
        let all = all.into_iter().map(|hierarchy| hierarchy.join(path.trim_end_matches('/')));
        all.filter(|directory| directory.is_dir()).collect()
    }
}

fn sleeper(cgroup: &Cgroup) -> Spawned {
    start(cgroup, "/bin/sleep", &["sleep", "1000"])
}

/// Ends its process, and it.
fn end(cgroup: &Cgroup, child: &Spawned) {
    cgroup.kill().unwrap();
    assert_eq!(wait(child).terminating_signal(), Some(9));
    cgroup.remove().unwrap();
}

fn limits_of_a_user(subtree: &Subtree) {
    assert!(!rustix::process::geteuid().is_root());
    let hierarchies = Hierarchies::discover().unwrap();
    let elsewhere = Cgroup::create(&hierarchies, "/pinnace-not-given/c").unwrap_err();
    assert!(matches!(elsewhere, CgroupError::Make { .. }), "{elsewhere}");
    let cgroup = Cgroup::create(&hierarchies, &format!("{}/given/c", subtree.0)).unwrap();
    cgroup
        .limit(&resources(
            r#"{"memory":{"limit":33554432},"cpu":{"shares":512,"quota":50000,"period":100000},"pids":{"limit":9},
                "devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"}]}"#,
        ))
        .unwrap();
    let child = sleeper(&cgroup);
    assert_eq!(cgroup.pids().unwrap(), [child.pid]);
    match cgroup.stats().unwrap() {
        Stats::V1(stats) => {
            assert_eq!(stats.memory.unwrap().usage.limit, 33_554_432);
            assert_eq!(stats.pids.unwrap().limit, Some(9));
        }
        Stats::V2(stats) => {
            assert_eq!(stats.memory.unwrap().limit, 33_554_432);
            assert_eq!(stats.pids.unwrap().limit, Some(9));
        }
    }
    end(&cgroup, &child);
}

/// A cgroup namespace, and mounts that show it, as a container has them.
fn enter_namespace(but: &str) {
    let unified = Hierarchies::discover().unwrap().is_unified();
    unshare(CloneFlags::CLONE_NEWCGROUP | CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let point = Path::new("/sys/fs/cgroup");
    if unified {
        // The kernel mounts no file system over itself.
        umount2(point, MntFlags::MNT_DETACH).unwrap();
        mount(Some("cgroup"), point, Some("cgroup2"), MsFlags::empty(), none).unwrap();
        return;
    }
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
    mount(Some("tmpfs"), point, Some("tmpfs"), MsFlags::empty(), none).unwrap();
    let controllers = groups.lines().map(|line| line.split(':').nth(1).unwrap());
    for list in controllers.filter(|list| !list.is_empty() && !list.contains('=') && *list != but) {
        fs::create_dir(point.join(list)).unwrap();
        mount(Some("cgroup"), &point.join(list), Some("cgroup"), MsFlags::empty(), Some(list)).unwrap();
    }
}

fn root_of_a_namespace(_: &Subtree) {
    enter_namespace("");
    let hierarchies = Hierarchies::discover().unwrap();
    let cgroup = Cgroup::create(&hierarchies, "/c").unwrap();
    let memory = resources(r#"{"memory":{"limit":33554432}}"#);
    if hierarchies.is_unified() {
        // We are in it ourselves, so it can hand down nothing; but who needs no limit can be below it.
        let error = cgroup.limit(&memory).unwrap_err();
        let CgroupError::HeldBack { parent, .. } = &error else { panic!("{error}") };
        assert_eq!(parent, Path::new("/sys/fs/cgroup"));
        assert_eq!(fs::read_to_string("/sys/fs/cgroup/cgroup.type").unwrap(), "domain\n");
        let child = sleeper(&cgroup);
        assert_eq!(cgroup.pids().unwrap(), [child.pid]);
        end(&cgroup, &child);
        // As Docker's image of itself does it.
        fs::create_dir("/sys/fs/cgroup/init").unwrap();
        fs::write("/sys/fs/cgroup/init/cgroup.procs", "0").unwrap();
    } else {
        cgroup.remove().unwrap();
    }
    let cgroup = Cgroup::create(&hierarchies, "/c").unwrap();
    cgroup.limit(&memory).unwrap();
    assert_eq!(cgroup.memory_limit_files().len(), 2, "its own and the root's, which is a cgroup like others");
    let child = sleeper(&cgroup);
    assert_eq!(cgroup.pids().unwrap(), [child.pid]);
    end(&cgroup, &child);
}

fn without_pids(subtree: &Subtree) {
    if Hierarchies::discover().unwrap().is_unified() {
        // Out of the way, so that the ones above may change what they hand down.
        let here = Path::new("/sys/fs/cgroup").join(subtree.0.trim_start_matches('/'));
        for directory in [here.join("given"), here] {
            fs::write(directory.join("cgroup.subtree_control"), "-pids").unwrap();
        }
    }
    enter_namespace("pids");
    let hierarchies = Hierarchies::discover().unwrap();
    let cgroup = Cgroup::create(&hierarchies, "/c").unwrap();
    let error = cgroup.limit(&resources(r#"{"pids":{"limit":9}}"#)).unwrap_err();
    let CgroupError::MissingController { controller, field, .. } = &error else { panic!("{error}") };
    assert_eq!((controller.as_str(), *field), ("pids", "linux.resources.pids"));
    cgroup.remove().unwrap();
}
