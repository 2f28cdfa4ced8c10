//! Finding the namespace of an instance without any state: the one that holds its hardware address, or the other end of its port.

use super::{io_failure, mac};
use crate::netlink::dump::Link;
use crate::netlink::{Socket, dump, namespace};
use common::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A network namespace that is entered, with the links in it.
pub(crate) struct Space {
    pub(crate) space: OwnedFd,
    pub(crate) socket: Socket,
    pub(crate) links: Vec<Link>,
}

/// Every network namespace that a name or a process holds, by the hardware addresses inside.
pub(crate) fn by_mac() -> Result<BTreeMap<String, Arc<OwnedFd>>, Failure> {
    let mut found = BTreeMap::new();
    each(|space| {
        let held = Arc::new(space.space);
        for hardware in space.links.iter().filter_map(|l| l.mac) {
            found.insert(mac(hardware), Arc::clone(&held));
        }
    })?;
    Ok(found)
}

/// Enters the namespace behind each of these ports of ours: `each` gets the port, the link that is its other end, and a socket
/// in there. A port whose other end nobody holds is passed over.
pub(crate) fn behind(
    ports: &[&Link],
    mut visit: impl FnMut(&Link, &Link, &mut Socket) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if ports.is_empty() {
        return Ok(());
    }
    let by_index: BTreeMap<u32, &Link> = ports.iter().map(|port| (port.index, *port)).collect();
    let mut verdict = Ok(());
    each(|mut space| {
        for inside in &space.links {
            let port = inside.lower.and_then(|lower| by_index.get(&lower));
            let Some(port) = port.filter(|p| p.lower == Some(inside.index) && inside.kind == "veth") else {
                continue;
            };
            if verdict.is_ok() {
                verdict = visit(port, inside, &mut space.socket);
            }
        }
    })?;
    verdict
}

/// Every network namespace that a name or a process holds, but our own.
fn each(mut visit: impl FnMut(Space)) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    for path in candidates()? {
        let Ok(inode) = path.metadata().map(|m| m.ino()) else { continue };
        if !seen.insert(inode) {
            continue;
        }
        // A process may end between two looks; then its namespace is no candidate any more.
        let Ok(space) = namespace::open(namespace::Place::Path(&path)) else { continue };
        let Ok(mut socket) = Socket::open_in(space.as_fd()) else { continue };
        let Ok(links) = dump::links(&mut socket) else { continue };
        visit(Space { space, socket, links });
    }
    Ok(())
}

fn candidates() -> Result<Vec<PathBuf>, Failure> {
    let names = namespace::list().map_err(|e| io_failure("list network namespaces", &e))?;
    let mut all: Vec<PathBuf> = names.iter().map(|n| Path::new("/run/netns").join(n)).collect();
    all.extend(processes()?.into_iter().map(|pid| PathBuf::from(format!("/proc/{pid}/ns/net"))));
    Ok(all)
}

/// The processes of this host.
fn processes() -> Result<Vec<u32>, Failure> {
    let entries = std::fs::read_dir("/proc").map_err(|e| io_failure("read /proc", &e))?;
    Ok(entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
}
