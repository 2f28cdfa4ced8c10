//! The rules of meaning: what a well-formed document may not say. All of them are tried, every problem is told.

mod addresses;
mod allow;
mod check;
mod given;
mod hosts;
mod instances;
mod needs;
mod networks;
mod ports;
mod volumes;

pub(crate) use check::Check;

use super::model::Stack;
use crate::Failure;
use std::collections::BTreeSet;

/// Every broken rule; paths alone, the reader of the document adds the places. What could not be read at `unread` is no second
/// mistake for being absent.
pub(crate) fn check(stack: &Stack, unread: BTreeSet<String>) -> Vec<Failure> {
    let mut check = Check::new(stack, unread);
    check.hosts();
    check.networks();
    check.instances();
    check.addresses();
    check.ports();
    check.allow();
    check.needs();
    check.dns();
    check.metadata();
    check.pki();
    check.snap();
    check.store();
    check.found()
}
