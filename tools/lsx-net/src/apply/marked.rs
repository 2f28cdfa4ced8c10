//! Links by their marks: what is ours, what is half made, what somebody renamed, what is a stranger's.

use super::link::{ask, gone, index};
use crate::model::GROUP;
use crate::netlink::dump::{self, Link};
use crate::netlink::link::{self, Change};
use crate::netlink::{Device, Socket, neigh};
use crate::observe::failure;
use common::{Failure, Kind};

/// Removes what carries a name or a mark of ours.
pub(crate) fn displaced(socket: &mut Socket, name: &str, mark: &str) -> Result<(), Failure> {
    let renamed = dump::link(socket, Device::Altname(mark)).map_err(failure)?;
    for old in existing(socket, name)?.into_iter().chain(renamed.filter(|l| l.name != name)) {
        gone(socket, &link::delete(Device::Index(old.index)))?;
    }
    Ok(())
}

/// A link whose making failed half way goes: nothing half made is left to the next run.
pub(super) fn whole(socket: &mut Socket, name: &str, made: Result<(), Failure>) -> Result<(), Failure> {
    if made.is_err() {
        let _ = socket.request(&link::delete(Device::Name(name)));
    }
    made
}

/// The link that carries a mark of ours, by its right name: one that somebody renamed gets it back. Without the mark it is one
/// that is half made, or a stranger's.
pub(super) fn marked(socket: &mut Socket, name: &str, mark: &str) -> Result<Option<Link>, Failure> {
    match dump::link(socket, Device::Altname(mark)).map_err(failure)? {
        Some(found) if found.name == name => Ok(Some(found)),
        Some(found) => {
            rename(socket, &found.name, name)?;
            dump::link(socket, Device::Altname(mark)).map_err(failure)
        }
        None => existing(socket, name),
    }
}

/// Renames a link of ours. Before Linux 6.2 it must be down for that, and then a bridge forgets its neighbours.
pub(super) fn rename(socket: &mut Socket, from: &str, to: &str) -> Result<(), Failure> {
    if dump::link(socket, Device::Name(to)).map_err(failure)?.is_some_and(|there| there.name == to) {
        existing(socket, to)?; // a stranger is refused by name, what is half made goes
    }
    let device = index(socket, from)?;
    match socket.request(&link::rename(device, to)) {
        Err(error) if error.busy() => {}
        verdict => return verdict.map_err(failure),
    }
    let known = neigh::list(socket, Some(device)).map_err(failure)?;
    let set = |up| link::change(Device::Index(device), &Change { up: Some(up), ..Change::default() });
    ask(socket, &set(false))?;
    let renamed = ask(socket, &link::rename(device, to));
    ask(socket, &set(true))?;
    let kept = known.iter().filter(|n| n.permanent);
    let again: Vec<_> = kept.filter_map(|n| Some(neigh::replace(device, n.address, n.mac?))).collect();
    for verdict in socket.batch(&again) {
        verdict.map_err(failure)?;
    }
    renamed
}

/// A link of that name that is ours; a half-made one is removed; a stranger is left alone and refused.
pub(crate) fn existing(socket: &mut Socket, name: &str) -> Result<Option<Link>, Failure> {
    let Some(found) = dump::link(socket, Device::Name(name)).map_err(failure)? else { return Ok(None) };
    if found.altnames.iter().any(|a| a.starts_with("lsx:")) {
        return Ok(Some(found));
    }
    if found.group == GROUP {
        ask(socket, &link::delete(Device::Index(found.index)))?;
        return Ok(None);
    }
    let message = format!("an interface {name} exists and lsx did not make it");
    Err(Failure::new(Kind::Failed, "net.stranger", message).hint("rename or remove it"))
}

/// Marks a link as ours and says for people what it is.
pub(crate) fn finish(socket: &mut Socket, name: &str, mark: &str) -> Result<(), Failure> {
    let alias = Change { alias: Some(mark), ..Change::default() };
    let requests = [link::change(Device::Name(name), &alias), link::add_altname(Device::Name(name), mark)];
    for verdict in socket.batch(&requests) {
        verdict.map_err(failure)?;
    }
    Ok(())
}
