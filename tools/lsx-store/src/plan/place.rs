//! Where the volumes of a host are, and by which driver. Pure.

use super::kind_of;
use crate::model::{Disk, Driver, State, VOLUMES, Volume};
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
    disks: &[Disk],
    there: &BTreeMap<&str, &Volume>,
) -> Result<Vec<Volume>, Failures> {
    let Some(store) = &stack.store else { return Ok(Vec::new()) };
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    for at in resolved.volumes.iter().filter(|at| at.host == host) {
        let folder = folder(store, &stack.name, host);
        let path = format!("{}/{}", folder.trim_end_matches('/'), at.name);
        match driver(store, at, &folder, disks, there.get(at.name.as_str()).copied()) {
            Ok(driver) => all.push(Volume {
                name: at.name.clone(),
                driver,
                path,
                size_bytes: at.size,
                owner: at.owner.clone(),
                mode: at.mode.clone(),
                state: State::Ready,
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
    disks: &[Disk],
    there: Option<&Volume>,
) -> Result<Driver, Failure> {
    let own = store.volumes.get(&at.name).and_then(|volume| volume.driver);
    let pool = store.pools.get(&at.host).and_then(|pool| pool.driver);
    let (word, place) = match (own, pool) {
        (Some(driver), _) => (driver, format!("store.volumes.{}.driver", at.name)),
        (None, Some(driver)) => (driver, format!("store.pools.{}.driver", at.host)),
        (None, None) => (store.driver, "store.driver".to_owned()),
    };
    let kind = kind_of(disks, folder);
    match word {
        StoreDriver::Directory => Ok(Driver::Directory),
        StoreDriver::Auto => Ok(there.map_or_else(|| usual(kind), |there| there.driver)),
        StoreDriver::Btrfs | StoreDriver::Xfs | StoreDriver::Zfs | StoreDriver::Lvm => {
            let message = format!("the driver {} is not supported yet", name(word));
            let failure = Failure::new(Kind::Data, "store.plan.driver", message);
            Err(failure.at(place).hint("write driver: directory, or leave it out"))
        }
    }
}

/// The driver for a type of file system.
const fn usual(_: Option<&str>) -> Driver {
    Driver::Directory
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
