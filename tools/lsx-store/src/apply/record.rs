//! The record of a volume: what it is and where, so that one that is not there is noticed and not made anew.

use crate::model::{State, Volume};
use common::host::file::{self, Mode};
use common::host::volume;
use common::plan::Warning;
use common::{Failure, Kind, document};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

#[derive(Serialize, Deserialize)]
struct Record {
    schema: String,
    #[serde(flatten)]
    volume: Volume,
}

/// All volumes of a stack. `ready` in a record says that it was made; what is there now is another question.
///
/// # Errors
/// Kind `Denied` if one may not be read.
pub(crate) fn all(stack: &str) -> Result<(Vec<Volume>, Vec<Warning>), Failure> {
    let (mut volumes, mut warnings) = (Vec::new(), Vec::new());
    for name in names(&Path::new(volume::RECORDS).join(stack)) {
        let Some(name) = name.strip_suffix(".json") else { continue };
        let path = volume::record(stack, name);
        match read(&path) {
            Ok(Some(volume)) if volume.name == name => volumes.push(volume),
            Err(failure) if failure.kind == Kind::Denied => return Err(failure),
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => warnings.push(Warning {
                code: "store.record".to_owned(),
                message: format!("{} is damaged; `lsx-store up` writes it again", path.display()),
            }),
        }
    }
    Ok((volumes, warnings))
}

fn read(path: &Path) -> Result<Option<Volume>, Failure> {
    let Some(text) = file::read(path)? else { return Ok(None) };
    let record: Record = document::read(&text, "record", &schema()).map_err(|failures| {
        let why = failures.0.into_iter().map(|failure| failure.message).collect::<Vec<_>>().join(", ");
        Failure::new(Kind::Failed, "store.record", why)
    })?;
    Ok(Some(record.volume))
}

/// Writes the record of a volume that is made, or is being made or removed.
///
/// # Errors
/// Of the file system.
pub(crate) fn write(stack: &str, volume: &Volume, state: State) -> Result<(), Failure> {
    let record = Record { schema: schema(), volume: Volume { state, ..volume.clone() } };
    file::write(&volume::record(stack, &volume.name), &document::canonical(&record)?, Mode::Private)
        .map(|_| ())
}

/// Removes it.
///
/// # Errors
/// Of the file system.
pub(crate) fn remove(stack: &str, name: &str) -> Result<(), Failure> {
    let path = volume::record(stack, name);
    file::remove(&path)?;
    path.ancestors().skip(1).take(3).for_each(file::remove_empty);
    Ok(())
}

fn schema() -> String {
    document::schema("store", "record")
}

/// The names in a folder that are text and do not begin with a dot.
pub(crate) fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| !name.starts_with('.')).collect()
}
