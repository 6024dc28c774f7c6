//! The images that critest pulls, by the names under which it does, made here: nothing comes from a network.
//!
//! | | native | Wasm |
//! |---|---|---|
//! | commands | busybox, under all their names; not the static one, whose shell would run a command whose file is masked | `e2e/guests/box.rs`, likewise |
//! | web servers | a script that becomes busybox' `httpd` under nginx' name | the same program as the commands |
//! | `nonewprivs` | a shell that is set-user-ID root | none: a guest has no user ids |

use pinnace_e2e::{Registry, places};
use pinnace_oci::build::Image;
use std::fs;

/// What the images are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Native,
    Wasm,
}

const TESTS: &str = "e2e-test-images";
const STAGING: &str = "k8s-staging-cri-tools";

/// What busybox is asked to be.
const APPLETS: [&str; 21] = [
    "brctl", "cat", "chmod", "dd", "echo", "grep", "hostname", "httpd", "id", "ls", "mkdir", "mount",
    "netstat", "pidof", "ping", "sh", "sleep", "top", "touch", "true", "[",
];

/// What it needs, as the loader looks for it.
const LIBRARIES: [&str; 2] = ["libc.so.6", "libresolv.so.2"];

/// What busybox lacks.
const SCRIPTS: [(&str, &str); 2] = [
    ("ipcs", "cat /proc/sysvipc/shm"),
    (
        "pgrep",
        "for process in /proc/[0-9]*; do\n\
         read -r name < $process/comm && [ \"$name\" = \"$1\" ] && echo ${process#/proc/}\n\
         done",
    ),
];

/// A web server, which says who it is as nginx does.
const NGINX: &str = "echo $$ > /var/run/nginx.pid; echo httpd: listening\n\
                     exec -a httpd /usr/sbin/nginx -f -p $1 -h /www -r 'nginx: master process'";

/// What the guest is asked to be.
const GUESTS: [&str; 13] =
    ["[", "cat", "dd", "echo", "grep", "hostname", "httpd", "ls", "mkdir", "sleep", "top", "touch", "true"];

/// Has the registry serve all images.
pub(crate) fn serve(registry: &Registry, kind: Kind) {
    let base = base(kind);
    let web = |port: &str| match kind {
        Kind::Native => base.clone().entrypoint(["/bin/nginx", port]),
        Kind::Wasm => base.clone().entrypoint(["/bin/httpd", port]),
    };
    // What has no command of its own lives until it is stopped: containerd 2.3 refuses to remove what ends meanwhile.
    let shell = base.clone().cmd(["top"]);
    push(registry, &format!("{TESTS}/busybox:1.29-2"), &shell);
    push(registry, &format!("{TESTS}/nginx:1.14-2"), &web("80"));
    push(registry, &format!("{TESTS}/httpd:2.4.39-4"), &web("80"));
    push(registry, &format!("{STAGING}/hostnet-nginx-{}:latest", architecture()), &web("12003"));
    let escalate = ["/bin/sudo", "-p", "-c", "echo Effective uid: $EUID"];
    push(registry, &format!("{TESTS}/nonewprivs:1.3"), &base.clone().entrypoint(escalate));

    for (name, user) in [
        ("user-uid", "1002"),
        ("user-username", "www-data"),
        ("user-uid-group", "1003:1004"),
        ("user-username-group", "www-data:1004"),
    ] {
        push(registry, &format!("{STAGING}/test-image-{name}:latest"), &base.clone().user(user));
    }
    push(registry, &format!("{STAGING}/test-image-predefined-group:latest"), &shell.clone().user("1000"));
    let named = |name: &str| shell.clone().label("name", name);
    for name in ["latest:latest", "tag:test", "tag:all", "1:latest", "2:latest", "3:latest"] {
        push(registry, &format!("{STAGING}/test-image-{name}"), &named(name));
    }
    for tag in ["1", "2", "3"] {
        push(registry, &format!("{STAGING}/test-image-tags:{tag}"), &named("tags"));
    }
    // From two registries, which are one here.
    push(registry, "pause:3.9", &named("pause"));
}

fn base(kind: Kind) -> Image {
    let directories = ["/dev", "/home", "/mnt", "/proc", "/root", "/sys", "/tmp", "/var/run", "/www"];
    let image = directories.iter().fold(Image::rootfs(), |image, directory| image.directory(directory));
    let users = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/www:/bin/sh\ndefault-user:x:1000:1000::/home:/bin/sh\n\
                 nobody:x:65534:65534::/:/bin/sh\n";
    let groups =
        "root:x:0:\nwww-data:x:33:\ndefault-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n";
    let image = image.file("/etc/passwd", users, 0o644).file("/etc/group", groups, 0o644);
    let image = image.file("/www/index.html", "hello\n", 0o644);
    match kind {
        Kind::Native => native(image),
        Kind::Wasm => wasm(image),
    }
}

fn native(image: Image) -> Image {
    let machine = std::env::consts::ARCH;
    let library = format!("lib/{machine}-linux-gnu");
    let (above, loader) = match machine {
        "x86_64" => ("lib64", "ld-linux-x86-64.so.2"),
        _ => ("lib", "ld-linux-aarch64.so.1"),
    };
    let image = image.file("/bin/busybox", tool("shell/bin/busybox"), 0o755);
    let image = image.file("/bin/sudo", tool("bash-static"), 0o4755);
    let image = image.file(&format!("{above}/{loader}"), tool(&format!("shell/{library}/{loader}")), 0o755);
    let image = LIBRARIES.iter().fold(image, |image, name| {
        let file = format!("{library}/{name}");
        let bytes = tool(&format!("shell/{file}"));
        image.file(&file, bytes, 0o755)
    });
    let links = APPLETS.iter().map(|name| format!("/bin/{name}")).chain(["/usr/sbin/nginx".to_owned()]);
    let image = links.fold(image, |image, name| image.link(&name, "/bin/busybox"));
    let script = |image: Image, (name, text): &(&str, &str)| {
        image.file(&format!("/bin/{name}"), format!("#!/bin/sh\n{text}\n"), 0o755)
    };
    script(SCRIPTS.iter().fold(image, script), &("nginx", NGINX))
}

fn wasm(image: Image) -> Image {
    let image = image.file("/bin/sh", tool("box.wasm"), 0o755);
    GUESTS.iter().fold(image, |image, name| image.link(&format!("/bin/{name}"), "/bin/sh"))
}

fn tool(name: &str) -> Vec<u8> {
    let file = places::tools().join(name);
    assert!(file.is_file(), "{}: not there; run `cargo xtask tools`", file.display());
    fs::read(file).expect("read a tool")
}

fn push(registry: &Registry, name: &str, image: &Image) {
    let mut archive = Vec::new();
    image.archive(name, &mut archive).expect("an archive");
    let _name = registry.push(name, &archive);
}

/// As Go names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
