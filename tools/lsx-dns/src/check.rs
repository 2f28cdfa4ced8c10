//! The live checks: in each network, an instance of each host asks its name server for every record of the document, for those that
//! it may see and for those that it may not, by UDP and TCP, from its own namespace.

mod behind;
mod disk;
mod questions;

use crate::edit::{self, Sent};
use crate::model::Key;
use crate::query::{self, Answer, Asked};
use common::host::{namespace, spaces};
use common::stack::{Resolved, Stack};
use common::tool::{Checked, Each, Finding, Goal, PlanInput};
use common::{Failure, Failures, Kind, fleet};
use questions::{Ask, Asker, Question};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};

/// After so many questions without an answer, one after the other, nothing more is asked.
const SILENT: usize = 3;
/// The number of questions that a host is asked for all networks together.
const QUESTIONS: usize = 20_000;
/// The number of wrong answers of one server that are told one by one.
const TOLD: usize = 20;

/// What came of the questions of one network on one host.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Told {
    /// The instance that asked, if one did.
    from: Option<String>,
    /// The number of questions that were asked.
    asked: usize,
    /// Questions without the right answer, and what came; the first ones.
    wrong: Vec<(String, String)>,
    /// The number of questions without the right answer.
    differ: usize,
    /// Why not all were asked.
    why: Option<String>,
}

/// A verb of lsx-dns itself, on this host.
///
/// # Errors
/// Failures of the verb.
pub(crate) fn call(name: &str, input: Value) -> Result<Value, Failures> {
    match name {
        "query" => queried(input),
        "update" => updated(input),
        "ask" => asked(input),
        "serial" => Ok(json!(crate::observe::serial(&read::<String>(input)?))),
        "behind" => Ok(json!(behind::told(&read(input)?))),
        "disk" => Ok(json!(disk::told(&read(input)?))),
        _ => Err(Failure::new(Kind::Bug, "dns.call", format!("no call {name}")).into()),
    }
}

fn asked(input: Value) -> Result<Value, Failures> {
    let asks: Vec<Ask> = read(input)?;
    let spaces = spaces::by_address();
    let one = |ask: &Ask| {
        let mut here = ask.askers.iter().filter_map(|asker| Some((asker, spaces.get(&asker.interface())?)));
        match here.next() {
            Some((asker, space)) => inside(space, asker, ask),
            None => {
                let names: Vec<&str> = ask.askers.iter().map(|asker| asker.name.as_str()).collect();
                Told { why: Some(format!("{} does not run here", names.join(", "))), ..Told::default() }
            }
        }
    };
    Ok(json!(asks.iter().map(one).collect::<Vec<Told>>()))
}

/// Asks from the namespace of an instance.
fn inside(space: &OwnedFd, asker: &Asker, ask: &Ask) -> Told {
    let from = Some(asker.name.clone());
    match namespace::inside(space.as_fd(), || told(ask.server, &ask.questions)) {
        Ok(told) => Told { from, ..told },
        Err(e) => Told {
            from,
            why: Some(format!("its network namespace cannot be entered: {e}")),
            ..Told::default()
        },
    }
}

fn told(server: SocketAddrV4, questions: &[Question]) -> Told {
    let (mut told, mut silent) = (Told::default(), 0);
    for question in questions {
        // One by TCP: both have the same answers.
        let got = query::asked(server, &question.name, &question.kind, told.asked == 0);
        told.asked += 1;
        let what = match got {
            Ok(answer) if question.expected.is_met(&answer, question.partly) => {
                silent = 0;
                continue;
            }
            Ok(answer) => {
                silent = 0;
                answer.brief()
            }
            Err(e) => {
                silent += 1;
                format!("no answer: {e}")
            }
        };
        told.differ += 1;
        if told.wrong.len() < TOLD {
            let question = format!("{} {}", question.name, question.kind);
            told.wrong.push((question, what));
        }
        if silent == SILENT {
            told.why = Some(format!("{SILENT} questions, one after the other, got no answer"));
            break;
        }
    }
    told
}

/// Asks one query from an instance of this host.
fn queried(input: Value) -> Result<Value, Failures> {
    let asked: Asked = read(input)?;
    let ask = || query::asked(asked.server, &asked.name, &asked.kind, asked.tcp);
    Ok(json!(from_instance((asked.address, &asked.mac, asked.server), ("dns.query", Kind::Failed), ask)?))
}

/// Sends an update from an instance of this host.
fn updated(input: Value) -> Result<Value, Failures> {
    let sent: Sent = read(input)?;
    let send = || edit::sent(&sent);
    Ok(json!(from_instance((sent.address, &sent.mac, sent.server), ("dns.update", Kind::Unreachable), send)?))
}

fn read<A: DeserializeOwned>(input: Value) -> Result<A, Failure> {
    serde_json::from_value(input).map_err(|e| Failure::new(Kind::Bug, "dns.call", e.to_string()))
}

