//! Who may boot by the network, with `boot.once`. A boot file takes the turn of a machine, on the disk before the file's last bytes go out:
//! killed in between, a machine may have to be asked again, and never boots twice. All workers, and `lsx-dns boot`, write one journal,
//! each for an instant; a request reads of it what was written since the last one.

use crate::Dns;
use crate::model::{BOOT, Stage, Turn, Turns, enter, entries, needed};
use common::host::{file, wait};
use common::journal::{self, Journal, New, Reader};
use common::plan::Kept;
use common::tool::Tool as _;
use common::{Failure, Kind, log};
use rustix::fs::{Mode, OFlags, open};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most machines that are remembered. Further ones do not boot by the network: else one of these would boot twice.
const MOST: usize = 10_000;
/// How long another process may write, and the interval of checks.
const HELD: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(2);
/// Neighbours of this network namespace (proc(5)).
const NEIGHBOURS: &str = "/proc/self/net/arp";

/// A journal of more entries than this is shortened when it has so many times as many as are needed.
const SHORT: usize = 1000;
const TIMES: usize = 4;

/// The folder of the journal, and what is known of it.
pub(crate) struct Tickets {
    folder: OwnedFd,
    known: Mutex<Known>,
}

/// What the journal said when it was looked at last.
#[derive(Default)]
struct Known {
    reader: Reader,
    turns: BTreeMap<String, Turns>,
    /// The number of its entries.
    entries: usize,
}

impl Known {
    fn look(&mut self, folder: &OwnedFd) -> Result<(), Failure> {
        let new = self.reader.look(folder)?;
        self.add(new);
        Ok(())
    }

    fn add(&mut self, new: New<Turn>) {
        let new = match new {
            New::More(more) => more,
            New::All(all) => {
                (self.turns, self.entries) = (BTreeMap::new(), 0);
                all
            }
        };
        self.entries += new.len();
        new.into_iter().for_each(|turn| enter(&mut self.turns, turn));
    }

    /// That of a machine; none of a new one if no more can be remembered.
    fn of(&self, mac: &str) -> Result<Turns, Failure> {
        match self.turns.get(mac) {
            Some(own) => Ok(own.clone()),
            None if self.turns.len() < MOST => Ok(Turns::default()),
            None => Err(full(&format!("{MOST} machines have booted, and no more can be remembered"))),
        }
    }
}

/// The turn of a machine that is about to boot.
pub(super) struct Ticket {
    mac: String,
    stages: Vec<Stage>,
    /// How often it had been asked to boot again.
    number: u64,
}

impl Tickets {
    pub(crate) fn new(folder: OwnedFd) -> Tickets {
        Tickets { folder, known: Mutex::default() }
    }

    /// Those of a stack on this host; none if no server of boot files has been started.
    ///
    /// # Errors
    /// Errors of the file system.
    pub(crate) fn on_disk(stack: &str) -> Result<Option<Tickets>, Failure> {
        let Kept::Data { path } = Kept::data(Dns::NAME, stack) else { return Ok(None) };
        // It belongs to the user of the worker.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match open(Path::new(&path).join(BOOT), flags, Mode::empty()) {
            Ok(folder) => Ok(Some(Tickets::new(folder))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(e) => Err(full(&format!("the folder of boots cannot be opened: {e}"))),
        }
    }

    /// The state of the journal.
    pub(crate) fn mark(&self) -> Option<journal::Mark> {
        journal::mark(&self.folder)
    }

    /// All machines that have booted, or were asked to boot again.
    ///
    /// # Errors
    /// A damaged journal.
    pub(crate) fn all(&self) -> Result<BTreeMap<String, Turns>, Failure> {
        Ok(self.known()?.turns.clone())
    }

