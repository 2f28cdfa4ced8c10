//! The record of a stack on this host: which repositories it has had, which volumes they have, and how its jobs ended.

use crate::Snap;
use crate::model::{Intent, Job, Process, RECORDS, Recorded, Run, Runs, Unsaved};
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

impl Runs {
    /// A job begins: if it is killed, its record is that it has failed.
    pub(crate) fn begin(&mut self, job: &str) {
        let run = self.jobs.entry(job.to_owned()).or_default();
        (run.ok, run.by) = (false, own());
    }

    /// It has saved a volume in a repository.
    pub(crate) fn saved(&mut self, job: &str, volume: &str, (repository, at): (String, &str)) {
        let run = self.jobs.entry(job.to_owned()).or_default();
        run.saved.entry(volume.to_owned()).or_default().insert(repository);
        run.at = Some(at.to_owned());
    }

    /// It has ended.
    pub(crate) fn end(&mut self, job: &str, ok: bool) {
        let run = self.jobs.entry(job.to_owned()).or_default();
        (run.ok, run.by) = (ok, None);
    }

    /// Its last run.
    pub(crate) fn last(&self, job: &str) -> Option<Run> {
        let Recorded { at, ok, by, .. } = self.jobs.get(job)?.clone();
        Some(Run { at, ok, running: by.is_some_and(|by| of(by.pid).is_some_and(|there| there == by)) })
    }

    /// What no run of a job has ever saved.
    pub(crate) fn unsaved(&self, intent: &Intent, job: &Job) -> Vec<Unsaved> {
        let Some(run) = self.jobs.get(&job.name) else { return Vec::new() };
        let needed: Vec<_> = intent.repositories.iter().filter(|one| job.to.contains(&one.name)).collect();
        let mut all = Vec::new();
        for volume in &job.volumes {
            let has = |path: &String| {
                let id = self.repositories.get(path);
                id.is_some_and(|id| run.saved.get(volume).is_some_and(|saved| saved.contains(id)))
            };
            let missing = needed.iter().filter(|one| !has(&one.path));
            all.extend(missing.map(|one| Unsaved { volume: volume.clone(), repository: one.name.clone() }));
        }
        all
    }
}

/// This process.
fn own() -> Option<Process> {
    of(std::process::id())
}

/// A process that is there (proc(5)).
fn of(pid: u32) -> Option<Process> {
    let machine = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, a name in brackets, may have anything in it; the start is the 22nd.
    let start = line.rsplit_once(')')?.1.split_whitespace().nth(19)?;
    Some(Process { pid, start: format!("{}/{start}", machine.trim()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Repository;

    #[test]
    fn a_run_is_running_as_long_as_its_process() {
        let mut runs = Runs::default();
        assert_eq!(runs.last("db"), None);
        runs.begin("db");
        assert_eq!(runs.last("db"), Some(Run { at: None, ok: false, running: true }));
        // Another process has its number now.
        let by = own().map(|own| Process { start: format!("{}0", own.start), ..own });
        runs.jobs.get_mut("db").unwrap().by = by;
        assert_eq!(runs.last("db"), Some(Run::default()));
        runs.saved("db", "db", ("id".to_owned(), "now"));
        runs.end("db", true);
        assert_eq!(runs.last("db"), Some(Run { at: Some("now".to_owned()), ok: true, running: false }));
        runs.begin("db");
        assert!(runs.last("db").is_some_and(|last| last.at.as_deref() == Some("now") && !last.ok));
    }

    #[test]
    fn what_was_never_saved_is_known() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let job = Job { name: "all".to_owned(), volumes: words(&["a", "b"]), to: words(&["one", "two"]) };
        let repository = |name: &str| Repository {
            name: name.to_owned(),
            path: format!("/{name}"),
            key: String::new(),
            digest: String::new(),
        };
        let mut intent = Intent {
            schema: String::new(),
            stack: String::new(),
            host: String::new(),
            jobs: vec![job.clone()],
            repositories: ["one", "other", "two"].map(repository).into(),
        };
        let mut runs = Runs::default();
        assert!(runs.unsaved(&intent, &job).is_empty());
        for (path, id) in [("/one", "1"), ("/two", "2")] {
            runs.repositories.insert(path.to_owned(), id.to_owned());
        }
        for (volume, id) in [("a", "1"), ("a", "2"), ("b", "1")] {
            runs.saved("all", volume, (id.to_owned(), "now"));
        }
        let two = |volume: &str| Unsaved { volume: volume.to_owned(), repository: "two".to_owned() };
        assert_eq!(runs.unsaved(&intent, &job), [two("b")]);
        // Another one has its name now.
        intent.repositories[2].path = "/three".to_owned();
        assert_eq!(runs.unsaved(&intent, &job), [two("a"), two("b")]);
    }
}
