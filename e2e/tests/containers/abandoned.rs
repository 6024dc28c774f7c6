//! containerd is gone for good: nobody reads, nobody listens. Nothing spins or grows, guests live on, and a containerd
//! that comes after all finds the truth.

use crate::terminal::ticks;
use crate::{guest, ready};
use pinnace_conformance::guests;
use pinnace_e2e::{Container, Image, Node, State, cost, places, until};
use pinnace_oci::build;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// Writes lines for ever.
const FLOOD: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "yes\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 4))
    (loop $again
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br $again))))"#;

/// How long figures are compared over.
const WHILE: Duration = Duration::from_secs(4);

/// A FIFO and somebody who reads it, as containerd does.
fn read_by_us(path: &Path) -> File {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("make a FIFO");
    reader(path)
}

fn reader(path: &Path) -> File {
    File::from(open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).expect("open"))
}

/// Reads on, and finds output.
fn takes_some(reader: &mut File) {
    let mut part = vec![0; 1 << 20];
    // More than a FIFO holds: it is written anew.
    let mut taken = 0;
    while taken < 1 << 18 {
        let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(&*reader, PollFlags::IN)], Some(&limit)).expect("poll");
        assert_eq!(ready, 1, "output after {taken} bytes");
        taken += reader.read(&mut part).unwrap_or(0);
    }
}

fn busybox(node: &Node) -> Image {
    let program = fs::read(places::tools().join("busybox")).expect("busybox; run `cargo xtask tools`");
    node.image(&build::Image::rootfs().file("/bin/busybox", program, 0o755).directory("/proc"))
}

fn server(container: &Container<'_>) -> u32 {
    container.cost().first().expect("a server").pid
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count()
}

#[test]
fn nothing_spins_or_grows_and_who_comes_after_all_finds_the_truth() {
    let node = Node::start();
    let (sleep_image, native) = (guest(&node, guests::sleep_p1()), busybox(&node));
    let flood_image = guest(&node, wat::parse_str(FLOOD).expect("text"));
    let group = node.id();
    let annotation = "io.containerd.runc.v2.group";

    let fifos = ["one", "two"].map(|name| node.dir().join(name));
    let mut readers = fifos.each_ref().map(|path| read_by_us(path));
    let output = |path: &Path| path.display().to_string();
    let flood = node.container(&flood_image).annotation(annotation, &group).output_to(&output(&fifos[0]));
    let flood = flood.create().expect("create");
    let yes = node.container(&native).annotation(annotation, &group).output_to(&output(&fifos[1]));
    let yes = yes.args(["/bin/busybox", "yes"]).create().expect("create");
    for (container, reader) in [&flood, &yes].into_iter().zip(&mut readers) {
        container.start().expect("start");
        takes_some(reader);
    }
    let sleeping = ready(node.container(&sleep_image).annotation(annotation, &group));
    let mut ending = ready(node.container(&sleep_image).annotation(annotation, &group));
    let image = guest(&node, guests::terminal_p1());
    let mut typing = node.container(&image).with_terminal().create().expect("create");
    typing.start().expect("start");
    typing.stdout().wait_for("yyy\r\n");
    let servers = [server(&flood), server(&typing)];
    assert_eq!(servers[0], server(&yes));
    let living = [&flood, &yes, &sleeping, &typing].map(Container::pid);

    node.while_down(Signal::KILL, || {
        drop(readers);
        for socket in ["c.sock", "t.sock"] {
            fs::remove_file(node.dir().join(socket)).expect("remove a socket");
        }
        // Something to tell, and nobody to be told.
        let engine = Pid::from_raw(ending.pid().cast_signed()).expect("a pid");
        kill_process(engine, Signal::INT).expect("kill");
        // Until every FIFO is full and everybody who writes waits.
        until("the writers to wait", || {
            let before = living.map(ticks);
            sleep(Duration::from_millis(200));
            (before == living.map(ticks)).then_some(())
        });
        let sizes = || servers.map(|pid| (cost::of(pid).expect("a server").private, descriptors(pid)));
        let (had, before) = (sizes(), [servers.as_slice(), &living].concat());
        let spent = || before.iter().map(|pid| ticks(*pid)).collect::<Vec<_>>();
        let at_first = spent();
        sleep(WHILE);
        let spent: Vec<_> = spent().iter().zip(&at_first).map(|(now, then)| now - then).collect();
        // A hundredth of a processor, which has a hundred ticks a second.
        let hundredth = WHILE.as_secs();
        assert!(spent.iter().all(|ticks| *ticks <= hundredth), "ticks in {WHILE:?}: {spent:?}");
        for ((private, descriptors), (private_before, descriptors_before)) in sizes().into_iter().zip(had) {
            assert!(private <= private_before + 64, "{private_before} KiB became {private}");
            assert!(descriptors <= descriptors_before + 1, "{descriptors_before} became {descriptors}");
        }
        assert!(living.iter().all(|pid| Path::new(&format!("/proc/{pid}")).exists()), "guests live on");
    });

    for container in [&flood, &yes, &sleeping, &typing] {
        assert_eq!(container.state(), State::Running);
    }
    assert_eq!(ending.wait(), 130);
    assert_eq!(ending.delete().expect("delete"), 130);
    // What was written when nobody read was not lost, and goes on.
    for path in &fifos {
        takes_some(&mut reader(path));
    }
    typing.write("still\n");
    typing.stdout().wait_for("still");
    for container in [&flood, &yes, &sleeping] {
        container.kill(9).expect("kill");
        assert_eq!(container.wait(), 137);
    }
}
