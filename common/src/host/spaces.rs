//! The network namespaces of instances on this host, by the addresses of their interfaces.

use super::namespace::{self, NamespaceRef};
use nix::ifaddrs::getifaddrs;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An address with the hardware address of its interface, in lower case.
pub type Interface = (Ipv4Addr, String);

/// Every interface in a namespace that a process or a name holds, except those of this process.
pub fn by_address() -> HashMap<Interface, Arc<OwnedFd>> {
    let mut all = HashMap::new();
    let mut known: BTreeSet<u64> = inode(Path::new("/proc/self/ns/net")).into_iter().collect();
    for path in paths() {
        if !inode(&path).is_some_and(|inode| known.insert(inode)) {
            continue;
        }
        // It may end at any time.
        let Ok(space) = namespace::open(NamespaceRef::Path(&path)) else { continue };
        let Ok(found) = namespace::inside(space.as_fd(), interfaces) else { continue };
        let space = Arc::new(space);
        all.extend(found.into_iter().map(|interface| (interface, Arc::clone(&space))));
    }
    all
}

fn paths() -> Vec<PathBuf> {
    let entries = |folder: &str| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let process =
        |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit());
    let processes = entries("/proc").filter(process).map(|entry| entry.path().join("ns/net"));
    entries("/run/netns").map(|entry| entry.path()).chain(processes).collect()
}

fn inode(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|metadata| metadata.ino())
}

/// The interfaces of the namespace of this thread.
fn interfaces() -> Vec<Interface> {
    let (mut hardware, mut addresses) = (BTreeMap::new(), Vec::new());
    for interface in getifaddrs().into_iter().flatten() {
        let Some(address) = interface.address else { continue };
        if let Some(address) = address.as_sockaddr_in() {
            addresses.push((interface.interface_name, address.ip()));
        } else if let Some(mac) = address.as_link_addr().and_then(|link| link.addr()) {
            let mac: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
            hardware.insert(interface.interface_name, mac.join(":"));
        }
    }
    let with = |(name, address): (String, Ipv4Addr)| Some((address, hardware.get(&name)?.clone()));
    addresses.into_iter().filter_map(with).collect()
}
