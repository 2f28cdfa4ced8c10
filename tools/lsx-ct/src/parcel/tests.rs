//! Copied files are the same, and malicious paths are refused.

use super::*;
use std::os::unix::fs::symlink;

/// Unpacks as on the operator's machine; nothing must be left to do.
fn unpack(target: &Path, from: &[u8]) -> Result<Skipped, Failure> {
    let unpacked = super::unpack(target, from, Keep::Unnamed)?;
    assert!(unpacked.unfinished.is_none());
    Ok(unpacked.skipped)
}

fn parts(path: &Path) -> (Vec<Vec<u8>>, Skipped) {
    let mut parts = Vec::new();
    let mut send = |part| {
        parts.push(part);
        Ok(())
    };
    let skipped = pack(path, &mut send).unwrap();
    (parts, skipped)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
fn a_tree_comes_out_as_it_went_in() {
    let temp = tempfile::tempdir().unwrap();
    let (from, to) = (temp.path().join("from"), temp.path().join("to"));
    std::fs::create_dir_all(from.join("deep/er")).unwrap();
    let big: Vec<u8> = (0..PART * 2 + 7).map(|n| u8::try_from(n % 251).unwrap()).collect();
    std::fs::write(from.join("deep/big"), &big).unwrap();
    std::fs::write(from.join("empty"), b"").unwrap();
    std::fs::write(from.join("n".repeat(200)), b"long").unwrap();
    std::fs::set_permissions(from.join("empty"), PermissionsExt::from_mode(0o4755)).unwrap();
    symlink("/etc/passwd", from.join("link")).unwrap();
    nix::unistd::mkfifo(&from.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (all, skipped) = parts(&from);
    assert_eq!(skipped, 1);
    assert!(all.len() >= 3 && all.iter().all(|part| part.len() < PART * 2 + 65_536), "{}", all.len());
    assert_eq!(unpack(&to, all.concat().as_slice()).unwrap(), 0);
    assert_eq!(std::fs::read(to.join("deep/big")).unwrap(), big);
    assert_eq!(std::fs::read(to.join("n".repeat(200))).unwrap(), b"long");
    assert_eq!(std::fs::read_link(to.join("link")).unwrap(), Path::new("/etc/passwd"));
    assert!(to.join("deep/er").is_dir() && !to.join("pipe").exists());
    let mode = std::fs::metadata(to.join("empty")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755, "no right comes along");
    // Again over existing files.
    unpack(&to, all.concat().as_slice()).unwrap();
    assert_eq!(std::fs::read(to.join("deep/big")).unwrap(), big);
}

fn evil(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, text) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o6777);
        header.set_size(if *kind == EntryType::Regular { text.len() as u64 } else { 0 });
        let field = &mut header.as_gnu_mut().unwrap().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        if *kind != EntryType::Regular {
            header.as_gnu_mut().unwrap().linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_cksum();
        let bytes = if *kind == EntryType::Regular { text.as_bytes() } else { b"" };
        builder.append(&header, bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
fn nothing_leads_out() {
    use EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};
    let temp = tempfile::tempdir().unwrap();
    let (target, beside) = (temp.path().join("target"), temp.path().join("beside"));
    std::fs::create_dir(&beside).unwrap();
    std::fs::write(beside.join("kept"), "mine").unwrap();
    let out = beside.display().to_string();
    let dir = ("0/r", Directory, "");
    for entries in [
        vec![dir, ("0/r/../../beside/kept", Regular, "theirs")],
        vec![dir, ("/0/r/x", Regular, "theirs")],
        vec![dir, ("0/other/x", Regular, "theirs")],
        vec![dir, ("x/r/y", Regular, "theirs")],
        vec![dir, ("0/r/a", Symlink, out.as_str()), ("0/r/a/kept", Regular, "theirs")],
        vec![dir, ("0/r/b", Symlink, "../beside"), ("0/r/b/new", Directory, "")],
        vec![dir, ("0/r/c", Symlink, "../beside/kept"), ("4/r/c", Regular, "theirs")],
        vec![dir, ("0/r/d", Symlink, ".."), ("0/r/e", Symlink, "d/beside"), ("0/r/e/kept", Regular, "x")],
        vec![dir, ("0/r/f", Directory, ""), ("0/r/f", Regular, "theirs")],
    ] {
        let _ = std::fs::remove_dir_all(&target);
        assert!(unpack(&target, evil(&entries).as_slice()).is_err(), "{entries:?}");
        assert_eq!(std::fs::read_to_string(beside.join("kept")).unwrap(), "mine", "{entries:?}");
        assert_eq!(std::fs::read_dir(&beside).unwrap().count(), 1, "{entries:?}");
    }
    // A link in place of a file is replaced and not followed; devices, pipes and hard links are skipped.
    let _ = std::fs::remove_dir_all(&target);
    let kept = beside.join("kept").display().to_string();
    let entries = [
        dir,
        ("0/r/c", Symlink, kept.as_str()),
        ("0/r/c", Regular, "theirs"),
        ("0/r/char", Char, ""),
        ("0/r/block", Block, ""),
        ("0/r/fifo", Fifo, ""),
        ("0/r/hard", Link, kept.as_str()),
    ];
    assert_eq!(unpack(&target, evil(&entries).as_slice()).unwrap(), 4);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 1);
    assert!(unpack(&target, b"no tar at all".repeat(100).as_slice()).is_err());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
fn an_interrupted_copy_leaves_what_was_there() {
    let temp = tempfile::tempdir().unwrap();
    let names = || -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(temp.path().join("to"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let (from, to) = (temp.path().join("from"), temp.path().join("to/file"));
    std::fs::create_dir(temp.path().join("to")).unwrap();
    // Its size is that of two pieces, so that an empty third one ends it.
    let text: Vec<u8> = (0..PART * 2).map(|n| u8::try_from(n % 241).unwrap()).collect();
    std::fs::write(&from, &text).unwrap();
    let (all, _) = parts(&from);
    assert_eq!(all.len(), 3);
    std::fs::write(&to, "former").unwrap();
    let former = |left: &[&str]| {
        assert_eq!(std::fs::read(&to).unwrap(), b"former");
        assert_eq!(names(), [left, &["file"]].concat());
    };
    for keep in [Keep::Unnamed, Keep::Named] {
        for cut in [all[0].len() / 2, all[0].len() - 700, all[0].len() + 1000] {
            assert!(super::unpack(&to, &all.concat()[..cut], keep).is_err(), "{cut}");
            former(&[]);
        }
        // Cut between two pieces: the caller knows whether more was to come.
        let unpacked = super::unpack(&to, all[..2].concat().as_slice(), keep).unwrap();
        assert!(unpacked.unfinished.is_some());
        drop(unpacked);
        former(&[]);
    }
    // By one process for each part, as in an instance.
    let part = |n: usize| {
        let unpacked = super::unpack(&to, all[n].as_slice(), Keep::Named).unwrap();
        unpacked.unfinished.and_then(Unfinished::leave)
    };
    let left = part(0).unwrap();
    former(&[left.file_name().unwrap().to_str().unwrap()]);
    assert!(super::unpack(&to, all[2].as_slice(), Keep::Named).is_err(), "a part is missing");
    part(0);
    assert_eq!(part(1), Some(left.clone()), "what a killed copy left is replaced");
    assert_eq!(part(2), None);
    assert_eq!((std::fs::read(&to).unwrap() == text, names()), (true, vec!["file".to_owned()]));
    let left = part(0).unwrap();
    assert!(unfinished::abandon(&to).is_err());
    unfinished::abandon(&left).unwrap();
    assert_eq!(names(), ["file"]);
    // An older lsx-ct does not say that it is complete: the end of the whole copy does.
    let unpacked = super::unpack(&to, all[..2].concat().as_slice(), Keep::Unnamed).unwrap();
    unpacked.unfinished.unwrap().finish().unwrap();
    assert_eq!((std::fs::read(&to).unwrap() == text, names()), (true, vec!["file".to_owned()]));
}
