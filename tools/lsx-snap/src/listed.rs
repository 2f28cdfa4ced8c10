//! The host's side of `list`: the snapshots of a stack in its repositories.

use crate::archive::{Archive as _, Restic};
use crate::model::{ListAt, Repository};
use crate::take::{self, Order};
use crate::{record, secrets};
use common::Failure;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a host answers: the snapshots of repositories that can be read, and why others cannot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) snapshots: Vec<ListAt>,
    pub(crate) failures: Vec<Failure>,
}

/// Lists them. A repository that has had none yet is not there.
///
/// # Errors
/// If nothing can be listed at all.
pub(crate) fn list(order: &Order) -> Result<Listed, Failure> {
    let mut listed = Listed::default();
    let Some(intent) = take::intent(&order.stack)? else { return Ok(listed) };
    let runs = record::read(&order.stack)?;
    let known = |one: &&Repository| {
        runs.repositories.contains_key(&one.path) || Path::new(&one.path).join("config").is_file()
    };
    for repository in intent.repositories.iter().filter(known) {
        let found = secrets::of_host(&order.stack, &repository.key)
            .and_then(|password| Restic::open(Path::new(&repository.path), &password, true))
            .and_then(|archive| archive.list(&order.stack));
        match found {
            Ok(found) => listed.snapshots.extend(found.into_iter().map(|snapshot| ListAt {
                host: String::new(),
                repository: repository.name.clone(),
                snapshot,
            })),
            Err(failure) => listed.failures.push(failure),
        }
    }
    Ok(listed)
}
