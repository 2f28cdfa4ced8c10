//! Documents that lsx-dns reads: observed documents, plans, intents, configurations of servers.

use crate::laws::stacks;
use crate::{config, resolved};
use common::secret;
use common::stack::{Only, ReadOptions, read, resolve};
use common::tool::{Goal, ObservedOf, PlanInput, PlanOf, Risk};
use domain::base::Name;
use domain::base::iana::Rtype;
use lsx_dns::model::{Config, Key};
use lsx_dns::zone::Tables;
use lsx_dns::{Dns, render};
use lsx_tests::{Corpus, Stacks, saved_plans, soak};
use serde_json::Value;
use std::collections::BTreeMap;

type Input = PlanInput<BTreeMap<String, Key>>;

/// The input for `up` of a stack. The digest of a secret follows from its name.
fn input(text: &str) -> Option<Input> {
    let (stack, _) = read(text, "stack.yaml", &ReadOptions::default()).ok()?;
    let resolved = resolve(&stack).ok()?;
    let key = |name: &String| {
        (name.clone(), Key { digest: secret::digest(name.as_bytes()), place: Some(format!("/stack/{name}")) })
    };
    let gathered = stack.secrets.keys().map(key).collect();
    let name = stack.name.clone();
    let goal = Goal::Up(Box::new(stack), Box::new(resolved));
    Some(PlanInput {
        stack: name,
        goal,
        only: Only::default(),
        prune: true,
        yes: true,
        accepted: vec![Risk::Renumber],
        destroy_data: false,
        gathered,
        hosts: Vec::new(),
    })
}

fn planner() -> Stacks<Input, ObservedOf<Dns>> {
    Stacks::of("dns", input, |input, hosts| match lsx_dns::plan::plan(input, hosts) {
        Ok(_) => Ok(()),
        Err(failures) => Err((failures.exit(), failures.to_string())),
    })
}

#[test]
fn soak_dns_observed() {
    planner().observed(25);
}

#[test]
fn soak_dns_plan() {
    saved_plans("dns", 25, |text| {
        let read = common::document::read::<PlanOf<Dns>>(text, "soak", "lsx.dns.plan/1");
        read.map_err(|failures| assert!(!failures.to_string().is_empty())).is_ok()
    });
}

#[test]
fn soak_dns_intent() {
    let kept = |input: &Input, seen: &ObservedOf<Dns>| {
        let Goal::Up(stack, resolved) = &input.goal else { return None };
        let intent = lsx_dns::plan::intent_of(stack, resolved, &seen.host, &seen.seen.resolvers)?;
        Some(serde_json::to_value(&intent).unwrap())
    };
    let boot = |input: &mut Input, kept: Value| input.goal = Goal::Boot(kept);
    planner().kept(20, kept, boot);
}

/// A configuration that a server takes is answered from, and gives a zone file with one line for each record.
#[test]
fn soak_dns_config() {
    let mut all = Vec::new();
    for (_, text) in stacks() {
        let (_, resolved) = resolved(&text);
        let hosts = resolved.services.iter().filter(|at| at.tool == "dns" && at.port == 53);
        all.extend(hosts.map(|at| serde_json::to_value(config(&text, &at.host)).unwrap()));
    }
    let corpus = Corpus::of(all);
    soak(
        "dns-config",
        1_500,
        20,
        |dice| corpus.mutant(dice).to_string().into_bytes(),
        |bytes| {
            let Ok(config) = serde_json::from_slice::<Config>(bytes) else { return false };
            let Ok(tables) = Tables::new(&config, 7) else { return false };
            let sources = config.views.iter().flat_map(|view| &view.from).map(ipnet::Ipv4Net::network);
            for source in sources.take(3) {
                for entry in config.records.iter().take(20) {
                    let name = Name::vec_from_str(&entry.name).unwrap();
                    let _ = tables.answer(source, &name, Rtype::A, true);
                }
            }
            for view in &config.views {
                for zone in &config.zones {
                    let text = render::zone(&config, view, zone, 1).unwrap();
                    assert!(text.lines().count() <= 3 + config.records.len(), "{text}");
                }
                let _ = render::hosts(&config, view, &config.domain);
            }
            true
        },
    );
}
