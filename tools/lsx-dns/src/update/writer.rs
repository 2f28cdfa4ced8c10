//! What updates do to names, and the journal of it: one thread, so that each update sees those before it. The updates that wait are
//! written together, by one sync of the disk, and answered after it.
//!
//! One worker at a time holds the journal. The next one follows it until the former has let go: so no update is lost or done twice.

use super::keys::Who;
use super::line::{Line, Named};
use super::message::Asked;
use super::news::News;
use super::replay::{Replay, Seen, Signed};
use super::state::{Change, State};
use crate::transfer::{self, History};
use crate::zone::{Owner, Rr, Tables};
use common::journal::Journal;
use domain::base::iana::Rcode;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use tokio::sync::oneshot;

/// The reply to an update whose time is not accepted, with BADTIME in its signature; nothing else gets this code from here.
pub(crate) const LATE: Rcode = Rcode::NOTAUTH;
/// Names in one entry of a shortened journal.
const TOGETHER: usize = 100;

/// An update that a key has signed.
pub(crate) struct Request {
    pub(crate) who: Who,
    pub(crate) asked: Asked,
    pub(crate) signed: Signed,
    pub(crate) reply: oneshot::Sender<Rcode>,
}

/// A question for the records of a zone.
pub(crate) struct Wanted {
    pub(crate) zone: Owner,
    /// The serial that the other server has.
    pub(crate) since: Option<u32>,
    /// The records in their order; none if there is no such zone.
    pub(crate) reply: oneshot::Sender<Option<Vec<Rr>>>,
}

/// What the thread is sent.
pub(crate) enum Order {
    Update(Request),
    Transfer(Wanted),
    /// The serial.
    Serial(oneshot::Sender<u32>),
    /// The names of leases of this host that the journal has.
    Lent(oneshot::Sender<BTreeMap<Owner, Vec<Rr>>>),
    /// A question of another server of the stack: what has changed since it had this serial.
    Since(u32, oneshot::Sender<News>),
    /// What the server that keeps the names says, in answer to such a question.
    Follow(News, oneshot::Sender<Result<(), String>>),
}

/// The names, and what was done to them.
pub(crate) struct Names {
    pub(crate) state: State,
    pub(crate) serial: u32,
    /// The digest of the records of the stack with which the serial began.
    stack: String,
    pub(super) replay: Replay,
    /// What was changed since the records of the stack are these.
    pub(super) history: History,
}

/// What one update of a group came to.
struct Done {
    reply: oneshot::Sender<Rcode>,
    signed: Signed,
    code: Rcode,
}

impl Names {
    pub(crate) fn new(state: State) -> Names {
        Names {
            state,
            serial: 0,
            stack: String::new(),
            replay: Replay::default(),
            history: History::default(),
        }
    }

    /// Takes over what a journal says.
    ///
    /// # Errors
    /// An entry with names or data that DNS does not allow.
    pub(crate) fn load(&mut self, lines: &[Line], now: u64) -> Result<(), String> {
        (self.serial, self.replay) = (0, Replay::default());
        self.stack.clear();
        self.state.live.clear();
        self.history.clear();
        self.take_over(lines, now).map(drop)
    }

    /// Takes over further lines, and returns what they change.
    ///
    /// # Errors
    /// As [`Names::load`].
    pub(super) fn take_over(&mut self, lines: &[Line], now: u64) -> Result<Vec<Change>, String> {
        let mut all = Vec::new();
        for line in lines {
            let mut done = |at: u64, mac: &str| {
                let signed = Signed { at, mac: mac.to_owned() };
                self.replay.note(&signed, Rcode::NOERROR, now);
                signed
            };
            let before = self.serial;
            let (names, update) = match line {
                Line::Begin { serial, stack } => {
                    self.history.clear();
                    (self.serial, self.stack) = (*serial, stack.clone());
                    continue;
                }
                Line::Done { signed_at, mac } => {
                    done(*signed_at, mac);
                    continue;
                }
                Line::Update { serial, signed_at, mac, names } => {
                    let signed = done(*signed_at, mac);
                    self.serial = *serial;
                    (names, Some(signed))
                }
                Line::Names(names) => (names, None),
            };
            let mut changes = Vec::new();
            for named in names {
                let (name, after) = named.read()?;
                let before = self.state.live.get(&name).cloned();
                changes.push(Change { name, before, after });
            }
            self.state.apply(&changes, false);
            all.extend_from_slice(&changes);
            if let Some(signed) = update {
                self.history.add((before, self.serial), changes, signed);
            }
        }
        Ok(all)
    }

    /// Begins to write, with records of the stack that have this digest: with others the serial rises.
    ///
    /// # Errors
    /// Errors of the file system.
    pub(crate) fn begin(
        &mut self,
        journal: &mut Journal<Line>,
        stack: &str,
        now: u64,
    ) -> std::io::Result<()> {
        if self.stack == stack {
            return Ok(());
        }
        let serial = self.next_serial(now);
        journal.append(&[Line::Begin { serial, stack: stack.to_owned() }])?;
        (self.serial, self.stack) = (serial, stack.to_owned());
        self.history.clear();
        Ok(())
    }

