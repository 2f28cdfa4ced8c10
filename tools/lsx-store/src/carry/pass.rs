//! One pass over a volume, on the operator's machine: what differs is copied. The hosts are asked in turns, and none of them is believed: lists
//! and sums are bounded, and what one asks of the other goes through the other's own checks.

use super::{Entry, Got, Listing, MESSAGE, PIECE, Part, Raw, Taken, Want};
use common::{Failure, Failures, Kind};
use std::collections::HashMap;

/// Most folders that wait, and most files with several names.
const WAITING: usize = 4_000_000;
/// Most files that are asked for at once.
const AT_ONCE: usize = 200;

/// Both hosts.
pub(crate) trait Ends {
    fn list(&mut self, path: &Raw, after: &Raw) -> Result<Option<Listing>, Failures>;
    fn read(&mut self, wants: &[Want], room: usize) -> Result<Vec<Got>, Failures>;
    fn take(&mut self, listing: &Listing) -> Result<Taken, Failures>;
    fn sums(&mut self, path: &Raw, offset: u64) -> Result<Vec<String>, Failures>;
    fn write(&mut self, files: Vec<(Raw, Entry, u64, Got)>) -> Result<(), Failures>;
}

/// What a pass has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Differences, and files whose content was compared.
    pub(crate) changed: u64,
    /// Bytes that were sent.
    pub(crate) sent: u64,
    /// The folder of the volume itself.
    pub(crate) own: Entry,
}

/// Makes the copy what the volume is.
///
/// # Errors
/// Those of the hosts; too much of something.
pub(crate) fn pass(ends: &mut dyn Ends) -> Result<Passed, Failures> {
    let mut passed = Passed::default();
    let mut first: HashMap<u64, Raw> = HashMap::new();
    let mut waiting = vec![(Raw::default(), Raw::default())];
    while let Some((path, after)) = waiting.pop() {
        let Some(mut listing) = ends.list(&path, &after)? else { continue };
        if listing.path != path || listing.after != after {
            return Err(wrong("lists another folder than the one that was asked for").into());
        }
        if path.0.is_empty() {
            passed.own = listing.own.clone();
        }
        for entry in listing.entries.iter_mut().filter(|entry| entry.linked) {
            let here = path.join(&entry.name);
            entry.same = first.get(&entry.inode).cloned();
            if entry.same.is_none() {
                first.insert(entry.inode, here);
            }
        }
        let taken = ends.take(&listing)?;
        passed.changed += taken.changed + taken.wants.len() as u64;
        files(ends, &listing, &taken, &mut passed)?;
        let folders = listing.entries.iter().filter(|entry| entry.mode & 0o170_000 == 0o040_000);
        waiting.extend(folders.map(|entry| (path.join(&entry.name), Raw::default())));
        if listing.more {
            let last = listing.entries.last().map(|entry| entry.name.clone());
            let last = last.filter(|last| *last > after);
            waiting.push((path, last.ok_or_else(|| wrong("lists a folder without an end"))?));
        }
        if waiting.len() + first.len() > WAITING {
            return Err(wrong("lists more folders than this machine remembers").into());
        }
    }
    Ok(passed)
}

fn wrong(what: &str) -> Failure {
    Failure::new(Kind::Failed, "store.move", format!("the host that has the volume {what}"))
}

/// Copies the files that are wanted, several at a time.
fn files(ends: &mut dyn Ends, listing: &Listing, taken: &Taken, passed: &mut Passed) -> Result<(), Failures> {
    let mut left: Vec<(&Entry, u64, Want)> = Vec::new();
    for (n, have) in taken.wants.iter().rev() {
        let Some(entry) = listing.entries.get(*n) else { continue };
        let (path, token) = (listing.path.join(&entry.name), entry.token.clone());
        left.push((entry, *have, Want { path, token, size: entry.size, ..Want::default() }));
    }
    while !left.is_empty() {
        let mut now = left.split_off(left.len().saturating_sub(AT_ONCE));
        now.reverse();
        for (_, have, want) in &mut now {
            // What it has there already is compared first.
            if want.sums.is_empty() && want.offset < *have && want.offset.is_multiple_of(PIECE) {
                want.sums = ends.sums(&want.path, want.offset)?;
                if want.sums.len() > 64 {
                    return Err(wrong("sums more than it was asked for").into());
                }
                break; // the sums of one file are enough for a message, unless those before it are small
            }
        }
        let wants: Vec<Want> = now.iter().map(|(.., want)| want.clone()).collect();
        let got = ends.read(&wants, MESSAGE)?;
        if got.is_empty() || got.len() > wants.len() {
            return Err(wrong("reads nothing of what it was asked for").into());
        }
        let mut again = Vec::new();
        let mut writes = Vec::new();
        let mut parts = got.into_iter();
        for (entry, have, want) in now {
            let Some(got) = parts.next() else {
                again.push((entry, have, want));
                continue;
            };
            if got.end < want.offset || got.end > want.size {
                return Err(wrong("reads beyond the end of a file").into());
            }
            passed.sent += got
                .parts
                .iter()
                .map(|part| if let Part::Bytes(raw, _) = part { raw.0.len() as u64 } else { 0 })
                .sum::<u64>();
            let goes_on = got.end > want.offset && got.end < want.size;
            let (offset, end) = (want.offset, got.end);
            writes.push((want.path.clone(), entry.clone(), offset, got));
            if goes_on {
                again.push((entry, have, Want { offset: end, sums: Vec::new(), ..want }));
            }
        }
        ends.write(writes)?;
        again.reverse();
        left.extend(again);
    }
    Ok(())
}
