//! Bytes on their way to hosts, in pieces: one piece for each host at a time.

use super::{Failed, HostSet};
use crate::failure::Failure;
use crate::tool::Tool;
use crate::transfer::{Bytes, Piece};
use crate::{fleet, live, people};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Size of a piece in bytes.
const PIECE: usize = 2 * 1024 * 1024;

/// What a host still gets: digests, each with the offset of its next piece.
pub(super) type Queue = VecDeque<(String, u64)>;

impl<T: Tool> HostSet<T> {
    /// Sends pieces to every host that waits for one, until none does. A host that has an image's manifest then asks for its
    /// layers.
    pub(super) fn send(
        &mut self,
        store: &dyn Bytes,
        mut queues: BTreeMap<String, Queue>,
        names: &BTreeMap<String, String>,
        failed: &mut Failed,
    ) {
        let mut load = Load::of(store, names);
        loop {
            let (mut round, mut ends) = (BTreeMap::new(), BTreeMap::new());
            for (host, queue) in &mut queues {
                let Some((digest, offset)) = queue.front_mut() else { continue };
                match piece::<T>(store, digest, *offset) {
                    Ok(piece) => {
                        *offset += PIECE as u64;
                        ends.insert(host.clone(), piece.last);
                        round.insert(host.clone(), json!({"op": "receive", "piece": piece}));
                    }
                    Err(failure) => _ = failed.insert(host.clone(), failure.into()),
                }
            }
            queues.retain(|host, _| !failed.contains_key(host));
            if round.is_empty() {
                return;
            }
            for (host, answer) in self.ask(round) {
                let Some(queue) = queues.get_mut(&host) else { continue };
                match answer.and_then(|lacking| Ok(fleet::shape::<BTreeSet<String>>(lacking)?)) {
                    Ok(lacking) => {
                        if ends.get(&host) == Some(&true) {
                            next(store, queue, lacking);
                        }
                        load.show(&host, queue);
                    }
                    Err(failures) => {
                        queues.remove(&host);
                        failed.insert(host, failures);
                    }
                }
            }
        }
    }
}

/// The first of the queue is sent. A host is only sent parts of what it has just got, each once, and nothing else of this
/// machine's store.
fn next(store: &dyn Bytes, queue: &mut Queue, lacking: BTreeSet<String>) {
    let got = queue.pop_front().map(|(digest, _)| digest).unwrap_or_default();
    let parts = store.parts(&got).into_iter().map(|(part, _)| part);
    let parts: BTreeSet<String> = parts.filter(|part| *part != got).collect();
    queue.extend(lacking.into_iter().filter(|digest| parts.contains(digest)).map(|digest| (digest, 0)));
}

fn piece<T: Tool>(store: &dyn Bytes, digest: &str, offset: u64) -> Result<Piece, Failure> {
    let bytes = store.piece(digest, offset, PIECE).map_err(|failure| {
        failure.hint(format!(
            "it is missing in the store of this machine: run `{} up` with the document instead of a saved plan",
            T::PROGRAM
        ))
    })?;
    Ok(Piece { digest: digest.to_owned(), offset, last: bytes.len() < PIECE, data: STANDARD.encode(bytes) })
}

/// Transfers in progress, for a terminal.
struct Load<'n> {
    /// The name and size of parts, by digest.
    parts: BTreeMap<String, (&'n str, u64)>,
    /// Bytes sent to a host.
    sent: BTreeMap<String, u64>,
}

impl<'n> Load<'n> {
    fn of(store: &dyn Bytes, names: &'n BTreeMap<String, String>) -> Load<'n> {
        let short = |name: &'n String| name.strip_prefix("image ").unwrap_or(name);
        let parts = names.iter().flat_map(|(digest, name)| {
            store.parts(digest).into_iter().map(move |(part, size)| (part, (short(name), size)))
        });
        Load { parts: parts.collect(), sent: BTreeMap::new() }
    }

    /// `busybox: 34M of 120M to h2`, after the first of several pieces.
    fn show(&mut self, host: &str, queue: &Queue) {
        let sent = self.sent.entry(host.to_owned()).or_default();
        *sent += PIECE as u64;
        let size = |digest: &String| self.parts.get(digest).map_or(0, |(_, size)| *size);
        let left: u64 = queue.iter().map(|(digest, offset)| size(digest).saturating_sub(*offset)).sum();
        let line = format!("{host} images");
        match queue.front().and_then(|(digest, _)| self.parts.get(digest)) {
            Some((name, _)) if left > 0 => {
                let (sent, all) = (people::size(*sent), people::size(*sent + left));
                live::set(&line, &format!("{name}: {sent} of {all} to {host}"));
            }
            _ => live::clear(&line),
        }
    }
}
