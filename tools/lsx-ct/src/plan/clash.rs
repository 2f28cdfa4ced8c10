//! Conflicts: missing engines, names in use, instances that would move.

use super::Goals;
use crate::Ct;
use crate::model::{Engine, Gathered, Instance, NAME_MAX, Object, engine_name};
use common::stack::Driver;
use common::tool::{ObservedOf, PlanInput, Risk};
use common::{Failure, Kind};
use std::collections::BTreeMap;

/// All conflicts.
pub(super) fn clashes(
    input: &PlanInput<Gathered>,
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
            let chosen = instance.driver == Driver::Oci && input.gathered.runtime.is_some();
            match engine {
                Some(engine) if engine.works => strange(instance, engine).into_iter().for_each(&mut tell),
                _ if chosen => {} // whether the chosen one works is tested on the host
                Some(engine) => tell(unfit(host, word, &engine.cannot)),
                None => tell(unfit(host, word, &[])),
            }
            let engine_name = engine_name(&input.stack, &instance.name);
            if engine_name.len() > NAME_MAX {
                let message = format!("{engine_name} exceeds the {NAME_MAX} characters of a host name");
                tell(
                    Failure::new(Kind::Data, "ct.plan.name", message)
                        .hint("shorten the stack's name or the instance's"),
                );
            }
            if seen.seen.strangers.contains(&format!("{word}:{engine_name}")) {
                let message = format!(
                    "{word} already has an instance {engine_name} that does not belong to stack {}",
                    input.stack
                );
                tell(
                    Failure::new(Kind::Failed, "ct.plan.stranger", message)
                        .hint("rename the instance, or remove or rename the other one there"),
                );
            }
        }
        failures.extend(moves(input, goals, host, seen));
    }
    failures.extend(too_much(input, goals, observed));
    failures
}

/// What LXD or Incus lacks, or does not support.
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
            .hint(format!("create it there: {client} profile create {profile}; or leave it out")),
        );
    }
    if matches!(instance.driver, Driver::Lxd | Driver::Incus) {
        for (key, _) in instance.env.iter().filter(|(_, value)| value.contains(['\n', '\r', '\0'])) {
            let message = format!(
                "the value of {key} has a line feed, which {} does not support",
                driver_word(instance.driver)
            );
            all.push(
                Failure::new(Kind::Data, "ct.plan.value", message)
                    .hint("use a file (`files`) or a secret instead"),
            );
        }
    }
    all
}

/// The driver as written in the document.
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
        "oci" => "install a runtime on the host: apt-get install --no-install-recommends runc",
        "docker" => "use driver oci, lxd or incus",
        _ => "install and start it on the host, or use driver oci",
    })
}

/// An instance that runs here and belongs on another host would lose its files.
fn moves(input: &PlanInput<Gathered>, goals: &Goals, host: &str, seen: &ObservedOf<Ct>) -> Vec<Failure> {
    let elsewhere =
        |name: &str| goals.iter().find(|(h, all)| *h != host && all.iter().any(|i| i.name == name));
    let there = seen.objects.iter().filter_map(|have| match &have.object {
        Object::Instance(instance) => Some(instance),
        _ => None,
    });
    there
        .filter(|_| !input.accepts(Risk::Move))
        .filter_map(|instance| {
            let (to, _) = elsewhere(&instance.name)?;
            let message = format!(
                "{} runs on {host} and would move to {to}, and its files would be lost",
                instance.name
            );
            let failure = Failure::new(Kind::Data, "ct.plan.move", message).on(host);
            Some(failure.at(format!("instances.{}", instance.of)).hint("--allow-move allows it"))
        })
        .collect()
}

/// `--prune` of more than half of the existing instances needs `--yes`.
fn too_much(
    input: &PlanInput<Gathered>,
    goals: &Goals,
    observed: &BTreeMap<String, ObservedOf<Ct>>,
) -> Option<Failure> {
    let there: Vec<&str> = observed
        .values()
        .flat_map(|seen| &seen.objects)
        .filter_map(|have| match &have.object {
            Object::Instance(instance) if input.only.instance(&instance.of, &instance.name) => {
                Some(instance.name.as_str())
            }
            _ => None,
        })
        .collect();
    let named = |name: &&&str| !goals.values().flatten().any(|i| i.name == **name);
    let gone = there.iter().filter(named).count();
    (input.prune && !input.yes && gone * 2 > there.len()).then(|| {
        let message = format!("--prune would remove {gone} of {} instances", there.len());
        Failure::new(Kind::Data, "ct.plan.prune", message).hint("--yes confirms it")
    })
}
