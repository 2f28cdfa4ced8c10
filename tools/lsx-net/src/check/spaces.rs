//! Finding the namespace of an instance without any state: the one that holds its hardware address.

use crate::netlink::{Socket, dump, namespace};
use crate::observe::{io_failure, mac};
use common::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Every network namespace that a name or a process holds, by the hardware addresses inside.
pub(super) fn by_mac() -> Result<BTreeMap<String, Arc<OwnedFd>>, Failure> {
    let mut found = BTreeMap::new();
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
        let space = Arc::new(space);
        for hardware in links.iter().filter_map(|l| l.mac) {
            found.insert(mac(hardware), Arc::clone(&space));
        }
    }
    Ok(found)
}

fn candidates() -> Result<Vec<PathBuf>, Failure> {
    let names = namespace::list().map_err(|e| io_failure("list network namespaces", &e))?;
    let mut all: Vec<PathBuf> = names.iter().map(|n| Path::new("/run/netns").join(n)).collect();
    let entries = std::fs::read_dir("/proc").map_err(|e| io_failure("read /proc", &e))?;
    let process = |name: &str| name.bytes().all(|b| b.is_ascii_digit());
    all.extend(
        entries
            .flatten()
            .filter(|e| e.file_name().to_str().is_some_and(process))
            .map(|e| e.path().join("ns/net")),
    );
    Ok(all)
}
