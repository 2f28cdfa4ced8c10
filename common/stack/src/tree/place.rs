//! From a path to line and column.

use super::{NOWHERE, Node, Value, hidden};
use crate::Place;
use std::cell::OnceCell;
use std::collections::BTreeSet;

/// The line is not shown if it is longer than this.
const MAX_LINE: usize = 240;

/// A document's text with its name and the starts of its lines.
pub(crate) struct Source<'a> {
    file: &'a str,
    text: &'a str,
    lines: Vec<u32>,
    /// Lines that are not shown, in addition to those in `found`: they may contain a secret.
    unshown: BTreeSet<usize>,
    /// Lines that say themselves that they may contain one; they are only looked for when something failed.
    found: OnceCell<BTreeSet<usize>>,
}

/// Which end of an entry a failure is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Aim {
    /// The key: it is unknown, or something below it is missing.
    Key,
    /// The value.
    Value,
}

impl<'a> Source<'a> {
    /// Remembers the text; `file` is named in failures.
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.filter_map(|(i, _)| u32::try_from(i + 1).ok())).collect();
        Source { file, text, lines, unshown: BTreeSet::new(), found: OnceCell::new() }
    }

    /// The line of a byte is not shown.
    pub(crate) fn hide(&mut self, at: u32) {
        if at != NOWHERE {
            self.unshown.insert(self.row(at));
        }
    }

    fn hides_row(&self, row: usize) -> bool {
        self.unshown.contains(&row) || self.found.get_or_init(|| hidden::rows(self.text)).contains(&row)
    }

    fn row(&self, at: u32) -> usize {
        self.lines.partition_point(|&begin| begin <= at).saturating_sub(1)
    }

    /// The place of a byte in the text.
    pub(crate) fn place(&self, at: u32, path: String) -> Place {
        let mut place = Place { file: self.file.to_owned(), path, ..Place::default() };
        if at == NOWHERE {
            return place;
        }
        let row = self.row(at);
        let begin = self.lines.get(row).copied().unwrap_or(0) as usize;
        let end = self.lines.get(row + 1).map_or(self.text.len(), |&next| next as usize);
        let line = self.text.get(begin..end).unwrap_or_default();
        let before = self.text.get(begin..(at as usize).min(end)).unwrap_or_default();
        place.line = u32::try_from(row + 1).unwrap_or(u32::MAX);
        // A byte order mark is not counted as a column.
        place.column =
            u32::try_from(before.trim_start_matches('\u{feff}').chars().count() + 1).unwrap_or(u32::MAX);
        let line = line.trim_start_matches('\u{feff}').trim_end();
        if line.len() <= MAX_LINE && !self.hides_row(row) {
            line.clone_into(&mut place.text);
        }
        place
    }

    /// The place of a path: of the value itself, or of the nearest parent in the text (`hosts.h1` for `hosts.h1.address` if
    /// the host is a single address).
    pub(crate) fn locate(&self, root: &Node<'_>, path: &str, aim: Aim) -> Place {
        self.place(find(root, path, aim), path.to_owned())
    }
}

/// The text at a path; none if it is not a text.
pub(crate) fn text_at<'n>(root: &'n Node<'_>, path: &str) -> Option<&'n str> {
    let (mut node, mut rest) = (root, path);
    while !rest.is_empty() {
        (_, node, rest) = step(node, rest)?;
    }
    node.text()
}

fn find(root: &Node<'_>, path: &str, aim: Aim) -> u32 {
    let (mut node, mut rest) = (root, path);
    let mut key_at = root.at;
    while !rest.is_empty() {
        let Some((at, next, tail)) = step(node, rest) else {
            // Something is missing here: the place is the key that should contain it.
            return if matches!(node.value, Value::Map(_) | Value::List(_)) { key_at } else { node.at };
        };
        (key_at, node, rest) = (at, next, tail);
    }
    match node.value {
        Value::Plain(_) | Value::Quoted(_) if aim == Aim::Value => node.at,
        _ => key_at,
    }
}

/// One step down: the place of the key, the node, and the rest of the path. Keys may contain dots themselves
/// (`files./etc/hosts.allow`), so the shortest existing key is used.
fn step<'n, 'a, 'p>(node: &'n Node<'a>, path: &'p str) -> Option<(u32, &'n Node<'a>, &'p str)> {
    match &node.value {
        Value::Map(entries) => {
            let dots = path.match_indices('.').map(|(i, _)| i);
            dots.chain(std::iter::once(path.len())).find_map(|end| {
                let key = &path[..end];
                let entry = entries.iter().find(|entry| entry.key == key)?;
                Some((entry.at, &entry.value, path.get(end + 1..).unwrap_or_default()))
            })
        }
        Value::List(items) => {
            let (head, tail) = path.split_once('.').unwrap_or((path, ""));
            let item = match head.parse::<usize>() {
                Ok(index) => items.get(index)?,
                Err(_) => items.iter().find(|item| item.get("name").unwrap_or(item).text() == Some(head))?,
            };
            Some((item.at, item, tail))
        }
        _ => None,
    }
}
