//! IP forwarding of the host: enabled while a stack needs it, and restored when the last one is removed. The previous state
//! is recorded twice, in /run and at the link to each stack's router, since either may be lost.

use super::ask::ask;
use crate::model::mark;
use crate::netlink::dump;
use crate::netlink::link::{self, Change};
use crate::netlink::{Device, Socket, namespace, sysctl};
use crate::observe::prior::{Prior, WAS, aliased, file_of};
use crate::observe::ways::{self, FORWARD, forwarding};
use crate::observe::{failure, io_failure, kept_intent};
use crate::paths::Paths;
use common::Failure;
use common::host::file::{self, Mode};
use std::os::fd::AsFd;

/// Enables forwarding, and records the state before the first stack.
pub(super) fn enter(stack: &str, socket: &mut Socket) -> Result<(), Failure> {
    let own = namespace::own().map_err(|e| io_failure("open this network namespace", &e))?;
    // The record of this stack comes first, so that `down` restores the state even after a run that was killed.
    file::write(&Paths::new(stack).routing_user(), b"", Mode::Public)?;
    let links = dump::links(socket).map_err(failure)?;
    let off = ways::off(stack, &links, socket, kept_intent(stack).as_ref())?;
    let read = || sysctl::read(own.as_fd(), FORWARD).map_err(|e| io_failure("read ip_forward", &e));
    let mut prior = match Prior::noted().or_else(|| aliased(&links)) {
        Some(prior) => prior,
        None => Prior { forward: read()?.unwrap_or_default(), off: Vec::new() },
    };
    // If the host did not forward at all, forwarding was off on every interface, and is again with ip_forward.
    if read()?.as_deref() == Some("1") {
        prior.off.extend(off.iter().filter(|link| !prior.off.contains(link)).cloned().collect::<Vec<_>>());
    }
    keep(&prior)?;
    let settings: Vec<String> = off.iter().map(|link| forwarding(link)).collect();
    let settings = settings.iter().map(|key| (key.as_str(), "1"));
    let all: Vec<(&str, &str)> = std::iter::once((FORWARD, "1")).chain(settings).collect();
    sysctl::write(own.as_fd(), &all).map_err(|e| io_failure("enable forwarding on this host", &e))
}

fn keep(prior: &Prior) -> Result<(), Failure> {
    file::write(&file_of(), prior.text().as_bytes(), Mode::Public).map(drop)
}

/// Records the previous state at a stack's link to its router.
pub(super) fn annotate(stack: &str, socket: &mut Socket, name: &str) -> Result<(), Failure> {
    let Some(prior) = Prior::noted() else { return Ok(()) };
    let alias = format!("{}{WAS}{}", mark(stack, "host", "world"), prior.text());
    let alias: String = alias.chars().take(255).collect();
    ask(socket, &link::change(Device::Name(name), &Change { alias: Some(&alias), ..Change::default() }))
}

/// A link to a stack's router is about to be removed: what is recorded only there is saved, with the record of the stack, so
/// that `down` restores the state even if this run is killed after the link and the router are gone.
pub(super) fn save(stack: &str, socket: &mut Socket) -> Result<(), Failure> {
    let links = dump::links(socket).map_err(failure)?;
    match aliased(&links).filter(|_| Prior::noted().is_none()) {
        Some(prior) => {
            file::write(&Paths::new(stack).routing_user(), b"", Mode::Public)?;
            keep(&prior)
        }
        None => Ok(()),
    }
}

/// The last stack restores the previous state. Other stacks are found by their record, or by the link to their router.
pub(super) fn leave(stack: &str, socket: &mut Socket) -> Result<(), Failure> {
    let links = dump::links(socket).map_err(failure)?;
    let (own, folder) = (Paths::new(stack).routing_user(), Paths::routing());
    let users = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path());
    let noted = users.filter(|p| p.extension().is_some_and(|x| x == "user") && *p != own).count() > 0;
    if !noted && !ways::worlds(&links).any(|(other, _)| other != stack) {
        if let Some(prior) = Prior::noted().or_else(|| aliased(&links)) {
            let space = namespace::own().map_err(|e| io_failure("open this network namespace", &e))?;
            let put = |key: &str, value: &str| sysctl::write(space.as_fd(), &[(key, value)]);
            put(FORWARD, &prior.forward).map_err(|e| io_failure("restore ip_forward", &e))?;
            // An interface that no longer exists needs nothing.
            prior.off.iter().for_each(|link| drop(put(&forwarding(link), "0")));
        }
        file::remove(&file_of())?;
    }
    file::remove(&own)?;
    file::remove_empty(&folder);
    Ok(())
}
