//! The live checks: every path that is allowed and every path that is not, tested from inside the namespaces.

mod asked;
mod balance;
mod behind;
mod expect;
mod mesh;
mod outside;
mod published;
mod sizes;
mod source;
mod tries;

use crate::Net;
use crate::model::ReplicaAt;
use crate::plan::PlanInput;
use crate::supervise::Home;
use common::stack::Resolved;
use common::tool::{Checked, Each, Finding, Goal, PlanOf};
use common::{Failure, Failures, Kind};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use source::{Source, Try};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use tries::{Answer, Job};

/// The results from one source: an instance, or a host as `host/h1`. A target is `web` for an echo, `web:80` for TCP,
/// `host/h2/1450` for a packet of that size.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Row {
    /// The source.
    pub from: String,
    /// Its host.
    pub host: String,
    /// Number of paths tested.
    pub tried: usize,
    /// Targets that were reached.
    pub open: BTreeSet<String>,
    /// Targets that were not reached.
    pub closed: BTreeSet<String>,
    /// Targets that were reached but should not be, or the reverse.
    pub wrong: BTreeSet<String>,
    /// What load balancers answered to requests of a host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<asked::Answered>,
}

/// A verb of lsx-net itself, on this host.
///
/// # Errors
/// Failures of the verb.
pub(crate) fn call(name: &str, input: Value, cancel: &AtomicBool) -> Result<Value, Failures> {
    let wrong = |e: serde_json::Error| Failure::new(Kind::Bug, "net.call", e.to_string());
    match name {
        "say" => Ok(json!(mesh::say(&serde_json::from_value::<mesh::Says>(input).map_err(wrong)?)?)),
        "heard" => Ok(json!(mesh::heard(&serde_json::from_value::<Vec<String>>(input).map_err(wrong)?)?)),
        "behind" => Ok(json!(behind::run(&serde_json::from_value(input).map_err(wrong)?)?)),
        "replicas" => {
            let stack: String = serde_json::from_value(input).map_err(wrong)?;
            Ok(json!(Home::new(&stack).replicas_ready()))
        }
        "certificates" => {
            let stack: String = serde_json::from_value(input).map_err(wrong)?;
            let held = Home::new(&stack).certificates().into_iter();
            let held = held.map(|state| asked::Held { leaf: crate::supervise::leaf(&state.folder), state });
            Ok(json!(held.collect::<Vec<_>>()))
        }
        "addresses" => Ok(json!(crate::observe::own_addresses()?)),
        "try" => Ok(json!(tries::run(&serde_json::from_value::<Vec<Job>>(input).map_err(wrong)?, cancel)?)),
        "probe" => Ok(json!(crate::probe::run_all(
            &serde_json::from_value::<Vec<_>>(input).map_err(wrong)?,
            tries::WORKERS
        ))),
        _ => Err(Failure::new(Kind::Bug, "net.call", format!("no call {name}")).into()),
    }
}

/// After a run: tests new tunnels; returns failures by host. Warns of certificates that cannot be used.
pub(crate) fn prove(input: &PlanInput, plan: &PlanOf<Net>, each: Each<'_>) -> BTreeMap<String, Failure> {
    if let Goal::Up(stack, _) = &input.goal {
        let hosts = input.hosts.iter().map(|h| h.name.as_str()).collect();
        asked::warnings(stack, &hosts, each).iter().for_each(|warning| common::log::warning(warning));
    }
    mesh::prove(input, plan, each)
}

