//! A bucket against a model of one, and against what else may be in its folder.

use super::{About, Bucket, Condition, Item, Range, Refused, Seen, Upload, given_up, hex};
use lsx_tests::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

fn open(at: &Path) -> Bucket {
    Bucket::open(File::open(at).unwrap().into()).unwrap()
}

fn put(bucket: &Bucket, key: &str, bytes: &[u8], condition: &Condition) -> Result<About, Refused> {
    let mut draft = bucket.draft()?;
    draft.write(bytes)?;
    let written = draft.done();
    let mut about = About { etag: hex(&written.md5), crc: Some(written.crc), ..About::default() };
    bucket.put(&written, key, &mut about, condition)?;
    Ok(about)
}

fn bytes(bucket: &Bucket, key: &str) -> Option<Vec<u8>> {
    let mut found = bucket.find(key).unwrap()?;
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut found.file, &mut all).unwrap();
    Some(all)
}

fn keys(bucket: &Bucket, range: &Range) -> (Vec<String>, bool) {
    let page = bucket.list(range).unwrap();
    (page.items.iter().map(|item| item.name().to_owned()).collect(), page.more)
}

/// Old by the clock of the host, and not changed for a day by that of the worker.
#[test]
fn an_upload_is_given_up_by_two_clocks() {
    let hours = |n: u64| Duration::from_secs(n * 3600);
    let list = |at: i64| vec![("a".to_owned(), at), ("b".to_owned(), 1000)];
    let mut seen = Seen::new();
    for hour in 0..24 {
        // The clock of the host was set forwards.
        assert!(given_up(&mut seen, &list(10), 900, hours(hour)).is_empty());
    }
    assert_eq!(given_up(&mut seen, &list(10), 900, hours(24)), [("a".to_owned(), 10)]);
    // A part was added, then nothing for a day; one that was gone meanwhile is a new one.
    assert!(given_up(&mut seen, &list(20), 900, hours(25)).is_empty());
    assert!(given_up(&mut seen, &list(20), 900, hours(48)).is_empty());
    assert_eq!(given_up(&mut seen, &list(20), 900, hours(49)), [("a".to_owned(), 20)]);
    assert!(given_up(&mut seen, &Vec::new(), 2000, hours(60)).is_empty());
    assert!(given_up(&mut seen, &list(20), 2000, hours(90)).is_empty());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
fn an_odd_entry_keeps_no_upload() {
    let at = tempfile::tempdir().unwrap();
    let bucket = open(at.path());
    let upload = Upload {
        id: String::new(),
        key: "k".to_owned(),
        user: "u".to_owned(),
        about: About::default(),
        began: 0,
    };
    let id = bucket.begin(&upload).unwrap();
    let uploads = at.path().join(".lsx-s3/uploads");
    let odd = "0".repeat(32);
    std::fs::create_dir_all(uploads.join(&odd).join("inner")).unwrap();
    std::fs::write(uploads.join("1".repeat(32)), "odd").unwrap();
    // It can neither be removed when the server starts, nor when it is old.
    let bucket = open(at.path());
    let (times, wrong) = bucket.times().unwrap();
    assert!(wrong.is_none() && times.len() == 2, "{times:?} {wrong:?}");
    let (ended, wrong) = bucket.end_uploads(&times);
    assert!(ended == 1 && wrong.is_some(), "{ended} {wrong:?}");
    assert!(!uploads.join(id).exists() && uploads.join(odd).exists());
}

#[test]
fn an_object_and_objects_below_it_are_there_at_once() {
    let at = tempfile::tempdir().unwrap();
    let bucket = open(at.path());
    for key in ["a", "a/b", "a/b/c", "a/", "a//d"] {
        put(&bucket, key, key.as_bytes(), &Condition::New).unwrap();
    }
    for key in ["a", "a/b", "a/b/c", "a/", "a//d"] {
        assert_eq!(bytes(&bucket, key).as_deref(), Some(key.as_bytes()));
        assert!(matches!(put(&bucket, key, b"", &Condition::New), Err(Refused::Condition)), "{key}");
    }
    assert_eq!(std::fs::read(at.path().join("a/b/%o")).unwrap(), b"a/b");
    let all = Range { most: 10, ..Range::default() };
    assert_eq!(keys(&bucket, &all).0, ["a", "a/", "a//d", "a/b", "a/b/c"]);
    for key in ["a/b", "a", "a//d", "a/", "a/b/c"] {
        assert!(bucket.find(key).unwrap().is_some(), "{key}");
        bucket.delete(key, &Condition::None).unwrap();
        assert!(bucket.find(key).unwrap().is_none(), "{key}");
        bucket.delete(key, &Condition::None).unwrap();
    }
    let left: Vec<_> =
        std::fs::read_dir(at.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".lsx-s3"]);
    assert_eq!(std::fs::read_dir(at.path().join(".lsx-s3/new")).unwrap().count(), 0);
}

