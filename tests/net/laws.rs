//! Properties of all stacks and all states of hosts.

use crate::{Hosts, bare, cases, down, plan, plan_input, simulate, stacks};
use common::document;
use common::plan::Step;
use common::tool::{Draft, Goal, ObservedOf};
use lsx_net::Net;
use lsx_net::model::Object;
use lsx_net::plan::PlanInput;
use lsx_tests::Dice;
use serde_json::Value;

/// All that a plan decides, as bytes.
fn bytes(draft: &Draft<Net>) -> String {
    let all = (&draft.steps, &draft.kept, &draft.warnings, &draft.contents, &draft.data);
    serde_json::to_string(&all).unwrap()
}

/// The hosts after the plan, where nothing may be left to do.
fn settled(name: &str, input: &PlanInput, hosts: &Hosts) -> Hosts {
    let after = simulate::after(&plan(input, hosts), hosts);
    let left = plan(input, &after);
    let ids: Vec<_> = left.steps.iter().map(|s| format!("{} {}: {}", s.host, s.id, s.why)).collect();
    assert!(ids.is_empty(), "{name}: still to do: {ids:#?}");
    assert_eq!((left.contents.len(), left.data.rows.len()), (0, 0), "{name}: an idle plan carries something");
    after
}

#[test]
fn after_a_plan_there_is_nothing_to_do() {
    for (name, text) in stacks() {
        let input = plan_input(&text).unwrap();
        let up = settled(&name, &input, &bare(&input));
        let keep = PlanInput { prune: false, yes: false, accepted: Vec::new(), ..input };
        assert_eq!(plan(&keep, &up).kept, Vec::<String>::new(), "{name}");
        assert_eq!(plan(&keep, &up).steps, [], "{name}");
    }
}

#[test]
fn down_after_up_leads_back_to_nothing() {
    for (name, text) in stacks() {
        let input = plan_input(&text).unwrap();
        let before = bare(&input);
        let up = simulate::after(&plan(&input, &before), &before);
        let gone = simulate::after(&plan(&down(&input), &up), &up);
        assert_eq!(gone, before, "{name}");
        assert_eq!(plan(&down(&input), &gone).steps, [], "{name}");
    }
}

