//! Collects mistakes while reading continues.

use super::path::Path;
use crate::tree::{self, Aim, Node, Source, hidden};
use crate::{Failure, Failures, Place};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Every failure found so far.
#[derive(Default)]
pub(crate) struct Log {
    found: RefCell<Vec<(Failure, Spot)>>,
    /// Lists that the model does not have exactly as the text: the index in the text of each item kept, by the list's path.
    written: RefCell<Vec<(String, Vec<usize>)>>,
}

/// The position of a failure in the text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spot {
    /// At this byte.
    Byte(u32),
    /// At this byte, without showing the line: it may hold a secret.
    Hidden(u32),
    /// At the place of the failure's path.
    Path(Aim),
}

impl Log {
    pub(crate) fn push(&self, failure: Failure, spot: Spot) {
        self.found.borrow_mut().push((failure, spot));
    }

    /// Adds failures that only have a path in the model.
    pub(crate) fn extend(&self, failures: Vec<Failure>) {
        for mut failure in failures {
            if let Some(place) = &mut failure.at {
                place.path = self.as_written(&place.path);
            }
            self.push(failure, Spot::Path(Aim::Value));
        }
    }

    /// Records the indexes of a list's items in the text, if they differ from those in the model.
    pub(crate) fn list(&self, path: &Path<'_>, written: Vec<usize>) {
        if written.iter().enumerate().any(|(kept, &written)| kept != written) {
            self.written.borrow_mut().push((path.to_string(), written));
        }
    }

    /// Converts a path in the model to a path in the text: items left out of the model count in the text.
    fn as_written(&self, path: &str) -> String {
        let mut path = path.to_owned();
        // Inner lists were recorded first, with their paths in the text; so the outer ones come first here.
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

    /// A place that could not be read. What is therefore missing in the model is not missing in the text.
    pub(crate) fn broken(&self) -> BTreeSet<String> {
        let found = self.found.borrow();
        found.iter().filter_map(|(failure, _)| Some(failure.at.as_ref()?.path.clone())).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// All failures with their places, in the order of the text, without duplicates.
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
    unsaid(&mut failure, root);
    failure
}

/// Takes a value that may be a secret out of the failure's texts.
fn unsaid(failure: &mut Failure, root: &Node<'_>) {
    let Some(at) = &failure.at else { return };
    let value = tree::text_at(root, &at.path).filter(|value| hidden::may_be(value, &at.path));
    let Some(value) = value else { return };
    for text in [&mut failure.message].into_iter().chain(&mut failure.hint).chain(&mut failure.causes) {
        *text = hidden::without(text, value);
    }
}
