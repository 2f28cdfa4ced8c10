//! Who may boot by the network, with `boot.once`. A boot file takes the turn of a machine, on the disk before the file's last bytes go out:
//! killed in between, a machine may have to be asked again, and never boots twice. All workers, and `lsx-dns boot`, write one journal,
//! each for an instant.

use crate::Dns;
use crate::model::{BOOT, Stage, Turn, Turns, entries, turns};
use common::host::{file, wait};
use common::journal::{self, Journal, Opened};
use common::plan::Kept;
use common::tool::Tool as _;
use common::{Failure, Kind, log};
use rustix::fs::{Mode, OFlags, open};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// The most machines that are remembered. Further ones do not boot by the network: else one of these would boot twice.
const MOST: usize = 10_000;
/// How long another process may write, and the interval of checks.
const HELD: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(2);
/// Neighbours of this network namespace (proc(5)).
const NEIGHBOURS: &str = "/proc/self/net/arp";

/// The folder of the journal.
pub(crate) struct Tickets(pub(crate) OwnedFd);

/// The turn of a machine that is about to boot.
pub(super) struct Ticket {
    mac: String,
    stages: Vec<Stage>,
    /// How often it had been asked to boot again.
    number: u64,
}

impl Tickets {
    /// Those of a stack on this host; none if no server of boot files has been started.
    ///
    /// # Errors
    /// Errors of the file system.
    pub(crate) fn on_disk(stack: &str) -> Result<Option<Tickets>, Failure> {
        let Kept::Data { path } = Kept::data(Dns::NAME, stack) else { return Ok(None) };
        // It belongs to the user of the worker.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match open(Path::new(&path).join(BOOT), flags, Mode::empty()) {
            Ok(folder) => Ok(Some(Tickets(folder))),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(e) => Err(full(&format!("the folder of boots cannot be opened: {e}"))),
        }
    }

    /// The state of the journal.
    pub(crate) fn mark(&self) -> Option<journal::Mark> {
        journal::mark(&self.0)
    }

    /// All machines that have booted, or were asked to boot again.
    ///
    /// # Errors
    /// A damaged journal.
    pub(crate) fn all(&self) -> Result<BTreeMap<String, Turns>, Failure> {
        Ok(turns(&journal::read(&self.0)?.0))
    }

    /// That of a client for the file of these stages; none if it has booted.
    pub(super) fn of(&self, client: Ipv4Addr, stages: &[Stage]) -> Result<Option<Ticket>, Failure> {
        let Some(mac) = neighbour(client) else { return Ok(None) };
        let own = self.all()?.remove(&mac).unwrap_or_default();
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
        let (mut journal, all) = self.open()?;
        let mut all = turns(&all);
        let own = all.get(&ticket.mac).cloned().unwrap_or_default();
        let free = ticket.stages.iter().all(|stage| !own.booted.contains_key(stage));
        if !free || own.number() != ticket.number {
            return Ok(false);
        }
        if !all.contains_key(&ticket.mac) && all.len() >= MOST {
            return Err(full(&format!("{MOST} machines have booted, and no more can be remembered")));
        }
        let at = log::now();
        let booted = |stage: &Stage| Turn::Booted { mac: ticket.mac.clone(), stage: *stage, at: at.clone() };
        let new: Vec<Turn> = ticket.stages.iter().map(booted).collect();
        append(&mut journal, &new)?;
        if journal.is_long() {
            let own = all.entry(ticket.mac.clone()).or_default();
            own.booted.extend(ticket.stages.iter().map(|stage| (*stage, at.clone())));
            // What is there counts, long or short.
            let _ = journal.replace(&entries(&all));
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
        if closed(&self.all()?).is_empty() {
            return Ok(());
        }
        let (mut journal, all) = self.open()?;
        append(&mut journal, &closed(&turns(&all)))
    }

    fn open(&self) -> Result<Opened<Turn>, Failure> {
        let mut opened = None;
        wait::until(HELD, STEP, || {
            let folder = self.0.try_clone();
            opened = Some(folder.map_err(|e| full(&e.to_string())).and_then(Journal::open));
            !matches!(opened, Some(Ok(None)))
        });
        let opened = opened.unwrap_or(Ok(None))?;
        opened.ok_or_else(|| full("the journal of boots is held by another process"))
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
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_neighbour_is_found_by_its_whole_address() {
        let text = "IP address       HW type     Flags       HW address            Mask     Device\n\
                    10.0.0.70        0x1         0x2         02:00:00:00:00:70     *        eth0\n\
                    10.0.0.8         0x1         0x0         00:00:00:00:00:00     *        eth0\n\
                    10.0.0.7         0x1         0x6         02:00:00:00:00:0A     *        eth0\n";
        assert_eq!(found(text, Ipv4Addr::new(10, 0, 0, 7)).as_deref(), Some("02:00:00:00:00:0a"));
        assert_eq!(found(text, Ipv4Addr::new(10, 0, 0, 8)), None);
    }

    #[test]
    fn a_turn_is_taken_once_and_given_again() {
        let at = tempfile::tempdir().unwrap();
        let tickets = Tickets(File::open(at.path()).unwrap().into());
        let ticket =
            |stages: &[Stage], number| Ticket { mac: "a".to_owned(), stages: stages.to_vec(), number };
        let take = |stages: &[Stage], number| tickets.take(&ticket(stages, number)).unwrap();
        tickets.ask(&["a".to_owned()]).unwrap();
        assert!(!at.path().join("journal").exists(), "it may boot anyway");
        assert!(take(&[Stage::Firmware], 0));
        assert!(!take(&[Stage::Firmware], 0));
        assert!(take(&[Stage::Ipxe], 0));
        tickets.ask(&["a".to_owned(), "b".to_owned()]).unwrap();
        assert!(!take(&[Stage::Firmware], 0), "a transfer of before");
        assert!(take(&[Stage::Firmware, Stage::Ipxe], 1));
        assert!(!take(&[Stage::Ipxe], 1));
        assert_eq!(tickets.all().unwrap().len(), 1);
    }
}
