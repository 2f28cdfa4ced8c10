//! The host's side of `take` and `list`: points of all volumes first, then each is saved in each repository.

use crate::archive::{About, Archive, Content, Restic, Saved};
use crate::model::{CONSISTENT, Intent, Job, ListAt, Repository, Run, Runs, TakenAt};
use crate::point::{self, Found, Point};
use crate::{Snap, record, secrets};
use common::host::alive;
use common::host::kept::Keeper;
use common::tool::Hear;
use common::{Failure, Failures, Kind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// What a host is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) stack: String,
    /// The names of jobs.
    pub(crate) jobs: BTreeSet<String>,
}

/// What it answers to `take`: what it saved, and why it did not save the rest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) snapshots: Vec<TakenAt>,
    pub(crate) failures: Vec<Failure>,
}

/// The intent of this host; none if no job has a volume here.
fn intent(stack: &str) -> Result<Option<Intent>, Failure> {
    common::host::root()?;
    Keeper::of::<Snap>(stack).intent()
}

/// Takes the jobs of a host, and says meanwhile that it is at work.
///
/// # Errors
/// If nothing can be done at all.
pub(crate) fn take(order: &Order, event: Hear<'_>) -> Result<Answer, Failures> {
    alive(event, || all(order))
}

/// Jobs one after the other.
fn all(order: &Order) -> Result<Answer, Failures> {
    let mut answer = Answer::default();
    let Some(intent) = intent(&order.stack)? else { return Ok(answer) };
    let mut runs = record::read(&order.stack)?;
    for job in intent.jobs.iter().filter(|job| order.jobs.contains(&job.name)) {
        let (before, saved) = (answer.failures.len(), answer.snapshots.len());
        run(&intent, job, &mut runs, &mut answer);
        let at = answer.snapshots[saved..].last().map(|one| one.at.clone());
        let at = at.or_else(|| runs.jobs.get(&job.name).and_then(|last| last.at.clone()));
        runs.jobs.insert(job.name.clone(), Run { at, ok: answer.failures.len() == before });
        record::write(&order.stack, &runs)?;
    }
    Ok(answer)
}

/// Removes what a killed run has left of the volumes of a stack.
///
/// # Errors
/// That of btrfs(8).
pub(crate) fn clear(stack: &str) -> Result<(), Failure> {
    let Some(intent) = intent(stack)? else { return Ok(()) };
    let volumes: BTreeSet<&String> = intent.jobs.iter().flat_map(|job| &job.volumes).collect();
    volumes.into_iter().try_for_each(|volume| point::clear(stack, volume))
}

/// One job: volumes are found first, so that no repository is made in one of them; and repositories are opened before a point is taken.
fn run(intent: &Intent, job: &Job, runs: &mut Runs, answer: &mut Answer) {
    let mut found = Vec::new();
    for volume in &job.volumes {
        match point::find(&intent.stack, volume) {
            Ok(volume) => found.push(volume),
            Err(failure) => answer.failures.push(failure),
        }
    }
    let needed = intent.repositories.iter().filter(|repository| job.to.contains(&repository.name));
    let mut open = Vec::new();
    for repository in needed {
        match outside(&found, repository).and_then(|()| opened(&intent.stack, repository, runs)) {
            Ok(archive) => open.push((repository, archive)),
            Err(failure) => answer.failures.push(failure),
        }
    }
    if open.is_empty() {
        return;
    }
    let mut points = Vec::new();
    for volume in found {
        let name = volume.name.clone();
        match volume.take() {
            Ok(point) => points.push((name, point)),
            Err(failure) => answer.failures.push(failure),
        }
    }
    for (volume, point) in points {
        for (repository, archive) in &open {
            match save(intent, job, (&volume, &point), archive) {
                Ok(saved) => {
                    answer.failures.extend(partly(&volume, &saved));
                    answer.snapshots.push(told(job, &volume, (&repository.name, point.consistent()), saved));
                }
                Err(failure) => answer.failures.push(failure),
            }
        }
        answer.failures.extend(point.end().err());
    }
}

