//! Transfers of whole zones to other servers (RFC 5936), and of what has changed since (RFC 1995). Pure.

use crate::update::line::{Line, Named};
use crate::update::replay::Signed;
use crate::update::state::{Change, Held, State};
use crate::zone::{Owner, Rr, with_serial};
use domain::base::iana::Rcode;
use domain::base::message_builder::AnswerBuilder;
use domain::base::name::ToName;
use domain::base::{Message, MessageBuilder, StaticCompressor};
use domain::rdata::tsig::Time48;
use domain::tsig::{Key, ServerSequence};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The size of a message without its signature.
const MESSAGE: usize = 16 * 1024;
/// The changed names that are remembered for transfers.
const CHANGES: usize = 10_000;

/// What a name had, and has.
type Both<'h> = (Option<&'h Held>, Option<&'h Held>);

/// What one update has changed, from one serial to the next.
#[derive(Debug)]
struct Step {
    from: u32,
    to: u32,
    changes: Vec<Change>,
    signed: Signed,
}

/// What has changed, one update after the other.
#[derive(Debug, Default)]
pub(crate) struct History {
    steps: VecDeque<Step>,
    size: usize,
}

impl History {
    pub(crate) fn clear(&mut self) {
        *self = History::default();
    }

    /// From one serial to the next.
    pub(crate) fn add(&mut self, (from, to): (u32, u32), changes: Vec<Change>, signed: Signed) {
        self.size += changes.len();
        self.steps.push_back(Step { from, to, changes, signed });
        while self.size > CHANGES {
            let Some(old) = self.steps.pop_front() else { return };
            self.size -= old.changes.len();
        }
    }

    /// The updates since a serial, as in the journal; none if that is not known.
    pub(crate) fn lines(&self, serial: u32) -> Option<Vec<Line>> {
        let first = self.steps.iter().position(|step| step.from == serial)?;
        let named = |change: &Change| Named::new(&change.name, change.after.as_ref());
        let line = |step: &Step| Line::Update {
            serial: step.to,
            signed_at: step.signed.at,
            mac: step.signed.mac.clone(),
            names: step.changes.iter().map(named).collect(),
        };
        Some(self.steps.iter().skip(first).map(line).collect())
    }

    /// The names that have changed since a serial, as they were and as they are; none if that is not known.
    fn since(&self, serial: u32) -> Option<BTreeMap<&Owner, Both<'_>>> {
        let first = self.steps.iter().position(|step| step.from == serial)?;
        let mut all = BTreeMap::new();
        for change in self.steps.iter().skip(first).flat_map(|step| &step.changes) {
            let entry = all.entry(&change.name).or_insert((change.before.as_ref(), None));
            entry.1 = change.after.as_ref();
        }
        Some(all)
    }
}

/// The records of a transfer in their order; `since` is the serial that the other server has, `soa` that of now.
pub(crate) fn records(
    state: &State,
    history: &History,
    zone: &Owner,
    (soa, serial, since): (&Rr, u32, Option<u32>),
) -> Vec<Rr> {
    if let Some(since) = since {
        if serial.wrapping_sub(since).cast_signed() <= 0 {
            return vec![soa.clone()];
        }
        if let Some(changed) = history.since(since) {
            let inside = changed.into_iter().filter(|(name, _)| state.is_in(name, zone));
            let (mut gone, mut new) = (Vec::new(), Vec::new());
            for (_, (before, after)) in inside {
                gone.extend(without(before, after));
                new.extend(without(after, before));
            }
            let mut all = vec![soa.clone(), with_serial(soa, since)];
            all.extend(gone);
            all.push(soa.clone());
            all.extend(new);
            all.push(soa.clone());
            return all;
        }
    }
    let mut names: Vec<&Owner> = state.fixed.keys().chain(state.live.keys()).collect();
    names.sort();
    names.dedup();
    let inside = names.into_iter().filter(|name| state.is_in(name, zone));
    let all = inside.flat_map(|name| state.records(name)).cloned();
    [soa.clone()].into_iter().chain(all).chain([soa.clone()]).collect()
}

/// The records of one that are not the same in the other.
fn without<'h>(one: Option<&'h Held>, other: Option<&'h Held>) -> impl Iterator<Item = Rr> + 'h {
    let of = |held: Option<&'h Held>| held.map(|held| held.records.as_slice()).unwrap_or_default();
    let same = |a: &Rr, b: &Rr| a.data() == b.data() && a.ttl() == b.ttl();
    of(one).iter().filter(move |a| !of(other).iter().any(|b| same(a, b))).cloned()
}

/// The messages of a transfer, signed if the question was; none if they cannot be written.
pub(crate) fn messages(
    question: &Message<Vec<u8>>,
    records: &[Rr],
    mut signs: Option<ServerSequence<Arc<Key>>>,
    now: u64,
) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    let mut left = records;
    while !left.is_empty() {
        let mut builder = begin(question)?;
        let mut count = 0;
        for record in left {
            if builder.push(record).is_err() {
                break;
            }
            count += 1;
        }
        (count > 0).then_some(())?;
        left = &left[count..];
        let mut message = builder.additional();
        if let Some(signs) = &mut signs {
            message.clear_push_limit();
            signs.answer(&mut message, Time48::from_u64(now)).ok()?;
        }
        all.push(message.finish().into_target());
    }
    Some(all)
}

fn begin(question: &Message<Vec<u8>>) -> Option<AnswerBuilder<StaticCompressor<Vec<u8>>>> {
    let mut builder = MessageBuilder::from_target(StaticCompressor::new(Vec::with_capacity(MESSAGE))).ok()?;
    builder.set_push_limit(MESSAGE);
    let mut answer = builder.start_answer(question, Rcode::NOERROR).ok()?;
    answer.header_mut().set_aa(true);
    Some(answer)
}

/// The apex and the serial that a question for a transfer names.
pub(crate) fn asked(question: &Message<Vec<u8>>) -> Option<(Owner, Option<u32>)> {
    let zone = question.sole_question().ok()?.qname().to_vec();
    let mut soa = question.authority().ok()?.limit_to::<domain::rdata::Soa<_>>();
    let serial = soa.next().and_then(Result::ok).map(|record| record.data().serial().into_int());
    Some((zone, serial))
}

#[cfg(test)]
mod tests;
