//! The plan: volumes first, then what restores them after a reboot. Volumes outlive the stack. Pure.

mod boot;
mod clash;
pub mod objects;
mod place;

pub use place::wanted;

use crate::Store;
use crate::model::{Disk, Driver, Facts, Intent, Key, Object, Own, REMOVED, State, Volume};
use common::document;
use common::plan::{Have, Kept, Want, Warning, diff};
use common::tool::{Draft, Goal, Keeps, ObservedOf, PlanInput, Tool as _};
use common::{Failure, Failures};
use std::collections::BTreeMap;

/// The keys of users, by the names of their secrets.
pub(crate) type Keys = BTreeMap<String, Key>;

/// Makes the plan.
///
/// # Errors
/// Volumes that are not what or where the document says, and an intent that cannot be read.
pub fn plan(
    input: &PlanInput<Keys>,
    observed: &BTreeMap<String, ObservedOf<Store>>,
) -> Result<Draft<Store>, Failures> {
    let mut draft = Draft::default();
    if let Goal::Up(_, resolved) = &input.goal {
        clash::leaving(input, observed)?;
        clash::moved(input, resolved, observed)?;
        clash::gone(input, resolved, observed)?;
    }
    if let Goal::Up(stack, _) = &input.goal {
        objects::able(stack)?;
    }
    let mut failures = Vec::new();
    for (host, seen) in observed {
        let volumes = match &input.goal {
            Goal::Up(stack, resolved) => {
                match up(input, (stack, resolved), (host, seen), observed, &mut draft) {
                    Ok(volumes) => volumes,
                    Err(wrong) => {
                        failures.extend(wrong.0);
                        continue;
                    }
                }
            }
            Goal::Boot(kept) => boot::booted(kept, (host, seen), &mut draft)?,
            Goal::Down => down(input, (host, seen), &mut draft),
        };
        let served = objects::served(input, (host, seen), &volumes, &mut draft)?;
        let intent = intent(input, &volumes, served.as_ref())?;
        let program = &seen.seen.program;
        let services = objects::services(input, served.filter(|(.., ready)| *ready), &mut draft)?;
        let keeps = Keeps { intent: intent.as_ref(), program, services, data: false };
        draft.warnings.extend(put_away(input, host, seen));
        let left = gone(seen).filter(|left| remembered(input, host, left));
        let left: Vec<Volume> =
            left.filter(|left| volumes.iter().all(|one| one.name != left.name)).cloned().collect();
        let mut wants: Vec<Want<Object>> =
            volumes.into_iter().chain(left).map(|one| want(one, seen)).collect();
        let names: Vec<String> = wants.iter().map(|want| want.key.clone()).collect();
        let kept = draft
            .keep(&Store, input, (host, seen), keeps)?
            .into_iter()
            .map(|want| objects::after(want, &names));
        wants.extend(kept);
        let mut steps = diff(host, &wants, &seen.objects);
        steps.retain(|step| {
            objects::selected(input) || !objects::service(step.after.as_ref().or(step.before.as_ref()))
        });
        objects::first(&mut steps);
        draft.steps.extend(steps);
    }
    Failures(failures).verdict()?;
    draft.prune_texts();
    Ok(draft)
}

