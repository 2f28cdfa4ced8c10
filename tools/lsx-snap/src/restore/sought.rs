//! Which snapshot of which repository comes back, and which folder of it.

use super::Ask;
use crate::archive::{Archive as _, Back, Found, Restic, Which};
use crate::model::{Intent, Repository};
use crate::{record, secrets};
use common::{Failure, Failures, Kind};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What was found.
pub(super) struct Sought {
    pub(super) back: Back,
    pub(super) found: Found,
    pub(super) repository: String,
    /// Repositories that could not be asked.
    pub(super) failures: Vec<Failure>,
}

/// Looks in the repositories of the volume's jobs, or for a named snapshot in all of the host.
///
/// # Errors
/// There is none; repositories that cannot be read.
pub(super) fn sought(intent: &Intent, ask: &Ask) -> Result<Sought, Failures> {
    let of_job = |one: &&Repository| {
        let mut jobs = intent.jobs.iter().filter(|job| job.volumes.contains(&ask.volume));
        ask.snapshot.is_some() || jobs.any(|job| job.to.contains(&one.name))
    };
    let which = match &ask.snapshot {
        Some(name) => Which::Named(name.clone()),
        None => Which::Last { stack: intent.stack.clone(), volume: ask.volume.clone() },
    };
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    for repository in intent.repositories.iter().filter(of_job) {
        let found =
            opened(&intent.stack, repository).and_then(|archive| Ok((archive.find(&which)?, archive)));
        match found {
            Ok((Some(found), archive)) => all.push((found, archive, repository.name.clone())),
            Ok((None, _)) => {}
            Err(failure) => failures.push(failure),
        }
    }
    let ids: BTreeSet<&str> = all.iter().map(|(found, ..)| found.snapshot.id.as_str()).collect();
    if ask.snapshot.is_some() && ids.len() > 1 {
        let message = "snapshots of several repositories have names that begin so".to_owned();
        return Err(Failure::new(Kind::Usage, "usage.snapshot", message).hint("write more of it").into());
    }
    all.sort_by(|(a, ..), (b, ..)| a.snapshot.at.cmp(&b.snapshot.at));
    let Some((found, archive, repository)) = all.pop() else {
        failures.insert(0, none(ask));
        return Err(Failures(failures));
    };
    let path = within(intent, ask, &found)?;
    let back = archive.back(&found, &path)?;
    Ok(Sought { back, found, repository, failures })
}

fn none(ask: &Ask) -> Failure {
    let message = match &ask.snapshot {
        Some(name) => format!("no repository of this host has a snapshot {name}"),
        None => format!("there is no snapshot that has all of volume {}", ask.volume),
    };
    Failure::new(Kind::Failed, "snap.nothing", message).hint("`lsx-snap list` shows those that are there")
}

/// One that is at the place of another is not read.
fn opened(stack: &str, repository: &Repository) -> Result<Restic, Failure> {
    let path = &repository.path;
    let archive = Restic::open(Path::new(path), &secrets::of_host(stack, &repository.key)?, true)?;
    let known = record::read(stack)?.repositories.get(path).cloned();
    if known.is_some_and(|known| known != archive.id()) {
        let message = format!("another repository is at {path}");
        return Err(Failure::new(Kind::Failed, "snap.replaced", message).hint("is another disk mounted?"));
    }
    Ok(archive)
}

/// The folder of the snapshot that is the volume, and what is meant in it.
fn within(intent: &Intent, ask: &Ask, found: &Found) -> Result<PathBuf, Failure> {
    let snapshot = &found.snapshot;
    if snapshot.incomplete && !ask.incomplete {
        let message = format!("snapshot {} lacks some of volume {}", snapshot.id, snapshot.volume);
        return Err(Failure::new(Kind::Failed, "snap.incomplete", message)
            .hint("take an earlier one, or say --incomplete"));
    }
    let own = found.stack == intent.stack && snapshot.volume == ask.volume;
    let top = match &ask.from {
        Some(from) => PathBuf::from(from),
        None if own => Path::new("/").join(&intent.stack).join(&ask.volume),
        None => {
            let of = if found.stack.is_empty() {
                found.paths.join(", ")
            } else {
                format!("{}/{}", found.stack, snapshot.volume)
            };
            let message =
                format!("snapshot {} is not one of volume {}, but of {of}", snapshot.id, ask.volume);
            return Err(Failure::new(Kind::Usage, "usage.from", message)
                .hint("if it is meant, say which folder of it: --from PATH"));
        }
    };
    let inside = ask.path.as_deref().map(|path| path.trim_start_matches('/'));
    Ok(inside.map_or_else(|| top.clone(), |path| top.join(path)))
}
