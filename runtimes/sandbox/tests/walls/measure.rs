//! What the walls cost: `cargo test -p pinnace-sandbox --release --test walls measure`.

use crate::harness::{
    End, Files as _, bind, dev, enter, host_directory, image, newborn, plain, preopen, tmpfs,
};
use pinnace_plan::{Sandbox, User};
use std::io::{Read, Write};
use std::time::Instant;

const ROUNDS: usize = 200;

/// A usual container: `/dev`, shared memory, three files, a volume; the capabilities of containerd's default.
fn usual() -> Sandbox {
    let volume = host_directory("measure");
    let mut sandbox = plain(image());
    sandbox
        .files()
        .mounts
        .extend([dev(), tmpfs("/dev/shm", &[("mode", Some("1777")), ("size", Some("65536k"))])]);
    sandbox
        .files()
        .mounts
        .extend(["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"].map(|file| bind("/etc/passwd", file)));
    sandbox.files().mounts.push(bind(&volume, "/data"));
    let masked = ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"];
    sandbox.files().masked_paths = masked.map(str::to_owned).into();
    sandbox.files().readonly_paths =
        ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"].map(str::to_owned).into();
    let names =
        ["CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "NET_RAW", "SETGID", "SETUID", "NET_BIND_SERVICE"];
    let names: Vec<String> = names.map(str::to_owned).into();
    sandbox.capabilities.bounding = names.clone();
    sandbox.capabilities.permitted = names.clone();
    sandbox.capabilities.effective = names;
    sandbox.user = User { uid: 0, gid: 0, groups: vec![0, 10], umask: None };
    sandbox.hostname = Some("boat".to_owned());
    sandbox
}

/// Prints the median and the 99th percentile of each function.
pub(crate) fn print() {
    let mut times: [Vec<u128>; 4] = Default::default();
    let (mut reader, mut writer) = std::io::pipe().expect("pipe");
    for _ in 0..ROUNDS {
        let child = newborn(|| {
            let sandbox = usual();
            let mut stops = vec![Instant::now()];
            let mut stop = |result: Result<(), pinnace_sandbox::SandboxError>| {
                result.expect("a wall");
                stops.push(Instant::now());
            };
            stop(pinnace_sandbox::harden());
            stop(enter(&sandbox, &[preopen("/"), preopen("/data")]).map(std::mem::forget));
            stop(pinnace_sandbox::filter(&None, &[]));
            stop(pinnace_sandbox::seal());
            for pair in stops.windows(2) {
                writer.write_all(&(pair[1] - pair[0]).as_nanos().to_ne_bytes()).expect("tell");
            }
        });
        assert_eq!(child.end(), End::Passed);
        for series in &mut times {
            let mut bytes = [0; 16];
            reader.read_exact(&mut bytes).expect("told");
            series.push(u128::from_ne_bytes(bytes));
        }
    }
    println!("{:<8} {:>10} {:>10}   microseconds, {ROUNDS} processes", "", "median", "p99");
    for (name, mut series) in ["harden", "enter", "filter", "seal"].into_iter().zip(times) {
        series.sort_unstable();
        let at = |part: usize| series[series.len() * part / 100] as f64 / 1000.0;
        println!("{name:<8} {:>10.1} {:>10.1}", at(50), at(99));
    }
}
