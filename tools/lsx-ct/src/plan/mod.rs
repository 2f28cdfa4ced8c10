//! Plans for all hosts: what each should run, what is kept, what conflicts, and the steps. Pure.

mod beyond;
mod clash;
mod cooks;
mod cut;
mod intent;
mod moved;
mod order;
mod ready;
mod renamed;
mod unheld;
mod unstored;

pub(crate) use clash::driver_word;
pub use cut::cut;
pub(crate) use cut::recipes as recipes_of;
pub use intent::{intent, intent_digest};
pub use order::depths;

use crate::Ct;
use crate::model::{CLOSED, Facts, Gathered, Instance, Intent, Object, State};
use common::document;
use common::plan::{Have, Object as _, Step, Want, Warning, diff};
use common::stack::unbuilt;
use common::tool::{Draft, Goal, ObservedOf, PlanInput};
use common::{Failure, Failures, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Data shared by the steps of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Data {
    /// The files of secrets on the operator's machine, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// The requested OCI runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// After a reboot: wait for needed instances without limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub patient: bool,
}

/// The code of an observed warning that a plan repeats: a host's disk is nearly full.
pub(crate) const NO_ROOM: &str = "ct.room";

/// The wanted objects of a host.
type Goals = BTreeMap<String, Vec<Instance>>;

/// Makes the plan.
///
/// # Errors
/// All conflicts and other reasons.
pub fn plan(
    input: &PlanInput<Gathered>,
    observed: &BTreeMap<String, ObservedOf<Ct>>,
) -> Result<Draft<Ct>, Failures> {
    let mut draft = Draft::default();
    let mut failures = Vec::new();
    let goals: Goals = match &input.goal {
        Goal::Down => Goals::new(),
        Goal::Boot(kept) => booted(kept, observed, &mut draft)?,
        Goal::Up(stack, resolved) => {
            let secrets = input.gathered.secrets.iter();
            draft.data.secrets = secrets.map(|(name, (_, path))| (name.clone(), path.clone())).collect();
            failures.extend(unbuilt::networks(resolved, "ct.plan.unsupported"));
            draft.data.runtime.clone_from(&input.gathered.runtime);
            let goals = cut(input, stack, resolved, &mut draft.contents);
            failures.extend(clash::clashes(input, &goals, observed));
            draft.warnings.extend(beyond::warnings(&goals, &input.gathered));
            let engines = |host: &str| observed.get(host).map_or(&[][..], |seen| &seen.seen.engines);
            draft.warnings.extend(unheld::warnings(&goals, engines));
            draft.warnings.extend(unstored::warnings(stack, &goals, observed));
            goals
        }
    };
    let depth = depths(goals.values().flatten());
    for (host, seen) in observed {
        let rooms = seen.warnings.iter().filter(|warning| warning.code == NO_ROOM);
        draft
            .warnings
            .extend(rooms.map(|w| Warning { message: format!("{host}: {}", w.message), ..w.clone() }));
        let empty = Vec::new();
        let wanted = goals.get(host).unwrap_or(&empty);
        let stay = staying(input, host, wanted, seen, &mut draft.kept);
        let mut wants = closed(input, seen);
        wants.extend(instances(wanted, &depth));
        intent::keep(input, host, wanted, &stay, seen, &mut wants, &mut draft.contents);
        let haves = haves(input, seen, &stay);
        let mut steps = diff(host, &wants, &haves);
        steps.iter_mut().for_each(|step| {
            tell(step, &goals);
            ended(step, &input.stack, &seen.seen);
            cooks::tell(step, &input.stack, &seen.seen);
        });
        draft.steps.extend(steps);
        if matches!(input.goal, Goal::Down) && !input.destroy_data {
            draft.kept.extend(seen.seen.volumes.iter().map(|name| format!("{host}: volume {name}")));
        }
    }
    let stack = match &input.goal {
        Goal::Up(stack, _) => Some(&**stack),
        _ => None,
    };
    failures.extend(renamed::tell(stack, observed, &mut draft));
    Failures(failures).verdict()?;
    moved::tell(&mut draft);
    spare(&mut draft);
    Ok(draft)
}

/// Existing instances that are kept: not named by the document, or not selected by `--only`.
fn staying<'a>(
    input: &PlanInput<Gathered>,
    host: &str,
    wanted: &[Instance],
    seen: &'a ObservedOf<Ct>,
    kept: &mut Vec<String>,
) -> Vec<&'a Instance> {
    let resolved = match &input.goal {
        Goal::Up(_, resolved) => resolved,
        Goal::Down => return spared(input, seen),
        Goal::Boot(_) => return Vec::new(),
    };
    let names: BTreeSet<&str> = wanted.iter().map(|i| i.name.as_str()).collect();
    let there = seen.objects.iter().filter_map(|have| match &have.object {
        Object::Instance(instance) => Some(&**instance),
        _ => None,
    });
    let mut stay = Vec::new();
    for instance in there.filter(|i| !names.contains(i.name.as_str())) {
        let selected = input.only.instance(&instance.of, &instance.name);
        let named = resolved.instances.iter().any(|i| i.name == instance.name);
        match (named, selected, input.prune) {
            (true, true, _) => continue, // it moves: `clash` has refused that unless it is allowed
            (_, true, true) => continue,
            (false, ..) => kept.push(format!("{host}: instance {}", instance.name)),
            _ => {}
        }
        stay.push(instance);
    }
    stay
}

