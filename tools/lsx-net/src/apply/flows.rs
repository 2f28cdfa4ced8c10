//! Ends connections that the kernel still lets pass although the document does not any more.

use super::Changer;
use crate::model::{Desired, Flow, router};
use crate::netlink::{addr, conntrack, namespace};
use crate::observe::{failure, io_failure};
use crate::plan::Stale;
use common::Failure;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;

impl Changer<'_> {
    /// Between what the host kept and what it shall keep; rules are loaded by now, so nothing new of the kind begins.
    pub(super) fn end_flows(&self, old: &Desired, new: Option<&Desired>) -> Result<(), Failure> {
        let stale = Stale::between(old, new);
        if stale.nothing() {
            return Ok(());
        }
        let local = addr::list(&mut super::socket()?).map_err(failure)?;
        let local: BTreeSet<_> = local.into_iter().map(|a| a.address.addr()).collect();
        let refused = |e: io::Error| {
            io_failure("end connections of before", &e)
                .hint("`modprobe nf_conntrack_netlink` on the host, then `lsx-net up` again")
        };
        end(|flow| stale.on_host(flow, &local)).map_err(refused)?;
        // A router that is not there keeps no connections.
        let Ok(space) = namespace::open(namespace::Place::Name(&router(self.stack))) else { return Ok(()) };
        let ended = namespace::inside(space.as_fd(), || end(|flow| stale.in_router(flow)));
        ended.map_err(|e| io_failure("enter the router", &e))?.map_err(refused)
    }
}

fn end(stale: impl Fn(&Flow) -> bool) -> io::Result<()> {
    conntrack::flows()?.iter().filter(|flow| stale(flow)).try_for_each(conntrack::delete)
}
