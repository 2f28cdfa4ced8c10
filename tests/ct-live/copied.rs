//! Copies that are interrupted: a file has its former content until all of it is there.

use crate::cloud::Cloud;
use crate::exec::fan;
use lsx_tests::image;
use lsx_tests::lab::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::{Child, Stdio};

pub(crate) const CASES: &[crate::Case] = &[
    ("an_interrupted_copy_leaves_what_was_there", an_interrupted_copy_leaves_what_was_there),
    (
        "a_host_that_dies_during_a_copy_leaves_what_was_there",
        a_host_that_dies_during_a_copy_leaves_what_was_there,
    ),
    ("a_host_that_dies_during_a_transfer_leaves_nothing", a_host_that_dies_during_a_transfer_leaves_nothing),
];

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

/// Whether a process has written to a file of this folder, which may have no name.
fn writes(process: u32, folder: &Path) -> bool {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let own = |path: &Path| {
        std::fs::read_link(path).is_ok_and(|to| to.starts_with(folder))
            && std::fs::metadata(path).is_ok_and(|found| found.len() > 0)
    };
    open.into_iter().any(|entry| own(&entry.path()))
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
        let written = |child: &Child| writes(child.id(), &folder);
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

/// Starts lsx-ct, lets h2 lose its power when something has been written, and returns what was said.
fn dies(cloud: &Cloud, args: &[&str], begun: impl Fn(u32) -> bool) -> String {
    let mut command = cloud.command(args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let begun = until(60, || child.try_wait().unwrap().is_some() || begun(child.id()));
    assert!(begun && child.try_wait().unwrap().is_none(), "it has not begun, or has ended");
    cloud.lab.verb(&["kill", "h2"]);
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts h2 again, and repairs it.
fn comes_back(cloud: &Cloud, file: &str) {
    cloud.lab.verb(&["boot", "h2", "--wait"]);
    // The host restores itself meanwhile.
    assert!(until(60, || cloud.lab.net(&["up", "--quiet", file]).code == 0));
    cloud.ct(&["up", "--quiet", file]).ok();
}

fn a_host_that_dies_during_a_copy_leaves_what_was_there(cloud: &Cloud) {
    let folder = cloud.lab.folder.path().join("died");
    std::fs::create_dir(&folder).unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    std::fs::write(folder.join("here"), "former\n").unwrap();
    let file = fan(cloud);
    let inside = |script: &str| cloud.inside("h2", "fan/db", script);
    inside(&format!("mkdir /srv/cp; cd /srv/cp; {HUGE} huge; echo former >there; sync")).ok();
    let size = std::process::Command::new("sh").arg("-c").arg(format!("{HUGE} {}", path("huge"))).status();
    assert!(size.unwrap().success());
    let cp = |from: &str, to: &str, begun: &dyn Fn(u32) -> bool| {
        let said = dies(cloud, &["cp", "--deadline", "10s", "--stack", &file, from, to], begun);
        assert!(said.contains("h2: ") && said.contains("all others are as before"), "{said}");
        comes_back(cloud, &file);
    };
    cp("db:/srv/cp/huge", &path("here"), &|child| writes(child, &folder));
    assert_eq!(std::fs::read_to_string(folder.join("here")).unwrap(), "former\n");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "no other name");
    cp(&path("huge"), "db:/srv/cp/there", &|_| inside("test -s /srv/cp/.lsx-cp-*").code == 0);
    assert_eq!(inside("cat /srv/cp/there").ok().stdout, "former\n");
    cloud.ct(&["cp", "--stack", &file, &path("here"), "db:/srv/cp/there"]).ok();
    assert!(until(30, || inside("ls -A /srv/cp").ok().stdout == "huge\nthere\n"));
    inside("rm -r /srv/cp").ok();
}

fn a_host_that_dies_during_a_transfer_leaves_nothing(cloud: &Cloud) {
    fan(cloud);
    image::large(cloud.lab.folder.path(), "large", 400);
    let rest = "instances:\n  big: { image: large, host: h2, networks: [lan], command: [sleep, \"1000\"] }";
    let file = cloud.document("dies", rest);
    let text = std::fs::read_to_string(&file).unwrap();
    let images = "images:\n  large: { oci: \"tar:large.tar\" }\n";
    std::fs::write(&file, text.replace("images:\n", images)).unwrap();
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    let part = "find /var/lib/lsx/images/parts -type f -size +1M | grep -q .";
    let begun = |_| cloud.lab.script("h2", part).code == 0;
    let said = dies(cloud, &["up", "--deadline", "20s", &file], begun);
    assert!(said.contains("h2: ") && said.contains("the next run"), "{said}");
    comes_back(cloud, &file);
    assert_eq!(cloud.said("h2", "dies/big")["state"], "running");
    assert_ne!(cloud.lab.script("h2", part).code, 0, "nothing half made is left");
    cloud.ct(&["down", &file]).ok();
    cloud.lab.net(&["down", "--quiet", &file]).ok();
}