/// Does something in the namespace of the instance with an address; a server that does not answer is a failure of this code and kind.
fn from_instance<R: Send>(
    (address, mac, server): (Ipv4Addr, &str, SocketAddrV4),
    (code, kind): (&str, Kind),
    ask: impl FnOnce() -> io::Result<R> + Send,
) -> Result<R, Failure> {
    let spaces = spaces::by_address();
    let space = spaces.get(&(address, mac.to_lowercase())).ok_or_else(|| {
        let message = format!("no instance here has the address {address}");
        Failure::new(Kind::Failed, code, message).hint("it has to run: lsx-ct up, or lsx-dns explain")
    })?;
    let answer = namespace::inside(space.as_fd(), ask).and_then(|answer| answer);
    answer.map_err(|e| Failure::new(kind, code, format!("{server} does not answer: {e}")))
}

/// Asks on all hosts in parallel.
///
/// # Errors
/// Hosts that could not be asked.
pub(crate) fn check(input: &PlanInput<BTreeMap<String, Key>>, each: Each<'_>) -> Result<Checked, Failures> {
    let mut checked = Checked::default();
    let Goal::Up(stack, resolved) = &input.goal else { return Ok(checked) };
    if !input.only.section("dns") || stack.dns.is_none() {
        return Ok(checked);
    }
    let mut calls = std::collections::BTreeMap::new();
    for host in input.hosts.iter().map(|host| &host.name) {
        let (mut kept, mut sum) = (Vec::new(), 0);
        for ask in asks(stack, resolved, host)? {
            let why = if !takes_part(input, &ask.gateway) {
                format!("its name server runs on {}, which was left out", ask.gateway)
            } else if sum + ask.questions.len() > QUESTIONS && sum > 0 {
                format!("{QUESTIONS} questions are enough for one host")
            } else {
                sum += ask.questions.len();
                kept.push(ask);
                continue;
            };
            checked.row(row(host, &ask, &Told { why: Some(why), ..Told::default() }));
        }
        if !kept.is_empty() {
            calls.insert(host.clone(), kept);
        }
    }
    let inputs = calls.iter().map(|(host, asks)| (host.clone(), json!(asks))).collect();
    for (host, answer) in each("ask", inputs) {
        let asks = calls.get(&host).map(Vec::as_slice).unwrap_or_default();
        match answer.and_then(|told| Ok(fleet::shape::<Vec<Told>>(told)?)) {
            Err(failures) => checked.found(finding(&host, failures.to_string(), None)),
            Ok(all) => asks.iter().zip(all).for_each(|(ask, told)| {
                checked.row(row(&host, ask, &told));
                count(&mut checked, &host, ask, &told, &input.stack);
            }),
        }
    }
    behind::check(input, &mut *each, &mut checked);
    disk::check(input, each, &mut checked);
    Ok(checked)
}

fn takes_part(input: &PlanInput<BTreeMap<String, Key>>, host: &str) -> bool {
    input.hosts.iter().any(|at| at.name == host)
}

fn asks(stack: &Stack, resolved: &Resolved, host: &str) -> Result<Vec<Ask>, Failures> {
    let wrong = |why: String| Failures::from(Failure::new(Kind::Data, "dns.query", why));
    questions::asks(stack, resolved, host).map_err(wrong)
}

/// A row of the verb.
fn row(host: &str, ask: &Ask, told: &Told) -> Value {
    let answered = told.asked.saturating_sub(told.differ);
    let from = told.from.as_ref().or_else(|| Some(&ask.askers.first()?.name));
    let mut row = json!({
        "host": host, "network": ask.network, "from": from, "server": ask.server,
        "names": ask.questions.len(), "asked": told.asked, "answered": answered
    });
    if let Some(why) = &told.why {
        row["why"] = json!(why);
    }
    row
}

/// Each right answer is a check, and each wrong one a finding; so is what could not be asked.
fn count(checked: &mut Checked, host: &str, ask: &Ask, told: &Told, stack: &str) {
    (told.differ..told.asked).for_each(|_| checked.passed());
    let log = format!("/var/lib/lsx/dns/{stack}/log/{}/log", crate::model::NAMES);
    let hint = format!("the log of the server is {log} on {}", ask.gateway);
    let from = told.from.as_deref().unwrap_or("an instance");
    for (question, what) in told.wrong.iter().take(TOLD) {
        let message = format!("{from} asks {} for {question} and gets {what}", ask.server);
        checked.found(finding(host, message, Some(hint.clone())));
    }
    let more = told.differ.saturating_sub(told.wrong.len());
    if more > 0 {
        let message = format!("{from} gets {more} more wrong answers of {}", ask.server);
        checked.found(finding(host, message, Some(hint.clone())));
    }
    if let Some(why) = &told.why {
        let left = ask.questions.len().saturating_sub(told.asked);
        let names = &ask.network;
        let message = format!("{left} names were not asked in network {names}: {why}");
        let hint = if told.asked == 0 {
            "start an instance there: run `lsx-ct up`, then check again".to_owned()
        } else {
            hint
        };
        checked.found(finding(host, message, Some(hint)));
    }
}

fn finding(host: &str, message: String, hint: Option<String>) -> Finding {
    Finding { code: "dns.unanswered".to_owned(), host: host.to_owned(), message, hint }
}

impl Answer {
    /// In a few words.
    fn brief(&self) -> String {
        let data: Vec<&str> = self.records.iter().take(4).map(|record| record.data.as_str()).collect();
        match data.as_slice() {
            [] => format!("{} without records", self.code),
            all if self.records.len() > all.len() => {
                format!("{} records, such as {}", self.records.len(), all[0])
            }
            all => all.join(", "),
        }
    }
}
