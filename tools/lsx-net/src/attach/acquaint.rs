//! Permanent neighbour entries for a new interface, from the host's intent: it then needs no place in the kernel's
//! neighbour table.

use super::{Attach, Host};
use crate::apply::introduce;
use crate::model::Row;
use crate::netlink::{Device, Socket, dump};
use crate::observe::{failure, kept_intent};
use crate::plan;
use common::Failure;
use std::collections::BTreeMap;

/// The members of the networks of a stack.
pub(super) struct Acquaintances {
    rows: BTreeMap<String, Vec<Row>>,
    peers: bool,
}

impl Host {
    /// Adds the entries to an interface.
    pub(super) fn acquaint(&mut self, wanted: &Attach, inner: &mut Socket) -> Result<(), Failure> {
        if self.kept.as_ref().is_none_or(|(stack, _)| *stack != wanted.stack) {
            let intent = kept_intent(&wanted.stack);
            let kept = intent.map(|intent| {
                let rows = plan::by_network(&intent.rows);
                Acquaintances { peers: plan::peers(&intent.desired, &rows), rows }
            });
            self.kept = Some((wanted.stack.clone(), kept));
        }
        let Some((_, Some(kept))) = &self.kept else { return Ok(()) };
        let rows = kept.rows.get(&wanted.nic.network).map(Vec::as_slice).unwrap_or_default();
        match dump::link(inner, Device::Name(&wanted.nic.name)).map_err(failure)? {
            Some(inside) => introduce(inner, &inside, "", (&[], rows), kept.peers),
            None => Ok(()),
        }
    }
}