#[test]
fn pages_are_those_of_a_sorted_list() {
    let at = tempfile::tempdir().unwrap();
    let bucket = open(at.path());
    let mut dice = Dice(21);
    let parts = ["a", "b", "/", "/", "a-", "é", "%", ".", "..", "\u{7f}", "0"];
    let long = ["x".repeat(250), "x".repeat(239) + "\u{7f}", "x".repeat(240), "x".repeat(238) + "y"];
    let mut model: BTreeSet<String> = BTreeSet::new();
    for _ in 0..400 {
        let mut key: String = (0..=dice.below(6)).map(|_| parts[dice.below(parts.len())]).collect();
        if dice.below(8) == 0 {
            key.push_str(&long[dice.below(long.len())]);
        }
        put(&bucket, &key, b"x", &Condition::None).unwrap();
        model.insert(key.clone());
        if dice.below(4) == 0 {
            bucket.delete(&key, &Condition::None).unwrap();
            model.remove(&key);
        }
    }
    let some: Vec<&String> = model.iter().collect();
    for n in 0..300 {
        let pick = |dice: &mut Dice| {
            let key = some[dice.below(some.len())];
            let ends: Vec<usize> = key.char_indices().map(|(at, _)| at).chain([key.len()]).collect();
            key[..ends[dice.below(ends.len())]].to_owned()
        };
        let prefix = if dice.below(2) == 0 { String::new() } else { pick(&mut dice) };
        let delimiter = [None, Some("/"), Some("a"), Some("é")][dice.below(4)].map(str::to_owned);
        let mut wanted: Vec<String> = Vec::new();
        for key in model.iter().filter(|key| key.starts_with(&prefix)) {
            let rest = &key[prefix.len()..];
            let end = delimiter.as_ref().and_then(|by| Some(rest.find(by.as_str())? + by.len()));
            let shown = end.map_or(key.clone(), |end| format!("{prefix}{}", &rest[..end]));
            if wanted.last() != Some(&shown) {
                wanted.push(shown);
            }
        }
        let most = 1 + dice.below(20);
        let mut got = Vec::new();
        let mut range = Range { prefix, delimiter, most, ..Range::default() };
        loop {
            let (page, more) = keys(&bucket, &range);
            assert!(page.len() <= most && (!more || page.len() == most), "{n}: {range:?}");
            got.extend(page);
            if !more {
                break;
            }
            range.after = got.last().unwrap().clone();
        }
        assert_eq!(got, wanted, "{n}: {range:?}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
fn links_and_what_is_no_object_are_not_followed() {
    let (at, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(out.path().join("secret"), "secret").unwrap();
    let bucket = open(at.path());
    symlink(out.path(), at.path().join("way")).unwrap();
    symlink(out.path().join("secret"), at.path().join("link")).unwrap();
    std::fs::write(at.path().join("100%"), "no key").unwrap();
    nix::unistd::mkfifo(&at.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::write(at.path().join("plain"), "plain").unwrap();
    for key in ["way/secret", "link", "pipe", "pipe/a", "../secret", "way"] {
        assert_eq!(bytes(&bucket, key), None, "{key}");
    }
    assert!(put(&bucket, "way/new", b"x", &Condition::None).is_err());
    put(&bucket, "link", b"mine", &Condition::None).unwrap();
    put(&bucket, "../secret", b"mine", &Condition::None).unwrap();
    let other = std::fs::read_dir(out.path()).unwrap().count();
    assert_eq!((std::fs::read_to_string(out.path().join("secret")).unwrap().as_str(), other), ("secret", 1));
    let range = Range { most: 100, ..Range::default() };
    assert_eq!(keys(&bucket, &range).0, ["../secret", "link", "plain"]);
    // A plain file, and one that was changed in place, have no MD5.
    assert!(bucket.find("plain").unwrap().unwrap().about.etag.contains('-'));
    assert!(!bucket.find("link").unwrap().unwrap().about.etag.contains('-'));
    std::fs::write(at.path().join("link"), "other").unwrap();
    let found = bucket.find("link").unwrap().unwrap().about;
    assert!(found.etag.contains('-') && found.crc.is_none() && found.size == 5, "{found:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
fn what_killed_servers_left_is_swept_and_nothing_else() {
    let at = tempfile::tempdir().unwrap();
    let bucket = open(at.path());
    put(&bucket, "a", b"a", &Condition::None).unwrap();
    let own = at.path().join(".lsx-s3");
    std::fs::write(own.join("new/half"), "half").unwrap();
    std::fs::create_dir(own.join("new/folder")).unwrap();
    std::fs::hard_link(at.path().join("a"), own.join("new/folder/%o")).unwrap();
    std::fs::create_dir(own.join("uploads/0123456789abcdef0123456789abcdef")).unwrap();
    std::fs::write(own.join("uploads/0123456789abcdef0123456789abcdef/1"), "part").unwrap();
    let upload = Upload {
        id: String::new(),
        key: "b".to_owned(),
        user: "ann".to_owned(),
        about: About::default(),
        began: 0,
    };
    let id = bucket.begin(&upload).unwrap();
    let held = bucket.draft().unwrap();
    let again = open(at.path());
    let left = |folder: &str| std::fs::read_dir(own.join(folder)).unwrap().count();
    assert_eq!((left("new"), left("uploads")), (0, 1));
    assert_eq!(again.upload(&id, "b").unwrap().user, "ann");
    assert_eq!(bytes(&again, "a").as_deref(), Some(&b"a"[..]));
    drop(held);
}

#[test]
fn an_upload_becomes_one_object_or_is_refused() {
    let at = tempfile::tempdir().unwrap();
    let bucket = open(at.path());
    let about = About {
        headers: BTreeMap::from([("content-type".to_owned(), "x/y".to_owned())]),
        ..About::default()
    };
    let upload = Upload { id: String::new(), key: "k".to_owned(), user: "ann".to_owned(), about, began: 0 };
    let id = bucket.begin(&upload).unwrap();
    let part = |number: u16, bytes: &[u8]| {
        let mut draft = bucket.draft().unwrap();
        draft.write(bytes).unwrap();
        let written = draft.done();
        let mut about = About { etag: hex(&written.md5), crc: Some(written.crc), ..About::default() };
        bucket.put_part(&id, number, &written, &mut about).map(|()| about.etag)
    };
    let (one, two) = (vec![b'1'; 5 << 20], b"end".to_vec());
    let etags = (part(1, &one).unwrap(), part(7, &two).unwrap());
    let upload = bucket.upload(&id, "k").unwrap();
    let done = |parts: &[(u16, Option<String>)]| bucket.complete(&upload, parts, &Condition::None);
    assert!(matches!(done(&[]), Err(Refused::Order)));
    assert!(matches!(done(&[(7, None), (1, None)]), Err(Refused::Order)));
    assert!(matches!(done(&[(1, None), (2, None)]), Err(Refused::Part)));
    assert!(matches!(done(&[(1, Some(etags.1.clone()))]), Err(Refused::Part)));
    assert!(matches!(done(&[(7, None), (8, None)]), Err(Refused::Small)));
    assert_eq!(bytes(&bucket, "k"), None);
    let about = done(&[(1, Some(etags.0)), (7, Some(etags.1))]).unwrap();
    assert!(about.etag.ends_with("-2") && about.headers["content-type"] == "x/y", "{about:?}");
    assert_eq!(bytes(&bucket, "k"), Some([one, two].concat()));
    for id in [id.as_str(), "", "..", "../new", "0123456789abcdef0123456789abcdef", "é"] {
        assert!(matches!(bucket.upload(id, "k"), Err(Refused::NoUpload)), "{id}");
    }
    assert!(matches!(
        bucket.list(&Range { most: 1, ..Range::default() }).unwrap().items[0],
        Item::Object(..)
    ));
}
