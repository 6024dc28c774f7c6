//! A user at a real terminal: `ctr run -t`, which makes its own raw and passes its size on.

use crate::guest;
use pinnace_conformance::guests;
use pinnace_e2e::{Node, PINNACE, until};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

#[test]
fn ctr_runs_a_guest_on_the_users_own_terminal() {
    let node = Node::start();
    let image = guest(&node, guests::terminal_p2());
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let user = File::from(openpt(flags).expect("a terminal"));
    unlockpt(&user).expect("unlocked");
    let size = |width, height| {
        let size = Winsize { ws_col: width, ws_row: height, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&user, size).expect("a size");
    };
    size(100, 30);
    let its = || Stdio::from(ioctl_tiocgptpeer(&user, flags).expect("its other side"));
    let id = node.id();
    let cgroup = format!("{}/{id}", node.cgroup_parent());
    let run = ["run", "-t", "--rm", "--runtime", PINNACE, "--cgroup", &cgroup, image.name(), &id];
    let mut ctr = node.ctr().args(run).stdin(its()).stdout(its()).stderr(its()).spawn().expect("ctr starts");

    let shown = Arc::new(Mutex::new(String::new()));
    let (into, mut screen) = (Arc::clone(&shown), user.try_clone().expect("a copy"));
    std::thread::spawn(move || {
        let mut part = [0; 4096];
        // A terminal ends with an error.
        while let Ok(length @ 1..) = screen.read(&mut part) {
            into.lock().expect("no panic").push_str(&String::from_utf8_lossy(&part[..length]));
        }
    });
    let sees = |text: &str| {
        // ctr leaves the returns to the user's terminal too.
        let seen = || shown.lock().expect("no panic").replace('\r', "");
        until(&format!("{text:?} in {:?}", seen()), || seen().contains(text).then_some(()));
    };
    sees("yyy\n");
    (&user).write_all(b"ahoy\r").expect("typed");
    sees("ahoy\nahoy\n");
    size(132, 43);
    (&user).write_all(b"wider\r").expect("typed");
    sees("wider\nwider\n");
    (&user).write_all(b"\x03").expect("typed");
    let status = until("ctr's end", || ctr.try_wait().expect("waits"));
    assert_eq!(status.code(), Some(130), "{}", shown.lock().expect("no panic"));
}
