//! Requests to load balancers: by HTTP with name and path, and by TLS, where the certificate must be the one on disk.

use super::balance::{Faults, TIMEOUT_MS, admits, request};
use crate::model::CertificateState;
use crate::probe::{DAYS_LEFT, Outcome, Probe, State, Target};
use common::stack::resolved::{HostAt, Resolved};
use common::stack::{Balance, Mode, Stack};
use common::tool::{Checked, Each, Finding};
use common::{Failures, fleet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a load balancer answered to a request.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Answered {
    /// Load balancer.
    pub balancer: String,
    /// Port.
    pub port: u16,
    /// Status of HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Where a redirect leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// When its certificate expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
    /// Whole days until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
}

/// A certificate of load balancers on their host.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Held {
    #[serde(flatten)]
    pub(super) state: CertificateState,
    /// The certificate itself on disk, in PEM.
    pub(super) leaf: Option<String>,
}

/// Certificates by host and folder.
type AllHeld = BTreeMap<(String, String), Held>;

/// One request.
struct Ask<'a> {
    name: &'a str,
    balance: &'a Balance,
    port: u16,
    target: Target,
}

/// Sends requests from all hosts that may use a load balancer. Returns the answers by the host that asked.
///
/// # Errors
/// Hosts that could not be asked.
pub(super) fn ask(
    (stack, resolved): (&Stack, &Resolved),
    (hosts, faults): (&BTreeSet<&str>, &Faults),
    each: Each<'_>,
    checked: &mut Checked,
) -> Result<BTreeMap<String, Vec<Answered>>, Failures> {
    let held = held(stack, hosts, each)?;
    for one in held.values() {
        certified(stack, one, checked);
    }
    let asks: BTreeMap<&str, Vec<Ask<'_>>> = resolved
        .hosts
        .iter()
        .filter(|host| hosts.contains(host.name.as_str()))
        .map(|host| (host.name.as_str(), of_host(stack, resolved, host, &held)))
        .filter(|(_, asks)| !asks.is_empty())
        .collect();
    let targets = |asks: &Vec<Ask<'_>>| json!(asks.iter().map(|one| &one.target).collect::<Vec<_>>());
    let inputs = asks.iter().map(|(host, asks)| ((*host).to_owned(), targets(asks))).collect();
    let mut answers = BTreeMap::new();
    if asks.is_empty() {
        return Ok(answers);
    }
    for (host, outcomes) in each("probe", inputs) {
        let outcomes: Vec<Outcome> = fleet::shape(outcomes?).map_err(|f| f.on(&host))?;
        let asked = asks.get(host.as_str()).map(Vec::as_slice).unwrap_or_default();
        for (one, outcome) in asked.iter().zip(&outcomes) {
            judge(&host, one, outcome, faults, checked);
        }
        answers
            .insert(host, asked.iter().zip(outcomes).map(|(one, outcome)| answered(one, outcome)).collect());
    }
    Ok(answers)
}

/// After a run: warnings of certificates that cannot be used, or that nobody could look at.
pub(super) fn warnings(stack: &Stack, hosts: &BTreeSet<&str>, each: Each<'_>) -> Vec<String> {
    let held = match held(stack, hosts, each) {
        Ok(held) => held,
        Err(Failures(failures)) => {
            let why = failures.first().map(|failure| failure.message.clone()).unwrap_or_default();
            return vec![format!("the certificates of load balancers could not be examined: {why}")];
        }
    };
    let mut all = Checked::default();
    held.values().for_each(|one| certified(stack, one, &mut all));
    all.findings().iter().map(|found| format!("{}: {}", found.host, found.message)).collect()
}

/// Asks the hosts of balancers for their certificates.
fn held(stack: &Stack, hosts: &BTreeSet<&str>, each: Each<'_>) -> Result<AllHeld, Failures> {
    let own = stack.balance.values().filter(|one| one.tls.is_some() && hosts.contains(one.host.as_str()));
    let asked: BTreeMap<String, Value> = own.map(|one| (one.host.clone(), json!(stack.name))).collect();
    let mut all = BTreeMap::new();
    if asked.is_empty() {
        return Ok(all);
    }
    for (host, held) in each("certificates", asked) {
        let held: Vec<Held> = fleet::shape(held?).map_err(|f| f.on(&host))?;
        all.extend(held.into_iter().map(|one| ((host.clone(), one.state.folder.clone()), one)));
    }
    Ok(all)
}

/// Whether a certificate is in use.
fn certified(stack: &Stack, held: &Held, checked: &mut Checked) {
    let folder = Some(held.state.folder.clone());
    let users = stack.balance.iter().filter(|(_, one)| one.tls_folder(&stack.name) == folder);
    let users: Vec<(&String, &Balance)> = users.collect();
    let names: Vec<&str> = users.iter().map(|(name, _)| name.as_str()).collect();
    let (Some((_, first)), wrong) = (users.first(), held.state.wrong(&names)) else { return };
    match wrong {
        None => checked.passed(),
        Some(wrong) => checked.found(Finding {
            code: CERTIFICATE.to_owned(),
            host: first.host.clone(),
            message: format!("balance/{wrong}"),
            hint: Some(match first.tls_secret() {
                Some(name) => {
                    format!("secrets.{name} must be the chain and the key in PEM; then run `lsx-net up`")
                }
                None => "put fullchain.pem and key.pem there; they are used within a second".to_owned(),
            }),
        }),
    }
}

const CERTIFICATE: &str = "net.check.certificate";

