//! Observes this host: its part of the snapshot jobs, and their repositories. Reads only.

use crate::model::{
    Facts, JobSeen, Object, Own, Repository, RepositorySeen, Restored, RestoredSeen, Runs, State,
};
use crate::{Snap, plan, record, restore};
use common::host::kept::{self, Keeper};
use common::plan::{Have, Warning};
use common::tool::{Observation, Tool as _};
use common::{Failure, fleet};
use std::path::Path;

/// Reads the objects of one stack, or of all.
///
/// # Errors
/// Kind `Denied` without root.
pub(crate) fn observe(stack: Option<&str>) -> Result<Observation<Object, Facts>, Failure> {
    common::host::root()?;
    let mut facts = Facts { program: fleet::installed_path(Snap::SET), ..Facts::default() };
    let (mut objects, mut warnings) = (Vec::new(), Vec::new());
    for name in stack.map_or_else(kept::found::<Snap>, |stack| [stack.to_owned()].into()) {
        let found = Keeper::of::<Snap>(&name).observe()?;
        warnings.extend(found.warnings.clone());
        let runs = record::read(&name).unwrap_or_else(|failure| {
            warnings.push(Warning { code: failure.code, message: failure.message });
            Runs::default()
        });
        for intent in found.intent.iter() {
            facts.jobs.extend(intent.jobs.iter().map(|job| JobSeen {
                stack: name.clone(),
                job: job.clone(),
                last: runs.last(&job.name),
                unsaved: runs.unsaved(intent, job),
            }));
            facts.repositories.extend(intent.repositories.iter().map(|one| seen(&name, one, &runs)));
        }
        let restores = restore::read(&name).unwrap_or_else(|failure| {
            warnings.push(Warning { code: failure.code, message: failure.message });
            Vec::new()
        });
        objects.extend(found.objects(plan::key).into_iter().map(|kept| kept.have(Snap::NAME)));
        objects.extend(restores.iter().filter_map(half));
        let seen = |restored| RestoredSeen { stack: name.clone(), restored };
        facts.restores.extend(restores.into_iter().map(seen));
    }
    Ok((objects, facts, warnings))
}

/// A restore that was killed is an object: it is ended with the next step.
fn half(one: &Restored) -> Option<Have<Object>> {
    let half = one.half.as_ref()?;
    let exchanged = restore::has(one).is_ok_and(|restored| restored == half.restored);
    let own = Own::Restore { volume: one.volume.clone(), exchanged };
    Some(Have { key: own.key(), object: Object::Own(own), needs: Vec::new() })
}

fn seen(stack: &str, repository: &Repository, runs: &Runs) -> RepositorySeen {
    let there = Path::new(&repository.path).join("config").is_file();
    let state = match (there, runs.repositories.contains_key(&repository.path)) {
        (true, _) => State::Ready,
        (false, true) => State::Missing,
        (false, false) => State::New,
    };
    RepositorySeen { stack: stack.to_owned(), repository: repository.clone(), state }
}
