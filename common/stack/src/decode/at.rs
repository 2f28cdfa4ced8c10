//! A node as the decoder sees it: its place, its value, and the log for its mistakes.

use super::foreign::{foreign, stands_for};
use super::log::{Log, Spot};
use super::near::hint;
pub(crate) use super::path::Path;
use crate::tree::{Node, Value, blank};
use crate::value::{Duration, Parsed, Wrong, duration, name};
use crate::{Failure, Kind};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

/// A node with its place.
#[derive(Clone, Copy)]
pub(crate) struct At<'c, 'a> {
    pub(crate) node: &'c Node<'a>,
    pub(crate) path: Path<'c>,
    pub(crate) log: &'c Log,
    /// The place of the key, for failures about something missing below it.
    pub(crate) key: u32,
}

/// A map whose keys are read one by one; `finish` refuses the others.
pub(crate) struct Table<'c, 'a> {
    at: At<'c, 'a>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'c, 'a> At<'c, 'a> {
    /// Logs a failure at a byte of the text.
    fn fail(&self, code: &str, at: u32, message: String, hint: Option<String>) {
        let mut failure = Failure::new(Kind::Data, code, message).at(self.path.to_string());
        failure.hint = hint;
        self.log.push(failure, Spot::Byte(at));
    }

    /// Logs that the value is invalid.
    pub(crate) fn wrong(&self, wrong: Wrong) {
        let at = if self.node.text().is_some() { self.node.at } else { self.key };
        self.fail("stack.value", at, wrong.message, wrong.hint);
    }

    /// Logs a mistake with its own code, at the value.
    pub(crate) fn mistake(&self, code: &str, message: String, hint: String) {
        let at = if self.node.text().is_some() { self.node.at } else { self.key };
        self.fail(code, at, message, Some(hint).filter(|hint| !hint.is_empty()));
    }

    /// Logs a mistake with its own code, at the key.
    pub(crate) fn key_mistake(&self, code: &str, message: String, hint: String) {
        self.fail(code, self.key, message, Some(hint).filter(|hint| !hint.is_empty()));
    }

    /// The value of a key with a variable name.
    pub(crate) fn child(&self, key: &str) -> Option<At<'_, 'a>> {
        let entry = self.node.entries()?.iter().find(|entry| entry.key == key)?;
        Some(At { node: &entry.value, path: Path::Key(&self.path, &entry.key), log: self.log, key: entry.at })
    }

    /// The same node, with another log.
    pub(crate) fn telling(self, log: &'c Log) -> At<'c, 'a> {
        At { log, ..self }
    }

    /// Logs that the key is invalid.
    pub(crate) fn key_wrong(&self, wrong: Wrong) {
        self.fail("stack.key.value", self.key, wrong.message, wrong.hint);
    }

    /// Logs a mistake with its own code, without showing the line.
    pub(crate) fn secret(&self, code: &str, message: &str, hint: &str) {
        let failure = Failure::new(Kind::Data, code, message).at(self.path.to_string()).hint(hint);
        self.log.push(failure, Spot::Hidden(self.node.at));
    }

    fn shape(&self, expected: &str) {
        let at = if self.node.text().is_some() { self.node.at } else { self.key };
        let hint = self.node.text().filter(|_| expected == "a map").and_then(blank);
        self.fail("stack.type", at, format!("expected {expected}, got {}", self.node.sort()), hint);
    }

    /// A scalar, as written.
    pub(crate) fn text(self) -> Option<&'c str> {
        let text = self.node.text();
        if text.is_none() {
            self.shape("a text");
        }
        text
    }

