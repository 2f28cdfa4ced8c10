//! Rules for a well-formed document. All of them are checked, and every problem is reported.

mod addresses;
mod allow;
mod check;
mod given;
mod hosts;
mod instances;
mod needs;
mod networks;
mod outside;
mod ports;
mod volumes;

pub(crate) use check::Check;

use super::model::Stack;
use crate::Failure;
use std::collections::BTreeSet;

/// All broken rules, with paths only; the reader of the document adds the places. A value that is missing because it could
/// not be read (`unread`) is not a second mistake.
pub(crate) fn check(stack: &Stack, unread: BTreeSet<String>) -> Vec<Failure> {
    let mut check = Check::new(stack, unread);
    check.hosts();
    check.networks();
    check.instances();
    check.addresses();
    check.ports();
    check.allow();
    check.needs();
    check.monitoring();
    check.registries();
    check.dns();
    check.metadata();
    check.pki();
    check.snap();
    check.store();
    check.found()
}
