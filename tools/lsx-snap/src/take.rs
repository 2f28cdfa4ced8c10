//! The host's side of `take`: points of all volumes first, then each is saved in each repository.

use crate::archive::{About, Archive, Content, Restic, Saved, configuration};
use crate::model::{CONSISTENT, Intent, Job, Repository, Runs, TakenAt};
use crate::point::{self, Found, Point};
use crate::{Snap, plan, record, secrets};
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
    /// For `take`: the digest of what the document wants of them on this host; none if it wants nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wanted: Option<String>,
}

/// What it answers to `take`: what it saved, and why it did not save the rest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) snapshots: Vec<TakenAt>,
    pub(crate) failures: Vec<Failure>,
}

/// The intent of this host; none if no job has a volume here.
pub(crate) fn intent(stack: &str) -> Result<Option<Intent>, Failure> {
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
    let intent = intent(&order.stack)?.and_then(|intent| plan::narrowed(intent, &order.jobs));
    if intent.as_ref().map(plan::key) != order.wanted {
        let message = "this host does not have what the document says of these snapshot jobs";
        let failure = Failure::new(Kind::Failed, "snap.stale", message.to_owned());
        return Err(failure.hint("run `lsx-snap up` first").into());
    }
    let Some(intent) = intent else { return Ok(answer) };
    let mut runs = record::read(&order.stack)?;
    for job in &intent.jobs {
        let before = answer.failures.len();
        runs.begin(&job.name);
        if let Err(failure) = record::write(&order.stack, &runs) {
            answer.failures.push(failure);
            continue;
        }
        run(&intent, job, &mut runs, &mut answer);
        runs.end(&job.name, answer.failures.len() == before);
        answer.failures.extend(record::write(&order.stack, &runs).err());
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
                    runs.saved(&job.name, &volume, (archive.id(), &saved.at));
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
    let (password, path) = (secrets::of_host(stack, &repository.key)?, &repository.path);
    let known = runs.repositories.get(path).cloned();
    let archive = Restic::open(Path::new(path), &password, known.is_some())?;
    if known.is_some_and(|known| known != archive.id()) {
        let message = format!("another repository is at {path}");
        return Err(Failure::new(Kind::Failed, "snap.replaced", message).hint(format!(
            "if that is meant, remove /var/lib/lsx/snap/{stack}/data/runs.json on this host"
        )));
    }
    let before = runs.clone();
    runs.repositories.insert(path.clone(), archive.id());
    runs.configurations.insert(path.clone(), configuration(Path::new(path))?);
    if *runs != before {
        record::write(stack, runs)?;
    }
    Ok(archive)
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
