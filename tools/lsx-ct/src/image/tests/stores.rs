//! The store itself: names, parts from other hosts, `gc`.

use super::*;
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn nothing_is_made_until_something_is_written() {
    let place = StoreFolder::new();
    assert_eq!(place.store.list().unwrap(), []);
    assert_eq!(place.store.find("db").unwrap(), None);
    assert!(!place.store.remove("db").unwrap());
    assert_eq!(place.store.gc(&BTreeSet::new()).unwrap(), Collected::default());
    assert_eq!(place.bring("db").unwrap_err().code, "ct.image.unknown");
    assert!(!place.folder.path().join("store").exists());
}

#[test]
fn an_image_goes_to_another_host_in_parts() {
    let (here, there) = (StoreFolder::new(), StoreFolder::new());
    let low = Tar::new().file("big", &"x".repeat(5000)).bytes();
    let manifest = here.layout("oci", &[&low]);
    here.bring("oci:oci").unwrap();
    let all: Vec<String> = here.store.blobs(&manifest).unwrap().into_iter().map(|b| b.digest).collect();
    assert_eq!(there.store.missing(&all), all);
    for digest in &all {
        let mut offset = 0;
        loop {
            let part = here.store.chunk(digest, offset, 100).unwrap();
            let last = part.len() < 100;
            there.store.receive(digest, offset, &part, last).unwrap();
            offset += part.len() as u64;
            if last {
                break;
            }
        }
    }
    assert_eq!(there.store.missing(&all), Vec::<String>::new());
    let (sent, came) = (here.store.list().unwrap(), there.store.list().unwrap());
    assert_eq!(sent, came);
    there.tidy();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "half a file is what the store never leaves")]
fn a_part_that_is_wrong_or_out_of_turn_is_refused() {
    let place = StoreFolder::new();
    let digest = digest::of(b"good");
    place.store.receive(&digest, 0, b"go", false).unwrap();
    assert_eq!(place.store.receive(&digest, 3, b"d", true).unwrap_err().kind, Kind::Again);
    let wrong = place.store.receive(&digest, 2, b"ne", true).unwrap_err();
    assert_eq!((wrong.kind, wrong.code.as_str()), (Kind::Data, "ct.image.digest"));
    assert_eq!(place.store.missing(std::slice::from_ref(&digest)), std::slice::from_ref(&digest));
    place.tidy();
    // What a process that no longer exists has left is removed.
    let left = place.folder.path().join("store/parts").join(format!("{}.4194999", "0".repeat(64)));
    std::fs::write(&left, "x").unwrap();
    place.store.receive(&digest, 0, b"go", false).unwrap();
    assert!(!left.exists());
    place.store.receive(&digest, 2, b"od", true).unwrap();
    assert_eq!(place.store.get(&digest).unwrap(), b"good");
    for path in ["sha256:../../x", "sha256:", "md5:00", "/etc/passwd"] {
        assert_eq!(place.store.receive(path, 0, b"", true).unwrap_err().code, "ct.image.digest", "{path}");
        assert_eq!(place.store.get(path).unwrap_err().code, "ct.image.digest", "{path}");
    }
}

#[test]
fn a_damaged_blob_is_noticed_when_it_is_read() {
    let place = StoreFolder::new();
    let digest = place.store.put(b"words").unwrap();
    place.write(&format!("store/blobs/sha256/{}", digest::hex(&digest).unwrap()), b"other");
    assert_eq!(place.store.get(&digest).unwrap_err().code, "ct.image.digest");
}