/// No repository is in a volume that it saves: it would save itself.
fn outside(volumes: &[Found], repository: &Repository) -> Result<(), Failure> {
    let inside = volumes.iter().find(|volume| volume.holds(Path::new(&repository.path)));
    inside.map_or(Ok(()), |volume| {
        let message =
            format!("the repository {} is in volume {}, which it saves", repository.path, volume.name);
        Err(Failure::new(Kind::Data, "snap.inside", message).hint("name a folder elsewhere"))
    })
}

/// The repository, which is remembered before anything is in it.
fn opened(stack: &str, repository: &Repository, runs: &mut Runs) -> Result<Restic, Failure> {
    let password = secrets::of_host(stack, &repository.key)?;
    let known = runs.repositories.get(&repository.path).cloned();
    let archive = Restic::open(Path::new(&repository.path), &password, known.is_some())?;
    match known {
        Some(known) if known != archive.id() => {
            let message = format!("another repository is at {}", repository.path);
            Err(Failure::new(Kind::Failed, "snap.replaced", message).hint(format!(
                "if that is meant, remove /var/lib/lsx/snap/{stack}/data/runs.json on this host"
            )))
        }
        Some(_) => Ok(archive),
        None => {
            runs.repositories.insert(repository.path.clone(), archive.id());
            record::write(stack, runs)?;
            Ok(archive)
        }
    }
}

fn save(
    intent: &Intent,
    job: &Job,
    (volume, point): (&str, &Point),
    archive: &Restic,
) -> Result<Saved, Failure> {
    let folder = point.folder.try_clone().map_err(|e| {
        Failure::new(Kind::Failed, "snap.take", format!("volume {volume} cannot be opened: {e}"))
    })?;
    let consistent = point.consistent().then(|| CONSISTENT.to_owned());
    let tags = [format!("lsx-job={}", job.name)].into_iter().chain(consistent).collect();
    let (stack, volume, host) = (intent.stack.clone(), volume.to_owned(), intent.host.clone());
    let (at, hidden) = (point.at, point.hidden.clone());
    archive.save(Content { folder, about: About { stack, volume, host, tags }, at, hidden })
}

/// A snapshot that lacks something is a failure.
fn partly(volume: &str, saved: &Saved) -> Option<Failure> {
    let (number, first) = &saved.missed;
    (*number > 0).then(|| {
        let message = format!("{number} files or folders of volume {volume} are not in its snapshot: {}", first.join(", "));
        Failure::new(Kind::Failed, "snap.incomplete", message)
            .hint("they were removed or replaced meanwhile, cannot be read, or are mounts or subvolumes of their own")
    })
}

fn told(job: &Job, volume: &str, (repository, consistent): (&str, bool), saved: Saved) -> TakenAt {
    TakenAt {
        host: String::new(),
        job: job.name.clone(),
        volume: volume.to_owned(),
        repository: repository.to_owned(),
        id: saved.id,
        at: saved.at,
        consistent,
        complete: saved.missed.0 == 0,
        files: saved.files,
        bytes: saved.bytes,
        added_bytes: saved.added,
    }
}

/// The snapshots of a stack in the repositories of a host. One that has had none yet is not there.
///
/// # Errors
/// A repository that cannot be read.
pub(crate) fn list(order: &Order) -> Result<Vec<ListAt>, Failures> {
    let Some(intent) = intent(&order.stack)? else { return Ok(Vec::new()) };
    let runs = record::read(&order.stack)?;
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    let known = |one: &&Repository| {
        runs.repositories.contains_key(&one.path) || Path::new(&one.path).join("config").is_file()
    };
    for repository in intent.repositories.iter().filter(known) {
        let found = secrets::of_host(&order.stack, &repository.key)
            .and_then(|password| Restic::open(Path::new(&repository.path), &password, true))
            .and_then(|archive| archive.list(&order.stack));
        match found {
            Ok(found) => all.extend(found.into_iter().map(|snapshot| ListAt {
                host: String::new(),
                repository: repository.name.clone(),
                snapshot,
            })),
            Err(failure) => failures.push(failure),
        }
    }
    Failures(failures).verdict().map(|()| all)
}
