//! Replies of this server's own names that were written before, in front of the zones: one for each view, name and type, from the
//! first time that it is asked for. So it is what [`super::write`] wrote, byte for byte.
//!
//! All are forgotten when something changes that they were made of, and when they are too many. Only names that exist are here, so
//! that nobody fills it with others.

use super::quick::{Body, Quick};
use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The number of replies for each name, on average, and besides: most names are asked for A and AAAA.
const EACH: usize = 2;
const MORE: usize = 1000;

#[derive(Debug)]
pub(super) struct Prepared {
    most: usize,
    all: Mutex<All>,
}

/// What replies are made of besides the configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// That of the tables, which clients change.
    pub(super) version: u64,
    /// What is not ready; replies leave it out.
    pub(super) down: Arc<HashSet<Ipv4Addr>>,
}

#[derive(Debug, Default)]
struct All {
    state: State,
    number: usize,
    /// Of each view.
    views: Vec<HashMap<Box<[u8]>, Body>>,
}

impl Prepared {
    /// For this number of names.
    pub(super) fn new(names: usize) -> Prepared {
        Prepared { most: names.saturating_mul(EACH).saturating_add(MORE), all: Mutex::default() }
    }

    /// Writes the reply to the end of `out`, if it is there and fits.
    pub(super) fn reply(&self, view: usize, quick: &Quick<'_>, state: &State, out: &mut Vec<u8>) -> bool {
        let all = self.made_of(state);
        let found = all.views.get(view).and_then(|all| all.get(quick.key()));
        found.is_some_and(|body| body.write(quick, 0, out))
    }

    /// Keeps a reply that was written for a name that exists.
    pub(super) fn keep(&self, view: usize, quick: &Quick<'_>, state: &State, reply: &[u8]) {
        let Some(body) = Body::of(reply, quick.has_edns()) else { return };
        let mut all = self.made_of(state);
        if all.number >= self.most {
            (all.number, all.views) = (0, Vec::new());
        }
        if all.views.len() <= view {
            all.views.resize_with(view + 1, HashMap::new);
        }
        let before = all.views[view].insert(quick.key().into(), body.fixed());
        all.number += usize::from(before.is_none());
    }

    /// Those made of this state.
    fn made_of(&self, state: &State) -> MutexGuard<'_, All> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.state.version != state.version || !Arc::ptr_eq(&all.state.down, &state.down) {
            *all = All { state: state.clone(), ..All::default() };
        }
        all
    }
}

#[cfg(test)]
pub(super) mod tests;
