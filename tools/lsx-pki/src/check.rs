//! What `check` finds in addition to "the plan is empty": balancers that serve something else than what is on disk. `up` waits until they do.

use crate::served::{Order, Seen, Socket, Wrong};
use common::stack::{Balance, Resolved, Stack};
use common::tool::{Checked, Each, Finding, Goal, PlanInput};
use common::{Failure, Failures, Kind, fleet};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

/// The code of a balancer that serves something else.
const SERVED: &str = "pki.served";

/// Asks the hosts of balancers.
pub(crate) fn check(input: &PlanInput<()>, each: Each<'_>) -> Checked {
    let mut checked = Checked::default();
    for (host, sockets, answer) in asked(input, false, each) {
        let all = match answer {
            Ok(all) => all,
            Err(failures) => {
                let (code, message) = ("pki.unread".to_owned(), failures.to_string());
                checked.found(Finding { code, host, message, hint: None });
                continue;
            }
        };
        for (socket, seen) in sockets.iter().zip(all) {
            checked.row(json!({
                "host": host, "balancer": socket.balancer, "at": socket.at, "certificate": socket.certificate,
                "serial": seen.serial, "not_after": seen.not_after, "days_left": seen.days_left,
                "ok": seen.wrong.is_none(),
            }));
            match seen.wrong {
                None => checked.passed(),
                Some(wrong) => {
                    let (message, hint) = told(socket, &wrong);
                    let (code, hint) = (SERVED.to_owned(), Some(hint.to_owned()));
                    checked.found(Finding { code, host: host.clone(), message, hint });
                }
            }
        }
    }
    checked
}

/// After a change: waits until balancers serve what is on disk. One that does not listen is no failure: lsx-net may not have
/// brought it up yet, and `check` tells.
pub(crate) fn prove(input: &PlanInput<()>, each: Each<'_>) -> BTreeMap<String, Failure> {
    let mut failed = BTreeMap::new();
    for (host, sockets, answer) in asked(input, true, each) {
        let all = match answer {
            Ok(all) => all,
            Err(Failures(failures)) => {
                failed.extend(failures.into_iter().next().map(|failure| (host, failure)));
                continue;
            }
        };
        let wrong = sockets.iter().zip(all).find_map(|(socket, seen)| Some((socket, seen.wrong?)));
        if let Some((socket, wrong)) = wrong.filter(|(_, wrong)| !matches!(wrong, Wrong::Closed(_))) {
            let (message, hint) = told(socket, &wrong);
            failed.insert(host, Failure::new(Kind::Failed, SERVED, message).hint(hint));
        }
    }
    failed
}

/// What is wrong, and what to do.
fn told(socket: &Socket, wrong: &Wrong) -> (String, &'static str) {
    let (why, hint) = match wrong {
        Wrong::Disk(why) => (why, "run `lsx-pki up`"),
        Wrong::Closed(why) => (why, "run `lsx-net check`"),
        Wrong::Handshake(why) => (why, "run `lsx-net check`"),
        Wrong::Other(why) => {
            (why, "run `lsx-net up`, then `lsx-net check`: it says why it does not take the new one")
        }
        Wrong::Invalid(why) => (why, "run `lsx-pki up`"),
    };
    let Socket { balancer, at, certificate, .. } = socket;
    (format!("balance/{balancer} at {at}, certificate {certificate}: {why}"), hint)
}

/// A host, its sockets, and what it saw there.
type Asked = (String, Vec<Socket>, Result<Vec<Seen>, Failures>);

fn asked(input: &PlanInput<()>, wait: bool, each: Each<'_>) -> Vec<Asked> {
    let Goal::Up(stack, resolved) = &input.goal else { return Vec::new() };
    let mut all = sockets(input, stack, resolved);
    let order =
        |sockets: &Vec<Socket>| json!(Order { stack: stack.name.clone(), sockets: sockets.clone(), wait });
    let orders: BTreeMap<String, Value> = all.iter().map(|(host, own)| (host.clone(), order(own))).collect();
    let answers = if orders.is_empty() { BTreeMap::new() } else { each("served", orders) };
    let shaped = |answer: Result<Value, Failures>| answer.and_then(|all| Ok(fleet::shape::<Vec<Seen>>(all)?));
    let with = |(host, answer): (String, Result<Value, Failures>)| {
        let sockets = all.remove(&host).unwrap_or_default();
        let seen = shaped(answer).and_then(|seen| match seen.len() == sockets.len() {
            true => Ok(seen),
            false => Err(other(&host).into()),
        });
        (host, sockets, seen)
    };
    answers.into_iter().map(with).collect()
}

fn other(host: &str) -> Failure {
    Failure::new(Kind::Failed, "pki.unread", format!("{host} has looked at another number of balancers"))
}

/// The ports with TLS of balancers with certificates of the authority, by host.
fn sockets(input: &PlanInput<()>, stack: &Stack, resolved: &Resolved) -> BTreeMap<String, Vec<Socket>> {
    let mut all: BTreeMap<String, Vec<Socket>> = BTreeMap::new();
    for (name, balance) in &stack.balance {
        let own = balance.tls.as_ref().and_then(|tls| {
            resolved.certificates.iter().find(|at| at.name == *tls && at.host == balance.host)
        });
        let Some(own) = own.filter(|at| input.only.certificate(&at.name)) else { continue };
        let here = |host: &&common::stack::resolved::HostAt| host.name == balance.host;
        let Some(host) = resolved.hosts.iter().find(here) else { continue };
        if !input.hosts.iter().any(|one| one.name == balance.host) {
            continue;
        }
        let at = balance.address.unwrap_or(host.address);
        let asked = asked_for(balance, &own.names);
        let ports = balance.listen.iter().filter(|port| balance.ends_tls(**port));
        all.entry(balance.host.clone()).or_default().extend(ports.map(|port| Socket {
            balancer: name.clone(),
            at: SocketAddrV4::new(at, *port),
            certificate: own.name.clone(),
            name: asked.clone(),
        }));
    }
    all.retain(|_, sockets| !sockets.is_empty());
    all
}

/// The name that a client asks for: one that leads to this balancer.
fn asked_for(balance: &Balance, names: &[String]) -> String {
    let name = balance.hostname.first().or(names.first()).cloned().unwrap_or_default();
    name.strip_prefix('*').map_or(name.clone(), |rest| format!("lsx-pki{rest}"))
}
