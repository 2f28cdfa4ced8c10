//! Finds the namespace of an instance without stored state: the one with its hardware address, or with the other end of its
//! port.

use super::{io_failure, mac};
use crate::netlink::dump::Link;
use crate::netlink::{Socket, dump, namespace};
use common::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A network namespace that is entered, with the links in it.
pub(crate) struct Space {
    pub(crate) space: OwnedFd,
    pub(crate) socket: Socket,
    pub(crate) links: Vec<Link>,
}

/// All network namespaces with a name or a process, by the hardware addresses inside.
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

/// Enters the namespace behind each of these ports: `each` gets the port, the link that is its other end, and a socket
/// there. A port whose other end is not found is skipped.
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

/// All network namespaces with a name or a process, except our own.
fn each(mut visit: impl FnMut(Space)) -> Result<(), Failure> {
    // Ports are matched by their indexes, which are unique in one namespace only: eth0 of a host that is a container itself
    // looks like the other end of a port with its number.
    let own = Path::new("/proc/thread-self/ns/net").metadata().map(|m| m.ino());
    let mut seen: BTreeSet<u64> = own.into_iter().collect();
    for path in candidates()? {
        let Ok(inode) = path.metadata().map(|m| m.ino()) else { continue };
        if !seen.insert(inode) {
            continue;
        }
        // A process may end in the meantime; then its namespace is no candidate any more.
        let entered = namespace::enter(namespace::NamespaceRef::Path(&path), Socket::open);
        let Ok((space, Ok(mut socket))) = entered else { continue };
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

/// Processes in a named network namespace, such as `1234 (tcpdump)`.
pub(super) fn inhabitants(file: &Path) -> Result<Vec<String>, Failure> {
    let Ok(home) = file.metadata().map(|m| (m.dev(), m.ino())) else { return Ok(Vec::new()) };
    living(|place| place == home)
}

/// Processes in other namespaces than the named one that have the other ends of a router's links: it was replaced.
pub(super) fn left(name: &str, ports: &[&Link]) -> Result<Vec<String>, Failure> {
    let home = Path::new("/run/netns").join(name).metadata().map(|m| m.ino()).unwrap_or_default();
    let mut strays = BTreeSet::new();
    if !ports.is_empty() && !holds(name, ports) {
        each(|space| {
            let inode = nix::sys::stat::fstat(&space.space).map(|s| s.st_ino).unwrap_or_default();
            if inode != home && ports.iter().any(|port| other_end(port, &space.links)) {
                strays.insert(inode);
            }
        })?;
    }
    if strays.is_empty() { Ok(Vec::new()) } else { living(|(_, inode)| strays.contains(&inode)) }
}

/// Whether a named namespace has the other ends of all ports.
fn holds(name: &str, ports: &[&Link]) -> bool {
    let entered = namespace::enter(namespace::NamespaceRef::Name(name), Socket::open);
    let Ok((_, Ok(mut socket))) = entered else { return false };
    let links = dump::links(&mut socket).unwrap_or_default();
    ports.iter().all(|port| other_end(port, &links))
}

fn other_end(port: &Link, links: &[Link]) -> bool {
    let end = |l: &Link| port.lower == Some(l.index) && l.lower == Some(port.index) && l.kind == "veth";
    links.iter().any(end)
}

/// Processes by their network namespace.
fn living(wanted: impl Fn((u64, u64)) -> bool) -> Result<Vec<String>, Failure> {
    let lives = |pid: &u32| {
        let there = Path::new("/proc").join(pid.to_string()).join("ns/net").metadata();
        there.is_ok_and(|m| wanted((m.dev(), m.ino())))
    };
    let name = |pid: u32| {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("{pid} ({})", comm.trim_end().escape_debug())
    };
    Ok(processes()?.into_iter().filter(lives).map(name).collect())
}
