//! The reserve of a host's disk: if less is free, an instance that continues to write is frozen until there is space again,
//! so that no stack fills the disk. It is a check and not a quota: it works on every file system, and `limits.disk` is an
//! exact limit.

use crate::model::Instance;
use crate::oci::disk::InstanceFolders;
use crate::oci::{groups, room};
use crate::paths;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The assumed maximum rate of writing, in bytes per second, which gives the interval of checks.
const FASTEST: u64 = 2 << 30;
const SOONEST: Duration = Duration::from_millis(250);
/// A check may take 5 % of the time.
const SHARE: u32 = 20;
const LATEST: Duration = Duration::from_secs(60);
/// How much an instance may write between two checks while less than the reserve is free; below half of the reserve
/// nothing.
const LITTLE: u64 = 1 << 20;

/// A running instance, in the terms in which engines differ.
pub(in crate::supervise) trait Writer {
    /// Its processes.
    fn processes(&self) -> BTreeSet<i32>;

    /// Freezes or thaws it; returns whether that worked.
    fn freeze(&self, frozen: bool) -> bool;
}

/// One with the driver oci, by its control group.
struct Contained {
    stack: String,
    name: String,
}

impl Writer for Contained {
    fn processes(&self) -> BTreeSet<i32> {
        groups::contained(&self.stack, &self.name)
    }

    fn freeze(&self, frozen: bool) -> bool {
        groups::freeze(&self.stack, &self.name, frozen)
    }
}

/// The checks during one run of an instance.
pub(in crate::supervise) struct Watch<'a> {
    /// The folders that it writes to.
    places: Vec<PathBuf>,
    /// Other file systems that become fuller when it writes.
    below: Vec<PathBuf>,
    of: Box<dyn Writer + 'a>,
    /// The size of its folders at the last check, and the bytes written by each of its processes. The former includes
    /// processes that have ended since, the latter deleted files.
    used: Option<u64>,
    written: BTreeMap<i32, u64>,
    next: Instant,
    /// Why it is frozen.
    held: Option<String>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(stack: &str, place: &InstanceFolders, instance: &Instance) -> Watch<'static> {
        let of = Contained { stack: stack.to_owned(), name: instance.name.clone() };
        let own = instance.disk_bytes.is_none().then(|| place.disk.join("upper"));
        Watch::at(stack, instance, own, Vec::new(), Box::new(of))
    }

    /// `own`: the folder with its own files, if nothing else limits them.
    pub(in crate::supervise) fn at(
        stack: &str,
        instance: &Instance,
        own: Option<PathBuf>,
        below: Vec<PathBuf>,
        of: Box<dyn Writer + 'a>,
    ) -> Watch<'a> {
        let volumes = instance.volumes.iter().filter(|volume| !volume.read_only);
        Watch {
            places: own.into_iter().chain(volumes.map(|v| paths::volume(stack, &v.name))).collect(),
            below,
            of,
            used: None,
            written: BTreeMap::new(),
            next: Instant::now(),
            held: None,
        }
    }

    /// Why it is frozen now.
    pub(in crate::supervise) fn held(&self) -> Option<&String> {
        self.held.as_ref()
    }

    /// The time until the next check.
    pub(in crate::supervise) fn time(&self) -> Duration {
        if self.places.is_empty() { LATEST } else { self.next.saturating_duration_since(Instant::now()) }
    }

    /// Checks when it is time; returns whether the instance becomes frozen or resumed.
    pub(in crate::supervise) fn look(&mut self) -> bool {
        if self.places.is_empty() || Instant::now() < self.next {
            return false;
        }
        let rooms = self.places.iter().chain(&self.below).filter_map(|path| room::of(path));
        let Some(room) = rooms.min_by_key(|room| room.free.saturating_sub(room.reserve)) else {
            return false;
        };
        let more = room.free.saturating_sub(room.reserve);
        let time = Duration::from_millis(more / (FASTEST / 1000));
        self.next = Instant::now() + time.clamp(SOONEST, LATEST);
        match (more > 0, &self.held) {
            (true, None) => {
                self.used = None;
                false
            }
            (true, Some(_)) => {
                self.let_go();
                true
            }
            (false, Some(_)) => false,
            (false, None) => self.writes(&room) && self.hold(&room),
        }
    }

    /// Whether it has written more than allowed since the last check.
    fn writes(&mut self, room: &room::Room) -> bool {
        let begin = Instant::now();
        let used = self.places.iter().map(|path| room::used(path)).sum();
        self.next = Instant::now() + (begin.elapsed() * SHARE).max(SOONEST);
        let before = self.used.replace(used);
        let now: BTreeMap<i32, u64> =
            self.of.processes().into_iter().filter_map(|p| Some((p, written(p)?))).collect();
        let since = |(process, bytes): (&i32, &u64)| {
            bytes.saturating_sub(self.written.get(process).copied().unwrap_or(0))
        };
        let sum: u64 = now.iter().map(since).sum();
        self.written = now;
        let Some(before) = before else { return false };
        let sum = sum.max(used.saturating_sub(before));
        let most = if room.free < room.reserve / 2 { 0 } else { LITTLE };
        sum > most
    }

    fn hold(&mut self, room: &room::Room) -> bool {
        if !self.of.freeze(true) {
            return false; // an old kernel has no freezer for it; the host still reports it
        }
        self.held = Some(format!("frozen, because it writes and {room}; it continues when there is space"));
        true
    }

    /// Resumes it, also before it is stopped.
    pub(super) fn let_go(&mut self) {
        if self.held.take().is_some() {
            self.of.freeze(false);
            self.used = None;
        }
    }
}

/// Bytes written to disks by a process (proc(5)).
fn written(process: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/io")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.trim().parse().ok())
}
