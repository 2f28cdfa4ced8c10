//! The versions of all objects of a bucket in the order of their keys, a page at a time.

use super::list::{Item, Page, Range};
use super::version::named;
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
        let mut page = Lines::default();
        if range.most == 0 {
            return Ok(page);
        }
        if let Some(version) = version.filter(|_| range.after.starts_with(&range.prefix)) {
            page.lines = self.versions_of(&range.after, Some(version), range.most + 1)?;
        }
        let (names, more) = union(self.list(range)?, self.list_past(range)?);
        page.more = more;
        for (name, prefix) in names {
            if page.lines.len() > range.most {
                break;
            }
            match prefix {
                true => page.lines.push(Line::Prefix(name)),
                false => {
                    page.lines.extend(self.versions_of(&name, None, range.most + 1 - page.lines.len())?)
                }
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
        let shown = after.map(|after| {
            let of_newest = newest.as_ref().is_some_and(|found| named(&found.about) == after);
            if of_newest {
                0
            } else {
                pasts.iter().position(|past| past.name == after).map_or(0, |at| at + 1)
            }
        });
        let mut all = Vec::new();
        let turn = newest.as_ref().and_then(|found| found.about.turn);
        let there = newest.is_some();
        all.extend(newest.filter(|_| after.is_none()).map(|found| line(found.about, true)));
        for (at, past) in pasts.iter().enumerate().skip(shown.unwrap_or_default()) {
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
