//! Resolves claims on a set of values: written ones first, then kept ones, then derived ones.
//!
//! Every claim gets the value of its own hash unless it is taken, so a new entry changes an old one only when their hashes
//! collide. Plain probing in one pass would change all entries after a new one.

use std::collections::HashSet;
use std::hash::Hash;

/// A claim on a value; the caller's order decides between equal claims.
pub(super) struct Claim<T> {
    /// Written in the document.
    pub(super) fixed: Option<T>,
    /// Kept from the lock.
    pub(super) kept: Option<T>,
}

impl<T> Claim<T> {
    pub(super) fn free() -> Self {
        Claim { fixed: None, kept: None }
    }
}

/// Resolves all claims. `candidate(i, n)` is the n-th value that claim i asks for, `None` when it has no more; `open` says
/// whether a value may be derived or kept at all. A claim stays `None` when no value is left.
pub(super) fn settle<T: Clone + Eq + Hash>(
    claims: &[Claim<T>],
    open: impl Fn(&T) -> bool,
    candidate: impl Fn(usize, u32) -> Option<T>,
) -> Vec<Option<T>> {
    let mut taken: HashSet<T> = claims.iter().filter_map(|claim| claim.fixed.clone()).collect();
    let mut settled: Vec<Option<T>> = claims.iter().map(|claim| claim.fixed.clone()).collect();
    for (claim, slot) in claims.iter().zip(&mut settled).filter(|(_, slot)| slot.is_none()) {
        *slot = claim.kept.clone().filter(|value| open(value) && taken.insert(value.clone()));
    }
    for (i, slot) in settled.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
        *slot = candidate(i, 0).filter(|value| open(value) && taken.insert(value.clone()));
    }
    for (i, slot) in settled.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
        let wishes = (1..).map_while(|n| candidate(i, n));
        *slot = wishes.into_iter().find(|value| open(value) && taken.insert(value.clone()));
    }
    settled
}