/// Tests everything, from all hosts in parallel.
///
/// # Errors
/// Hosts that could not be asked.
pub(crate) fn check(input: &PlanInput, each: Each<'_>) -> Result<Checked, Failures> {
    let Goal::Up(stack, resolved) = &input.goal else { return Ok(Checked::default()) };
    let hosts: BTreeSet<&str> = input.hosts.iter().map(|h| h.name.as_str()).collect();
    let all = hosts.iter().map(|host| ((*host).to_owned(), Value::Null)).collect();
    let addresses = each("addresses", all).into_iter().map(|(host, nets)| {
        let nets = nets.and_then(|nets| common::fleet::shape(nets).map_err(|f| f.on(&host).into()));
        nets.map(|nets| (host, nets))
    });
    let addresses = addresses.collect::<Result<_, Failures>>()?;
    let sources = expect::sources(resolved, &input.only, &hosts, &addresses);
    let (mut answers, failures) = ask(&sources, each);
    failures.verdict()?;
    sizes::both_ways(&sources, &mut answers);
    let mut checked = Checked::default();
    let said = balancers(resolved, &hosts, each, &mut checked)?;
    let faults = behind::ask((stack, resolved), &said, each, &mut checked)?;
    let mut answers_of = asked::ask((stack, resolved), (&hosts, &faults), each, &mut checked)?;
    crowded(&sources, &answers, &mut checked);
    absent(resolved, &sources, &answers, &mut checked);
    let there = checked_out(&sources, &answers);
    let idle = published::idle(&sources, &answers);
    for (source, answer) in sources.iter().zip(&answers) {
        if answer.found {
            // Hosts send requests to load balancers, in addition.
            let said = source.macs.is_empty().then(|| answers_of.remove(&source.host)).flatten();
            judge(source, answer, (&there, &idle), said.unwrap_or_default(), &mut checked);
        }
    }
    let policy = expect::Policy::new(resolved, &addresses);
    let all: Vec<_> = resolved.instances.iter().filter(|i| there.contains(i.name.as_str())).collect();
    if let Some(world) = outside::source(resolved, &policy, &all) {
        let (states, most) = tries::states(&world.job().probes, false);
        let answer = Answer { found: true, states, most, ..Answer::default() };
        judge(&world, &answer, (&there, &idle), Vec::new(), &mut checked);
    }
    Ok(checked)
}

/// Asks the hosts of load balancers for their replicas.
fn balancers(
    resolved: &Resolved,
    hosts: &BTreeSet<&str>,
    each: Each<'_>,
    checked: &mut Checked,
) -> Result<BTreeMap<String, Vec<ReplicaAt>>, Failures> {
    let asked: BTreeMap<String, Value> = balance::hosts(resolved, hosts)
        .into_iter()
        .map(|host| (host.to_owned(), json!(resolved.stack)))
        .collect();
    if asked.is_empty() {
        return Ok(BTreeMap::new());
    }
    let said = each("replicas", asked).into_iter().map(|(host, said)| {
        let said = said.and_then(|said| common::fleet::shape(said).map_err(|f| f.on(&host).into()));
        said.map(|said| (host, said))
    });
    let said = said.collect::<Result<_, Failures>>()?;
    balance::judge(resolved, &said, checked);
    Ok(said)
}

/// Hosts whose kernel had no room for another neighbour: failed tests there may have this cause.
fn crowded(sources: &[Source], answers: &[Answer], checked: &mut Checked) {
    let full = sources.iter().zip(answers).filter(|(_, a)| a.crowded).map(|(s, _)| s.host.as_str());
    for host in full.collect::<BTreeSet<_>>() {
        checked.found(Finding {
            code: "net.check.neighbours".to_owned(),
            host: host.to_owned(),
            message: "the kernel's neighbour table is full, so that open paths can appear closed: \
                      net.ipv4.neigh.default.gc_thresh3 is the limit for all namespaces of the machine together"
                .to_owned(),
            hint: Some(
                "find what looks up many unused addresses (`ip neigh` shows FAILED ones, also inside instances), \
                 or raise it: sysctl -w net.ipv4.neigh.default.gc_thresh3=16384 net.ipv4.neigh.default.gc_thresh2=8192"
                    .to_owned(),
            ),
        });
    }
}

