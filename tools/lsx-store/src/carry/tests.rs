//! Copies of trees on this machine, compared with what rsync(1) would still do.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test makes its files the short way")]

use super::pass::{Ends, Passed, pass};
use super::{Entry, Got, Listing, Raw, Taken, Want, source, target};
use common::Failures;
use rustix::fs::{Mode, open};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;

struct Local<'h> {
    from: OwnedFd,
    to: OwnedFd,
    /// As in [`source::list`].
    since: Option<i64>,
    /// Called before each listing and each reading.
    hook: &'h mut dyn FnMut(&str),
}

impl Ends for Local<'_> {
    fn list(&mut self, path: &Raw, after: &Raw) -> Result<Option<Listing>, Failures> {
        (self.hook)("list");
        Ok(source::list(&self.from, path, after, self.since)?)
    }
    fn read(&mut self, wants: &[Want], room: usize) -> Result<Vec<Got>, Failures> {
        (self.hook)("read");
        Ok(wants.iter().take(1).map(|want| source::read(&self.from, want, room)).collect::<Result<_, _>>()?)
    }
    fn take(&mut self, listing: &Listing) -> Result<Taken, Failures> {
        Ok(target::take(&self.to, listing)?)
    }
    fn sums(&mut self, path: &Raw, offset: u64) -> Result<Vec<String>, Failures> {
        Ok(target::sums(&self.to, path, offset)?)
    }
    fn write(&mut self, files: Vec<(Raw, Entry, u64, Got)>) -> Result<(), Failures> {
        for (path, entry, offset, got) in files {
            target::write(&self.to, &path, &entry, offset, &got)?;
        }
        Ok(())
    }
}

fn copy(from: &Path, to: &Path, hook: &mut dyn FnMut(&str)) -> Result<Passed, Failures> {
    let folder = |path: &Path| open(path, common::host::volume::FOLDER, Mode::empty()).unwrap();
    pass(&mut Local { from: folder(from), to: folder(to), since: None, hook })
}

