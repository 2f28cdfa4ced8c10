//! Tests of the intent: what a run has replaced comes back, and a damaged one is told.

use super::*;
use serde::Deserialize;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    schema: String,
    text: String,
}

fn note(text: &str) -> Note {
    Note { schema: "lsx.note.intent/1".to_owned(), text: text.to_owned() }
}

fn keeper(root: &Path) -> Keeper<Note> {
    Keeper {
        root: root.to_owned(),
        tool: "note",
        order: 99,
        services: true,
        programs: &[],
        stack: "office".to_owned(),
        key: |note| note.text.clone(),
        replaced: Mutex::default(),
    }
}

fn intent(text: &str) -> Option<Kept> {
    Some(Kept::Intent { digest: text.to_owned() })
}

fn changes(
    keeper: &Keeper<Note>,
    before: Option<Kept>,
    after: Option<Kept>,
    make: &dyn Fn() -> Result<Note, Failure>,
) {
    keeper.change((before, after), &|| Ok(()), make, &|_| None).unwrap();
}

#[test]
fn a_replaced_intent_comes_back_byte_for_byte() {
    let root = tempfile::tempdir().unwrap();
    let keeper = keeper(root.path());
    let never = || panic!("it was replaced by this run");
    changes(&keeper, None, intent("a"), &|| Ok(note("a")));
    // Another version of lsx may have written it with further keys.
    let text = std::fs::read_to_string(keeper.path()).unwrap().replace('{', "{\"more\": 1, ");
    std::fs::write(keeper.path(), &text).unwrap();
    changes(&keeper, intent("a"), intent("b"), &|| Ok(note("b")));
    assert_eq!(keeper.intent().unwrap(), Some(note("b")));
    changes(&keeper, intent("b"), None, &never);
    assert!(!root.path().join("office").exists(), "an empty folder is removed");
    changes(&keeper, None, intent("b"), &never);
    changes(&keeper, intent("b"), intent("a"), &never);
    assert_eq!(std::fs::read_to_string(keeper.path()).unwrap(), text);
}

#[test]
fn a_damaged_intent_is_there_and_is_told() {
    let root = tempfile::tempdir().unwrap();
    let keeper = keeper(root.path());
    assert_eq!(keeper.intent().unwrap(), None);
    changes(&keeper, None, intent("a"), &|| Ok(note("a")));
    for damage in ["", "{", "\u{0}", "{\"schema\":\"lsx.note.intent/2\",\"text\":\"a\"}"] {
        std::fs::write(keeper.path(), damage).unwrap();
        assert_eq!(keeper.intent().unwrap(), None, "{damage}");
        changes(&keeper, None, intent("b"), &|| Ok(note("b")));
        assert_eq!(keeper.intent().unwrap(), Some(note("b")), "{damage}");
    }
    std::fs::write(keeper.path(), [0xff]).unwrap();
    assert_eq!(keeper.intent().unwrap(), None);
    std::fs::write(keeper.path(), "{").unwrap();
    let found = keeper.observe().unwrap();
    assert!(found.there && found.intent.is_none());
    let warning = found.warnings.first().unwrap();
    assert!(warning.code == "note.intent" && warning.message.contains("office/note.json"), "{warning:?}");
}