    /// A scalar, parsed.
    pub(crate) fn parse<T>(self, understand: impl FnOnce(&str) -> Parsed<T>) -> Option<T> {
        match understand(self.text()?) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.wrong(wrong);
                None
            }
        }
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(self, words: &[(&str, T)]) -> Option<T> {
        self.parse(|text| {
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
            found.ok_or_else(|| {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                Wrong::new(format!("`{text}` is not a known value"), format!("one of {}", known.join(", ")))
            })
        })
    }

    /// A number within bounds.
    pub(crate) fn number(self, least: u32, most: u32) -> Option<u32> {
        self.parse(|text| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            text.parse().ok().filter(|n| digits && (least..=most).contains(n)).ok_or_else(|| {
                Wrong::new(
                    format!("`{text}` is not a number from {least} to {most}"),
                    "write digits without a unit",
                )
            })
        })
    }

    /// A duration within bounds, in seconds.
    pub(crate) fn span(self, least: u64, most: u64) -> Option<Duration> {
        let found = self.parse(duration)?;
        if (least..=most).contains(&found.0) {
            return Some(found);
        }
        let hint = format!("from {} to {}", Duration(least), Duration(most));
        self.mistake("stack.range", format!("{found} is out of range"), hint);
        None
    }

    /// A list.
    pub(crate) fn list<T>(self, read: impl Fn(At<'_, 'a>) -> Option<T>) -> Option<Vec<T>> {
        self.several(|at| read(at).into_iter().collect())
    }

    /// A list in which one item can stand for several values.
    pub(crate) fn several<T>(self, read: impl Fn(At<'_, 'a>) -> Vec<T>) -> Option<Vec<T>> {
        let Value::List(items) = &self.node.value else {
            self.shape("a list");
            return None;
        };
        let (mut all, mut written) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        for (index, node) in items.iter().enumerate() {
            all.extend(read(At { node, path: Path::Item(&self.path, index), log: self.log, key: node.at }));
            written.resize(all.len(), index);
        }
        self.log.list(&self.path, written);
        Some(all)
    }

    /// One value or a list of them.
    pub(crate) fn many<T>(self, read: impl Fn(At<'_, 'a>) -> Option<T>) -> Option<Vec<T>> {
        match &self.node.value {
            Value::List(_) => self.list(read),
            _ => Some(read(self).into_iter().collect()),
        }
    }

    /// A map with names as keys; every name is validated.
    pub(crate) fn named<T>(self, read: impl Fn(At<'_, 'a>) -> Option<T>) -> Option<BTreeMap<String, T>> {
        let check = |at: At<'_, 'a>, key: &str| match name(key) {
            Ok(()) if RESERVED.contains(&key) => {
                at.fail("stack.name.reserved", at.key, format!("`{key}` is a reserved word"), None);
            }
            Ok(()) => {}
            Err(Wrong { message, hint }) => match glued(at, key) {
                Some(blank) => at.fail("stack.blank", at.key, message, Some(blank)),
                None => at.fail("stack.name", at.key, message, hint),
            },
        };
        self.entries(check, |at| match at.path {
            Path::Key(_, key) if glued(at, key).is_some() => None,
            _ => read(at),
        })
    }

    /// A map whose keys are validated by `allow`.
    pub(crate) fn entries<T>(
        self,
        allow: impl Fn(At<'_, 'a>, &str),
        read: impl Fn(At<'_, 'a>) -> Option<T>,
    ) -> Option<BTreeMap<String, T>> {
        let Value::Map(entries) = &self.node.value else {
            self.shape("a map");
            return None;
        };
        let mut map = BTreeMap::new();
        for entry in entries {
            let at = At {
                node: &entry.value,
                path: Path::Key(&self.path, &entry.key),
                log: self.log,
                key: entry.at,
            };
            // An entry with an invalid name is read all the same, so that mistakes below it are found, and references to it
            // are not reported as unknown.
            allow(at, &entry.key);
            if let Some(value) = read(at) {
                map.insert(entry.key.to_string(), value);
            }
        }
        Some(map)
    }

    /// A map with known keys. An empty value counts as an empty map.
    pub(crate) fn table(self) -> Option<Table<'c, 'a>> {
        if matches!(self.node.value, Value::Map(_) | Value::Null) {
            return Some(Table { at: self, asked: RefCell::default() });
        }
        self.shape("a map");
        None
    }
}

/// The same for a name without a value.
fn glued(at: At<'_, '_>, key: &str) -> Option<String> {
    if matches!(at.node.value, Value::Null) { blank(key) } else { None }
}

/// Reserved words of selectors; a network with such a name could not be selected.
const RESERVED: [&str; 3] = ["world", "host", "instance"];

impl<'c, 'a> Table<'c, 'a> {
    /// The value under a key; a key without a value counts as absent.
    pub(crate) fn get<T>(&self, key: &'static str, read: impl FnOnce(At<'_, 'a>) -> Option<T>) -> Option<T> {
        self.asked.borrow_mut().push(key);
        self.at.child(key).filter(|at| !matches!(at.node.value, Value::Null)).and_then(read)
    }

    /// The same, but a missing key is a mistake.
    pub(crate) fn need<T>(&self, key: &'static str, read: impl FnOnce(At<'_, 'a>) -> Option<T>) -> Option<T> {
        if self.at.child(key).is_none_or(|at| matches!(at.node.value, Value::Null)) {
            self.asked.borrow_mut().push(key);
            let entries = self.at.node.entries().unwrap_or_default();
            if entries.iter().any(|entry| stands_for(&entry.key, key)) {
                return None; // already reported as an unknown key
            }
            self.at.fail("stack.key.missing", self.at.key, format!("`{key}` is missing"), None);
            return None;
        }
        self.get(key, read)
    }

    /// Allows a key without reading it.
    pub(crate) fn allow(&self, key: &'static str) {
        self.asked.borrow_mut().push(key);
    }

    /// The place of the map itself.
    pub(crate) fn at(&self) -> At<'c, 'a> {
        self.at
    }

    /// Refuses the keys that were not read, except those that begin with `x-`.
    pub(crate) fn finish(self) {
        let asked = self.asked.into_inner();
        let known: HashSet<&str> = asked.iter().copied().collect();
        for entry in self.at.node.entries().unwrap_or_default() {
            if known.contains(&*entry.key) || entry.key.starts_with("x-") {
                continue;
            }
            let at = At { path: Path::Key(&self.at.path, &entry.key), ..self.at };
            let hint = foreign(&entry.key, &known).unwrap_or_else(|| hint(&entry.key, asked.iter().copied()));
            at.fail("stack.key.unknown", entry.at, format!("unknown key `{}`", entry.key), Some(hint));
        }
    }
}

/// A scalar as owned text. A function, not a method, so that it can be passed by name.
pub(crate) fn string(at: At<'_, '_>) -> Option<String> {
    at.text().map(str::to_owned)
}

/// `true` or `false`; other words of YAML 1.1 (`no`, `off`) are text, and are refused here.
pub(crate) fn truth(at: At<'_, '_>) -> Option<bool> {
    at.parse(|text| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Wrong::new(format!("`{text}` is not true or false"), "write true or false")),
    })
}
