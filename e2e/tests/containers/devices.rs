//! Devices of Wasm containers: those that the spec gives by name, and no others.

use crate::kernel::value;
use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::{Draft, Image, Node};
use pinnace_oci::build;
use serde_json::{Value, json};

/// What a write to `/dev/full` fails with, as WASI numbers it: a file would take it.
const NO_SPACE: u32 = 51;

/// `/dev/full` under a name of its own.
fn full(path: &str) -> Value {
    json!({"path": path, "type": "c", "major": 1, "minor": 7, "fileMode": 0o660, "uid": 0, "gid": 0})
}

fn with_devices<'node>(draft: Draft<'node>, devices: Value, rules: Value) -> Draft<'node> {
    draft.edit(|spec| {
        spec["linux"]["devices"] = devices;
        spec["linux"]["resources"]["devices"] = rules;
    })
}

fn rules(access: &str) -> Value {
    json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 7, "access": access}
    ])
}

fn writes(node: &Node) -> Image {
    guest(node, guests::write_file_p1())
}

#[test]
fn one_that_is_given_works_wherever_it_is() {
    let node = Node::start();
    let image = writes(&node);
    for path in ["/dev/given", "/dev/bus/of/mine/001", "/elsewhere"] {
        let draft = node.container(&image).args(["/guest.wasm", path]);
        let ended = with_devices(draft, json!([full(path)]), rules("rwm")).run();
        assert_eq!(ended.code, NO_SPACE, "{path}: {}", ended.stderr);
    }
}

#[test]
fn its_owner_and_its_mode_hold() {
    let node = Node::start();
    let image = writes(&node);
    let as_user = |uid: u32, gid: u32| {
        let mut device = full("/dev/given");
        device["gid"] = json!(500);
        let draft = node.container(&image).args(["/guest.wasm", "/dev/given"]);
        let draft = with_devices(draft, json!([device]), rules("rwm"));
        draft.edit(|spec| spec["process"]["user"] = json!({"uid": uid, "gid": gid})).run().code
    };
    assert_eq!(as_user(1000, 500), NO_SPACE);
    let (access, not_permitted) = (2, 63);
    assert!([access, not_permitted].contains(&as_user(1000, 501)));
}

#[test]
fn those_of_the_image_and_of_volumes_stay_closed_beside_it() {
    let node = Node::start();
    let image = writes(&node);
    let volume = node.dir().join("volume");
    std::fs::create_dir(&volume).expect("a directory");
    let kind = rustix::fs::FileType::CharacterDevice;
    let (mode, numbers) = (rustix::fs::Mode::from_raw_mode(0o666), rustix::fs::makedev(1, 7));
    rustix::fs::mknodat(rustix::fs::CWD, volume.join("node"), kind, mode, numbers).expect("a device");
    let draft = node.container(&image).args(["/guest.wasm", "/volume/node"]).bind(&volume, "/volume", &[]);
    let code = with_devices(draft, json!([full("/dev/given")]), rules("rwm")).run().code;
    assert!(code != 0 && code != NO_SPACE, "{code}");
}

#[test]
fn one_that_is_half_closed_or_none_is_refused() {
    let node = Node::start();
    let image = writes(&node);
    let refused = |devices: Value, rules: Value, part: &str| {
        let error = with_devices(node.container(&image), devices, rules).create().expect_err(part);
        assert!(error.message().contains(part), "{error}");
    };
    refused(json!([full("/dev/given")]), rules("r"), "linux.resources.devices");
    refused(json!([{"path": "/dev/pipe", "type": "p"}]), json!([]), "device /dev/pipe");
}

/// As with runc, and it must be: the CRI sends a container's rules along when it is resized.
#[test]
fn rules_of_an_update_change_nothing_and_the_rest_of_it_is_in_force() {
    let node = Node::start();
    let image = build::Image::rootfs()
        .file("/guest.wasm", guests::sleep_p1(), 0o755)
        .file("/write.wasm", guests::write_file_p1(), 0o755)
        .entrypoint(["/guest.wasm"]);
    let container =
        ready(with_devices(node.container(&node.image(&image)), json!([full("/dev/given")]), rules("rwm")));
    let closed = json!([{"allow": false, "access": "rwm"}]);
    for (devices, limit) in [(rules("rwm"), 77), (rules("r"), 78), (closed, 79)] {
        container.update(&json!({"devices": devices, "pids": {"limit": limit}})).expect("update");
        assert_eq!(value(&container, "pids.max"), limit.to_string());
        assert_eq!(container.exec(["/write.wasm", "/dev/given"]).run().code, NO_SPACE, "{devices}");
        assert_ne!(container.exec(["/write.wasm", "/dev/other"]).run().code, NO_SPACE, "{devices}");
    }
}

/// A native container has it from its OCI runtime.
#[test]
fn a_native_container_has_it_too() {
    let node = Node::start();
    let busybox = std::fs::read(pinnace_e2e::places::tools().join("busybox")).expect("busybox");
    let image = node.image(&build::Image::rootfs().file("/bin/busybox", busybox, 0o755).directory("/proc"));
    let script = "echo text >/dev/given || exit 7";
    let draft = node.container(&image).args(["/bin/busybox", "sh", "-c", script]);
    assert_eq!(with_devices(draft, json!([full("/dev/given")]), rules("rwm")).run().code, 7);
}
