//! The smallest image there is: a static busybox and a name for each of its programs, as a tar of the root.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on says why and ends"
)]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// Users beside root.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/:/bin/sh\n";
const GROUP: &str = "root:x:0:\napp:x:1000:\nextra:x:2000:app\n";

/// Writes `NAME.tar` into a folder; `mark` makes it another image than the others.
///
/// # Panics
/// When it cannot.
pub fn busybox(folder: &Path, name: &str, mark: &str) {
    let root = folder.join(format!("{name}.root"));
    for path in ["bin", "sbin", "etc/init.d", "proc", "sys", "dev", "run", "tmp", "root", "srv"] {
        std::fs::create_dir_all(root.join(path)).unwrap();
    }
    std::fs::copy("/usr/bin/busybox", root.join("bin/busybox")).unwrap();
    let list = Command::new("/usr/bin/busybox").arg("--list").output().unwrap();
    for program in String::from_utf8(list.stdout).unwrap().lines().filter(|p| *p != "busybox") {
        symlink("/bin/busybox", root.join("bin").join(program)).unwrap();
    }
    symlink("/bin/busybox", root.join("sbin/init")).unwrap();
    let files = [
        ("etc/passwd", PASSWD),
        ("etc/group", GROUP),
        ("etc/mark", mark),
        (
            "etc/inittab",
            "::sysinit:/bin/touch /tmp/booted\n::respawn:/bin/sleep 1000\n::shutdown:/bin/touch /srv/halted\n",
        ),
    ];
    for (path, text) in files {
        std::fs::write(root.join(path), text).unwrap();
    }
    pack(folder, name, &root);
}

/// The same with so many MiB that cannot be compressed.
///
/// # Panics
/// When it cannot.
pub fn large(folder: &Path, name: &str, mib: usize) {
    busybox(folder, name, name);
    let root = folder.join(format!("{name}.root"));
    let random = format!("head -c {mib}M /dev/urandom >{}", root.join("etc/large").display());
    assert!(Command::new("sh").arg("-c").arg(random).status().unwrap().success());
    pack(folder, name, &root);
    std::fs::remove_dir_all(root).unwrap();
}

fn pack(folder: &Path, name: &str, root: &Path) {
    let mut tar = Command::new("tar");
    tar.args(["--owner=0", "--group=0", "--sort=name", "--mtime=@0", "-C"]).arg(root);
    tar.arg("-cf").arg(folder.join(format!("{name}.tar"))).arg(".");
    assert!(tar.status().unwrap().success());
}
