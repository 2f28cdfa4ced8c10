//! What `check` finds in addition to "the plan is empty": jobs that have never run or have failed, volumes that were never saved, and
//! repositories that are gone, or are others.

use crate::archive::{Archive as _, Restic, configuration};
use crate::model::{Facts, JobSeen, RepositorySeen, Run, Runs, State, Unsaved};
use crate::plan::Keys;
use crate::{observe, record, secrets};
use common::Failure;
use common::tool::{Checked, Each, Finding, PlanInput};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// What a host answers.
#[derive(Serialize, Deserialize)]
pub(crate) struct Last {
    jobs: Vec<JobSeen>,
    repositories: Vec<RepositorySeen>,
    /// The paths where others are.
    #[serde(default)]
    replaced: Vec<String>,
}

/// The host's side.
///
/// # Errors
/// Kind `Denied` without root.
pub(crate) fn last(input: &Value) -> Result<Last, Failure> {
    let (_, Facts { jobs, repositories, .. }, _) = observe::observe(input["stack"].as_str())?;
    let mut replaced = Vec::new();
    for seen in repositories.iter().filter(|seen| seen.state == State::Ready) {
        let runs = record::read(&seen.stack)?;
        if is_other(seen, &runs) {
            replaced.push(seen.repository.path.clone());
        }
    }
    Ok(Last { jobs, repositories, replaced })
}

/// Whether it calls itself otherwise than the one that was there. It is asked if it is configured otherwise.
fn is_other(seen: &RepositorySeen, runs: &Runs) -> bool {
    let (path, at) = (&seen.repository.path, Path::new(&seen.repository.path));
    let Some(known) = runs.repositories.get(path) else { return false };
    if configuration(at).ok().as_ref() == runs.configurations.get(path) {
        return false;
    }
    let archive = secrets::of_host(&seen.stack, &seen.repository.key)
        .and_then(|password| Restic::open(at, &password, true));
    !archive.is_ok_and(|archive| archive.id() == *known)
}

/// Asks the hosts.
pub(crate) fn check(input: &PlanInput<Keys>, each: Each<'_>) -> Checked {
    let mut checked = Checked::default();
    let (asked, hosts) = (json!({"stack": input.stack}), &input.hosts);
    checked.ask(each, ("last", &asked), hosts, "snap.unread", |checked, host, last: Last| {
        checked.passed();
        for repository in last.repositories.iter().filter(|one| one.state != State::New) {
            tell(checked, host, "snap.missing", gone(repository));
            tell(checked, host, "snap.replaced", other(repository, &last.replaced));
        }
        for seen in last.jobs.iter().filter(|seen| input.only.kept(&seen.job.name)) {
            tell(checked, host, "snap.run", ended(seen));
            tell(checked, host, "snap.unsaved", unsaved(seen));
            let run = seen.last.clone().unwrap_or_default();
            checked.row(json!({"host": host, "job": seen.job.name, "last": run.at, "ok": run.ok}));
        }
    });
    checked
}

fn tell(checked: &mut Checked, host: &str, code: &str, found: Option<(String, String)>) {
    match found {
        None => checked.passed(),
        Some((message, hint)) => {
            checked.found(Finding { code: code.to_owned(), host: host.to_owned(), message, hint: Some(hint) })
        }
    }
}

fn gone(seen: &RepositorySeen) -> Option<(String, String)> {
    (seen.state == State::Missing).then(|| {
        let message =
            format!("repository {} is not at {} any more", seen.repository.name, seen.repository.path);
        (message, "is its disk mounted?".to_owned())
    })
}

fn other(seen: &RepositorySeen, replaced: &[String]) -> Option<(String, String)> {
    let path = &seen.repository.path;
    replaced.contains(path).then(|| {
        let message = format!("repository {} at {path} is not the one that was there", seen.repository.name);
        (message, "is another disk mounted?".to_owned())
    })
}

/// A run that has not ended may be about to save it.
fn unsaved(seen: &JobSeen) -> Option<(String, String)> {
    let name = &seen.job.name;
    let running = seen.last.as_ref().is_some_and(|last| last.running);
    let told = |one: &Unsaved| format!("volume {} in repository {}", one.volume, one.repository);
    let all: Vec<String> = seen.unsaved.iter().map(told).collect();
    (!running && !all.is_empty()).then(|| {
        (format!("snapshot job {name} has never saved {}", all.join(", ")), format!("lsx-snap take {name}"))
    })
}

fn ended(seen: &JobSeen) -> Option<(String, String)> {
    let name = &seen.job.name;
    let hint = format!("lsx-snap take {name}");
    match &seen.last {
        None => Some((format!("snapshot job {name} has never run"), hint)),
        Some(Run { running: true, .. } | Run { ok: true, .. }) => None,
        Some(Run { at, .. }) => {
            let last = at.as_ref().map_or_else(
                || "it has saved nothing yet".to_owned(),
                |at| format!("the last snapshot is of {at}"),
            );
            Some((format!("the last run of snapshot job {name} failed; {last}"), hint))
        }
    }
}
