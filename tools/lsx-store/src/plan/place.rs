//! Where the volumes of a host are, and by which driver. Pure.

use super::kind_of;
use crate::model::{Driver, Facts, State, VOLUMES, Volume};
use common::stack::resolved::VolumeAt;
use common::stack::{Resolved, Stack, Store, StoreDriver};
use common::{Failure, Failures, Kind};
use std::collections::BTreeMap;

/// The volumes that the document gives a host. One that exists keeps its driver, unless the document names another.
///
/// # Errors
/// Drivers that cannot be had there.
pub fn wanted(
    stack: &Stack,
    resolved: &Resolved,
    host: &str,
    seen: &Facts,
    there: &BTreeMap<&str, &Volume>,
) -> Result<Vec<Volume>, Failures> {
    let Some(store) = &stack.store else { return Ok(Vec::new()) };
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    for at in resolved.volumes.iter().filter(|at| at.host == host) {
        let folder = folder(store, &stack.name, host);
        let path = format!("{}/{}", folder.trim_end_matches('/'), at.name);
        match driver(store, at, &folder, seen, there.get(at.name.as_str()).copied()) {
            Ok(driver) => all.push(Volume {
                name: at.name.clone(),
                driver,
                path,
                size_bytes: at.size,
                owner: at.owner.clone(),
                mode: at.mode.clone(),
                state: State::Ready,
                peer: None,
                since: None,
                clock: None,
                // What is left of it elsewhere is known by it.
                move_id: there
                    .get(at.name.as_str())
                    .filter(|there| there.whole())
                    .and_then(|there| there.move_id.clone()),
                stopped: Vec::new(),
            }),
            Err(failure) => failures.push(failure.on(host)),
        }
    }
    Failures(failures).verdict()?;
    Ok(all)
}

/// The folder of a host's volumes.
fn folder(store: &Store, stack: &str, host: &str) -> String {
    let pool = store.pools.get(host).and_then(|pool| pool.from.as_ref()).filter(|from| from.starts_with('/'));
    let root = pool.or(store.root.as_ref()).cloned();
    root.unwrap_or_else(|| format!("{VOLUMES}/{stack}"))
}

/// The driver of a volume: its own, that of its host, or that of the section.
fn driver(
    store: &Store,
    at: &VolumeAt,
    folder: &str,
    seen: &Facts,
    there: Option<&Volume>,
) -> Result<Driver, Failure> {
    let own = store.volumes.get(&at.name).and_then(|volume| volume.driver);
    let pool = store.pools.get(&at.host).and_then(|pool| pool.driver);
    let (word, place) = match (own, pool) {
        (Some(driver), _) => (driver, format!("store.volumes.{}.driver", at.name)),
        (None, Some(driver)) => (driver, format!("store.pools.{}.driver", at.host)),
        (None, None) => (store.driver, "store.driver".to_owned()),
    };
    let kind = kind_of(&seen.disks, folder);
    let program = seen.programs.contains("btrfs");
    let refused = |message: String, hint: &str| {
        Err(Failure::new(Kind::Data, "store.plan.driver", message).at(place).hint(hint))
    };
    // A folder that lsx-ct has made stays one.
    let made = folder.starts_with(VOLUMES) && seen.unkept.contains(&at.name);
    match word {
        StoreDriver::Directory => Ok(Driver::Directory),
        StoreDriver::Auto => Ok(there.map_or_else(
            || if kind == Some("btrfs") && program && !made { Driver::Btrfs } else { Driver::Directory },
            |there| there.driver,
        )),
        StoreDriver::Btrfs if made => refused(
            format!("volume {} is a folder that lsx-ct has made", at.name),
            "write driver: directory for it",
        ),
        StoreDriver::Btrfs if kind != Some("btrfs") => {
            let message =
                format!("{folder} is on {}, not on btrfs", kind.unwrap_or("an unknown file system"));
            refused(message, "write a folder on btrfs as store.root, or another driver")
        }
        StoreDriver::Btrfs if !program => {
            refused("the host has no program btrfs".to_owned(), "install btrfs-progs there")
        }
        StoreDriver::Btrfs => Ok(Driver::Btrfs),
        StoreDriver::Xfs | StoreDriver::Zfs | StoreDriver::Lvm => {
            let message = format!("the driver {} is not supported yet", name(word));
            refused(message, "write driver: directory, or btrfs on such a disk, or leave it out")
        }
    }
}

const fn name(driver: StoreDriver) -> &'static str {
    match driver {
        StoreDriver::Auto => "auto",
        StoreDriver::Btrfs => "btrfs",
        StoreDriver::Zfs => "zfs",
        StoreDriver::Lvm => "lvm",
        StoreDriver::Xfs => "xfs",
        StoreDriver::Directory => "directory",
    }
}