    /// It rises with every change, also when the clock goes back (RFC 1982 is not needed before 2106).
    fn next_serial(&self, now: u64) -> u32 {
        u32::try_from(now).unwrap_or(u32::MAX).max(self.serial.saturating_add(1))
    }

    /// Shows all names.
    pub(crate) fn show_all(&self, tables: &RwLock<Tables>) {
        let mut tables = tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.clear_names();
        for name in self.state.live.keys() {
            if let Some(held) = self.state.answered(name) {
                tables.set_name(name, &held.records);
            }
        }
        if self.serial > 0 {
            tables.set_serial(self.serial);
        }
    }

    pub(super) fn show(&self, changes: &[Change], tables: &RwLock<Tables>) {
        let mut tables = tables.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            let records = self.state.answered(&change.name).map(|held| held.records.as_slice());
            tables.set_name(&change.name, records.unwrap_or_default());
        }
        tables.set_serial(self.serial);
    }

    /// Carries out the updates that wait, and answers them. Returns what failed with the disk, and whether anything was changed.
    pub(crate) fn group(
        &mut self,
        journal: &mut Journal<Line>,
        group: Vec<Request>,
        (tables, now): (&RwLock<Tables>, u64),
    ) -> (std::io::Result<()>, bool) {
        // After a write that failed nobody knows what the disk has: nothing is done before it is known again.
        let healed = if journal.is_unsure() { journal.replace(&self.whole()) } else { Ok(()) };
        if healed.is_err() {
            group.into_iter().for_each(|request| _ = request.reply.send(Rcode::SERVFAIL));
            return (healed, false);
        }
        let (before, mut lines, mut changed, mut all) = (self.serial, Vec::new(), Vec::new(), Vec::new());
        for request in group {
            let code = self.one(&request, now, &mut lines, &mut changed);
            all.push(Done { reply: request.reply, signed: request.signed, code });
        }
        let written = if lines.is_empty() { Ok(()) } else { journal.append(&lines) };
        if written.is_err() {
            changed.iter().rev().for_each(|changes: &Vec<Change>| self.state.apply(changes, true));
            self.serial = before;
            for done in &mut all {
                self.replay.forget(&done.signed);
                done.code = Rcode::SERVFAIL; // Also what seemed to change nothing may have seen what was taken back.
            }
        } else if !lines.is_empty() {
            self.show(&changed.concat(), tables);
            let mut from = before;
            for (line, changes) in lines.iter().zip(changed) {
                let Line::Update { serial, signed_at, mac, .. } = line else { continue };
                let signed = Signed { at: *signed_at, mac: mac.clone() };
                self.history.add((from, *serial), changes, signed);
                from = *serial;
            }
        }
        all.into_iter().for_each(|done| _ = done.reply.send(done.code));
        let any = written.is_ok() && !lines.is_empty();
        let shortened =
            if written.is_ok() && journal.is_long() { journal.replace(&self.whole()) } else { Ok(()) };
        (written.and(shortened), any)
    }

    /// The records that a transfer has.
    pub(crate) fn transfer(
        &self,
        zone: &Owner,
        since: Option<u32>,
        tables: &RwLock<Tables>,
    ) -> Option<Vec<Rr>> {
        if self.serial == 0 {
            return None; // It follows another server, which has not told it anything yet.
        }
        let soa = tables.read().unwrap_or_else(PoisonError::into_inner).soa(zone)?.clone();
        Some(transfer::records(&self.state, &self.history, zone, (&soa, self.serial, since)))
    }

    /// One update; what it changes is added to both lists.
    fn one(
        &mut self,
        request: &Request,
        now: u64,
        lines: &mut Vec<Line>,
        changed: &mut Vec<Vec<Change>>,
    ) -> Rcode {
        match self.replay.look(&request.signed, now) {
            Seen::Again(code) => return code,
            Seen::TooOld => return LATE,
            Seen::New => {}
        }
        let code = match self.state.decide(&request.who, &request.asked) {
            Err(code) => code,
            Ok(changes) => {
                if !changes.is_empty() {
                    self.serial = self.next_serial(now);
                    self.state.apply(&changes, false);
                    let named = |change: &Change| Named::new(&change.name, change.after.as_ref());
                    let (signed_at, mac) = (request.signed.at, request.signed.mac.clone());
                    let names = changes.iter().map(named).collect();
                    lines.push(Line::Update { serial: self.serial, signed_at, mac, names });
                    changed.push(changes);
                }
                Rcode::NOERROR
            }
        };
        self.replay.note(&request.signed, code, now);
        code
    }

    /// All that a journal has to say. The serial comes last, where a reader finds it without the rest.
    pub(super) fn whole(&self) -> Vec<Line> {
        let begin = Line::Begin { serial: self.serial, stack: self.stack.clone() };
        let named: Vec<Named> =
            self.state.live.iter().map(|(name, held)| Named::new(name, Some(held))).collect();
        let names = named.chunks(TOGETHER).map(|some| Line::Names(some.to_vec()));
        let done = self.replay.carried_out().map(|signed| Line::done(&signed));
        names.chain(done).chain([begin]).collect()
    }
}

#[cfg(test)]
mod tests;
