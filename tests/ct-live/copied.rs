//! Copies that are interrupted: a file has its former content until all of it is there.

use crate::cloud::Cloud;
use crate::exec::fan;
use lsx_tests::lab::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Stdio};

pub(crate) const CASES: &[crate::Case] =
    &[("an_interrupted_copy_leaves_what_was_there", an_interrupted_copy_leaves_what_was_there)];

/// Larger than what is copied before the end.
const HUGE: &str = "truncate -s 20G";

fn begin(cloud: &Cloud, from: &str, to: &str) -> Child {
    let file = fan(cloud);
    let mut command = cloud.command(&["cp", "--stack", &file, from, to]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Sends a signal when something has been written, and waits for the end.
fn interrupt(mut child: Child, signal: Signal, begun: impl Fn(&Child) -> bool) {
    let begun = until(60, || child.try_wait().unwrap().is_some() || begun(&child));
    assert!(begun && child.try_wait().unwrap().is_none(), "it has not begun, or has ended");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    child.wait().unwrap();
}

fn an_interrupted_copy_leaves_what_was_there(cloud: &Cloud) {
    let folder = cloud.lab.folder.path().join("copied");
    std::fs::create_dir(&folder).unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    std::fs::write(folder.join("here"), "former\n").unwrap();
    let file = fan(cloud);
    let inside = |script: &str| cloud.inside("h2", "fan/db", script);
    inside(&format!("mkdir /srv/cp; cd /srv/cp; {HUGE} huge; echo former >there")).ok();
    let size = std::process::Command::new("sh").arg("-c").arg(format!("{HUGE} {}", path("huge"))).status();
    assert!(size.unwrap().success());
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        // Out of the instance: the file has no name yet, or another one.
        let written = |child: &Child| {
            let open = std::fs::read_dir(format!("/proc/{}/fd", child.id())).into_iter().flatten().flatten();
            let own = |path: &std::path::Path| {
                std::fs::read_link(path).is_ok_and(|to| to.starts_with(&folder))
                    && std::fs::metadata(path).is_ok_and(|found| found.len() > 0)
            };
            open.into_iter().any(|entry| own(&entry.path()))
        };
        interrupt(begin(cloud, "db:/srv/cp/huge", &path("here")), signal, written);
        assert_eq!(std::fs::read_to_string(folder.join("here")).unwrap(), "former\n", "{signal}");
        let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["here", "huge"], "{signal}");
        // Into it.
        let written = |_: &Child| inside("test -s /srv/cp/.lsx-cp-*").code == 0;
        interrupt(begin(cloud, &path("huge"), "db:/srv/cp/there"), signal, written);
        assert_eq!(inside("cat /srv/cp/there").ok().stdout, "former\n", "{signal}");
        if signal == Signal::SIGINT {
            assert_eq!(inside("ls -A /srv/cp").ok().stdout, "huge\nthere\n");
        }
    }
    // The next copy replaces what the killed one left.
    cloud.ct(&["cp", "--stack", &file, &path("here"), "db:/srv/cp/there"]).ok();
    assert!(until(30, || inside("ls -A /srv/cp").ok().stdout == "huge\nthere\n"));
    inside("rm -r /srv/cp").ok();
}
