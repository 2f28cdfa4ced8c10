//! The record of a stack on this host: which repositories it has had, and how its jobs ended.

use crate::Snap;
use crate::model::{RECORDS, Runs};
use common::host::file::{self, Mode};
use common::tool::Tool as _;
use common::{Failure, document};
use std::path::{Path, PathBuf};

fn path(stack: &str) -> PathBuf {
    Path::new(RECORDS).join(stack).join("data").join("runs.json")
}

/// Reads it.
///
/// # Errors
/// If it cannot be read, or is damaged: then nobody knows whether a repository is a new one.
pub(crate) fn read(stack: &str) -> Result<Runs, Failure> {
    let (path, schema) = (path(stack), document::schema(Snap::NAME, "runs"));
    let Some(text) = file::read(&path)? else { return Ok(Runs { schema, ..Runs::default() }) };
    let read = document::read(&text, "runs.json", &schema);
    read.map_err(|failures| {
        let why = failures.0.first().map(|failure| failure.message.clone()).unwrap_or_default();
        let message = format!("{} is damaged: {why}", path.display());
        Failure::new(common::Kind::Failed, "snap.record", message).hint("remove it: `take` begins a new one")
    })
}

/// Writes it.
///
/// # Errors
/// Of the file system.
pub(crate) fn write(stack: &str, runs: &Runs) -> Result<(), Failure> {
    file::write(&path(stack), &document::canonical(runs)?, Mode::Private).map(|_| ())
}
