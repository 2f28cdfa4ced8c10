//! Removes links. Each removal waits for the kernel (`synchronize_net`), so the links whose removals wait at the same time are
//! put into a group of their own and removed by one request: twenty cost little more than one.

use super::link;
use crate::netlink::dump;
use crate::netlink::link::{Change, change, delete_group};
use crate::netlink::{Device, Socket};
use crate::observe::failure;
use common::{Failure, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The removals of one run. The first thread removes what waits, for all that wait; the others get its results.
#[derive(Default)]
pub(super) struct Removals {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    next: u64,
    waiting: BTreeMap<u64, String>,
    results: BTreeMap<u64, Result<(), Failure>>,
    busy: bool,
    group: Option<NonZeroU32>,
}

impl Removals {
    /// Removes a link; a missing one is no error.
    pub(super) fn remove(&self, name: &str) -> Result<(), Failure> {
        let mut state = self.state();
        let mine = state.next;
        state.next += 1;
        state.waiting.insert(mine, name.to_owned());
        loop {
            if let Some(result) = state.results.remove(&mine) {
                return result;
            }
            if state.busy {
                state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.busy = true;
            let (waiting, mut group) = (std::mem::take(&mut state.waiting), state.group);
            drop(state);
            let names: Vec<&str> = waiting.values().map(String::as_str).collect();
            let results = together(&names, &mut group);
            state = self.state();
            (state.busy, state.group) = (false, group);
            state.results.extend(waiting.keys().copied().zip(results));
            self.done.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes links by one request; returns a result for each. What cannot be removed so is removed by itself.
fn together(names: &[&str], group: &mut Option<NonZeroU32>) -> Vec<Result<(), Failure>> {
    let mut socket = match super::socket() {
        Ok(socket) => socket,
        Err(failure) => return names.iter().map(|_| Err(failure.clone())).collect(),
    };
    if names.len() > 1
        && let Ok(group) = group.map_or_else(|| unused(&mut socket), Ok)
    {
        let regroup = Change { group: Some(group.get()), ..Change::default() };
        let requests: Vec<_> = names.iter().map(|name| change(Device::Name(name), &regroup)).collect();
        socket.batch(&requests);
        let _ = socket.request(&delete_group(group));
    }
    // A link that is gone costs one request that waits for nothing.
    names.iter().map(|name| link::remove(&mut socket, name)).collect()
}

/// A group that no link of this host is in. Two runs at the same time have different process ids.
fn unused(socket: &mut Socket) -> Result<NonZeroU32, Failure> {
    let taken: BTreeSet<u32> = dump::links(socket).map_err(failure)?.iter().map(|link| link.group).collect();
    let first = 0x6c00_0000 | std::process::id();
    let mut groups = (0..0x80).map(|n| first + n * 0x0100_0000).filter(|group| !taken.contains(group));
    let none = || Failure::new(Kind::Failed, "net.group", "every link group is in use");
    groups.next().and_then(NonZeroU32::new).ok_or_else(none)
}