#[test]
fn collection_leaves_what_is_used_named_or_new() {
    let place = StoreFolder::new();
    let low = system().bytes();
    let used = place.layout("used", &[&low, &Tar::new().file("a", "1").bytes()]);
    let named = place.layout("named", &[&low, &Tar::new().file("a", "2").bytes()]);
    let idle = place.layout("idle", &[&low, &Tar::new().file("a", "3").bytes()]);
    place.bring("oci:used").unwrap();
    let kept = place.store.import(&place.source("oci:named"), "db:1").unwrap();
    assert_eq!((kept.digest.as_str(), kept.names.as_slice()), (named.as_str(), &["db:1".to_owned()][..]));
    place.bring("oci:idle").unwrap();
    let (file, lost) = (place.store.put(b"file").unwrap(), place.store.put(b"lost").unwrap());
    let roots = BTreeSet::from([used.clone(), file.clone()]);
    assert_eq!(place.store.gc(&roots).unwrap(), Collected::default());
    let collected = place.store.gc_older(&roots, Duration::ZERO).unwrap();
    assert_eq!(
        (collected.blobs, collected.trees),
        (4, 0),
        "idle's manifest, configuration and layer, and a file"
    );
    assert_eq!(place.store.missing(&[file, lost.clone()]), [lost]);
    let left: Vec<String> = place.store.list().unwrap().into_iter().map(|s| s.digest).collect();
    assert_eq!(BTreeSet::from_iter(left), BTreeSet::from([used, named.clone()]));
    assert_eq!(place.store.find("db:1").unwrap().unwrap().digest, named);
    assert_eq!(place.bring("oci:idle").unwrap().digest, idle, "it can come again");
    assert!(place.store.remove("db:1").unwrap());
    place.store.gc_older(&BTreeSet::new(), Duration::ZERO).unwrap();
    assert_eq!(place.store.all_blobs().unwrap(), []);
}

#[test]
fn the_highest_id_of_its_files_is_read_once() {
    let place = StoreFolder::new();
    let mut layer = Tar::new().file("low", "1");
    layer.raw(EntryType::Regular, "high", "", b"", |header| header.set_gid(200_000));
    let low = Tar::new().file("other", "1").bytes();
    let manifest = place.layout("oci", &[&low, &layer.bytes()]);
    place.bring("oci:oci").unwrap();
    assert_eq!(place.store.highest_id(&manifest).unwrap(), 200_000);
    let index = place.store.index().unwrap();
    assert_eq!(index.ids.values().copied().collect::<BTreeSet<_>>(), BTreeSet::from([0, 200_000]));
    assert_eq!(place.store.highest_id(&manifest).unwrap(), 200_000);
    // What nothing uses any more is forgotten.
    place.store.gc_older(&BTreeSet::new(), Duration::ZERO).unwrap();
    assert!(place.store.index().unwrap().ids.is_empty());
}

/// The clock of this machine was ten hours slow when an image was added, and then set right.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
fn an_image_is_not_older_because_a_clock_was_set() {
    let place = StoreFolder::new();
    place.layout("oci", &[&Tar::new().file("a", "a").bytes()]);
    let source = Source::Layout { folder: place.folder.path().join("oci"), tag: None };
    let stored = place.store.bring(&source).unwrap();
    assert_eq!(place.store.gc(&BTreeSet::new()).unwrap(), Collected::default());
    let jump = Duration::from_secs(36_000);
    let root = place.folder.path().join("store");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(root.join("blobs/sha256")).unwrap().map(|e| e.unwrap().path()).collect();
    files.extend(std::fs::read_dir(root.join("trees")).into_iter().flatten().map(|e| e.unwrap().path()));
    for path in &files {
        let file = std::fs::File::open(path).unwrap();
        file.set_modified(file.metadata().unwrap().modified().unwrap() - jump).unwrap();
    }
    // As it would have been noted: the same moment, ten hours earlier by the clock that jumped.
    let noted = std::fs::read_to_string(root.join("clock")).unwrap();
    let words: Vec<&str> = noted.split_whitespace().collect();
    let at = words[2].parse::<u64>().unwrap() - jump.as_secs();
    std::fs::write(root.join("clock"), format!("{} {} {at}\n", words[0], words[1])).unwrap();
    assert_eq!(place.store.gc(&BTreeSet::new()).unwrap(), Collected::default());
    assert!(place.store.get(&stored.digest).is_ok());
    // Without the note the clock is believed, and by it the image is old.
    std::fs::remove_file(root.join("clock")).unwrap();
    assert!(place.store.gc(&BTreeSet::new()).unwrap().blobs > 0);
    assert!(place.store.get(&stored.digest).is_err());
}
