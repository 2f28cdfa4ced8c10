//! JSON (RFC 8259) directly to the tree: documents piped between programs are large and do not use YAML's other forms.
//!
//! YAML contains JSON, so this is only a faster way: anything unusual (a mistake, a duplicate key, too deep) is left to the
//! YAML parser, which reports it with its place.

use super::{Entry, MAX_DEPTH, Node, Value};
use std::borrow::Cow;
use std::collections::HashSet;

/// The tree of a JSON document; `None` if it is not plain JSON.
pub(super) fn quick(text: &str) -> Option<Node<'_>> {
    let mut reader = Reader { text, at: 0 };
    reader.blank();
    if !matches!(reader.peek()?, b'{' | b'[') {
        return None;
    }
    let node = reader.value(0)?;
    reader.blank();
    (reader.at == text.len()).then_some(node)
}

/// Place and message for a document that is clearly meant to be JSON but is not; the YAML parser would report the outermost
/// bracket.
pub(super) fn mistake(text: &str) -> Option<(u32, String)> {
    let inside = text.trim_start().strip_prefix('{')?;
    inside.trim_start().starts_with('"').then_some(())?;
    let error = serde_json::from_str::<serde::de::IgnoredAny>(text).err()?;
    let line = error.line().saturating_sub(1);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    // A text that ends too early does so after its last word, and not on an empty line below it.
    let at = (before + error.column().saturating_sub(1)).min(text.trim_end().len());
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    Some((u32::try_from(at).ok()?, format!("not JSON: {message}")))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn place(&self) -> Option<u32> {
        u32::try_from(self.at).ok()
    }

    fn value(&mut self, depth: usize) -> Option<Node<'a>> {
        let at = self.place()?;
        let value = match self.peek()? {
            b'{' if depth < MAX_DEPTH => Value::Map(self.map(depth + 1)?),
            b'[' if depth < MAX_DEPTH => Value::List(self.list(depth + 1)?),
            b'"' => Value::Quoted(self.string()?),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => self.word()?,
            _ => return None,
        };
        Some(Node { at, value })
    }

    /// After a value: whether another follows; `None` if there is neither a comma nor the end.
    fn more(&mut self, end: u8) -> Option<bool> {
        self.blank();
        let next = self.peek()?;
        self.at += 1;
        self.blank();
        match next {
            b',' => Some(true),
            _ => (next == end).then_some(false),
        }
    }

    /// Skips the opening bracket; returns whether the collection is not empty.
    fn open(&mut self, end: u8) -> Option<bool> {
        self.at += 1;
        self.blank();
        let empty = self.peek()? == end;
        self.at += usize::from(empty);
        Some(!empty)
    }

    fn list(&mut self, depth: usize) -> Option<Vec<Node<'a>>> {
        let mut items = Vec::new();
        let mut more = self.open(b']')?;
        while more {
            items.push(self.value(depth)?);
            more = self.more(b']')?;
        }
        Some(items)
    }

    fn map(&mut self, depth: usize) -> Option<Vec<Entry<'a>>> {
        let mut entries = Vec::new();
        let mut more = self.open(b'}')?;
        while more {
            let at = self.place()?;
            let key = self.string()?;
            self.blank();
            if self.peek()? != b':' {
                return None;
            }
            self.at += 1;
            self.blank();
            entries.push(Entry { key, at, value: self.value(depth)? });
            more = self.more(b'}')?;
        }
        distinct(&entries).then_some(entries)
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let begin = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let mut escaped = false;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                0..0x20 => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        if escaped {
            return serde_json::from_str(self.text.get(begin..self.at)?).ok().map(Cow::Owned);
        }
        self.text.get(begin + 1..self.at - 1).map(Cow::Borrowed)
    }

    fn word(&mut self) -> Option<Value<'a>> {
        let begin = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')) {
            self.at += 1;
        }
        let text = self.text.get(begin..self.at)?;
        match text {
            "null" => Some(Value::Null),
            "true" | "false" => Some(Value::Plain(Cow::Borrowed(text))),
            _ => serde_json::from_str::<serde_json::Number>(text)
                .ok()
                .map(|_| Value::Plain(Cow::Borrowed(text))),
        }
    }
}

/// Whether no key is duplicate or a YAML merge key.
fn distinct(entries: &[Entry<'_>]) -> bool {
    let merges = entries.iter().any(|entry| entry.key == "<<");
    if entries.len() <= 16 {
        return !merges
            && entries.iter().enumerate().all(|(i, a)| entries[..i].iter().all(|b| a.key != b.key));
    }
    let keys: HashSet<&str> = entries.iter().map(|entry| &*entry.key).collect();
    !merges && keys.len() == entries.len()
}
