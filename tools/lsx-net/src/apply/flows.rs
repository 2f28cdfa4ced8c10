//! Ends connections that the kernel still forwards although the document no longer allows them.

use super::Changer;
use crate::model::{Desired, Flow, router};
use crate::netlink::{addr, conntrack, namespace};
use crate::observe::{failure, io_failure};
use crate::plan::Stale;
use common::Failure;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;

impl Changer {
    /// Compares the old with the new intent; the new rules are already loaded, so no new connections of this kind can
    /// begin.
    pub(super) fn end_flows(&self, old: &Desired, new: Option<&Desired>) -> Result<(), Failure> {
        let stale = Stale::between(old, new);
        if stale.nothing() {
            return Ok(());
        }
        let local = addr::list(&mut super::socket()?).map_err(failure)?;
        let local: BTreeSet<_> = local.into_iter().map(|a| a.address.addr()).collect();
        let refused = |e: io::Error| {
            io_failure("end connections that are no longer allowed", &e)
                .hint("run `modprobe nf_conntrack_netlink` on the host, then `lsx-net up` again")
        };
        end(|flow| stale.on_host(flow, &local)).map_err(refused)?;
        // A missing router has no connections.
        let Ok(space) = namespace::open(namespace::NamespaceRef::Name(&router(&self.stack))) else {
            return Ok(());
        };
        let ended = namespace::inside(space.as_fd(), || end(|flow| stale.in_router(flow)));
        ended.map_err(|e| io_failure("enter the router", &e))?.map_err(refused)
    }
}

fn end(stale: impl Fn(&Flow) -> bool) -> io::Result<()> {
    conntrack::flows()?.iter().filter(|flow| stale(flow)).try_for_each(conntrack::delete)
}