/// With `down --only`, all other instances.
fn spared<'a>(input: &PlanInput<Gathered>, seen: &'a ObservedOf<Ct>) -> Vec<&'a Instance> {
    let there = seen.objects.iter().filter_map(|have| match &have.object {
        Object::Instance(instance) => Some(&**instance),
        _ => None,
    });
    there.filter(|i| !input.only.instance(&i.of, &i.name)).collect()
}

/// Folders that others can read are closed before anything is created in them.
fn closed(input: &PlanInput<Gathered>, seen: &ObservedOf<Ct>) -> Vec<Want<Object>> {
    let open = seen.objects.iter().filter_map(|have| match &have.object {
        Object::Folders { modes } if !matches!(input.goal, Goal::Down) => Some(modes),
        _ => None,
    });
    let shut = |modes: &BTreeMap<String, String>| Object::Folders {
        modes: modes.keys().map(|path| (path.clone(), CLOSED.to_owned())).collect(),
    };
    let want = |object: Object| Want { key: object.key(), object, needs: Vec::new(), why: String::new() };
    open.map(shut).map(want).collect()
}

/// In the order in which they become ready, so that a waiting step never blocks one that it waits for.
fn instances(wanted: &[Instance], depth: &BTreeMap<String, usize>) -> Vec<Want<Object>> {
    let mut order: Vec<&Instance> = wanted.iter().collect();
    order.sort_by_key(|i| (depth.get(&i.name).copied().unwrap_or_default(), i.name.clone()));
    let want = |instance: &Instance| Want {
        key: format!("instance:{}", instance.name),
        object: Object::Instance(Box::new(instance.clone())),
        needs: instance.needs.iter().filter(|n| n.here).map(|n| format!("instance:{}", n.instance)).collect(),
        why: "the document names it".to_owned(),
    };
    order.into_iter().map(want).collect()
}

/// The existing objects, except those that are kept unchanged.
fn haves(input: &PlanInput<Gathered>, seen: &ObservedOf<Ct>, stay: &[&Instance]) -> Vec<Have<Object>> {
    let down = matches!(input.goal, Goal::Down);
    let stays = |have: &&Have<Object>| match &have.object {
        Object::Instance(instance) => !stay.iter().any(|i| i.name == instance.name),
        Object::Folders { .. } => !down, // folders are not closed when their stack is removed
        _ => true,
    };
    let mut all: Vec<Have<Object>> = seen.objects.iter().filter(stays).cloned().collect();
    if down && input.destroy_data {
        let volume = |name: &String| Object::Volume { name: name.clone() };
        let have = |object: Object| Have { key: object.key(), object, needs: Vec::new() };
        for have in &mut all {
            if let Object::Instance(instance) = &have.object {
                have.needs.extend(instance.volumes.iter().map(|v| format!("volume:{}", v.name)));
            }
        }
        // First in order, so removed last: after the instances that use it.
        all.splice(0..0, seen.seen.volumes.iter().map(volume).map(have));
    }
    all
}

