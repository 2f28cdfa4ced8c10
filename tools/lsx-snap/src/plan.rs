//! The plan: each host keeps its part of the snapshot jobs, and the keys of their repositories. Pure.

use crate::Snap;
use crate::model::{Facts, Intent, Job, Key, Object, Own, Repository};
use common::document;
use common::plan::{Have, Step, diff};
use common::stack::{Job as Said, Quiesce, Resolved, Stack};
use common::tool::{Draft, Goal, Keeps, ObservedOf, PlanInput, Tool as _};
use common::{Failure, Failures, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// How a repository in a folder is written.
const LOCAL: &str = "local:";

/// The keys of repositories, by the names of their secrets.
pub(crate) type Keys = BTreeMap<String, Key>;

/// Makes the plan.
///
/// # Errors
/// What the document says and is not supported yet; an intent that cannot be read.
pub fn plan(
    input: &PlanInput<Keys>,
    observed: &BTreeMap<String, ObservedOf<Snap>>,
) -> Result<Draft<Snap>, Failures> {
    let mut draft = Draft::<Snap>::default();
    if let Goal::Up(stack, _) = &input.goal {
        able(stack)?;
    }
    for (host, seen) in observed {
        let named = match &input.goal {
            Goal::Up(stack, resolved) => wanted(stack, resolved, host, &input.gathered),
            Goal::Boot(kept) => Some(booted(kept)?),
            Goal::Down => None,
        };
        let intent = merged(input, (host, &seen.seen), named);
        if let Some(intent) = &intent {
            draft.data.keys.insert(key(intent), keys(intent, &input.gathered));
        }
        let keeps = Keeps {
            intent: intent.as_ref(),
            program: &seen.seen.program,
            services: BTreeMap::new(),
            data: intent.is_some(),
        };
        let wants = draft.keep(&Snap, input, (host, seen), keeps)?;
        draft.steps.extend(diff(host, &wants, &seen.objects).into_iter().map(ended));
        draft.kept.extend(beside(input, host, &seen.seen));
    }
    draft.prune_texts();
    let contents = &draft.contents;
    draft.data.keys.retain(|digest, _| contents.contains_key(digest));
    Ok(draft)
}

/// What is done about a restore that was killed.
fn ended(step: Step<Object>) -> Step<Object> {
    let why = match step.before.as_ref().and_then(Object::own) {
        None => return step,
        Some(Own::Restore { exchanged: true, .. }) => "a killed run had exchanged it: that is finished",
        Some(Own::Restore { .. }) => {
            "a killed run had not exchanged it: the volume stays as it was, unless others of the same restore are exchanged"
        }
    };
    Step { why: why.to_owned(), ..step }
}

/// What `down` leaves beside volumes.
fn beside(input: &PlanInput<Keys>, host: &str, seen: &Facts) -> Vec<String> {
    let stays = matches!(input.goal, Goal::Down) && !input.destroy_data;
    let all =
        seen.restores.iter().filter(|one| stays && one.stack == input.stack && one.restored.half.is_none());
    all.map(|one| {
        let (volume, at) = (&one.restored.volume, &one.restored.beside);
        format!("{host}: what a restore keeps of volume {volume}, {at}")
    })
    .collect()
}

/// What the document says that is not supported yet: it must not seem to work.
fn able(stack: &Stack) -> Result<(), Failures> {
    let Some(snap) = &stack.snap else { return Ok(()) };
    let mut failures = Vec::new();
    let mut refuse = |at: String, message: &str, hint: &str| {
        let failure = Failure::new(Kind::Data, "snap.plan.unbuilt", message.to_owned());
        failures.push(failure.at(at).hint(hint));
    };
    for (name, target) in &snap.to {
        let at = |key: &str| format!("snap.to.{name}.{key}");
        if !target.repository.starts_with(LOCAL) {
            let message = "repositories elsewhere are not supported yet";
            refuse(at("repository"), message, "write local:/PATH, a folder of each host with the volumes");
        }
        if target.append_only {
            refuse(at("append_only"), "nothing is deleted there yet, but others can", "leave it out");
        }
        if target.limit.is_some() {
            refuse(at("limit"), "limits are not supported yet", "leave it out");
        }
    }
    for (name, job) in &snap.what {
        let at = |key: &str| format!("snap.what.{name}.{key}");
        if job.to.is_empty() {
            let message = "snapshots without a repository are not supported yet";
            refuse(format!("snap.what.{name}"), message, "write to: [NAME], with a repository of snap.to");
        }
        if job.quiesce.as_ref().is_some_and(|how| *how != Quiesce::None) {
            let message = "instances are not stopped for snapshots yet";
            refuse(at("quiesce"), message, "write none: what programs write meanwhile may be torn");
        }
        if !job.exclude.is_empty() {
            refuse(at("exclude"), "excluded paths are not supported yet", "leave it out: all is saved");
        }
    }
    Failures(failures).verdict()
}

/// What the document says about a host; none if no job has a volume there.
pub fn wanted(
    stack: &Stack,
    resolved: &Resolved,
    host: &str,
    gathered: &BTreeMap<String, Key>,
) -> Option<Intent> {
    let snap = stack.snap.as_ref()?;
    let here = |volume: &String| is_here(stack, resolved, host, volume);
    let job = |(name, said): (&String, &Said)| {
        let own = [name.clone()];
        let volumes = if said.volumes.is_empty() { &own[..] } else { &said.volumes[..] };
        let volumes: Vec<String> = volumes.iter().filter(|volume| here(volume)).cloned().collect();
        let all = Job { name: name.clone(), volumes, to: said.to.clone() };
        (!all.volumes.is_empty()).then_some(all)
    };
    let jobs: Vec<Job> = snap.what.iter().filter_map(job).collect();
    let repositories = snap.to.iter().filter_map(|(name, target)| {
        let (path, key) = (target.repository.strip_prefix(LOCAL)?.to_owned(), target.key.clone());
        let digest = gathered.get(&key).map(|key| key.digest.clone()).unwrap_or_default();
        Some(Repository { name: name.clone(), path, key, digest })
    });
    of(&stack.name, host, jobs, repositories.collect())
}

/// Whether a volume is on a host: as `store` says, or where an instance uses it.
pub(crate) fn is_here(stack: &Stack, resolved: &Resolved, host: &str, volume: &str) -> bool {
    if let Some(at) = resolved.volumes.iter().find(|at| at.name == volume) {
        return at.host == host;
    }
    resolved
        .instances
        .iter()
        .filter(|at| at.host == host)
        .any(|at| stack.instances.get(&at.of).is_some_and(|instance| instance.volumes.contains_key(volume)))
}

/// An intent with the repositories that its jobs need.
fn of(stack: &str, host: &str, jobs: Vec<Job>, mut repositories: Vec<Repository>) -> Option<Intent> {
    let needed: BTreeSet<&String> = jobs.iter().flat_map(|job| &job.to).collect();
    repositories.retain(|repository| needed.contains(&repository.name));
    let (schema, stack, host) = (document::schema(Snap::NAME, "intent"), stack.to_owned(), host.to_owned());
    (!jobs.is_empty()).then_some(Intent { schema, stack, host, jobs, repositories })
}

/// The part of an intent that some jobs need.
pub(crate) fn narrowed(intent: Intent, names: &BTreeSet<String>) -> Option<Intent> {
    let Intent { stack, host, mut jobs, repositories, .. } = intent;
    jobs.retain(|job| names.contains(&job.name));
    of(&stack, &host, jobs, repositories)
}

/// What is not selected stays as it is.
fn merged(input: &PlanInput<Keys>, (host, seen): (&str, &Facts), named: Option<Intent>) -> Option<Intent> {
    if matches!(input.goal, Goal::Boot(_)) {
        return named;
    }
    let (mut jobs, mut repositories) = named.map(|one| (one.jobs, one.repositories)).unwrap_or_default();
    jobs.retain(|job| input.only.kept(&job.name));
    let there = seen.jobs.iter().filter(|job| job.stack == input.stack).map(|seen| &seen.job);
    jobs.extend(there.filter(|job| !input.only.kept(&job.name)).cloned());
    jobs.sort_by(|a, b| a.name.cmp(&b.name));
    for seen in seen.repositories.iter().filter(|seen| seen.stack == input.stack) {
        if repositories.iter().all(|other| other.name != seen.repository.name) {
            repositories.push(seen.repository.clone());
        }
    }
    repositories.sort_by(|a, b| a.name.cmp(&b.name));
    of(&input.stack, host, jobs, repositories)
}

fn booted(kept: &serde_json::Value) -> Result<Intent, Failure> {
    serde_json::from_value(kept.clone()).map_err(|e| {
        Failure::new(Kind::Data, "snap.intent", format!("the intent of this host cannot be read: {e}"))
            .hint("run `lsx-snap up` with the stack's document")
    })
}

/// The secrets that a host needs.
fn keys(intent: &Intent, gathered: &Keys) -> Keys {
    let of = |repository: &Repository| {
        let kept = || Key { digest: repository.digest.clone(), place: None };
        (repository.key.clone(), gathered.get(&repository.key).cloned().unwrap_or_else(kept))
    };
    intent.repositories.iter().map(of).collect()
}

/// The digest of an intent; stack and schema do not matter.
pub fn key(intent: &Intent) -> String {
    document::digest_of(&(&intent.host, &intent.jobs, &intent.repositories)).unwrap_or_default()
}

/// What a plan depends on.
pub fn base(objects: &[Have<Object>]) -> String {
    document::digest_of(&objects).unwrap_or_default()
}