/// The requests of a host.
fn of_host<'a>(stack: &'a Stack, resolved: &Resolved, from: &HostAt, held: &AllHeld) -> Vec<Ask<'a>> {
    let mut asks = Vec::new();
    for (name, one) in &stack.balance {
        let Some(host) = resolved.hosts.iter().find(|host| host.name == one.host) else { continue };
        let services = resolved.services.iter().filter(|s| s.name == format!("balance/{name}"));
        // On its own host the source is another address.
        let known = one.from.is_empty() || from.name != one.host;
        if !known || !admits(&services.collect::<Vec<_>>(), &[from.address]) {
            continue;
        }
        for port in one.listen.iter().filter(|port| one.mode() == Mode::Http || one.ends_tls(**port)) {
            let leaf = one.tls_folder(&stack.name).and_then(|folder| held.get(&(one.host.clone(), folder)));
            let leaf = leaf.filter(|held| held.state.state != "waiting").and_then(|held| held.leaf.clone());
            // Only text in PEM format: a path would be read on another host.
            let leaf = leaf.filter(|text| text.starts_with("-----BEGIN "));
            if one.ends_tls(*port) && leaf.is_none() {
                continue; // already reported
            }
            let address = one.address.unwrap_or(host.address).to_string();
            let http = request(one, *port, one.ends_tls(*port), leaf);
            let target = Target { timeout_ms: TIMEOUT_MS, ..Target::new(Probe::Http(http), address) };
            asks.push(Ask { name, balance: one, port: *port, target });
        }
    }
    asks
}

fn answered(one: &Ask<'_>, outcome: Outcome) -> Answered {
    Answered {
        balancer: one.name.to_owned(),
        port: one.port,
        status: outcome.status,
        location: outcome.headers.get("location").cloned(),
        not_after: outcome.not_after,
        days_left: outcome.days_left,
    }
}

/// Checks an answer.
fn judge(from: &str, one: &Ask<'_>, outcome: &Outcome, faults: &Faults, checked: &mut Checked) {
    let tls = one.balance.ends_tls(one.port).then(|| seen(one, outcome)).flatten();
    let wrong = match tls {
        Some(wrong) => Some((CERTIFICATE, wrong, None)),
        None => said(one, outcome, faults).map(|(wrong, hint)| ("net.check.balance", wrong, hint)),
    };
    let Some((code, wrong, hint)) = wrong else { return checked.passed() };
    let message = format!("balance/{}:{} asked by host/{from}: {wrong}", one.name, one.port);
    let hint = hint.map(str::to_owned);
    checked.found(Finding { code: code.to_owned(), host: one.balance.host.clone(), message, hint });
}

/// What is wrong with the certificate that was presented.
fn seen(one: &Ask<'_>, outcome: &Outcome) -> Option<String> {
    let folder = one.balance.tls.as_deref().unwrap_or_default();
    match (outcome.state, outcome.days_left) {
        (State::UnknownCa, _) => Some(format!("it shows another certificate than that of {folder} on disk")),
        (State::WrongName, _) if one.balance.hostname.is_empty() => None,
        (State::WrongName | State::Expired | State::NotYetValid | State::BadCertificate, _) => {
            Some(outcome.error.as_ref().map_or_else(String::new, ToString::to_string))
        }
        (_, Some(days)) if days < DAYS_LEFT => Some(format!("its certificate expires in {days} days")),
        _ => None,
    }
}

/// What is wrong with an answer, and what to do about it.
type Wrong = (String, Option<&'static str>);

/// What is wrong with the answer.
fn said(one: &Ask<'_>, outcome: &Outcome, faults: &Faults) -> Option<Wrong> {
    // For another protocol in TLS, or an unknown name, only the certificate is checked.
    if one.balance.mode() != Mode::Http || outcome.state == State::WrongName {
        return outcome.not_after.is_none().then(|| (why(outcome), None));
    }
    let location = outcome.headers.get("location").map(String::as_str).unwrap_or_default();
    let limit = one.balance.timeout.map_or(60, |time| time.0);
    let (wrong, hint) = match outcome.status {
        None => (why(outcome), SLOW),
        Some(503) => ("503, no replica serves the request".to_owned(), DOWN),
        Some(502) => ("502, no usable answer from a replica".to_owned(), BAD),
        Some(504) => (format!("504, no answer from a replica within {limit} s (`timeout`)"), SLOW),
        Some(status) if one.balance.redirect && one.port == 80 && !location.starts_with("https://") => {
            return Some((format!("{status} instead of a redirect to TLS"), None));
        }
        Some(_) => return None,
    };
    Some((format!("{wrong}{}", named_in(faults.get(one.name))), Some(hint)))
}

const DOWN: &str = "start a replica, or see in its log why its `ready` does not hold";
const BAD: &str = "see the log of the replica; `port` of the balancer must be one with HTTP and without TLS";
const SLOW: &str =
    "see in the log of the replica what it waits for; where answers take that long, write a longer `timeout`";

/// The replicas at fault, each with what is wrong.
fn named_in(faults: Option<&BTreeMap<String, String>>) -> String {
    let Some(faults) = faults.filter(|faults| !faults.is_empty()) else { return String::new() };
    let all: Vec<String> = faults.iter().map(|(replica, wrong)| format!("{replica} ({wrong})")).collect();
    format!("; {}", all.join(", "))
}

fn why(outcome: &Outcome) -> String {
    outcome.error.as_ref().map_or_else(|| "no answer".to_owned(), ToString::to_string)
}
