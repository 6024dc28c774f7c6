//! Every limit of the spec, read back from the kernel, on whichever version of cgroups this machine has.

use crate::bad_input::laborious;
use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::{Container, Node, State, until};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Where a limit stands: a file's name after its controller's, and what it must say.
type Stands = (&'static str, &'static str);

/// One limit: of the spec, and of each version. Without a file the version does not have it.
struct Row {
    /// Below `linux.resources`.
    spec: fn() -> Value,
    v1: &'static [Stands],
    v2: &'static [Stands],
}

const MIB64: &str = "67108864";

/// All of them. Of a limit that this machine has no file for, Create must say so.
const ROWS: [Row; 9] = [
    Row {
        spec: || json!({ "memory": { "limit": 67_108_864, "swap": 100_663_296 } }),
        v1: &[("memory.limit_in_bytes", MIB64), ("memory.memsw.limit_in_bytes", "100663296")],
        v2: &[("memory.max", MIB64), ("memory.swap.max", "33554432")],
    },
    Row {
        spec: || json!({ "memory": { "limit": 67_108_864, "reservation": 33_554_432 } }),
        v1: &[("memory.limit_in_bytes", MIB64), ("memory.soft_limit_in_bytes", "33554432")],
        v2: &[("memory.max", MIB64), ("memory.low", "33554432")],
    },
    Row {
        spec: || json!({ "cpu": { "shares": 512, "quota": 50_000, "period": 80_000 } }),
        v1: &[("cpu.shares", "512"), ("cpu.cfs_quota_us", "50000"), ("cpu.cfs_period_us", "80000")],
        v2: &[("cpu.weight", "59"), ("cpu.max", "50000 80000")],
    },
    Row {
        spec: || json!({ "cpu": { "cpus": "0", "mems": "0" } }),
        v1: &[("cpuset.cpus", "0"), ("cpuset.mems", "0")],
        v2: &[("cpuset.cpus", "0"), ("cpuset.mems", "0")],
    },
    Row { spec: || json!({ "pids": { "limit": 64 } }), v1: &[("pids.max", "64")], v2: &[("pids.max", "64")] },
    Row {
        spec: || json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 4_194_304 }] }),
        v1: &[("hugetlb.2MB.limit_in_bytes", "4194304")],
        v2: &[("hugetlb.2MB.max", "4194304")],
    },
    Row {
        spec: || json!({ "blockIO": { "weight": 200 } }),
        v1: &[("blkio.bfq.weight", "200")],
        v2: &[("io.bfq.weight", "default 200")],
    },
    Row {
        spec: || {
            let (major, minor) = disk();
            let rate = json!([{ "major": major, "minor": minor, "rate": 1_048_576 }]);
            json!({ "blockIO": { "throttleReadBpsDevice": rate, "throttleWriteIOPSDevice": rate } })
        },
        v1: &[
            ("blkio.throttle.read_bps_device", "DISK 1048576"),
            ("blkio.throttle.write_iops_device", "DISK 1048576"),
        ],
        v2: &[("io.max", "DISK rbps=1048576 wbps=max riops=max wiops=1048576")],
    },
    Row {
        spec: || json!({ "unified": { "memory.oom.group": "1", "memory.high": "67108864" } }),
        v1: &[],
        v2: &[("memory.oom.group", "1"), ("memory.high", MIB64)],
    },
];

/// v2 without the scheduler BFQ has a weight of its own, from 1 to 10,000: 1 + (200 - 10) * 9999 / 990.
const OWN_WEIGHT: Stands = ("io.weight", "default 1920");

/// Any block device: the kernel takes a limit for what exists.
fn disk() -> (u32, u32) {
    let mut devices: Vec<_> = fs::read_dir("/sys/block").expect("/sys/block").flatten().collect();
    devices.sort_by_key(|device| device.file_name());
    let text = devices.first().and_then(|device| fs::read_to_string(device.path().join("dev")).ok());
    let text = text.expect("a block device, if only a loop device");
    let (major, minor) = text.trim().split_once(':').expect("major:minor");
    (major.parse().expect("a number"), minor.parse().expect("a number"))
}

/// Whether the machine has v2 and nothing else.
fn unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The file of a container's cgroup, by the kernel's own word of where the process is.
fn file(container: &Container<'_>, name: &str) -> PathBuf {
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("its cgroups");
    let controller = name.split('.').next().unwrap_or_default();
    let of = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let here = if unified() {
            controllers.is_empty()
        } else {
            controllers.split(',').any(|one| one == controller)
        };
        here.then_some((controllers, path))
    };
    let (hierarchy, path) = groups.lines().find_map(of).expect("the controller's hierarchy");
    Path::new("/sys/fs/cgroup").join(hierarchy).join(path.trim_start_matches('/')).join(name)
}

/// Whether this machine has the file at all.
fn exists(node: &Node, name: &str) -> bool {
    let image = guest(node, guests::sleep_p1());
    let container = node.container(&image).create().expect("create");
    let controller = name.split('.').next().unwrap_or_default();
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("its cgroups");
    let mounted = unified()
        || groups.lines().any(|line| {
            line.split(':').nth(1).is_some_and(|list| list.split(',').any(|one| one == controller))
        });
    mounted && file(&container, name).exists()
}

