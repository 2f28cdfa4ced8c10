//! What cannot be: engines that are not there, names that are taken, instances that would move.

use super::Goals;
use crate::Ct;
use crate::model::{Engine, Gathered, Instance, NAME_MAX, Object, engine_name};
use common::stack::Driver;
use common::tool::{ObservedOf, Wish};
use common::{Failure, Kind};
use std::collections::BTreeMap;

/// Everything at once.
pub(super) fn clashes(
    wish: &Wish<Gathered>,
    goals: &Goals,
    observed: &BTreeMap<String, ObservedOf<Ct>>,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (host, seen) in observed {
        for instance in goals.get(host).into_iter().flatten() {
            let at = format!("instances.{}", instance.of);
            let mut tell = |failure: Failure| failures.push(failure.on(host).at(at.clone()));
            let engine = seen.seen.engines.iter().find(|e| e.driver == instance.driver);
            let word = driver_word(instance.driver);
            let chosen = instance.driver == Driver::Oci && wish.gathered.runtime.is_some();
            match engine {
                Some(engine) if engine.works => strange(instance, engine).into_iter().for_each(&mut tell),
                _ if chosen => {} // whether that one works is found out there
                Some(engine) => tell(unfit(host, word, &engine.cannot)),
                None => tell(unfit(host, word, &[])),
            }
            let engine_name = engine_name(&wish.stack, &instance.name);
            if engine_name.len() > NAME_MAX {
                let message =
                    format!("{engine_name} is longer than the {NAME_MAX} characters of a host name");
                tell(
                    Failure::new(Kind::Data, "ct.plan.name", message)
                        .hint("shorten the stack's name or the instance's"),
                );
            }
            if seen.seen.strangers.contains(&format!("{word}:{engine_name}")) {
                let message =
                    format!("{word} has an instance {engine_name} that is not of stack {}", wish.stack);
                tell(
                    Failure::new(Kind::Failed, "ct.plan.stranger", message)
                        .hint("give the instance another name, or remove or rename the other one there"),
                );
            }
        }
        failures.extend(moves(wish, goals, host, seen));
    }
    failures.extend(too_much(wish, goals, observed));
    failures
}

/// What an engine of LXD's kind has not, or could not be told.
fn strange(instance: &Instance, engine: &Engine) -> Vec<Failure> {
    let mut all = Vec::new();
    let lacks = |profile: &&String| engine.profiles.as_ref().is_some_and(|there| !there.contains(profile));
    for profile in instance.profiles.iter().filter(lacks) {
        let client = if instance.driver == Driver::Incus { "incus" } else { "lxc" };
        all.push(
            Failure::new(
                Kind::Failed,
                "ct.plan.profile",
                format!("{} has no profile {profile}", engine.name),
            )
            .hint(format!("make it there: {client} profile create {profile}; or leave it out")),
        );
    }
    if matches!(instance.driver, Driver::Lxd | Driver::Incus) {
        for (key, _) in instance.env.iter().filter(|(_, value)| value.contains(['\n', '\r', '\0'])) {
            let message = format!(
                "the value of {key} has a line feed, which {} cannot be told",
                driver_word(instance.driver)
            );
            all.push(
                Failure::new(Kind::Data, "ct.plan.value", message)
                    .hint("put it into a file: files, or a secret"),
            );
        }
    }
    all
}

/// The driver as the document writes it.
pub(crate) fn driver_word(driver: Driver) -> &'static str {
    match driver {
        Driver::Oci => "oci",
        Driver::Lxd => "lxd",
        Driver::Incus => "incus",
        Driver::Docker => "docker",
    }
}

fn unfit(host: &str, word: &str, cannot: &[String]) -> Failure {
    let failure = Failure::new(Kind::Failed, "ct.plan.engine", format!("{host} cannot run driver {word}"));
    let failure = cannot.iter().fold(failure, |failure, why| failure.because(why));
    failure.hint(match word {
        "oci" => "install a runtime there: apt-get install --no-install-recommends runc",
        _ => "install and start it there, or use driver oci",
    })
}

/// What runs here and belongs elsewhere would lose what was written into it.
fn moves(wish: &Wish<Gathered>, goals: &Goals, host: &str, seen: &ObservedOf<Ct>) -> Vec<Failure> {
    let elsewhere =
        |name: &str| goals.iter().find(|(h, all)| *h != host && all.iter().any(|i| i.name == name));
    let there = seen.objects.iter().filter_map(|have| match &have.object {
        Object::Instance(instance) => Some(instance),
        _ => None,
    });
    there
        .filter(|_| !wish.allow_move)
        .filter_map(|instance| {
            let (to, _) = elsewhere(&instance.name)?;
            let message = format!(
                "{} runs on {host} and would move to {to}, without what was written into it",
                instance.name
            );
            let failure = Failure::new(Kind::Data, "ct.plan.move", message).on(host);
            Some(failure.at(format!("instances.{}", instance.of)).hint("--allow-move allows it"))
        })
        .collect()
}

/// `--prune` of more than half of what is there needs `--yes`.
fn too_much(
    wish: &Wish<Gathered>,
    goals: &Goals,
    observed: &BTreeMap<String, ObservedOf<Ct>>,
) -> Option<Failure> {
    let there: Vec<&str> = observed
        .values()
        .flat_map(|seen| &seen.objects)
        .filter_map(|have| match &have.object {
            Object::Instance(instance) if wish.only.instance(&instance.of, &instance.name) => {
                Some(instance.name.as_str())
            }
            _ => None,
        })
        .collect();
    let named = |name: &&&str| !goals.values().flatten().any(|i| i.name == **name);
    let gone = there.iter().filter(named).count();
    (wish.prune && !wish.yes && gone * 2 > there.len()).then(|| {
        let message = format!("--prune would remove {gone} of {} instances", there.len());
        Failure::new(Kind::Data, "ct.plan.prune", message).hint("--yes confirms it")
    })
}
