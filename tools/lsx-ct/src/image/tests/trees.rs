//! Unpacked layers.

use super::*;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

#[test]
fn a_tree_is_what_its_archive_says() {
    if !root() {
        return;
    }
    let place = Place::new();
    let capability = b"\x01\0\0\x02\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"; // 0x0a is a newline
    let mut tar = system();
    tar.raw(EntryType::Regular, "bin2", "", b"su", |h| {
        h.set_mode(0o4755);
        h.set_uid(1000);
        h.set_gid(70_000);
    });
    tar.0.append_pax_extensions([("SCHILY.xattr.security.capability", &capability[..])]).unwrap();
    tar.raw(EntryType::Regular, "ping", "", b"ping", |h| h.set_mode(0o755));
    let tar = tar.link("second", "./bin2").entry(EntryType::Char, "dev/null", "", b"");
    place.write("rootfs.tar", &tar.bytes());
    let stored = place.bring("tar:rootfs.tar").unwrap();
    let trees = place.store.trees(&stored.digest).unwrap();
    let tree = &trees[0];
    let meta = |name: &str| tree.join(name).symlink_metadata().unwrap();
    assert_eq!(
        (meta("bin2").mode() & 0o7777, meta("bin2").uid(), meta("bin2").gid()),
        (0o4755, 1000, 70_000)
    );
    assert_eq!((meta("bin2").ino(), meta("bin2").nlink()), (meta("second").ino(), 2));
    assert_eq!([meta("etc").mtime(), meta("etc/hostname").mtime(), meta("bin").mtime()], [1_700_000_000; 3]);
    assert_eq!(std::fs::read_link(tree.join("bin")).unwrap(), PathBuf::from("usr/bin"));
    let mut value = [0; 64];
    let length = rustix::fs::getxattr(tree.join("ping"), "security.capability", &mut value).unwrap();
    assert_eq!(&value[..length], capability);
    assert!(!tree.join("dev/null").exists());
    assert_eq!(place.store.trees(&stored.digest).unwrap(), trees);
    place.tidy();
}

#[test]
fn whiteouts_are_overlayfs_own() {
    if !root() {
        return;
    }
    let place = Place::new();
    let low =
        Tar::new().folder("a/").file("a/gone", "").folder("b/").file("b/gone", "").file("c", "").bytes();
    let high = Tar::new()
        .file("a/.wh.gone", "")
        .file("b/.wh..wh..opq", "")
        .file("b/new", "")
        .file(".wh.c", "")
        .folder("c/")
        .file(".wh..wh.plnk", "");
    place.layout("oci", &[&low, &high.bytes()]);
    let stored = place.bring("oci:oci").unwrap();
    let trees = place.store.trees(&stored.digest).unwrap();
    assert_eq!(trees.len(), 2);
    assert!(trees[1].join("a/gone").is_file(), "the topmost comes first");
    let gone = trees[0].join("a/gone").symlink_metadata().unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    let opaque = |name: &str| {
        let mut value = [0; 8];
        rustix::fs::getxattr(trees[0].join(name), "trusted.overlay.opaque", &mut value)
            .map(|n| value[..n] == *b"y")
    };
    assert_eq!([opaque("b"), opaque("c")], [Ok(true), Ok(true)]);
    assert!(opaque("a").is_err());
    assert!(trees[0].join("b/new").is_file());
    assert!(!trees[0].join(".wh..wh.plnk").exists());
}

#[test]
fn many_may_want_the_same_tree_at_once() {
    if !root() {
        return;
    }
    let place = Place::new();
    let files = (0..300).fold(Tar::new(), |tar, i| tar.file(&format!("f{i}"), "x"));
    place.write("rootfs.tar", &files.bytes());
    let digest = place.bring("tar:rootfs.tar").unwrap().digest;
    let ask = || place.store.trees(&digest).unwrap();
    let all: Vec<Vec<PathBuf>> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(all.iter().all(|trees| *trees == all[0]));
    assert_eq!(std::fs::read_dir(&all[0][0]).unwrap().count(), 300);
    place.tidy();
}
