//! Rust's text as words: what is needed to see which names a file defines, imports and uses.

/// A word of the code, and whether it is a name. Punctuation is one character each, except `::`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) name: bool,
}

/// The words of a file, without comments, texts and numbers, and without what is built only for tests.
pub(super) fn words(text: &str) -> Vec<Word> {
    without_tests(split(text))
}

fn split(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => {
                let length = quoted(rest);
                // An attribute names a function by a text: `default = "super::one"`.
                let inner = &rest[1..length.max(2) - 1];
                if inner.contains("::") && inner.chars().all(|c| c == ':' || named(c)) {
                    words.extend(split(inner));
                }
                length
            }
            '\'' => character(rest),
            _ if named(c) => {
                let length = rest.find(|c| !named(c)).unwrap_or(rest.len());
                let (word, behind) = rest.split_at(length);
                match raw(word, behind) {
                    Some(more) => length + more,
                    None => {
                        let name = !c.is_ascii_digit();
                        words.push(Word { text: word.to_owned(), name });
                        length
                    }
                }
            }
            _ if c.is_whitespace() => c.len_utf8(),
            _ => {
                let length = if rest.starts_with("::") { 2 } else { c.len_utf8() };
                words.push(Word { text: rest[..length].to_owned(), name: false });
                length
            }
        };
        rest = &rest[length..];
    }
    words
}

fn named(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of `"..."`.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character such as `'a'`, or of the quote before a lifetime.
fn character(text: &str) -> usize {
    let mut inner = text.char_indices().skip(1);
    match (inner.next(), inner.next()) {
        (Some((_, '\\')), Some((at, _))) => text[at + 1..].find('\'').map_or(1, |end| at + 1 + end + 1),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// What of a text follows its prefix: `r"..."`, `br#"..."#`, `b"..."`, `c"..."`. None when the word is a name.
fn raw(prefix: &str, behind: &str) -> Option<usize> {
    if !["r", "b", "br", "c", "cr"].contains(&prefix) {
        return None;
    }
    let marks = behind.chars().take_while(|c| *c == '#').count();
    if !behind[marks..].starts_with('"') {
        return None;
    }
    if !prefix.contains('r') {
        return (marks == 0).then(|| quoted(behind));
    }
    let end = format!("\"{}", "#".repeat(marks));
    Some(behind[marks + 1..].find(&end).map_or(behind.len(), |at| marks + 1 + at + end.len()))
}

/// Leaves out what stands below `#[cfg(test)]`.
fn without_tests(words: Vec<Word>) -> Vec<Word> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::with_capacity(words.len());
    let mut at = 0;
    while at < words.len() {
        if words[at..].iter().map(|w| w.text.as_str()).take(MARK.len()).eq(MARK) {
            at = item(&words, at + MARK.len());
        } else {
            kept.push(words[at].clone());
            at += 1;
        }
    }
    kept
}

/// Where an item ends that begins here: behind its semicolon, or behind its braces.
fn item(words: &[Word], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, word) in words.iter().enumerate().skip(from) {
        match word.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    words.len()
}
