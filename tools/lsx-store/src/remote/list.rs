//! Lists buckets and objects, page by page; a server cannot make it go on for ever.

use super::far::Far;
use super::place::Place;
use crate::client::{self, Ask, Listed};
use crate::model::{List, Row};
use common::{Failure, Failures, document};

/// The most lines that are shown, and the most pages that are asked for.
const LINES: usize = 100_000;
const PAGES: usize = 10_000;

pub(super) fn list(far: &Far, place: Option<&Place>, recursive: bool) -> Result<List, Failures> {
    let mut list =
        List { schema: document::schema("store", "list"), endpoint: far.endpoint(), ..List::default() };
    let Some(place) = place else {
        let ask = Ask { method: "GET", ..Ask::default() };
        let page = client::buckets(&far.done(&ask)?).ok_or_else(|| far.odd("a list of buckets"))?;
        let row = |(name, at): (String, String)| Row { name, at: Some(at), ..Row::default() };
        list.rows = page.buckets.into_iter().map(row).collect();
        return Ok(list);
    };
    list.bucket = Some(place.bucket.clone());
    let mut token: Option<String> = None;
    for _ in 0..PAGES {
        let page = page(far, place, recursive, token.as_deref())?;
        rows(&mut list, &page);
        if list.rows.len() > LINES {
            list.rows.truncate(LINES);
            list.more = true;
            return Ok(list);
        }
        if page.next.is_some() && page.next == token {
            return Err(far.odd("the next page of a list").into());
        }
        token = page.next;
        if token.is_none() {
            return Ok(list);
        }
    }
    list.more = true;
    Ok(list)
}

fn page(far: &Far, place: &Place, recursive: bool, token: Option<&str>) -> Result<Listed, Failure> {
    let ask = Ask { method: "GET", bucket: Some(&place.bucket), ..Ask::default() };
    let mut ask = ask.with("list-type", "2").with("encoding-type", "url").with("prefix", &place.key);
    if !recursive {
        ask = ask.with("delimiter", "/");
    }
    if let Some(token) = token {
        ask = ask.with("continuation-token", token);
    }
    client::listed(&far.done(&ask)?).ok_or_else(|| far.odd("a list of objects"))
}

/// Both kinds of lines of a page, by name.
fn rows(list: &mut List, page: &Listed) {
    let from = list.rows.len();
    list.rows.extend(page.prefixes.iter().map(|name| Row { name: name.clone(), ..Row::default() }));
    list.rows.extend(page.items.iter().map(|item| Row {
        name: item.key.clone(),
        bytes: Some(item.size),
        at: Some(item.modified.clone()).filter(|at| !at.is_empty()),
        etag: Some(item.etag.clone()).filter(|etag| !etag.is_empty()),
    }));
    if let Some(new) = list.rows.get_mut(from..) {
        new.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    }
}
