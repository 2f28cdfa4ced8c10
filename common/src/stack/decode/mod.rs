//! A small decoder that goes on after a mistake, so that all of them are told at once.

mod at;
mod foreign;
mod given;
mod hosts;
mod instances;
mod networks;
mod ports;
mod sections;
mod stack;

pub use hosts::MTU as HOST_MTU;

pub(crate) use at::{At, Path, Table, string};
pub(crate) use hosts::login;
pub(crate) use stack::stack;

use super::tree::{Aim, Node, Source};
use crate::{Failure, Failures, Place};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Every failure found so far.
#[derive(Default)]
pub(crate) struct Log {
    found: RefCell<Vec<(Failure, Spot)>>,
    /// Lists of which the model has not just what the text has: where each item that was kept is written, by the list's path.
    written: RefCell<Vec<(String, Vec<usize>)>>,
}

/// Where in the text a failure stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spot {
    /// At this byte.
    Byte(u32),
    /// At this byte, without showing the line: it may hold a secret.
    Hidden(u32),
    /// At the failure's path.
    Path(Aim),
}

impl Log {
    pub(crate) fn push(&self, failure: Failure, spot: Spot) {
        self.found.borrow_mut().push((failure, spot));
    }

    /// Adds failures that carry a path of the model alone.
    pub(crate) fn extend(&self, failures: Vec<Failure>) {
        for mut failure in failures {
            if let Some(place) = &mut failure.at {
                place.path = self.as_written(&place.path);
            }
            self.push(failure, Spot::Path(Aim::Value));
        }
    }

    /// Remembers where the items of a list are written, when that is not where the model has them.
    pub(crate) fn list(&self, path: &Path<'_>, written: Vec<usize>) {
        if written.iter().enumerate().any(|(kept, &written)| kept != written) {
            self.written.borrow_mut().push((path.to_string(), written));
        }
    }

    /// A path of the model as a path of the text: an item that was left out does not shift the numbers of the next.
    fn as_written(&self, path: &str) -> String {
        let mut path = path.to_owned();
        // Inner lists are remembered first, by where they are written; so the outer ones come first here.
        for (list, written) in self.written.borrow().iter().rev() {
            let Some(rest) = path.strip_prefix(list.as_str()).and_then(|rest| rest.strip_prefix('.')) else {
                continue;
            };
            let (head, tail) = rest.split_once('.').map_or((rest, ""), |(head, tail)| (head, tail));
            let Some(at) = head.parse().ok().and_then(|kept: usize| written.get(kept)) else { continue };
            let dot = if tail.is_empty() { "" } else { "." };
            path = format!("{list}.{at}{dot}{tail}");
        }
        path
    }

    /// Where something could not be read. What is missing in the model for that reason is not missing in the text.
    pub(crate) fn broken(&self) -> BTreeSet<String> {
        let found = self.found.borrow();
        found.iter().filter_map(|(failure, _)| Some(failure.at.as_ref()?.path.clone())).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// All failures with their places, in the order of the text, each once.
    pub(crate) fn close(self, root: &Node<'_>, source: &Source<'_>) -> Failures {
        let mut failures: Vec<Failure> = self
            .found
            .into_inner()
            .into_iter()
            .map(|(failure, spot)| placed(failure, spot, root, source))
            .collect();
        failures.sort_by(|a, b| {
            let key = |f: &Failure| f.at.as_ref().map(|at| (at.line, at.column, at.path.clone()));
            key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
        });
        failures.dedup();
        Failures(failures)
    }
}

fn placed(mut failure: Failure, spot: Spot, root: &Node<'_>, source: &Source<'_>) -> Failure {
    let path = failure.at.take().unwrap_or_default().path;
    failure.at = Some(match spot {
        Spot::Byte(at) => source.place(at, path),
        Spot::Hidden(at) => Place { text: String::new(), ..source.place(at, path) },
        Spot::Path(aim) => source.locate(root, &path, aim),
    });
    failure
}

/// The nearest of some names, when one is near enough to have been meant.
pub(crate) fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let limit = 1 + name.chars().count() / 4;
    names
        .into_iter()
        .map(|other| (distance(name, other, limit), other))
        // One letter can become any other: a name of which nothing stays was not meant.
        .filter(|&(far, other)| far <= limit && far < name.chars().count().max(other.chars().count()))
        .min()
        .map(|(_, other)| other)
}

/// Names looked through for a hint: a document where every reference is wrong must not take minutes.
const HINTED: usize = 1000;

/// A hint for an unknown name: the nearest one, else the list.
pub(crate) fn hint<'n>(name: &str, names: impl IntoIterator<Item = &'n str> + Clone) -> String {
    if let Some(near) = nearest(name, names.clone().into_iter().take(HINTED)) {
        return format!("did you mean `{near}`?");
    }
    let known: Vec<&str> = names.into_iter().take(13).collect();
    match known.len() {
        0 => "there is none yet".to_owned(),
        13 => format!("known are {} ...", known[..12].join(", ")),
        _ => format!("known are {}", known.join(", ")),
    }
}

/// Edits between two words (Levenshtein, with neighbours exchanged counted once); `limit + 1` when they are further apart.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut rows: [Vec<usize>; 3] = [vec![0; b.len() + 1], (0..=b.len()).collect(), vec![0; b.len() + 1]];
    for i in 1..=a.len() {
        rows[2][0] = i;
        for j in 1..=b.len() {
            let change = rows[1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[1][j] + 1).min(rows[2][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[0][j - 2] + 1);
            }
            rows[2][j] = best;
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}
