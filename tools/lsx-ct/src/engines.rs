//! The engines of this host. An engine is only queried if needed: a query starts a server with a systemd socket.

use crate::driver::{Driver, Found};
use crate::image::{Form, Store};
use crate::lxd::{Lxd, Supply};
use crate::model::{Condition, Instance};
use crate::oci::Oci;
use crate::paths;
use crate::supervise::waiting;
use common::Failure;
use common::stack::Driver as DriverKind;
use oci_spec::image::ImageConfiguration;
use std::path::Path;

/// In the order in which they are queried.
const KINDS: [DriverKind; 3] = [DriverKind::Oci, DriverKind::Lxd, DriverKind::Incus];

/// An engine, if it is on this host; `runtime` is the requested OCI runtime.
fn open(kind: DriverKind, runtime: Option<&str>) -> Result<Option<Box<dyn Driver>>, Failure> {
    match kind {
        DriverKind::Oci => Ok(Some(Box::new(Oci { runtime: runtime.map(str::to_owned) }))),
        DriverKind::Docker => Ok(None),
        DriverKind::Lxd | DriverKind::Incus => {
            Ok(Lxd::open(kind, Box::new(FromStore))?.map(|server| Box::new(server) as Box<dyn Driver>))
        }
    }
}

/// All engines on this host; one that does not answer returns its error.
pub(crate) fn each() -> impl Iterator<Item = (DriverKind, Result<Box<dyn Driver>, Failure>)> {
    KINDS.into_iter().filter_map(|kind| Some((kind, open(kind, None).transpose()?)))
}

/// Those that answer.
pub(crate) fn working() -> impl Iterator<Item = (DriverKind, Box<dyn Driver>)> {
    each().filter_map(|(kind, engine)| Some((kind, engine.ok()?)))
}

/// The engine of a driver.
///
/// # Errors
/// If this host does not have it, or it does not answer.
pub(crate) fn of(driver: DriverKind, runtime: Option<&str>) -> Result<Box<dyn Driver>, Failure> {
    open(driver, runtime)?.ok_or_else(|| {
        let word = crate::plan::driver_word(driver);
        Failure::new(common::Kind::Failed, "ct.engine", format!("this host has no engine for driver {word}"))
    })
}

/// An instance of this host, and its engine.
///
/// # Errors
/// If an engine cannot be queried.
pub(crate) fn found(stack: &str, name: &str) -> Result<Option<(DriverKind, Found)>, Failure> {
    for (kind, engine) in working() {
        if let Some(found) = engine.list(Some(stack))?.into_iter().find(|found| found.name == name) {
            return Ok(Some((kind, found)));
        }
    }
    Ok(None)
}

/// The state of an instance of this host; that of a stopped one if there is none.
///
/// # Errors
/// As [`found`].
pub(crate) fn condition(stack: &str, name: &str) -> Result<Condition, Failure> {
    Ok(found(stack, name)?.map(|(_, found)| found.condition).unwrap_or_default())
}

/// Images and files for LXD and Incus come from the image store of this host.
struct FromStore;

impl Supply for FromStore {
    fn tarball(&self, manifest: &str, out: &Path) -> Result<(), Failure> {
        Store::open(Path::new(paths::STORE))?.export_into(manifest, Form::Lxd, out)
    }

    fn config(&self, manifest: &str) -> Result<ImageConfiguration, Failure> {
        Store::open(Path::new(paths::STORE))?.config(manifest)
    }

    fn blob(&self, digest: &str) -> Result<Vec<u8>, Failure> {
        Store::open(Path::new(paths::STORE))?.get(digest)
    }

    fn condition(&self, stack: &str, name: &str) -> Result<Condition, Failure> {
        condition(stack, name)
    }

    fn attend(&self, server: &dyn Driver, stack: &str, instance: &Instance) -> Result<(), Failure> {
        waiting::attend_early(server, stack, instance)
    }
}
