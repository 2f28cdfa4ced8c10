//! Whether a host can have a volume, asked before any host is changed.

use super::folder;
use crate::model::Volume;
use common::host::{file, volume};
use common::{Failure, Failures, Kind};
use rustix::fs::fstat;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// The volumes that a host is to make.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The stack.
    pub(crate) stack: String,
    /// The volumes.
    pub(crate) volumes: Vec<Volume>,
}

/// The host's side: everything that is in the way.
///
/// # Errors
/// An order that cannot be read, and what is in the way.
pub(crate) fn answer(input: Value) -> Result<Value, Failures> {
    let order: Order = common::fleet::shape(input)?;
    let refused = order.volumes.iter().filter_map(|volume| able(&order.stack, volume).err());
    Failures(refused.collect()).verdict()?;
    Ok(Value::Null)
}

/// Whether nothing is in the way of one.
///
/// # Errors
/// What is in the way.
pub(super) fn able(stack: &str, volume: &Volume) -> Result<(), Failure> {
    let path = Path::new(&volume.path);
    let root = path.parent().unwrap_or(path);
    if !root.starts_with(volume::ROOT) {
        trusted(volume, root)?;
    }
    match folder::open(path) {
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => Err(folder::foreign(volume, stack, None)),
        Err(e) => Err(file::failure(path, "look at volume", &e.into())),
        Ok(found) => match volume::mark_of(found).map_err(|e| file::failure(path, "look at volume", &e))? {
            Some(mark) if mark == volume::mark(stack, &volume.name) || mark == volume.leaving(stack) => {
                Ok(())
            }
            None if volume.in_place(stack) => Ok(()),
            other => Err(folder::foreign(volume, stack, other.as_deref())),
        },
    }
}

/// Nobody but root can put something else in the place of a volume: no folder above it is a link, or can be changed by others.
fn trusted(volume: &Volume, root: &Path) -> Result<(), Failure> {
    let above = root.ancestors().filter(|path| path.symlink_metadata().is_ok());
    for (n, path) in above.enumerate() {
        let wrong = |what: &str, hint: String| {
            let message = format!("{} {what}", path.display());
            Err(Failure::new(Kind::Failed, "store.root", message)
                .at(format!("store.volumes.{}", volume.name))
                .hint(hint))
        };
        let there = match folder::open(path) {
            Err(Errno::LOOP | Errno::NOTDIR) => {
                return wrong(
                    "is no folder, or a link leads there",
                    "write the path that it leads to".to_owned(),
                );
            }
            Err(e) => return Err(file::failure(path, "look at", &e.into())),
            Ok(there) => fstat(there).map_err(|e| file::failure(path, "look at", &e.into()))?,
        };
        // In a folder above them all, such as /tmp, nobody can rename what is root's.
        let sticky = n > 0 && there.st_mode & 0o1000 != 0;
        if there.st_uid != 0 || (there.st_mode & 0o022 != 0 && !sticky) {
            return wrong(
                "can be changed by others than root",
                format!("chown root {0} && chmod go-w {0}", path.display()),
            );
        }
    }
    Ok(())
}
