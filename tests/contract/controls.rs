//! Control characters from elsewhere never reach a terminal: all places where a tool prints such text.

use crate::pair;
use crate::terminal::{End, on_terminal};
use lsx_tests::{Run, Tool, tools_and_smallest};

/// Clears the screen, sets the window's title, reverses the line, hides a space: C0, DEL, C1 and format characters.
const EVIL: &str = "a\u{1b}[2J\u{1b}]0;pwned\u{7}b\u{7f}c\u{9b}31md\u{202e}e\u{2066}f\u{200b}g\u{feff}h";

/// No character that a terminal interprets, except line breaks, and the text around it is present.
fn harmless(what: &str, shown: &str) {
    let bad = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let found: Vec<char> = shown.chars().filter(bad).collect();
    assert!(found.is_empty(), "{what}: {found:?} in {shown:?}");
    assert!(shown.contains("31md"), "{what}: {shown:?}");
}

/// As written in YAML, so that the document itself has no control character.
fn quoted() -> String {
    format!("\"{}\"", EVIL.escape_default().to_string().replace("\\u{1b}", "\\e").replace("\\u{7}", "\\a"))
        .replace("\\u{7f}", "\\x7f")
        .replace("\\u{9b}", "\\x9b")
        .replace("\\u{202e}", "\\u202e")
        .replace("\\u{2066}", "\\u2066")
        .replace("\\u{200b}", "\\u200b")
        .replace("\\u{feff}", "\\ufeff")
}

/// Failures and warnings that contain such characters.
fn stories(tool: &Tool) -> Vec<(&'static str, Run)> {
    let text = std::fs::read_to_string(pair()).unwrap();
    let with = |more: &str| format!("{text}\n{more}\n");
    // Format characters and DEL can be in a document, so its line is shown when something in it is wrong.
    let line = "a[2J pwned\u{7f}c\u{9b}31md\u{202e}e\u{2066}f\u{200b}g";
    let mut twin: serde_json::Value = tool.run(["resolve", &pair()]).end().document();
    twin["resolved"]["stack"] = EVIL.into();
    vec![
        ("a key in a message", tool.run(["resolve"]).input(with(&format!("{}: 1", quoted())))),
        ("a value in a message", tool.run(["resolve"]).input(with(&format!("tunnel_port: {}", quoted())))),
        ("the line of a document", tool.run(["resolve"]).input(with(&format!("tunnel_port: '{line}'")))),
        ("a mistake of the text", tool.run(["resolve"]).input(with(&format!("x-a: [\n'{line}': }}")))),
        ("a warning", tool.run(["resolve"]).input(twin.to_string())),
        ("the name of a file", tool.run(["resolve", &format!("/nowhere/{EVIL}")])),
        ("a flag", tool.run(["resolve", &format!("--{EVIL}")])),
        ("a verb", tool.run([EVIL])),
        ("--set", tool.run(["resolve", &pair(), "--set", EVIL])),
        ("--only", tool.run(["plan", &pair(), "--only", EVIL])),
        ("--offline", tool.run(["plan", &pair(), "--offline", EVIL])),
        (
            "a document that is no plan",
            tool.run(["apply"]).input(format!("{{\"schema\": {:?}}}", "x\u{9b}31md\u{202e}")),
        ),
    ]
}

#[test]
fn what_the_story_names_is_shown_and_not_obeyed() {
    for tool in tools_and_smallest() {
        for (what, run) in stories(&tool) {
            let (_, shown) = on_terminal(run.env("NO_COLOR", "1"), End::Story);
            harmless(&format!("{} {what}", tool.name), &shown);
            assert!(
                shown.lines().skip(1).all(|l| l.starts_with("  ") || l.starts_with(&tool.name)),
                "{what}: {shown}"
            );
        }
        for (what, run) in stories(&tool) {
            let (_, shown) = on_terminal(run.args(["--log", "json"]), End::Story);
            harmless(&format!("{} --log json {what}", tool.name), &shown);
        }
    }
}

#[test]
fn a_document_on_a_terminal_says_the_same_without_them() {
    let text = std::fs::read_to_string(pair()).unwrap();
    let text =
        format!("{text}\ndefaults: {{ env: {{ EVIL: {} }} }}\nstatus: {{ what: {} }}\n", quoted(), quoted());
    for tool in tools_and_smallest() {
        let resolve = || tool.run(["resolve"]).input(text.as_str());
        let (ended, shown) = on_terminal(resolve(), End::Output);
        let _ = ended.with(0);
        harmless(&tool.name, &shown);
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read["defaults"]["env"]["EVIL"], EVIL);
        // A program gets the unchanged text, by RFC 8259.
        let piped = resolve().end().with(0);
        assert!(piped.stdout.contains('\u{202e}'), "{}", piped.stdout);
        assert_eq!(piped.document(), read);
    }
}
