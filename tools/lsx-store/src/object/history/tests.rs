//! Versions against a model of them, and what a writer leaves that is killed.

use super::super::version::LONG;
use super::super::{Line, Range};
use super::*;
use lsx_tests::Dice;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// The versions of each key, the newest first; without bytes what says that it was deleted.
type Model = BTreeMap<String, Vec<(String, Option<Vec<u8>>)>>;

fn open(at: &Path) -> Bucket {
    Bucket::open(File::open(at).unwrap().into()).unwrap()
}

fn written(bucket: &Bucket, bytes: &[u8]) -> Written {
    let mut draft = bucket.draft().unwrap();
    draft.write(bytes).unwrap();
    draft.done()
}

/// Returns the version.
fn put(bucket: &Bucket, key: &str, bytes: &[u8]) -> String {
    let new = written(bucket, bytes);
    let mut about = About { crc: Some(new.crc), ..About::default() };
    bucket.put(&new, key, &mut about, &Condition::None).unwrap();
    named(&about).to_owned()
}

fn bytes(found: Found) -> Vec<u8> {
    let Found { mut file, .. } = found;
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut all).unwrap();
    all
}

/// All versions, by pages of so many lines.
fn listed(bucket: &Bucket, most: usize) -> Vec<(String, String, bool, bool)> {
    let (mut all, mut range, mut version) = (Vec::new(), Range { most, ..Range::default() }, None);
    loop {
        let page = bucket.list_versions(&range, version.as_deref()).unwrap();
        assert!(page.lines.len() <= most && (!page.more || !page.lines.is_empty()));
        for line in page.lines {
            let Line::Version { key, about, latest } = line else { panic!("{line:?}") };
            (range.after, version) = (key.clone(), Some(named(&about).to_owned()));
            all.push((key, named(&about).to_owned(), about.marker, latest));
        }
        if !page.more {
            return all;
        }
    }
}

fn same(bucket: &Bucket, model: &Model, most: usize) {
    let lines = model.iter().flat_map(|(key, all)| {
        let line = |(at, (id, bytes)): (usize, &(String, Option<Vec<u8>>))| {
            (key.clone(), id.clone(), bytes.is_none(), at == 0)
        };
        all.iter().enumerate().map(line).collect::<Vec<_>>()
    });
    assert_eq!(listed(bucket, most), lines.collect::<Vec<_>>());
    for (key, all) in model {
        let newest = bucket.wanted(key, None).ok().map(bytes);
        assert_eq!(newest, all.first().and_then(|(_, bytes)| bytes.clone()), "{key}");
        for (id, wanted) in all {
            match (bucket.wanted(key, Some(id)), wanted) {
                (Ok(found), Some(wanted)) => assert_eq!(bytes(found), *wanted, "{key} {id}"),
                (Err(Refused::Marker(told)), None) => assert_eq!(told, *id),
                (other, _) => panic!("{key} {id}: {:?}", other.err()),
            }
        }
    }
}

