//! Unpacked layers.

use super::*;
use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

#[test]
fn a_tree_is_what_its_archive_says() {
    if !root() {
        return;
    }
    let place = StoreFolder::new();
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
    let place = StoreFolder::new();
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
    assert_eq!(trees.len(), 3, "above both are a and b as the lower has them");
    let trees = &trees[1..];
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
    let place = StoreFolder::new();
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

#[test]
#[expect(clippy::disallowed_methods, reason = "overlayfs itself is asked")]
fn a_layer_that_says_nothing_of_a_folder_keeps_it_as_it_is_below() {
    if !root() {
        return;
    }
    let place = StoreFolder::new();
    let mut low = Tar::new();
    let folder = |tar: &mut Tar, name: &str, mode: u32, id: u64| {
        tar.raw(EntryType::Directory, name, "", b"", |h| {
            h.set_mode(mode);
            h.set_uid(id);
            h.set_gid(id);
        });
    };
    for (name, mode, id) in
        [("tmp", 0o1777, 0), ("own", 0o700, 5), ("own/deep", 0o750, 7), ("gone", 0o700, 5), ("say", 0o700, 5)]
    {
        folder(&mut low, name, mode, id);
    }
    let middle =
        Tar::new().file("tmp/a", "").file("own/deep/b", "").file(".wh.gone", "").file("say/x", "").bytes();
    let mut high = Tar::new().file("own/deep/er/c", "").file("gone/d", "");
    folder(&mut high, "say", 0o711, 9);
    place.layout("oci", &[&low.bytes(), &middle, &high.bytes()]);
    let stored = place.bring("oci:oci").unwrap();
    let trees = place.store.trees(&stored.digest).unwrap();
    assert_eq!(trees.len(), 4, "{trees:?}");
    assert_eq!(place.store.trees(&stored.digest).unwrap(), trees);
    let lower: Vec<String> = trees.iter().map(|tree| tree.display().to_string()).collect();
    let script = "mkdir merged; mount -t overlay -o \"lowerdir=$0\" overlay merged; cd merged; stat -c '%n %a %u %g' tmp own own/deep own/deep/er gone say; ls own/deep";
    let mut shown = std::process::Command::new("unshare");
    let shown = shown
        .args(["-m", "sh", "-ec", script, &lower.join(":")])
        .current_dir(place.folder.path())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&shown.stdout),
        "tmp 1777 0 0\nown 700 5 5\nown/deep 750 7 7\nown/deep/er 755 0 0\ngone 755 0 0\nsay 711 9 9\nb\ner\n",
        "{}",
        String::from_utf8_lossy(&shown.stderr)
    );
    // It is removed with its topmost layer.
    place.store.gc_older(&BTreeSet::new(), std::time::Duration::ZERO).unwrap();
    let left = std::fs::read_dir(place.store.path("trees")).unwrap().count();
    assert_eq!(left, 0);
}