    /// What the journal says now.
    fn known(&self) -> Result<MutexGuard<'_, Known>, Failure> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.look(&self.folder)?;
        Ok(known)
    }

    /// That of a client for the file of these stages; none if it has booted.
    pub(super) fn of(&self, client: Ipv4Addr, stages: &[Stage]) -> Result<Option<Ticket>, Failure> {
        neighbour(client).map_or(Ok(None), |mac| self.of_machine(mac, stages))
    }

    fn of_machine(&self, mac: String, stages: &[Stage]) -> Result<Option<Ticket>, Failure> {
        let own = self.known()?.of(&mac)?;
        let free = |stage: &&Stage| !own.booted.contains_key(stage);
        if !stages.iter().any(|stage| free(&stage)) {
            return Ok(None);
        }
        // Who has come to the last stage needs no earlier one any more: its firmware may be iPXE itself.
        let taken = if stages.contains(&Stage::Ipxe) { &[Stage::Firmware, Stage::Ipxe] } else { stages };
        let stages = taken.iter().filter(free).copied().collect();
        Ok(Some(Ticket { mac, stages, number: own.number() }))
    }

    /// Takes it, so that it is taken after a power cut as well; false if somebody else has.
    pub(super) fn take(&self, ticket: &Ticket) -> Result<bool, Failure> {
        let (mut journal, mut known) = self.open()?;
        let own = known.of(&ticket.mac)?;
        let free = ticket.stages.iter().all(|stage| !own.booted.contains_key(stage));
        if !free || own.number() != ticket.number {
            return Ok(false);
        }
        let at = log::now();
        let booted = |stage: &Stage| Turn::Booted { mac: ticket.mac.clone(), stage: *stage, at: at.clone() };
        let new: Vec<Turn> = ticket.stages.iter().map(booted).collect();
        append(&mut journal, &new)?;
        known.look(&self.folder)?;
        // Not where `lsx-dns boot` writes, since a new file would belong to root.
        if known.entries > SHORT && known.entries / TIMES > needed(&known.turns) {
            // What is there counts, long or short.
            let _ = journal.replace(&entries(&known.turns));
        }
        Ok(true)
    }

    /// Lets machines boot again that have booted.
    ///
    /// # Errors
    /// A damaged journal, or errors of the disk.
    pub(crate) fn ask(&self, macs: &[String]) -> Result<(), Failure> {
        // Only what has booted is written, so that the journal is one of the worker's user.
        let closed = |all: &BTreeMap<String, Turns>| -> Vec<Turn> {
            let own = macs.iter().filter_map(|mac| all.get(mac).map(|turns| (mac, turns)));
            let own = own.filter(|(_, turns)| !turns.booted.is_empty());
            let asked = |(mac, turns): (&String, &Turns)| Turn::Asked {
                mac: mac.clone(),
                number: turns.number() + 1,
                at: log::now(),
            };
            own.map(asked).collect()
        };
        if closed(&self.known()?.turns).is_empty() {
            return Ok(());
        }
        let (mut journal, known) = self.open()?;
        append(&mut journal, &closed(&known.turns))
    }

    /// Opens the journal for writing, with what it says.
    fn open(&self) -> Result<(Journal<Turn>, MutexGuard<'_, Known>), Failure> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut opened = Ok(None);
        wait::until(HELD, STEP, || {
            let folder = self.folder.try_clone().map_err(|e| full(&e.to_string()));
            opened = folder.and_then(|folder| Journal::open_with(folder, &mut known.reader));
            !matches!(opened, Ok(None))
        });
        let held = || full("the journal of boots is held by another process");
        let (journal, new) = opened?.ok_or_else(held)?;
        known.add(new);
        Ok((journal, known))
    }
}

fn append(journal: &mut Journal<Turn>, new: &[Turn]) -> Result<(), Failure> {
    journal.append(new).map_err(|e| full(&format!("the journal of boots cannot be written: {e}")))
}

fn full(why: &str) -> Failure {
    Failure::new(Kind::Failed, "dns.booted", why)
}

/// The hardware address of a client, as this host has learned it.
fn neighbour(client: Ipv4Addr) -> Option<String> {
    let text = file::read(Path::new(NEIGHBOURS)).ok()??;
    found(&text, client)
}

fn found(text: &str, client: Ipv4Addr) -> Option<String> {
    let client = client.to_string();
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (address, _, flags, mac) = (words.next()?, words.next()?, words.next()?, words.next()?);
        (address == client && flags != "0x0").then(|| mac.to_lowercase())
    })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests;