/// One request per host, with the jobs of all its sources; answers in the order of the sources.
fn ask(sources: &[Source], each: Each<'_>) -> (Vec<Answer>, Failures) {
    let mut jobs: BTreeMap<String, Vec<(usize, Job)>> = BTreeMap::new();
    for (i, source) in sources.iter().enumerate() {
        jobs.entry(source.host.clone()).or_default().push((i, source.job()));
    }
    // Except for permanent entries, every test uses a place in the kernel's table for a while.
    for list in jobs.values_mut() {
        let echoes =
            |(_, job): &(usize, Job)| job.probes.iter().filter(|(_, p)| *p == tries::Probe::Echo).count();
        let careful = !crate::plan::roomy(list.iter().map(echoes).sum());
        list.iter_mut().for_each(|(_, job)| job.careful = careful);
    }
    let inputs = jobs
        .iter()
        .map(|(h, list)| (h.clone(), json!(list.iter().map(|(_, j)| j).collect::<Vec<_>>())))
        .collect();
    let mut answers = vec![Answer::default(); sources.len()];
    let mut failures = Vec::new();
    for (host, result) in each("try", inputs) {
        let list = jobs.get(&host).map(Vec::as_slice).unwrap_or_default();
        let shaped = |value| common::fleet::shape::<Vec<Answer>>(value).map_err(|f| f.on(&host).into());
        match result.and_then(shaped) {
            Ok(found) => list.iter().zip(found).for_each(|((i, _), answer)| answers[*i] = answer),
            Err(more) => failures.extend(more.0),
        }
    }
    (answers, Failures(failures))
}

/// Instances whose namespace was found.
fn checked_out<'a>(sources: &'a [Source], answers: &[Answer]) -> BTreeSet<&'a str> {
    sources.iter().zip(answers).filter(|(_, a)| a.found).map(|(s, _)| s.name.as_str()).collect()
}

/// Instances whose namespace was not found.
fn absent(resolved: &Resolved, sources: &[Source], answers: &[Answer], checked: &mut Checked) {
    let known: BTreeSet<&str> = resolved.instances.iter().map(|i| i.name.as_str()).collect();
    for (source, answer) in sources.iter().zip(answers) {
        if answer.found || !known.contains(source.name.as_str()) {
            checked.passed();
        } else {
            checked.found(Finding {
                code: "net.check.absent".to_owned(),
                host: source.host.clone(),
                message: format!("instance {} is not attached", source.name),
                hint: Some("start it (`lsx-ct up`), or attach a namespace with `lsx-net attach`".to_owned()),
            });
        }
    }
}

/// Compares what one source reached with what it should reach.
fn judge(
    source: &Source,
    answer: &Answer,
    (there, idle): (&BTreeSet<&str>, &BTreeSet<(String, u16)>),
    answers: Vec<asked::Answered>,
    checked: &mut Checked,
) {
    let (mut open, mut closed, mut wrong) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut tried = 0;
    for (i, (one, state)) in source.tries.iter().zip(&answer.states).enumerate() {
        if one.instance && !there.contains(one.to.as_str()) {
            continue;
        }
        tried += 1;
        let (reached, most) = (one.reached(state, idle), answer.most.get(&i));
        if one.searches() && reached != Some(true) && most.is_none() {
            // Hosts that do not answer echo requests at all say nothing about packet sizes.
            continue;
        }
        match reached {
            Some(true) if !one.size() => _ = open.insert(one.label()),
            Some(false) if !one.size() => _ = closed.insert(one.label()),
            _ => {}
        }
        if reached == Some(one.open) {
            checked.passed();
        } else {
            wrong.insert(one.label());
            checked.found(finding(source, one, state, most));
        }
    }
    closed.retain(|label| !open.contains(label));
    let (from, host) = (source.name.clone(), source.host.clone());
    checked.row(json!(Row { from, host, tried, open, closed, wrong, answers }));
}

fn finding(source: &Source, one: &Try, state: &str, most: Option<&u32>) -> Finding {
    let what = match (one.open, state) {
        (_, "failed") => "could not be tested",
        (true, _) => "should be open",
        (false, _) => "should be closed",
    };
    let is = match state {
        "timeout" => "no answer".to_owned(),
        "refused" if one.serves.is_some() => format!("it is refused, but not by {}", one.to),
        _ => format!("it is {state}"),
    };
    Finding {
        code: if one.open { "net.check.closed" } else { "net.check.open" }.to_owned(),
        host: source.host.clone(),
        message: format!(
            "{} to {} ({}, {}): {what}, {}; {is}",
            source.name,
            one.label(),
            one.address,
            one.kind(),
            one.why
        ),
        hint: most.map(|bytes| sizes::hint(*bytes, one)),
    }
}
