//! What `check` finds in addition to "the plan is empty": jobs that have never run or have failed, and repositories that are gone.

use crate::model::{Facts, JobSeen, RepositorySeen, Run, State};
use crate::observe;
use crate::plan::Keys;
use common::Failure;
use common::tool::{Checked, Each, Finding, PlanInput};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a host answers.
#[derive(Serialize, Deserialize)]
pub(crate) struct Last {
    jobs: Vec<JobSeen>,
    repositories: Vec<RepositorySeen>,
}

/// The host's side.
///
/// # Errors
/// Kind `Denied` without root.
pub(crate) fn last(input: &Value) -> Result<Last, Failure> {
    let (_, Facts { jobs, repositories, .. }, _) = observe::observe(input["stack"].as_str())?;
    Ok(Last { jobs, repositories })
}

/// Asks the hosts.
pub(crate) fn check(input: &PlanInput<Keys>, each: Each<'_>) -> Checked {
    let mut checked = Checked::default();
    let (asked, hosts) = (json!({"stack": input.stack}), &input.hosts);
    checked.ask(each, ("last", &asked), hosts, "snap.unread", |checked, host, last: Last| {
        checked.passed();
        for repository in last.repositories.iter().filter(|one| one.state != State::New) {
            tell(checked, host, "snap.missing", gone(repository));
        }
        for seen in last.jobs.iter().filter(|seen| input.only.kept(&seen.job.name)) {
            tell(checked, host, "snap.run", ended(seen));
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

fn ended(seen: &JobSeen) -> Option<(String, String)> {
    let name = &seen.job.name;
    let hint = format!("lsx-snap take {name}");
    match &seen.last {
        None => Some((format!("snapshot job {name} has never run"), hint)),
        Some(Run { ok: false, at }) => {
            let last = at.as_ref().map_or_else(
                || "it has saved nothing yet".to_owned(),
                |at| format!("the last snapshot is of {at}"),
            );
            Some((format!("the last run of snapshot job {name} failed; {last}"), hint))
        }
        Some(Run { ok: true, .. }) => None,
    }
}
