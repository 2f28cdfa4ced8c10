//! The versions of all objects of a bucket in the order of their keys, a page at a time.

use super::bucket::Found;
use super::list::{Item, Page, Range};
use super::version::{NULL, named, turn_of};
use super::{About, Bucket};
use std::collections::BTreeMap;
use std::io;

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Version {
        key: String,
        about: Box<About>,
        /// Whether it is what its key stands for.
        latest: bool,
    },
    /// Several keys begin with this.
    Prefix(String),
}

/// A part of a listing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    pub(crate) lines: Vec<Line>,
    /// Whether there is more.
    pub(crate) more: bool,
}

impl Bucket {
    /// A page of its versions: after a version of the key that the range names, if one is given, else after that key.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn list_versions(&self, range: &Range, version: Option<&str>) -> io::Result<Lines> {
        let (mut page, mut range) = (Lines::default(), range.clone());
        if range.most == 0 {
            return Ok(page);
        }
        if let Some(version) = version.filter(|_| range.after.starts_with(&range.prefix)) {
            page.lines = self.versions_of(&range.after, Some(version), range.most + 1)?;
        }
        // A key may have nothing that is shown, such as what a writer left that was killed.
        loop {
            let (names, more) = union(self.list(&range)?, self.list_past(&range)?);
            page.more = more;
            for (name, prefix) in names {
                if page.lines.len() > range.most {
                    break;
                }
                range.after.clone_from(&name);
                let left = range.most + 1 - page.lines.len();
                match prefix {
                    true => page.lines.push(Line::Prefix(name)),
                    false => page.lines.extend(self.versions_of(&name, None, left)?),
                }
            }
            if !more || !page.lines.is_empty() {
                break;
            }
        }
        page.more |= page.lines.len() > range.most;
        page.lines.truncate(range.most);
        Ok(page)
    }

    /// The versions of a key, the newest first: after one of them, at most so many.
    fn versions_of(&self, key: &str, after: Option<&str>, most: usize) -> io::Result<Vec<Line>> {
        let line =
            |about: About, latest| Line::Version { key: key.to_owned(), about: Box::new(about), latest };
        let (newest, pasts) = (self.find(key)?, self.pasts(key)?);
        // Versions may be deleted between two pages: what comes next is known by its order.
        let null = pasts.iter().find(|past| past.name == NULL).map(|past| past.turn);
        let mark = after.map(|after| (turn_of(after).or(null).unwrap_or(u64::MAX), after));
        let rest = |turn: u64, name: &str| mark.is_none_or(|mark| (turn, name) < mark);
        let mut all = Vec::new();
        let turn = newest.as_ref().and_then(|found| found.about.turn);
        let there = newest.is_some();
        let shown = newest.filter(|Found { about, .. }| {
            // From before there were versions; a file of somebody else is the newest.
            let turn = about.turn.or(about.crc.map(|_| 0));
            after.is_none()
                || (after != Some(named(about)) && turn.is_some_and(|turn| rest(turn, named(about))))
        });
        all.extend(shown.map(|found| line(found.about, true)));
        for (at, past) in pasts.iter().enumerate().filter(|(_, past)| rest(past.turn, &past.name)) {
            if all.len() >= most {
                break;
            }
            let Some(found) = self.past(key, &past.name)? else { continue };
            // A delete that was never finished.
            if found.about.marker && turn.is_some_and(|turn| past.turn > turn) {
                continue;
            }
            let latest = !there && at == 0 && found.about.marker;
            all.push(line(found.about, latest));
        }
        Ok(all)
    }
}

/// The names of both pages in order, and whether each stands for several keys. What comes after the end of a page that is not the last is left
/// out.
fn union(current: Page, past: Page) -> (BTreeMap<String, bool>, bool) {
    let mut names = BTreeMap::new();
    let mut end: Option<String> = None;
    for page in [&current, &past] {
        if let Some(last) = page.items.last().filter(|_| page.more) {
            let last = last.name();
            end = Some(end.map_or(last.to_owned(), |end| end.min(last.to_owned())));
        }
    }
    for item in current.items.into_iter().chain(past.items) {
        let prefix = matches!(item, Item::Prefix(_));
        names.insert(item.name().to_owned(), prefix);
    }
    if let Some(end) = &end {
        names.retain(|name, _| name <= end);
    }
    (names, end.is_some())
}
