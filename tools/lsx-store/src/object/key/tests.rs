//! Keys and names: each key has one place, and each place one key.

use super::{LONGEST, NAME, Piece, names, piece};
use lsx_tests::Dice;
use std::collections::BTreeMap;

/// The key of names, as a listing finds it.
fn key_of(names: &[String]) -> Option<String> {
    let mut key = String::new();
    for (i, name) in names.iter().enumerate() {
        match piece(name)? {
            Piece::End(text) if i + 1 == names.len() => key.push_str(&text),
            Piece::End(text) => key.push_str(&(text + "/")),
            Piece::More(text) if i + 1 < names.len() => key.push_str(&text),
            _ => return None,
        }
    }
    Some(key)
}

#[test]
fn keys_are_plain_files_where_they_can_be() {
    for (key, place) in [
        ("a", "a"),
        ("photos/2026/x y.jpg", "photos/2026/x y.jpg"),
        ("a/", "a/%e"),
        ("a//b", "a/%e/b"),
        ("/", "%e/%e"),
        (".", "%2E"),
        ("../x", "%2E./x"),
        (".htaccess", ".htaccess"),
        (".lsx-s3/lock", "%2Elsx-s3/lock"),
        ("100%", "100%25"),
        ("%e", "%25e"),
        ("a\0b\n", "a%00b%0A"),
        ("größe/日本", "größe/日本"),
    ] {
        assert_eq!(names(key).join("/"), place, "{key:?}");
        assert_eq!(key_of(&names(key)).as_deref(), Some(key));
    }
    let long = "x".repeat(600);
    let made = names(&long);
    assert!(made.len() == 3 && made[0].ends_with("x%+") && made.iter().all(|name| name.len() <= NAME + 2));
    for other in ["100%", "%", "%2e", "%41", "%2E", "%2Elsy", "%+", "a%2Fb", "%0a", "%80", "%é", ""] {
        let read = piece(other);
        assert!(read.is_none() || other == "%2E", "{other:?} is {read:?}");
    }
}

#[test]
fn every_key_has_a_place_of_its_own_within_its_bucket() {
    let mut dice = Dice(11);
    let pieces = [
        "a", "b", "/", "//", ".", "..", "%", "%o", "%e", "%+", "%25", ".lsx", "\0", "\n", "\u{7f}", "ä",
        "😀", "-", "é", " ",
    ];
    let mut seen: BTreeMap<Vec<String>, String> = BTreeMap::new();
    for n in 0..20_000 {
        let mut key = String::new();
        for _ in 0..=dice.below(12) {
            let piece = pieces[dice.below(pieces.len())];
            let times = if dice.below(20) == 0 { dice.below(400) } else { 1 };
            for _ in 0..times {
                if key.len() + piece.len() <= LONGEST {
                    key.push_str(piece);
                }
            }
        }
        if key.is_empty() {
            continue;
        }
        let place = names(&key);
        for name in &place {
            assert!((1..=255).contains(&name.len()) && !name.contains(['/', '\0']), "{n}: {name:?}");
            assert!(name != "." && name != ".." && name != super::OWN, "{n}: {name:?}");
            assert!(!name.starts_with(super::LSX), "{n}: {name:?}");
        }
        assert!(place.iter().map(|name| name.len() + 1).sum::<usize>() < 4000, "{n}: {key:?}");
        assert_eq!(key_of(&place).as_ref(), Some(&key), "{n}: {place:?}");
        if let Some(other) = seen.insert(place, key.clone()) {
            assert_eq!(other, key);
        }
    }
    assert!(seen.len() > 10_000, "{}", seen.len());
}

#[test]
fn no_name_is_read_as_another_key_than_the_one_that_makes_it() {
    let mut dice = Dice(12);
    let bytes = ["%", "2", "E", "5", "o", "e", "+", ".", "l", "s", "x", "a", "0", "F", "ä", "\n"];
    let mut valid = 0;
    for n in 0..50_000 {
        let name: String = (0..=dice.below(8)).map(|_| bytes[dice.below(bytes.len())]).collect();
        if let Some(Piece::End(text)) = piece(&name) {
            valid += 1;
            assert_eq!(names(&text), [name], "{n}");
        }
    }
    assert!(valid > 1_000, "{valid}");
}
