//! Properties of all stacks.

use crate::{Hosts, plan_input, simulate};
use common::plan::Object as _;
use common::tool::{Draft, Goal, PlanInput};
use lsx_ct::Ct;
use lsx_ct::model::{Gathered, Instance, Intent, Object};
use lsx_tests::entries;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn plan(input: &PlanInput<Gathered>, hosts: &Hosts) -> Draft<Ct> {
    lsx_ct::plan::plan(input, hosts).unwrap_or_else(|failures| panic!("{failures}"))
}

/// Stacks of every shape: those that ship, those of the golden folders, those of the stack's own.
fn stacks() -> Vec<(String, String)> {
    let shipped = entries("scripts/stacks").into_iter();
    let folders = entries("tests/fixtures/stack").into_iter().chain(entries("tests/fixtures/ct"));
    let text = |path: PathBuf| Some((path.display().to_string(), std::fs::read_to_string(&path).ok()?));
    let all = shipped.chain(folders.map(|folder| folder.join("stack.yaml"))).filter_map(text);
    let fits =
        |text: &str| plan_input(text).is_ok_and(|w| lsx_ct::plan::plan(&w, &simulate::bare(&w)).is_ok());
    let good: Vec<_> = all.filter(|(_, text)| fits(text)).collect();
    assert!(good.len() > 20, "{} stacks", good.len());
    good
}

#[test]
fn after_a_plan_there_is_nothing_to_do() {
    for (name, text) in stacks() {
        let input = plan_input(&text).unwrap();
        let before = simulate::bare(&input);
        let up = simulate::after(&plan(&input, &before), &before);
        let again = plan(&input, &up);
        assert_eq!(again.steps, [], "{name}");
        assert_eq!(
            (again.contents.len(), again.kept.len()),
            (0, 0),
            "{name}: an idle plan carries something"
        );
    }
}

#[test]
fn down_after_up_leads_back_to_nothing() {
    for (name, text) in stacks() {
        let up = plan_input(&text).unwrap();
        let before = simulate::bare(&up);
        let there = simulate::after(&plan(&up, &before), &before);
        let down = PlanInput { goal: Goal::Down, ..up };
        assert_eq!(simulate::after(&plan(&down, &there), &there), before, "{name}");
    }
}

#[test]
fn a_host_comes_back_from_what_it_kept() {
    for (name, text) in stacks() {
        let up = plan_input(&text).unwrap();
        let before = simulate::bare(&up);
        let first = plan(&up, &before);
        let there = simulate::after(&first, &before);
        for (host, seen) in &there {
            let kept = seen.objects.iter().find_map(|h| match &h.object {
                Object::Intent(_) => h.object.content().and_then(|digest| first.contents.get(digest)),
                _ => None,
            });
            let Some(kept) = kept else { continue };
            let instances: Vec<Instance> = serde_json::from_str(kept).unwrap();
            let intent = Intent { schema: "lsx.ct.intent/1".to_owned(), stack: up.stack.clone(), instances };
            let boot = PlanInput { goal: Goal::Boot(serde_json::to_value(intent).unwrap()), ..up.clone() };
            let mut off = seen.clone();
            for have in &mut off.objects {
                if let Object::Instance(instance) = &mut have.object {
                    instance.running = false;
                }
            }
            let alone = |seen| BTreeMap::from([(host.clone(), seen)]);
            let back = simulate::after(&plan(&boot, &alone(off.clone())), &alone(off));
            assert_eq!(back[host].objects, seen.objects, "{name}: {host}");
        }
    }
}

#[test]
fn whoever_is_needed_comes_first_on_every_host() {
    let mut waited = 0;
    for (name, text) in stacks() {
        let up = plan_input(&text).unwrap();
        let draft = plan(&up, &simulate::bare(&up));
        let made: Vec<(&str, &Instance)> = draft
            .steps
            .iter()
            .filter_map(|s| match &s.after {
                Some(Object::Instance(i)) => Some((s.host.as_str(), &**i)),
                _ => None,
            })
            .collect();
        for (n, (host, instance)) in made.iter().enumerate() {
            for need in instance.needs.iter().filter(|need| need.here) {
                let first = made.iter().position(|(h, i)| h == host && i.name == need.instance);
                assert!(
                    first.is_some_and(|first| first < n),
                    "{name}: {} before {}",
                    instance.name,
                    need.instance
                );
                waited += 1;
            }
        }
    }
    assert!(waited > 0, "no stack has needs on one host");
}

#[test]
fn the_order_of_a_document_means_nothing() {
    let mut dice = lsx_tests::Dice(5);
    for (name, text) in stacks() {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(&text).or_else(|_| {
            let (stack, _) = common::stack::read(&text, "s", &common::stack::ReadOptions::default()).unwrap();
            let resolved = common::stack::resolve(&stack).unwrap();
            serde_json::to_value(common::stack::resolved_document(&stack, &resolved))
        }) else {
            continue;
        };
        let (a, b) = (
            plan_input(&value.to_string()).unwrap(),
            plan_input(&dice.reordered(&value).to_string()).unwrap(),
        );
        let (a, b) = (plan(&a, &simulate::bare(&a)), plan(&b, &simulate::bare(&b)));
        assert_eq!((a.steps, a.contents), (b.steps, b.contents), "{name}");
    }
}

#[test]
fn secrets_and_environment_are_not_told_in_reasons() {
    let stack = |value: &str| {
        format!(
            "stack: s\nhosts: {{ h1: 192.0.2.1 }}\ninstances: {{ a: {{ image: x, env: {{ P: {value} }} }} }}\n"
        )
    };
    let (was, now) = (plan_input(&stack("old-word")).unwrap(), plan_input(&stack("new-word")).unwrap());
    let before = simulate::bare(&was);
    let draft = plan(&now, &simulate::after(&plan(&was, &before), &before));
    let why: String = draft.steps.iter().map(|s| s.why.clone()).collect();
    assert!(why.contains("env.P changes: restarted") && !why.contains("word"), "{why}");
}
