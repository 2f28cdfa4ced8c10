//! The record of restores on this host: written before each step, so that whatever is killed, the next run ends what was begun.

use crate::Snap;
use crate::model::{RECORDS, Restored};
use common::host::file::{self, Mode};
use common::tool::Tool as _;
use common::{Failure, Kind, document};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

#[derive(Default, Serialize, Deserialize)]
struct Restores {
    schema: String,
    /// The last one of a volume is at the end.
    restores: Vec<Restored>,
}

fn path(stack: &str) -> PathBuf {
    Path::new(RECORDS).join(stack).join("data").join("restores.json")
}

fn schema() -> String {
    document::schema(Snap::NAME, "restores")
}

/// All of a stack, in their order.
///
/// # Errors
/// If it cannot be read, or is damaged.
pub(crate) fn read(stack: &str) -> Result<Vec<Restored>, Failure> {
    let path = path(stack);
    let Some(text) = file::read(&path)? else { return Ok(Vec::new()) };
    let read: Result<Restores, _> = document::read(&text, "restores.json", &schema());
    read.map(|read| read.restores).map_err(|failures| {
        let why = failures.0.first().map(|failure| failure.message.clone()).unwrap_or_default();
        Failure::new(Kind::Failed, "snap.record", format!("{} is damaged: {why}", path.display()))
            .hint("it names what is kept beside volumes (.lsx-restore:*): look at them, then remove it")
    })
}

/// Adds one, or writes what has become of it; it is known by its token.
///
/// # Errors
/// Of the file system.
pub(crate) fn put(stack: &str, one: &Restored) -> Result<(), Failure> {
    let mut all = read(stack)?;
    match all.iter_mut().find(|other| other.token == one.token) {
        Some(other) => other.clone_from(one),
        None => all.push(one.clone()),
    }
    write(stack, all)
}

/// Forgets one.
///
/// # Errors
/// Of the file system.
pub(crate) fn forget(stack: &str, one: &Restored) -> Result<(), Failure> {
    let mut all = read(stack)?;
    all.retain(|other| other.token != one.token);
    write(stack, all)
}

fn write(stack: &str, restores: Vec<Restored>) -> Result<(), Failure> {
    let all = Restores { schema: schema(), restores };
    file::write(&path(stack), &document::canonical(&all)?, Mode::Private).map(|_| ())
}
