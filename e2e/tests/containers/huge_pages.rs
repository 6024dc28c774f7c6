//! Limits of huge pages, of the size this machine has: read back from the kernel, or refused by name where nobody counts them.

use crate::kernel::unified;
use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::{Container, Node, State};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The sizes of the kernel's huge pages, as its control groups name them.
fn sizes() -> Vec<String> {
    let pages = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let kib = pages.filter_map(|page| {
        page.file_name().to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok()
    });
    let name = |kib| match kib {
        0..1024 => format!("{kib}KB"),
        1024..0x10_0000 => format!("{}MB", kib >> 10),
        _ => format!("{}GB", kib >> 20),
    };
    kib.map(name).collect()
}

/// The file of a container's limit, if this machine counts huge pages.
fn file(container: &Container<'_>, size: &str) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("its cgroups");
    let (controller, tree, name) =
        if unified() { ("", "", "max") } else { ("hugetlb", "hugetlb", "limit_in_bytes") };
    let path = groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|one| one == controller).then_some(path)
    })?;
    let directory = Path::new("/sys/fs/cgroup").join(tree).join(path.trim_start_matches('/'));
    Some(directory.join(format!("hugetlb.{size}.{name}"))).filter(|file| file.exists())
}

fn limit(size: &str, bytes: u64) -> Value {
    json!({ "hugepageLimits": [{ "pageSize": size, "limit": bytes }] })
}

#[test]
fn a_limit_of_each_size_is_in_force_or_refused_by_name() {
    let node = Node::start();
    let image = guest(&node, guests::sleep_p1());
    let plain = ready(node.container(&image));
    let (counted, others): (Vec<_>, Vec<_>) =
        sizes().into_iter().chain(["3MB".to_owned()]).partition(|size| file(&plain, size).is_some());
    let with = |resources: Value| {
        node.container(&image).edit(move |spec| {
            spec["linux"]["resources"]["hugepageLimits"] = resources["hugepageLimits"].clone();
        })
    };
    for size in &counted {
        const PAGES: u64 = 8 << 30;
        let says = |container: &Container<'_>, bytes: u64| {
            let file = file(container, size).expect("a file");
            let text = fs::read_to_string(&file).expect("a limit");
            assert_eq!(text.trim(), bytes.to_string(), "{}", file.display());
        };
        let container = with(limit(size, PAGES)).create().expect("create");
        says(&container, PAGES);
        container.update(&limit(size, 2 * PAGES)).expect("before start");
        says(&container, 2 * PAGES);
        container.start().expect("start");
        container.stdout().wait_for("ready");
        container.update(&limit(size, 0)).expect("while it runs");
        says(&container, 0);
        let half = json!({ "hugepageLimits": [
            { "pageSize": size, "limit": PAGES }, { "pageSize": "3MB", "limit": 0 }
        ] });
        let _told = container.update(&half).expect_err("no such size");
        says(&container, 0);
    }
    for size in &others {
        let created = with(limit(size, 0)).create().expect_err("nobody counts them");
        let updated = plain.update(&limit(size, 0)).expect_err("nobody counts them");
        for refused in [created, updated] {
            let message = refused.message();
            let controller = message.contains("linux.resources.hugepageLimits") && counted.is_empty();
            assert!(message.contains("hugetlb"), "{message}");
            assert!(controller || message.contains(&format!("hugetlb.{size}.")), "{message}");
        }
    }
    assert_eq!(plain.state(), State::Running);
}