#[test]
fn versions_are_those_of_a_model() {
    let at = tempfile::tempdir().unwrap();
    let bucket = open(at.path());
    let mut dice = Dice(31);
    let keys = ["a", "a/b", "a/", "b", &"x".repeat(300), "%v", "a/%v/null"];
    let (mut model, mut state) = (Model::new(), Versions::Off);
    for n in 0..600 {
        let key = keys[dice.below(keys.len())].to_owned();
        let all = model.entry(key.clone()).or_default();
        match dice.below(12) {
            0 if n > 20 => {
                state = if dice.below(2) == 0 { Versions::Enabled } else { Versions::Suspended };
                bucket.set_versions(state == Versions::Enabled).unwrap();
            }
            1..=3 => {
                let deleted = bucket.delete(&key, &Condition::None).unwrap();
                match (state, deleted.version) {
                    (Versions::Off, None) => all.clear(),
                    (_, Some(id)) => {
                        assert_eq!(id == NULL, state == Versions::Suspended);
                        all.retain(|(other, _)| *other != id);
                        all.insert(0, (id, None));
                    }
                    other => panic!("{other:?}"),
                }
            }
            4..=6 if !all.is_empty() => {
                let (id, bytes) = all.remove(dice.below(all.len()));
                let deleted = bucket.delete_version(&key, &id, &Condition::None).unwrap();
                assert_eq!(deleted, Deleted { marker: bytes.is_none(), version: Some(id) });
            }
            _ => {
                let text = format!("{n}").into_bytes();
                let id = put(&bucket, &key, &text);
                assert_eq!(id == NULL, state != Versions::Enabled);
                all.retain(|(other, _)| *other != id);
                all.insert(0, (id, Some(text)));
            }
        }
        if n % 10 == 0 {
            same(&bucket, &model, 1 + dice.below(8));
        }
    }
    // Without any version nothing is left.
    for (key, all) in &model {
        for (id, _) in all {
            bucket.delete_version(key, id, &Condition::None).unwrap();
        }
    }
    let names = |at: &Path| -> Vec<_> {
        std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(names(at.path()), [".lsx-s3"]);
    assert!(names(&at.path().join(".lsx-s3/versions")).is_empty());
    assert!(names(&at.path().join(".lsx-s3/new")).is_empty());
}

#[test]
fn a_writer_that_is_killed_changes_no_version() {
    let at = tempfile::tempdir().unwrap();
    let bucket = open(at.path());
    bucket.set_versions(true).unwrap();
    let first = put(&bucket, "k", b"1");
    let kept = listed(&bucket, 10);
    // Before the new object and the one before have changed their places.
    let mut about = About::default();
    Versions::Enabled.stamp(&mut about, bucket.newest("k").unwrap()).unwrap();
    let lost = written(&bucket, b"2");
    lost.settle(&mut about).unwrap();
    let (past, name) = place::room(&bucket.past, &bucket.drafts, &names("k", &first)).unwrap();
    lost.name(&bucket.drafts, &past, &name).unwrap();
    assert_eq!(listed(&bucket, 10), kept);
    assert!(matches!(bucket.wanted("k", Some(named(&about))), Err(Refused::NoVersion)));
    let second = put(&bucket, "k", b"3");
    assert_eq!(bytes(bucket.wanted("k", Some(&first)).unwrap()), b"1");
    assert_eq!(bytes(bucket.wanted("k", None).unwrap()), b"3");
    let kept = listed(&bucket, 10);
    // Before a deleted object has left its place.
    let mut about = About { marker: true, ..About::default() };
    Versions::Enabled.stamp(&mut about, bucket.newest("k").unwrap()).unwrap();
    let marker = written(&bucket, b"");
    marker.settle(&mut about).unwrap();
    let (past, name) = place::room(&bucket.past, &bucket.drafts, &names("k", named(&about))).unwrap();
    marker.name(&bucket.drafts, &past, &name).unwrap();
    assert_eq!(listed(&bucket, 10), kept);
    assert_eq!(bytes(bucket.wanted("k", None).unwrap()), b"3");
    // The one before comes back, not what says that it was deleted.
    bucket.delete_version("k", &second, &Condition::None).unwrap();
    assert_eq!(bytes(bucket.wanted("k", None).unwrap()), b"1");
    // After it has left, before anything says so.
    let (folder, name) = place::room(&bucket.folder, &bucket.drafts, &key::names("k")).unwrap();
    rustix::fs::renameat(&folder, &name, &past, &first).unwrap();
    assert!(matches!(bucket.wanted("k", None), Err(Refused::Deleted(_) | Refused::Missing)));
    assert_eq!(bytes(bucket.wanted("k", Some(&first)).unwrap()), b"1");
    let third = put(&bucket, "k", b"4");
    assert_eq!(listed(&bucket, 10).first().unwrap().1, third);
}

#[test]
fn the_clock_may_be_set_back_and_files_be_changed_by_others() {
    let at = tempfile::tempdir().unwrap();
    let bucket = open(at.path());
    bucket.set_versions(true).unwrap();
    let mut last = String::new();
    for n in 0..3 {
        // As if it had been written a century from now.
        let mut about = About::default();
        Versions::Enabled.stamp(&mut about, 5_000_000_000_000_000_000 + n).unwrap();
        let next = written(&bucket, b"x");
        next.settle(&mut about).unwrap();
        let id = put(&bucket, "k", b"y");
        assert!(id > last, "{id} {last}");
        last = id;
    }
    // The file is a plain one, which somebody else may write: then its version is none of ours.
    let id = last;
    let mut file = File::options().append(true).open(at.path().join("k")).unwrap();
    std::io::Write::write_all(&mut file, b"more").unwrap();
    assert!(matches!(bucket.wanted("k", Some(&id)), Err(Refused::NoVersion)));
    assert_eq!(bytes(bucket.wanted("k", Some(NULL)).unwrap()), b"ymore");
    put(&bucket, "k", b"z");
    assert_eq!(bytes(bucket.wanted("k", Some(NULL)).unwrap()), b"ymore");
    // Another one takes the place of no version that is kept.
    let mut file = File::options().append(true).open(at.path().join("k")).unwrap();
    std::io::Write::write_all(&mut file, b"again").unwrap();
    put(&bucket, "k", b"last");
    assert_eq!(bytes(bucket.wanted("k", Some(NULL)).unwrap()), b"ymore");
    let second = listed(&bucket, 10)[1].1.clone();
    assert_eq!(bytes(bucket.wanted("k", Some(&second)).unwrap()), b"zagain");
    for wrong in ["", "..", "../../x", "NULL", &"g".repeat(LONG), &"a".repeat(LONG + 1), &"A".repeat(LONG)] {
        assert!(matches!(bucket.wanted("k", Some(wrong)), Err(Refused::NoVersion)), "{wrong}");
        assert!(bucket.delete_version("k", wrong, &Condition::None).is_err(), "{wrong}");
    }
}

/// As clients empty a bucket: a page is listed, its versions are deleted, then comes the next page.
#[test]
fn a_bucket_is_emptied_page_by_page() {
    let at = tempfile::tempdir().unwrap();
    let bucket = open(at.path());
    for (key, most) in [("k", 1), ("k", 2), ("a/b", 3), ("k", 5)] {
        put(&bucket, key, b"null");
        bucket.set_versions(true).unwrap();
        (0..7).for_each(|_| _ = put(&bucket, key, b"x"));
        bucket.delete(key, &Condition::None).unwrap();
        (0..2).for_each(|_| _ = put(&bucket, key, b"y"));
        let (mut range, mut version) = (Range { most, ..Range::default() }, None);
        loop {
            let page = bucket.list_versions(&range, version.as_deref()).unwrap();
            for line in &page.lines {
                let Line::Version { key, about, .. } = line else { panic!("{line:?}") };
                bucket.delete_version(key, named(about), &Condition::None).unwrap();
                (range.after, version) = (key.clone(), Some(named(about).to_owned()));
            }
            if !page.more {
                break;
            }
        }
        assert_eq!(listed(&bucket, 10), [], "{key} {most}");
        assert!(bucket.find(key).unwrap().is_none(), "{key} {most}");
    }
}

/// Whoever has the volume may have put a link in the place of versions.
#[test]
fn no_link_is_followed_to_versions() {
    let (at, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bucket = open(at.path());
    bucket.set_versions(true).unwrap();
    let first = put(&bucket, "k", b"1");
    put(&bucket, "k", b"2");
    let place = at.path().join(".lsx-s3/versions/k/%v");
    std::fs::rename(&place, other.path().join("v")).unwrap();
    std::os::unix::fs::symlink(other.path().join("v"), &place).unwrap();
    assert!(matches!(bucket.wanted("k", Some(&first)), Err(Refused::NoVersion)));
    assert_eq!(listed(&bucket, 10).len(), 1);
    bucket.delete_version("k", &first, &Condition::None).unwrap();
    assert!(bucket.delete("k", &Condition::None).is_err());
    let mut about = About::default();
    assert!(bucket.put(&written(&bucket, b"3"), "k", &mut about, &Condition::None).is_err());
    assert!(other.path().join("v").join(first).exists(), "nothing outside is touched");
    assert_eq!(std::fs::read_dir(other.path().join("v")).unwrap().count(), 1);
}
