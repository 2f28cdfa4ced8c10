//! Requests to the replicas behind load balancers of HTTP, one by one from the router of the balancer: which of them fails
//! cannot be seen in what the balancer answers.

use super::balance::{Faults, TIMEOUT_MS, at_host, request};
use super::tries::WORKERS;
use crate::model::{Backend, ReplicaAt, router};
use crate::netlink::namespace::{self, NamespaceRef};
use crate::observe::io_failure;
use crate::plan::backends;
use crate::probe::{self, Outcome, Probe, State, Target};
use common::stack::resolved::Resolved;
use common::stack::{Balance, Mode, Stack};
use common::tool::{Checked, Each, Finding};
use common::{Failure, Failures, fleet};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::fd::AsFd;

/// The requests of a router.
#[derive(Serialize, Deserialize)]
pub(super) struct Behind {
    stack: String,
    targets: Vec<Target>,
}

/// Sends requests from the router on this host.
///
/// # Errors
/// If it cannot be entered.
pub(super) fn run(asked: &Behind) -> Result<Vec<Outcome>, Failure> {
    let name = router(&asked.stack);
    let enter = |e| io_failure(&format!("enter the router {name}"), &e);
    let space = namespace::open(NamespaceRef::Name(&name)).map_err(enter)?;
    namespace::inside(space.as_fd(), || probe::run_all(&asked.targets, WORKERS)).map_err(enter)
}

/// One request.
struct Ask<'a> {
    name: &'a str,
    balance: &'a Balance,
    backend: Backend,
    target: Target,
}

/// Sends a request to each replica that its balancer takes as ready. Replicas that are down have been reported.
///
/// # Errors
/// Hosts that could not be asked.
pub(super) fn ask(
    (stack, resolved): (&Stack, &Resolved),
    said: &BTreeMap<String, Vec<ReplicaAt>>,
    each: Each<'_>,
    checked: &mut Checked,
) -> Result<Faults, Failures> {
    let mut faults = Faults::new();
    for replica in said.values().flatten().filter(|one| one.state != "up" && one.state != "drain") {
        let why = replica.why.clone().unwrap_or_else(|| "it is not ready".to_owned());
        faults.entry(replica.balancer.clone()).or_default().insert(replica.instance.clone(), why);
    }
    let asks: BTreeMap<&str, Vec<Ask<'_>>> = said
        .iter()
        .map(|(host, replicas)| (host.as_str(), of_host(stack, resolved, host, replicas)))
        .filter(|(_, asks)| !asks.is_empty())
        .collect();
    if asks.is_empty() {
        return Ok(faults);
    }
    let targets = |asks: &[Ask<'_>]| asks.iter().map(|one| one.target.clone()).collect();
    let inputs: BTreeMap<String, Value> = asks
        .iter()
        .map(|(host, asks)| (*host, Behind { stack: stack.name.clone(), targets: targets(asks) }))
        .map(|(host, asked)| (host.to_owned(), json!(asked)))
        .collect();
    for (host, outcomes) in each("behind", inputs) {
        let outcomes: Vec<Outcome> = fleet::shape(outcomes?).map_err(|f| f.on(&host))?;
        for (one, outcome) in asks.get(host.as_str()).into_iter().flatten().zip(&outcomes) {
            let wrong = wrong(one, outcome);
            match &wrong {
                None => checked.passed(),
                Some(wrong) => checked.found(finding(resolved, one, wrong)),
            }
            if let Some(fault) = wrong.or_else(|| own(outcome)) {
                faults.entry(one.name.to_owned()).or_default().insert(one.backend.name.clone(), fault);
            }
        }
    }
    Ok(faults)
}

/// The requests of the router of a host.
fn of_host<'a>(stack: &'a Stack, resolved: &Resolved, host: &str, said: &[ReplicaAt]) -> Vec<Ask<'a>> {
    let mut asks = Vec::new();
    for (name, balance) in stack.balance.iter().filter(|(_, one)| one.host == host) {
        // A replica that expects the PROXY protocol understands nothing else.
        if balance.mode() != Mode::Http || balance.proxy {
            continue;
        }
        let ready = |replica: &str| {
            said.iter().any(|one| one.balancer == *name && one.instance == replica && one.state == "up")
        };
        for backend in backends(balance, stack.instances.get(&balance.to), resolved) {
            if ready(&backend.name) {
                let http = request(balance, backend.port, false, None);
                let timeout_ms = balance.timeout.map_or(TIMEOUT_MS, |time| TIMEOUT_MS.min(time.0 * 1000));
                let address = backend.address.to_string();
                let target = Target { timeout_ms, ..Target::new(Probe::Http(http), address) };
                asks.push(Ask { name, balance, backend, target });
            }
        }
    }
    asks
}

/// What is wrong with a replica that does not answer as HTTP demands; its status is its own affair.
fn wrong(one: &Ask<'_>, outcome: &Outcome) -> Option<String> {
    if outcome.status.is_some() {
        return None;
    }
    let path = one.balance.path.as_deref().unwrap_or("/");
    let seconds = one.target.timeout_ms / 1000;
    Some(match outcome.state {
        State::Timeout => format!("it does not answer GET {path} within {seconds} s"),
        State::Refused => format!("it refuses connections to port {}", one.backend.port),
        _ => outcome.error.as_ref().map_or_else(|| "no answer".to_owned(), |error| error.message.clone()),
    })
}

/// An answer that could be taken for one of the balancer.
fn own(outcome: &Outcome) -> Option<String> {
    let status = outcome.status.filter(|status| (502..=504).contains(status))?;
    Some(format!("it answers {status} itself"))
}

fn finding(resolved: &Resolved, one: &Ask<'_>, wrong: &str) -> Finding {
    let (name, replica) = (one.name, &one.backend.name);
    let at = at_host(resolved, replica);
    Finding {
        code: "net.check.balance".to_owned(),
        host: one.balance.host.clone(),
        message: format!("balance/{name}: {replica} gets requests, but {wrong}{at}"),
        hint: Some(format!(
            "see the log of {replica}; with a `ready: {{ http: ... }}` that fails in this state, only the others get requests"
        )),
    }
}