/// The effect of a change on the instance, and on those that need it.
fn tell(step: &mut Step<Object>, goals: &Goals) {
    let (Some(Object::Instance(before)), Some(Object::Instance(after))) = (&step.before, &step.after) else {
        return;
    };
    step.why = format!("{}: {}", step.why, before.means(after));
    let dependents: Vec<&str> = goals
        .values()
        .flatten()
        .filter(|i| i.needs.iter().any(|n| n.instance == after.name))
        .map(|i| i.name.as_str())
        .collect();
    if before.running
        && (before.needs_recreate(after) || before.needs_restart(after))
        && !dependents.is_empty()
    {
        step.why = format!("{}; needed by {}", step.why, dependents.join(", "));
    }
}

/// How an instance ended that is started again: this says more than that it does not run.
fn ended(step: &mut Step<Object>, stack: &str, seen: &Facts) {
    let (Some(Object::Instance(before)), Some(Object::Instance(_))) = (&step.before, &step.after) else {
        return;
    };
    let mut own = seen.instances.iter().filter(|status| status.stack == stack && status.name == before.name);
    let exit = own.find_map(|status| status.condition.exit.as_ref()).filter(|exit| exit.code != 0);
    if let Some(exit) = exit {
        step.why =
            step.why.replace("running false becomes true", &format!("it has ended with {}", exit.code));
    }
}

/// Texts that no step needs are left out of the plan.
fn spare(draft: &mut Draft<Ct>) {
    let used: BTreeSet<&str> = draft.steps.iter().filter_map(|s| s.after.as_ref()?.content()).collect();
    draft.contents.retain(|digest, _| used.contains(digest.as_str()));
    let secrets: BTreeSet<&str> = draft
        .steps
        .iter()
        .filter_map(|s| match &s.after {
            Some(Object::Instance(instance)) => Some(instance.all_secrets().map(|(name, _)| name)),
            _ => None,
        })
        .flatten()
        .collect();
    draft.data.secrets.retain(|name, _| secrets.contains(name.as_str()));
}

/// After a reboot: the host's intent, unchanged. An instance that waits, starts or is about to restart has a supervisor, so
/// nothing more is to be done here, however long it takes.
fn booted(
    kept: &serde_json::Value,
    observed: &BTreeMap<String, ObservedOf<Ct>>,
    draft: &mut Draft<Ct>,
) -> Result<Goals, Failures> {
    let intent: Intent = serde_json::from_value(kept.clone()).map_err(|e| {
        Failure::new(Kind::Data, "ct.intent", format!("the intent of this host cannot be read: {e}"))
            .hint("run `lsx-ct up` with the stack's document")
    })?;
    draft.data.patient = true;
    let goal = |seen: &ObservedOf<Ct>| {
        let looked_after = |name: &str| {
            let status = seen.seen.instances.iter().find(|i| i.name == name && i.stack == intent.stack);
            status.is_some_and(|i| {
                matches!(i.condition.state, State::Waiting | State::Starting | State::Restarting)
            })
        };
        let mut all = intent.instances.clone();
        all.iter_mut().for_each(|i| i.running = !looked_after(&i.name));
        all
    };
    Ok(observed.iter().map(|(host, seen)| (host.clone(), goal(seen))).collect())
}

/// What a plan depends on: lsx's objects, and whatever could conflict. Resource usage is left out.
pub fn base(objects: &[Have<Object>], seen: &Facts) -> String {
    let engines: Vec<_> = seen.engines.iter().map(|e| (e.driver, e.works)).collect();
    document::digest_of(&(objects, &seen.strangers, engines)).unwrap_or_default()
}
