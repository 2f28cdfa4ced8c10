//! Journals that are written, torn and damaged.

use super::*;
use std::path::Path;

fn folder(at: &Path) -> OwnedFd {
    File::open(at).unwrap().into()
}

fn open(at: &Path) -> (Journal<String>, Vec<String>) {
    Journal::open(folder(at)).unwrap().unwrap()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn what_was_added_is_there_and_only_one_writes() {
    let at = tempfile::tempdir().unwrap();
    let (mut journal, entries) = open(at.path());
    assert!(entries.is_empty());
    journal.append(&words("a b")).unwrap();
    journal.append(&words("c")).unwrap();
    assert!(Journal::<String>::open(folder(at.path())).unwrap().is_none(), "another one writes");
    let (read, before) = read::<String>(folder(at.path())).unwrap();
    assert_eq!(read, words("a b c"));
    drop(journal);
    let (mut journal, entries) = open(at.path());
    assert_eq!(entries, words("a b c"));
    journal.replace(&words("all of it")).unwrap();
    assert_ne!(mark(folder(at.path())), before);
    journal.append(&words("more")).unwrap();
    drop(journal);
    assert_eq!(open(at.path()).1, words("all of it more"));
    let mut names: Vec<_> = std::fs::read_dir(at.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["journal", "lock"]);
}

#[test]
fn a_last_line_that_was_not_written_to_its_end_is_dropped() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("journal");
    let (mut journal, _) = open(at.path());
    journal.append(&words("first")).unwrap();
    journal.append(&words("last")).unwrap();
    drop(journal);
    let whole = std::fs::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for end in first..whole.len() {
        std::fs::write(&path, &whole[..end]).unwrap();
        let (mut journal, entries) = open(at.path());
        assert_eq!(entries, words("first"), "{end}");
        journal.append(&words("again")).unwrap();
        drop(journal);
        assert_eq!(open(at.path()).1, words("first again"), "{end}");
    }
    // Its pages were not all written.
    let mut holes = whole.clone();
    holes[first + 40..].fill(0);
    std::fs::write(&path, &holes).unwrap();
    assert_eq!(open(at.path()).1, words("first"));
}

#[test]
fn any_other_damage_is_refused() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("journal");
    let (mut journal, _) = open(at.path());
    for word in ["one", "two", "three"] {
        journal.append(&words(word)).unwrap();
    }
    drop(journal);
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let without = [lines[0], lines[2]].concat();
    let turned = [lines[1], lines[0], lines[2]].concat();
    let changed = whole.replacen("two", "2wo", 1);
    let other = whole.replacen("sum", "tum", 1);
    let more = format!("{whole}garbage\ngarbage");
    for text in [without, turned, changed, other, more] {
        std::fs::write(&path, &text).unwrap();
        let failure = Journal::<String>::open(folder(at.path())).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Data, "journal"), "{text}");
        assert!(read::<String>(folder(at.path())).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "it is left as it is");
    }
    // Lines of another program, with right sums.
    std::fs::write(&path, lines::line(1, &[7]).unwrap()).unwrap();
    assert!(Journal::<String>::open(folder(at.path())).is_err());
}

#[test]
fn a_reader_reads_what_is_new() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("journal");
    let mut reader = Reader::default();
    let look = |reader: &mut Reader| reader.look::<String>(folder(at.path())).unwrap();
    let more = |text: &str| New::More(text.split_whitespace().map(str::to_owned).collect());
    assert_eq!(look(&mut reader), New::All(vec![]));
    let (mut journal, _) = open(at.path());
    journal.append(&words("a b")).unwrap();
    assert_eq!(look(&mut reader), New::All(words("a b")));
    assert_eq!(look(&mut reader), more(""));
    journal.append(&words("c")).unwrap();
    journal.append(&words("d")).unwrap();
    assert_eq!(look(&mut reader), more("c d"));
    drop(journal);
    // Who writes knows it already, too.
    let (mut journal, new) = Journal::open_with(folder(at.path()), &mut reader).unwrap().unwrap();
    assert_eq!(new, more(""));
    journal.append(&words("e")).unwrap();
    assert_eq!(look(&mut reader), more("e"));
    drop(journal);
    // A line that is still being written comes later, and one that never was is dropped.
    let whole = std::fs::read(&path).unwrap();
    let line = lines::line(5, &words("f")).unwrap();
    std::fs::write(&path, [&whole[..], &line[..9]].concat()).unwrap();
    assert_eq!((look(&mut reader), look(&mut reader)), (more(""), more("")));
    let (mut journal, new) = Journal::open_with(folder(at.path()), &mut reader).unwrap().unwrap();
    assert_eq!((new, std::fs::read(&path).unwrap()), (more(""), whole.clone()));
    journal.append(&words("f")).unwrap();
    assert_eq!(look(&mut reader), more("f"));
    // A line that was taken back and another one in its place, of the same length or followed by more.
    for text in ["g", "h i"] {
        let other: Vec<u8> =
            text.split(' ').zip(5..).flat_map(|(word, n)| lines::line(n, &words(word)).unwrap()).collect();
        std::fs::write(&path, [&whole[..], &other].concat()).unwrap();
        assert_eq!(look(&mut reader), New::All(words(&format!("a b c d e {text}"))));
    }
    drop(journal);
    // Another file, a shorter one, a damaged one, and one that is gone.
    let (mut journal, _) = open(at.path());
    journal.replace(&words("all of it")).unwrap();
    assert_eq!(look(&mut reader), New::All(words("all of it")));
    journal.append(&words("more")).unwrap();
    assert_eq!(look(&mut reader), more("more"));
    let line = lines::line(1, &words("x")).unwrap();
    std::fs::write(&path, &line).unwrap();
    assert_eq!(look(&mut reader), New::All(words("x")));
    std::fs::write(&path, [&line[..], &line[..]].concat()).unwrap();
    for _ in 0..2 {
        assert!(reader.look::<String>(folder(at.path())).is_err());
    }
    std::fs::write(&path, &line).unwrap();
    assert_eq!(look(&mut reader), New::All(words("x")));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(look(&mut reader), New::All(vec![]));
}