#[test]
fn what_the_document_no_longer_names_stays_and_does_not_differ() {
    let (mut dice, mut tried) = (Dice(17), 0);
    for (name, text) in stacks() {
        let all = plan_input(&text).unwrap();
        let before = bare(&all);
        let up = simulate::after(&plan(&all, &before), &before);
        let Goal::Up(stack, resolved) = &all.goal else { continue };
        let value = serde_json::to_value(common::stack::resolved_document(stack, resolved)).unwrap();
        for part in ["instances", "networks"].repeat(3) {
            let mut less = value.clone();
            let Some(map) = less[part].as_object_mut().filter(|map| map.len() > 1) else { continue };
            let gone = map.keys().nth(dice.below(map.len())).unwrap().clone();
            map.shift_remove(&gone);
            let Ok(less) = plan_input(&less.to_string()) else { continue };
            let keep = PlanInput { prune: false, yes: false, accepted: Vec::new(), ..less };
            let left = plan(&keep, &up);
            let ids: Vec<_> = left.steps.iter().map(|s| format!("{} {}: {}", s.host, s.id, s.why)).collect();
            assert!(ids.is_empty(), "{name} without {part}.{gone}: {ids:#?}");
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
}

#[test]
fn after_a_power_cut_a_host_comes_back_as_it_was() {
    for (name, text) in stacks() {
        let input = plan_input(&text).unwrap();
        let before = bare(&input);
        let up = simulate::after(&plan(&input, &before), &before);
        for (host, seen) in &up {
            let Some(intent) = &seen.seen.intent else { continue };
            let mut cut = seen.clone();
            cut.objects.retain(|have| ["intent:net", "boot:net"].contains(&have.key.as_str()));
            let boot = PlanInput { goal: Goal::Boot(serde_json::to_value(intent).unwrap()), ..input.clone() };
            let back = settled(&name, &boot, &Hosts::from([(host.clone(), cut)]));
            assert_eq!(back[host], *seen, "{name}: {host}");
        }
    }
}

#[test]
fn from_any_stack_to_any_other_of_its_name() {
    let all = stacks();
    let (mut dice, mut tried, mut kept) = (Dice(11), 0, 0);
    for round in 0..200 {
        let [(a, from), (b, to)] = [&all[dice.below(all.len())], &all[dice.below(all.len())]];
        let name = format!("{round}: {a} -> {b}");
        let (Ok(from), Ok(to)) = (plan_input(&renamed(from)), plan_input(&renamed(to))) else { continue };
        tried += 1;
        let mut hosts = bare(&from);
        for (host, seen) in bare(&to) {
            let addresses = seen.seen.addresses.clone();
            hosts.entry(host).or_insert(seen).seen.addresses.extend(addresses);
        }
        hosts.values_mut().for_each(|host| host.seen.haproxy = true);
        let up = simulate::after(&plan(&from, &hosts), &hosts);
        let participants: Hosts = up.into_iter().filter(|(host, _)| bare(&to).contains_key(host)).collect();
        // Without --prune, objects that the document does not name are kept; if that is a conflict, the plan reports it.
        let keep = PlanInput { prune: false, ..to.clone() };
        if lsx_net::plan::plan(&keep, &participants).is_ok() {
            kept += 1;
            settled(&name, &keep, &participants);
        }
        let there = settled(&name, &to, &participants);
        let gone = simulate::after(&plan(&down(&to), &there), &there);
        assert!(gone.values().all(|seen| seen.objects.is_empty() && seen.seen.intent.is_none()), "{name}");
    }
    assert!(tried > 50 && kept > 20, "{tried} tried, {kept} kept");
}

/// The same stack under one name, with everything derived anew.
fn renamed(text: &str) -> String {
    let (stack, _) = common::stack::read(text, "stack.yaml", &common::stack::ReadOptions::default()).unwrap();
    let mut value = serde_json::to_value(stack).unwrap();
    value["stack"] = "same".into();
    value.as_object_mut().unwrap().shift_remove("resolved");
    value.to_string()
}

#[test]
fn whatever_happened_to_the_hosts_one_plan_puts_it_right() {
    let mut dice = Dice(0xd1ce);
    for (name, text) in stacks() {
        let input = plan_input(&text).unwrap();
        let before = bare(&input);
        if before.is_empty() {
            continue; // a stack without hosts
        }
        let up = simulate::after(&plan(&input, &before), &before);
        for round in 0..40 {
            let mut drifted = up.clone();
            (0..=dice.below(3)).for_each(|_| drift(&mut drifted, &mut dice));
            let name = format!("{name}, round {round}");
            let there = settled(&name, &input, &drifted);
            assert_eq!(
                there.values().map(kinds).collect::<Vec<_>>(),
                up.values().map(kinds).collect::<Vec<_>>(),
                "{name}"
            );
            let gone = simulate::after(&plan(&down(&input), &drifted), &drifted);
            assert!(gone.values().all(|seen| seen.objects.is_empty()), "{name}: {gone:?}");
        }
    }
}

fn kinds(seen: &ObservedOf<Net>) -> Vec<(String, Object)> {
    let mut all: Vec<_> = seen.objects.iter().map(|have| (have.key.clone(), have.object.clone())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// A change on one host: an object is removed or changed, or a power cut leaves an incomplete link.
fn drift(hosts: &mut Hosts, dice: &mut Dice) {
    let at = dice.below(hosts.len());
    let host = hosts.values_mut().nth(at).unwrap();
    let count = host.objects.len();
    match dice.below(8) {
        0 => {
            let link = format!("lb{:04x}cut", dice.below(0x1_0000));
            let remnant = common::plan::Have {
                key: format!("remnant:{link}"),
                object: Object::Remnant { link },
                needs: vec![],
            };
            host.objects.insert(0, remnant);
        }
        1 => host.seen.intent = None,
        2 | 3 if count > 0 => {
            let gone = host.objects.remove(dice.below(count)).key;
            simulate::carry_off(&mut host.objects, &gone);
        }
        _ if count > 0 => {
            let have = &mut host.objects[dice.below(count)];
            let value = dice.changed(&serde_json::to_value(&have.object).unwrap());
            if let Ok(other) = serde_json::from_value::<Object>(value)
                && std::mem::discriminant(&other) == std::mem::discriminant(&have.object)
                && names(&other) == names(&have.object)
            {
                have.object = other;
            }
        }
        _ => {}
    }
}

/// The parts of an object that are in its key, and so cannot differ.
fn names(object: &Object) -> Value {
    let value = serde_json::to_value(object).unwrap();
    ["network", "place", "to", "family", "table", "chain"]
        .iter()
        .map(|key| value.get(key).cloned().unwrap_or_default())
        .collect()
}

#[test]
fn the_same_documents_give_the_same_plan() {
    let mut dice = Dice(5);
    for (name, text) in stacks() {
        let one = plan_input(&text).unwrap();
        let hosts = bare(&one);
        let first = bytes(&plan(&one, &hosts));
        assert_eq!(bytes(&plan(&one, &hosts)), first, "{name}");
        let (stack, _) =
            common::stack::read(&text, "stack.yaml", &common::stack::ReadOptions::default()).unwrap();
        let value = serde_json::to_value(stack).unwrap();
        for _ in 0..4 {
            let other = plan_input(&dice.reordered(&value).to_string()).unwrap();
            assert_eq!(bytes(&plan(&other, &hosts)), first, "{name}: the order of maps means something");
        }
    }
}

#[test]
fn the_order_of_what_was_observed_means_nothing_to_what_is_done() {
    let mut dice = Dice(3);
    for case in cases().into_iter().filter(|case| case.read("plan.json").is_some()) {
        let (Ok(input), hosts) = (plan_input(&case.text()), crate::observed(&case)) else { continue };
        let Ok(draft) = lsx_net::plan::plan(&input, &hosts) else { continue };
        let ids = |draft: &Draft<Net>| {
            let mut ids: Vec<_> = draft
                .steps
                .iter()
                .map(|s: &Step<Object>| (s.host.clone(), s.id.clone(), s.needs.len()))
                .collect();
            ids.sort();
            ids
        };
        for _ in 0..4 {
            let mut other = hosts.clone();
            for seen in other.values_mut() {
                for i in (1..seen.objects.len()).rev() {
                    seen.objects.swap(i, dice.below(i + 1));
                }
            }
            assert_eq!(ids(&plan(&input, &other)), ids(&draft), "{}", case.name);
        }
    }
}

#[test]
fn what_is_written_reads_back_the_same() {
    for (name, text) in stacks() {
        let input = plan_input(&text).unwrap();
        let before = bare(&input);
        let draft = plan(&input, &before);
        for seen in simulate::after(&draft, &before).values() {
            let text = String::from_utf8(document::canonical(seen).unwrap()).unwrap();
            let again: ObservedOf<Net> = document::read(&text, "x", "lsx.net.observed/1").unwrap();
            assert_eq!(again, *seen, "{name}");
            assert_eq!(document::canonical(&again).unwrap(), text.as_bytes(), "{name}");
        }
        for step in &draft.steps {
            let text = serde_json::to_string(step).unwrap();
            assert_eq!(serde_json::from_str::<Step<Object>>(&text).unwrap(), *step, "{name}");
        }
    }
}