/// The volumes of a host: those of the document, and others that exist.
fn up(
    input: &PlanInput<Keys>,
    (stack, resolved): (&common::stack::Stack, &common::stack::Resolved),
    (host, seen): (&str, &ObservedOf<Store>),
    observed: &BTreeMap<String, ObservedOf<Store>>,
    draft: &mut Draft<Store>,
) -> Result<Vec<Volume>, Failures> {
    let mut all = wanted(stack, resolved, host, &seen.seen, &there(seen))?;
    // What is not selected stays as it is.
    all.retain(|volume| input.only.stored(&volume.name));
    clash::changed(&all, (host, seen), observed)?;
    let told = all.iter().filter(|volume| volume.size_bytes.is_some() && !volume.driver.enforces());
    let told = told.filter(|volume| there(seen).get(volume.name.as_str()) != Some(volume));
    draft.warnings.extend(told.map(|volume| Warning {
        code: "store.size".to_owned(),
        message: format!(
            "{host}: the size of volume {} is not enforced: {} is a folder of a file system without such limits; \
             `lsx-store check` watches it",
            volume.name, volume.path
        ),
    }));
    draft.warnings.extend(unasked(&all, resolved, (host, seen), observed));
    for (name, volume) in there(seen) {
        if all.iter().all(|other| other.name != name) {
            // What is left of a move, before it and after it.
            let left = volume.state == State::Arriving || clash::arrived(volume, observed);
            if left && input.only.stored(name) {
                continue;
            }
            let named = resolved.volumes.iter().any(|at| at.name == name && at.host == host);
            draft.kept.extend((!named).then(|| format!("{host}: volume {name}")));
            all.push(volume.clone());
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Volumes that begin empty on a host while others were not asked whether they have them.
fn unasked(
    wanted: &[Volume],
    resolved: &common::stack::Resolved,
    (host, seen): (&str, &ObservedOf<Store>),
    observed: &BTreeMap<String, ObservedOf<Store>>,
) -> Vec<Warning> {
    let all = resolved.hosts.iter().map(|at| at.name.as_str());
    let others: Vec<&str> = all.filter(|other| !observed.contains_key(*other)).collect();
    let here = there(seen);
    let new = wanted.iter().filter(|volume| !others.is_empty() && !here.contains_key(volume.name.as_str()));
    let warning = |volume: &Volume| Warning {
        code: "store.unasked".to_owned(),
        message: format!(
            "{host}: volume {} begins without content; not asked whether they have it: {}",
            volume.name,
            others.join(", ")
        ),
    };
    new.map(warning).collect()
}

/// Volumes stay, but nothing is mounted, unless data is to be destroyed.
fn down(
    input: &PlanInput<Keys>,
    (host, seen): (&str, &ObservedOf<Store>),
    draft: &mut Draft<Store>,
) -> Vec<Volume> {
    let mut all = Vec::new();
    for (name, volume) in there(seen) {
        if !input.only.stored(name) {
            all.push(volume.clone());
        } else if !input.destroy_data && volume.state != State::Arriving {
            draft.kept.push(format!("{host}: volume {name}"));
            let state = if volume.in_place(&input.stack) { volume.state } else { unmounted(volume.state) };
            all.push(Volume { state, ..volume.clone() });
        }
    }
    all
}

/// What is left of volumes that are removed, and which of them are not there to be removed.
fn put_away(input: &PlanInput<Keys>, host: &str, seen: &ObservedOf<Store>) -> Vec<Warning> {
    let gone = matches!(input.goal, Goal::Down) && input.destroy_data;
    let gone = there(seen).into_values().filter(|volume| gone && input.only.stored(&volume.name));
    gone.filter_map(|volume| {
        let Volume { name, path, .. } = volume;
        let root = path.rsplit_once('/').map_or("", |(root, _)| root);
        let (code, message) = match (volume.state, volume.driver) {
            (State::Arriving, _) => return None,
            (State::Foreign, _) => (
                "store.foreign",
                format!("something else than volume {name} is at {path} and stays; only the record of the volume is removed"),
            ),
            (State::Missing, _) => (
                "store.missing",
                format!("volume {name} is not at {path}: if its disk comes back, its content is still there; only its record is removed"),
            ),
            (_, Driver::Btrfs) => (
                "store.removed",
                format!("volume {name} stays, read-only, in {root}/{REMOVED}; `btrfs subvolume delete` frees its space"),
            ),
            (_, Driver::Directory) => return None,
        };
        Some(Warning { code: code.to_owned(), message: format!("{host}: {message}") })
    })
    .collect()
}

fn unmounted(state: State) -> State {
    if state == State::Ready { State::Unmounted } else { state }
}

/// What a host keeps; with `down` only what is not selected, and after a reboot only what it has kept before.
fn intent(
    input: &PlanInput<Keys>,
    volumes: &[Volume],
    served: Option<&objects::Served>,
) -> Result<Option<Intent>, Failure> {
    let before = match &input.goal {
        Goal::Boot(kept) => Some(boot::kept_intent(kept)?.volumes),
        _ => None,
    };
    // One that an earlier `down` has unmounted stays so.
    let kept = |volume: &&Volume| match (&input.goal, &before) {
        (_, Some(before)) => before.iter().any(|other| other.name == volume.name),
        (Goal::Down, _) => !input.only.stored(&volume.name) && volume.state != State::Unmounted,
        _ => volume.state != State::Unmounted,
    };
    let ready = |volume: &Volume| Volume { state: State::Ready, ..volume.still() };
    let here = volumes.iter().filter(|volume| volume.state != State::Arriving);
    let volumes: Vec<Volume> = here.filter(kept).map(ready).collect();
    let (schema, stack) = (document::schema(Store::NAME, "intent"), input.stack.clone());
    let (objects, secrets) = served.map(|(objects, secrets, _)| (objects.clone(), secrets.clone())).unzip();
    let secrets = secrets.unwrap_or_default();
    Ok((!volumes.is_empty()).then_some(Intent { schema, stack, volumes, objects, secrets }))
}

/// The digest of an intent; stack and schema do not matter.
pub fn key(intent: &Intent) -> String {
    match &intent.objects {
        None => document::digest_of(&intent.volumes),
        objects => document::digest_of(&(&intent.volumes, objects, &intent.secrets)),
    }
    .unwrap_or_default()
}

/// The volumes of a host, by name.
fn there(seen: &ObservedOf<Store>) -> BTreeMap<&str, &Volume> {
    let here = known(seen).filter(|volume| volume.state != State::Moved);
    here.map(|volume| (volume.name.as_str(), volume)).collect()
}

/// Those that have moved away.
fn gone(seen: &ObservedOf<Store>) -> impl Iterator<Item = &Volume> {
    known(seen).filter(|volume| volume.state == State::Moved)
}

fn known(seen: &ObservedOf<Store>) -> impl Iterator<Item = &Volume> {
    let volumes = seen.objects.iter().filter_map(|have| have.object.own());
    volumes.map(|Own::Volume(volume)| volume)
}

/// Whether a host still has to know that a volume has moved away: until the document says where it is, or it is removed. `volume move`
/// asks for the one volume before anybody has changed the document.
fn remembered(input: &PlanInput<Keys>, host: &str, left: &Volume) -> bool {
    match &input.goal {
        Goal::Up(_, resolved) => {
            let elsewhere = resolved.volumes.iter().any(|at| at.name == left.name && at.host != host);
            !(elsewhere && input.only.stored(""))
        }
        Goal::Down => !(input.destroy_data && input.only.stored(&left.name)),
        Goal::Boot(_) => true,
    }
}

fn want(volume: Volume, seen: &ObservedOf<Store>) -> Want<Object> {
    let taken = seen.seen.unkept.contains(&volume.name);
    let why =
        if taken { "the document names it; its content is taken over" } else { "the document names it" };
    let (key, why) = (volume.key(), why.to_owned());
    Want { key, object: Object::Own(Own::Volume(volume)), needs: Vec::new(), why }
}

/// The objects of a host: volumes, then what restores them, which is removed before them.
pub fn haves(volumes: Vec<Volume>, kept: Vec<Kept>) -> Vec<Have<Object>> {
    let names: Vec<String> = volumes.iter().map(Volume::key).collect();
    let own = |volume: Volume| Have {
        key: volume.key(),
        object: Object::Own(Own::Volume(volume)),
        needs: Vec::new(),
    };
    let after = |kept: Kept| {
        let mut have = kept.have(Store::NAME);
        have.needs.extend(names.clone());
        have
    };
    let kept: Vec<Have<Object>> = kept.into_iter().map(after).collect();
    volumes.into_iter().map(own).chain(kept).collect()
}

/// What a plan depends on: lsx's objects, and which disks a host has.
pub fn base(objects: &[Have<Object>], seen: &Facts) -> String {
    document::digest_of(&(objects, &seen.disks, &seen.programs, &seen.unkept)).unwrap_or_default()
}

/// Whether a path is of a disk of this type.
fn kind_of<'a>(disks: &'a [Disk], path: &str) -> Option<&'a str> {
    crate::model::disk_of(disks, path).map(|disk| disk.kind.as_str())
}
