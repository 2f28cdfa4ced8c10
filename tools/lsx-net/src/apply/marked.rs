//! Links by their marks: those of lsx, incomplete ones, renamed ones, and foreign ones.

use super::ask::{ask, gone, index};
use crate::model::GROUP;
use crate::netlink::dump::{self, Link};
use crate::netlink::link::{self, Change};
use crate::netlink::{Device, Socket, neigh};
use crate::observe::failure;
use common::{Failure, Kind};

/// Removes the link with a name or mark of lsx.
pub(crate) fn displaced(socket: &mut Socket, name: &str, mark: &str) -> Result<(), Failure> {
    let renamed = dump::link(socket, Device::Altname(mark)).map_err(failure)?;
    for old in existing(socket, name)?.into_iter().chain(renamed.filter(|l| l.name != name)) {
        gone(socket, &link::delete(Device::Index(old.index)))?;
    }
    Ok(())
}

/// Removes a link that could not be completed, so that nothing incomplete is left.
pub(super) fn whole(socket: &mut Socket, name: &str, made: Result<(), Failure>) -> Result<(), Failure> {
    if made.is_err() {
        let _ = socket.request(&link::delete(Device::Name(name)));
    }
    made
}

/// The link that has a mark of lsx. A renamed one gets its name back. A link with the name but without the mark is
/// incomplete or foreign.
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

/// Renames a link of lsx. Before Linux 6.2 it must be down for that, and then a bridge loses its neighbour entries.
pub(super) fn rename(socket: &mut Socket, from: &str, to: &str) -> Result<(), Failure> {
    if dump::link(socket, Device::Name(to)).map_err(failure)?.is_some_and(|there| there.name == to) {
        existing(socket, to)?; // refuses a foreign link of that name, and removes an incomplete one
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

/// A link of that name that belongs to lsx; an incomplete one is removed; a foreign one is refused and not changed.
pub(crate) fn existing(socket: &mut Socket, name: &str) -> Result<Option<Link>, Failure> {
    let Some(found) = dump::link(socket, Device::Name(name)).map_err(failure)? else { return Ok(None) };
    if found.altnames.iter().any(|a| a.starts_with("lsx:")) {
        return Ok(Some(found));
    }
    if found.group == GROUP {
        ask(socket, &link::delete(Device::Index(found.index)))?;
        return Ok(None);
    }
    let message = format!("the interface {name} exists, but was not created by lsx");
    Err(Failure::new(Kind::Failed, "net.stranger", message).hint("rename or remove it"))
}

/// Marks a link as lsx's, with a description for people.
pub(crate) fn finish(socket: &mut Socket, name: &str, mark: &str) -> Result<(), Failure> {
    let alias = Change { alias: Some(mark), ..Change::default() };
    let requests = [link::change(Device::Name(name), &alias), link::add_altname(Device::Name(name), mark)];
    for verdict in socket.batch(&requests) {
        verdict.map_err(failure)?;
    }
    Ok(())
}