#[test]
fn every_limit_is_in_force_or_refused_by_name() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    for row in &ROWS {
        let resources = (row.spec)();
        let stands = match if unified() { row.v2 } else { row.v1 } {
            [("io.bfq.weight", _)] if !exists(&node, "io.bfq.weight") => &[OWN_WEIGHT],
            stands => stands,
        };
        let draft = node.container(&image).edit(|spec| {
            for (key, value) in resources.as_object().expect("an object") {
                spec["linux"]["resources"][key] = value.clone();
            }
        });
        if stands.is_empty() || !stands.iter().all(|(name, _)| exists(&node, name)) {
            let refused = draft.create().expect_err("a limit that cannot be set").message().to_owned();
            let named =
                resources.as_object().into_iter().flatten().any(|(key, _)| refused.contains(key.as_str()));
            assert!(named, "{resources}: {refused}");
            continue;
        }
        let container = draft.create().map_err(|refused| format!("{resources}: {refused}")).expect("create");
        let (major, minor) = disk();
        for (name, value) in stands {
            let text = fs::read_to_string(file(&container, name)).expect(name);
            let expected = value.replace("DISK", &format!("{major}:{minor}"));
            assert!(text.lines().any(|line| line == expected), "{name}: {text:?} is not {expected:?}");
        }
    }
}

#[test]
fn a_quota_below_the_kernels_least_is_told_with_the_remedy() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(0));
    let draft = node.container(&image).edit(|spec| {
        // As `--cpus 0.0001` gives it.
        spec["linux"]["resources"]["cpu"] = json!({ "quota": 10, "period": 100_000 });
    });
    let refused = draft.create().expect_err("too small a quota");
    assert!(
        refused.message().contains("cpu.quota is \"10\"") && refused.message().contains("1000"),
        "{refused}"
    );
}

#[test]
fn a_path_in_use_is_refused_and_its_user_lives_on() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let mut first = ready(node.container(&image));
    let path = format!("{}/{}", node.cgroup_parent(), first.id());
    let second = node.container(&image).edit(|spec| spec["linux"]["cgroupsPath"] = json!(path));
    let bundle = node.dir().join("state/io.containerd.runtime.v2.task/e2e").join(second.id());
    let refused = second.create().expect_err("a path in use");
    assert!(refused.message().contains("has processes already"), "{refused}");
    // `delete` of the second has run when its bundle is gone.
    until("the end of the refused one", || (!bundle.exists()).then_some(()));
    assert_eq!(first.state(), State::Running);
    first.kill(15).expect("kill");
    assert_eq!(first.wait(), 143);
    first.delete().expect("delete");
}

#[test]
fn a_refusal_beside_a_compilation_ends_it() {
    let node = Node::start();
    let first = node.container(&guest(&node, guests::sleep_p1())).create().expect("create");
    let path = format!("{}/{}", node.cgroup_parent(), first.id());
    let draft = node.container(&guest(&node, laborious()));
    let refused = draft.edit(|spec| spec["linux"]["cgroupsPath"] = json!(path)).create();
    let refused = refused.expect_err("a path in use");
    assert!(refused.message().contains("has processes already"), "{refused}");
    // That its process and its cgroup are gone is what the harness looks for.
}

#[test]
fn an_empty_cgroup_that_was_there_is_taken_with_its_parents_left() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(3));
    let draft = node.container(&image);
    let path = format!("{}/{}", node.cgroup_parent(), draft.id());
    let places: Vec<PathBuf> = match unified() {
        true => vec![PathBuf::from(format!("/sys/fs/cgroup{path}"))],
        false => {
            ["memory", "pids"].map(|tree| PathBuf::from(format!("/sys/fs/cgroup/{tree}{path}"))).to_vec()
        }
    };
    places.iter().for_each(|place| fs::create_dir_all(place).expect("a cgroup"));
    assert_eq!(draft.run().code, 3);
    for place in places {
        assert!(!place.exists(), "a container's own cgroup goes with it");
        let parent = place.parent().expect("a parent");
        assert!(parent.exists(), "whoever made the one above keeps it");
        fs::remove_dir(parent).expect("remove it");
    }
}

#[test]
fn the_systemd_form_without_systemd_is_told_with_the_remedy() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(0));
    let scope = |id: &str| json!(format!("{}.slice:pinnace:{id}", node.name().replace('-', "_")));
    let draft = node.container(&image);
    let path = scope(draft.id());
    let draft = draft.edit(|spec| spec["linux"]["cgroupsPath"] = path);
    if !Path::new("/run/systemd/system").exists() {
        let refused = draft.create().expect_err("no systemd");
        assert!(refused.message().contains("cgroupfs driver"), "{refused}");
    } else {
        assert_eq!(draft.run().code, 0);
    }
}

#[test]
fn an_option_that_contradicts_the_path_is_told_with_both() {
    let node = Node::start();
    let image = guest(&node, guests::exit_code(0));
    let toml = |text: &str| [&[0x1a, u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    let plain = node.container(&image).options("runtimeoptions.v1.Options", toml("SystemdCgroup = true\n"));
    let refused = plain.create().expect_err("a plain path");
    assert!(
        refused.message().contains("SystemdCgroup = true")
            && refused.message().contains(&node.cgroup_parent()),
        "{refused}"
    );
    let typed = node.container(&image).options("containerd.runc.v1.Options", vec![0x48, 0x01]);
    assert!(typed.create().expect_err("a plain path").message().contains("SystemdCgroup = true"));
    let scope = node
        .container(&image)
        .options("runtimeoptions.v1.Options", toml("SystemdCgroup = false\n"))
        .edit(|spec| spec["linux"]["cgroupsPath"] = json!("system.slice:pinnace:x"));
    assert!(scope.create().expect_err("a scope").message().contains("SystemdCgroup = false"));
}
