//! Makes text from elsewhere safe to print: no control character of an instance, a host, an image or a document reaches a
//! terminal.
//!
//! Text is escaped only where it is printed. What is stored, compared or sent is unchanged.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal interprets a character instead of showing it: C0, DEL, C1, and Unicode's format characters and line
/// separators (general categories Cf, Zl, Zp), which reverse or hide text or break a line.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}')
        || matches!(c, '\u{115f}'..='\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}')
        || matches!(c, '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}')
        || matches!(c, '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// One line, such as a cell or a name: line breaks and tabs are escaped, too.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, acts)
}

/// Text of several lines: line breaks and tabs are kept, and a carriage return before a line break is dropped.
pub fn text(text: &str) -> Cow<'_, str> {
    let kept = |c: char| acts(c) && !matches!(c, '\n' | '\t');
    match text.contains("\r\n") {
        true => Cow::Owned(escape(&text.replace("\r\n", "\n"), kept).into_owned()),
        false => escape(text, kept),
    }
}

/// A message of several lines. Further lines are indented by at least two blanks, so that no text from elsewhere looks like
/// a line of the tool.
pub fn message(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    for (i, line) in text(message).split('\n').enumerate() {
        if i > 0 {
            shown.push('\n');
            if !line.starts_with("  ") && !line.is_empty() {
                shown.push_str("  ");
            }
        }
        shown.push_str(line);
    }
    shown
}

/// JSON text: within its strings, DEL, C1 and format characters become equivalent `\u` escapes.
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(foreign) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if foreign(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// C0 occurs in JSON only as white space between values; serde_json escapes it within strings.
fn foreign(c: char) -> bool {
    acts(c) && c >= '\x7f'
}

fn escape(text: &str, acts: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        let _ = match c {
            c if !acts(c) => write!(shown, "{c}"),
            '\n' => write!(shown, "\\n"),
            '\r' => write!(shown, "\\r"),
            '\t' => write!(shown, "\\t"),
            c if c.is_ascii() => write!(shown, "\\x{:02x}", u32::from(c)),
            c => write!(shown, "\\u{{{:x}}}", u32::from(c)),
        };
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind that a terminal interprets.
    const ACTS: &str = "\x1b]0;title\x07\x08\x7f\u{9b}31m\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\u{e0041}";

    #[test]
    fn nothing_that_acts_is_left() {
        for shown in [line(ACTS), text(ACTS), json(&serde_json::to_string(ACTS).unwrap())] {
            assert!(!shown.chars().any(acts), "{shown:?}");
            assert!(shown.contains("title") && shown.contains("31m"), "{shown}");
        }
        assert_eq!(line("a\x1b[2Jb\u{202e}\nc"), "a\\x1b[2Jb\\u{202e}\\nc");
    }

    #[test]
    fn what_is_harmless_stays_as_it_is() {
        for kept in ["plain", "Zürich", "日本", "e\u{301}", "❤\u{fe0f}", "back\\slash"] {
            assert_eq!((line(kept), text(kept)), (Cow::Borrowed(kept), Cow::Borrowed(kept)));
        }
        assert_eq!(text("a\tb\r\nc\n"), "a\tb\nc\n");
    }

    #[test]
    fn json_means_the_same() {
        let written = serde_json::to_string(ACTS).unwrap();
        assert_eq!(serde_json::from_str::<String>(&json(&written)).unwrap(), ACTS);
    }

    #[test]
    fn a_line_of_others_does_not_begin_at_the_left() {
        assert_eq!(message("no\nlsx-ct: all is well\n  hint: x"), "no\n  lsx-ct: all is well\n  hint: x");
    }
}