/// Passes until nothing differs, as with a volume that nobody uses.
fn settle(from: &Path, to: &Path) -> usize {
    for n in 1..50 {
        if copy(from, to, &mut |_| {}).unwrap().changed == 0 {
            return n;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    panic!("it never ends");
}

fn sh(script: &str, at: &Path) -> String {
    let out = Command::new("bash").args(["-ec", script]).current_dir(at).output().unwrap();
    assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// What rsync would change, by names, content, owners, modes, times, links and attributes.
fn differs(from: &Path, to: &Path) -> String {
    target::clean(&open(to, common::host::volume::FOLDER, Mode::empty()).unwrap()).unwrap();
    let script = format!(
        "rsync -naAXHic --delete --numeric-ids --devices --specials {}/ {}/",
        from.display(),
        to.display()
    );
    let all = sh(&script, from);
    // The folder itself is set when the copy becomes the volume.
    all.lines().filter(|line| !line.ends_with(" ./")).take(20).collect::<Vec<_>>().join("\n")
}

const TREE: &str = "umask 022; mkdir -p a/b/c 'blank in it' empty; echo one >a/one; echo two >a/b/two; ln a/one a/b/again; ln -s /etc/passwd out; ln -s ../../.. up
    ln -s nowhere $'odd\\nname'; mkfifo pipe; head -c 3500000 /dev/urandom >big; truncate -s 300M sparse; printf end | dd of=sparse bs=1 seek=200M conv=notrunc 2>/dev/null
    printf x >$'bad\\xff\\xfename'; printf y >$'new\\nline'; chown 1000:2000 a/one; chmod 4751 a/b/two; setfattr -n user.note -v hello a/b/two; chmod 1777 empty
    touch -d @1234567890.123456789 a/b/c; chown -h 7:8 out; mknod null c 1 3; mknod disk b 7 99; chmod 622 null; mknod gone c 0 0
    setfattr -n system.posix_acl_access -v 0x0200000001000600ffffffff020006004d00000004000400ffffffff10000600ffffffff20000400ffffffff a/one
    setfattr -n system.posix_acl_default -v 0x0200000001000700ffffffff04000500ffffffff080005004e00000010000500ffffffff20000500ffffffff a/b; setfattr -n trusted.other -v x a; python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('sock')\"
    for f in out pipe null sock; do ln -P $f a/b/$f; ln -P $f a/$f.too; done
    mkdir many; for i in {1..4300}; do echo $i >many/$i; done";

#[test]
fn a_copy_is_what_rsync_would_make() {
    let (from, to) = (tempfile::tempdir_in("/var/tmp").unwrap(), tempfile::tempdir_in("/var/tmp").unwrap());
    let (from, to) = (from.path(), to.path());
    sh(TREE, from);
    settle(from, to);
    assert_eq!(differs(from, to), "");
    assert!(sh("du -k sparse | cut -f1", to).trim().parse::<u64>().unwrap() < 3000);
    // Everything changes its kind, and what is left changes a little.
    sh("rm a/one out pipe null; mknod null c 1 5; mkdir out pipe; echo x >pipe/x; rm -r a/b/c; ln -s a a/b/c; rm -r many; echo m >many; printf Z | dd of=big bs=1 seek=2000000 conv=notrunc 2>/dev/null
        truncate -s 100M sparse; ln big big2; mv a/b/two two; setfattr -x user.note two; chmod 600 two; touch -r two new", from);
    let passed = copy(from, to, &mut |_| {}).unwrap();
    assert!(passed.sent < 2_500_000, "{passed:?}");
    settle(from, to);
    assert_eq!(differs(from, to), "");
}

/// A page that was changed already may be changed again without another time of its file.
#[test]
fn what_was_changed_in_use_is_compared_once_more() {
    let (from, to) = (tempfile::tempdir_in("/var/tmp").unwrap(), tempfile::tempdir_in("/var/tmp").unwrap());
    let (from, to) = (from.path(), to.path());
    let folder = |path: &Path| open(path, common::host::volume::FOLDER, Mode::empty()).unwrap();
    sh("echo before >old; touch -d 2020-01-01 old", from);
    std::thread::sleep(std::time::Duration::from_secs(3));
    let since = source::begin(&folder(from)).unwrap();
    sh("head -c 3000000 /dev/urandom >changed", from);
    settle(from, to);
    // As if it had been written without a new time.
    let write =
        "t=$(stat -c %y changed); printf XYZ | dd of=changed bs=1 seek=2500000 conv=notrunc 2>/dev/null";
    sh(&format!("{write}; touch -d \"$t\" changed"), to);
    let last =
        |since| pass(&mut Local { from: folder(from), to: folder(to), since, hook: &mut |_| {} }).unwrap();
    assert_eq!(last(None).changed, 0);
    let passed = last(Some(since));
    assert_eq!((passed.changed, passed.sent), (1, 3_000_000 - (2 << 20)));
    assert_eq!(last(Some(since)).changed, 0);
    assert_eq!(sh("cat old changed | sha256sum", from), sh("cat old changed | sha256sum", to));
}

/// Times of files say nothing if the clock was set in between, or on a disk in memory.
#[test]
fn a_clock_that_was_set_is_noticed() {
    let from = tempfile::tempdir_in("/var/tmp").unwrap();
    let folder = open(from.path(), common::host::volume::FOLDER, Mode::empty()).unwrap();
    let now = source::clock().unwrap();
    assert!(source::steady(&now, &source::clock().unwrap()), "{now}");
    assert!(source::steady("b 1000", "b 1900") && source::steady("b 1000", "b 100"));
    for (before, now) in [("b 1000", "b 2001"), ("b 1000", "b -1"), ("a 1000", "b 1000"), ("", "b 1")] {
        assert!(!source::steady(before, now), "{before} {now}");
    }
    let since = |before: Option<&str>| source::compared(&folder, Some(7), before).unwrap();
    assert_eq!((since(None), since(Some("b 1"))), (i64::MIN, i64::MIN));
    let disk = sh("stat -f -c %T .", from.path());
    assert_eq!(since(Some(&now)), if disk.trim() == "tmpfs" { i64::MIN } else { 7 });
}

#[test]
fn folders_are_as_deep_as_instances_make_them() {
    let (from, to) = (tempfile::tempdir_in("/var/tmp").unwrap(), tempfile::tempdir_in("/var/tmp").unwrap());
    let (from, to) = (from.path(), to.path());
    let make = "import os\nfor i in range(60): os.mkdir('d' * 200); os.chdir('d' * 200)\nopen('deep', 'w').write('deep')";
    sh(&format!("python3 -c \"{make}\""), from);
    settle(from, to);
    let deep = |at: &Path| sh("find -name deep", at);
    assert!(deep(from).len() > 12_000);
    assert_eq!(deep(from), deep(to));
}

#[test]
fn a_tree_that_changes_while_it_is_read_leads_nowhere() {
    let (from, to) = (tempfile::tempdir_in("/var/tmp").unwrap(), tempfile::tempdir_in("/var/tmp").unwrap());
    let other = tempfile::tempdir_in("/var/tmp").unwrap();
    let (from, to) = (from.path(), to.path());
    sh("echo precious >secret", other.path());
    sh("mkdir a b; echo a >a/secret; echo b >b/f; head -c 3000000 /dev/zero >grows", from);
    let mut turn = 0;
    let swap = format!(
        "rm -rf a b; ln -s {0} a; mkdir b; ln -s {0}/secret b/f; echo more >>grows",
        other.path().display()
    );
    let back = "rm -rf a b; mkdir a b; echo a >a/secret; echo b >b/f; echo more >>grows";
    for _ in 0..8 {
        let mut hook = |_: &str| {
            turn += 1;
            _ = sh(if turn % 2 == 0 { &swap } else { back }, from);
        };
        let _ = copy(from, to, &mut hook);
        assert_eq!(sh("grep -rl precious . || true", to), "");
    }
    sh(back, from);
    settle(from, to);
    assert_eq!(differs(from, to), "");
}

#[test]
fn names_that_a_host_makes_up_lead_nowhere() {
    let to = tempfile::tempdir_in("/var/tmp").unwrap();
    let folder = open(to.path(), common::host::volume::FOLDER, Mode::empty()).unwrap();
    for name in [&b".."[..], b".", b"", b"a/b", b"/etc", b"x\0y", &[b'n'; 256]] {
        let entry = Entry { name: Raw(name.to_vec()), mode: 0o100_644, ..Entry::default() };
        let listing = Listing { entries: vec![entry.clone()], ..Listing::default() };
        assert!(target::take(&folder, &listing).is_err(), "{name:?}");
        assert!(
            target::take(&folder, &Listing { path: Raw(name.to_vec()), ..Listing::default() }).is_err()
                || name.is_empty()
        );
        assert!(target::write(&folder, &Raw(name.to_vec()), &entry, 0, &Got::default()).is_err());
        let other = Entry { name: Raw(b"n".to_vec()), same: Some(Raw(name.to_vec())), ..entry };
        assert!(target::take(&folder, &Listing { entries: vec![other], ..Listing::default() }).is_err());
    }
    for mode in [0o000_644, 0o170_644] {
        let entry = Entry { name: Raw(b"n".to_vec()), mode, ..Entry::default() };
        assert!(
            target::take(&folder, &Listing { entries: vec![entry], ..Listing::default() }).is_err(),
            "{mode:o}"
        );
    }
    let mark = Entry {
        name: Raw(b"n".to_vec()),
        mode: 0o040_755,
        attributes: vec![(Raw(b"trusted.lsx.volume".to_vec()), Raw(b"other/db".to_vec()))],
        ..Entry::default()
    };
    assert!(target::take(&folder, &Listing { entries: vec![mark], ..Listing::default() }).is_err());
}
