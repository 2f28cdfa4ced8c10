//! Rules: whether lsx's tables are still as loaded, and which foreign chains would drop packets of a stack.

use super::have;
use crate::model::{self, Accept, Chain, Facts, Firewall, Object, RulesAt};
use crate::netlink::{namespace, nftables};
use crate::paths::{Paths, note};
use common::document::digest;
use common::host::Program;
use common::plan::{Have, Warning};
use common::{Failure, Kind};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;

/// `NF_INET_LOCAL_IN`, `NF_INET_FORWARD` (linux/netfilter.h).
const INPUT: u32 = 1;
const FORWARD: u32 = 2;

/// Marked rules of lsx in foreign chains: stack, chain, and the handles of the rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    /// By stack and chain; the links that a rule accepts are in its comment.
    pub marked: BTreeMap<(String, Chain), Vec<(u64, String)>>,
}

/// Fills in the foreign chains, and lists lsx's rules in them.
pub(super) fn look(
    stack: Option<&str>,
    seen: &mut Facts,
    warnings: &mut Vec<Warning>,
) -> Result<Listing, Failure> {
    seen.chains = match foreign_chains() {
        Ok(chains) => chains,
        Err(failure) => {
            seen.lacks.push(format!("nft: {}", failure.message));
            warnings.push(Warning { code: "net.nft".to_owned(), message: failure.message });
            return Ok(Listing::default());
        }
    };
    let mut listing = Listing::default();
    let mut list = |chain: &Chain, value: &Value| {
        for (owner, handle, links) in marked_in(value) {
            if stack.is_none_or(|s| s == owner) {
                listing.marked.entry((owner, chain.clone())).or_default().push((handle, links));
            }
        }
    };
    for chain in &seen.chains {
        list(chain, &list_chain(chain)?);
    }
    for (chain, drops, value) in foreign_inputs()? {
        list(&chain, &value);
        if drops {
            seen.inputs.push(chain);
        }
    }
    Ok(listing)
}

/// Foreign chains that see routed or bridged packets and may drop them: base chains at the forward hook of `ip` and `inet`
/// tables. If Docker provides DOCKER-USER, that one is used for its whole table, since Docker keeps rules in it.
///
/// # Errors
/// When nft cannot be run.
pub(crate) fn foreign_chains() -> Result<Vec<Chain>, Failure> {
    Program::new("nft").there()?;
    let chains = nftables::chains().map_err(|e| super::io_failure("list the chains of nftables", &e))?;
    let user = |c: &nftables::Chain| {
        chains.iter().any(|u| u.name == "DOCKER-USER" && (u.family, &u.table) == (c.family, &c.table))
    };
    let mut found: Vec<Chain> = chains
        .iter()
        .filter(|c| c.hook == Some(FORWARD) && matches!(c.family, "ip" | "inet") && c.kind == "filter")
        .filter(|c| !c.table.starts_with("lsx"))
        .map(|c| Chain {
            family: c.family.to_owned(),
            table: c.table.clone(),
            chain: if user(c) { "DOCKER-USER".to_owned() } else { c.name.clone() },
        })
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// Foreign chains at the input hook of `ip` and `inet` tables, whether they may drop, by policy or by a rule, and how nft
/// lists them.
fn foreign_inputs() -> Result<Vec<(Chain, bool, Value)>, Failure> {
    let chains = nftables::chains().map_err(|e| super::io_failure("list the chains of nftables", &e))?;
    let theirs = chains.into_iter().filter(|c| {
        c.hook == Some(INPUT)
            && matches!(c.family, "ip" | "inet")
            && c.kind == "filter"
            && !c.table.starts_with("lsx")
    });
    let mut found = Vec::new();
    for one in theirs {
        let chain = Chain { family: one.family.to_owned(), table: one.table, chain: one.name };
        let ours = |rule: &Value| rule["comment"].as_str().is_some_and(|c| c.starts_with("lsx:"));
        let value = list_chain(&chain)?;
        let drops = one.drops || items(&value, "rule").any(|rule| !ours(rule));
        found.push((chain, drops, value));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn items<'a>(value: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    value["nftables"].as_array().into_iter().flatten().filter_map(move |v| v.get(kind))
}

/// lsx's rules in a foreign chain: the stack, the handle, and the links that it accepts. The comment is the mark.
///
/// # Errors
/// When nft cannot be run.
pub(crate) fn marked_rules(chain: &Chain) -> Result<Vec<(String, u64, String)>, Failure> {
    Ok(marked_in(&list_chain(chain)?))
}

fn marked_in(listed: &Value) -> Vec<(String, u64, String)> {
    let mark = |rule: &Value| {
        let (stack, links) = rule["comment"].as_str()?.strip_prefix("lsx:")?.split_once(':')?;
        Some((stack.to_owned(), rule["handle"].as_u64()?, links.to_owned()))
    };
    items(listed, "rule").filter_map(mark).collect()
}

fn list_chain(chain: &Chain) -> Result<Value, Failure> {
    let Chain { family, table, chain } = chain;
    let bytes = match Program::new("nft").args(["-j", "list", "chain", family, table, chain]).run(b"") {
        Ok(bytes) => bytes,
        // Removed in the meantime, as Docker does when it restarts.
        Err(failure) if failure.kind == Kind::Failed => return Ok(Value::Null),
        Err(failure) => return Err(failure),
    };
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

/// The firewall objects and marked rules of a stack.
pub(super) fn objects(stack: &str, listing: &Listing) -> Result<Vec<Have<Object>>, Failure> {
    let mut objects = Vec::new();
    for place in [RulesAt::Host, RulesAt::Router] {
        if let Some(digest) = loaded(stack, place)? {
            let needs: &[&str] = if place == RulesAt::Router { &["router:host"] } else { &[] };
            objects.push(have(
                &format!("firewall:{}", place.word()),
                Object::Firewall(Firewall { place, digest }),
                needs,
            ));
        }
    }
    for ((owner, chain), rules) in &listing.marked {
        if owner == stack {
            let object = Accept {
                family: chain.family.clone(),
                table: chain.table.clone(),
                chain: chain.chain.clone(),
                pass: rules
                    .iter()
                    .map(|(_, pass)| pass.clone())
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect(),
            };
            objects.push(have(&chain.key(), Object::Accept(object), &[]));
        }
    }
    Ok(objects)
}

/// The digest of the loaded text, while the tables are still listed as they were then; a changed table has no digest that a
/// plan wants, so `up` loads it again. `None` if there is no table. If no rule of the namespace has changed since, nothing
/// is listed.
fn loaded(stack: &str, place: RulesAt) -> Result<Option<String>, Failure> {
    let record = note(&Paths::new(stack).rules(place))?.unwrap_or_default();
    let (head, text) = record.split_once('\n').unwrap_or_default();
    let (known, then) = head.trim_start_matches("# ").split_once(' ').unwrap_or_default();
    if !then.is_empty() && state(stack, place)?.is_some_and(|now| now == then) {
        return Ok(Some(digest(text.as_bytes())));
    }
    let Some(listing) = list(stack, place)? else { return Ok(None) };
    let as_loaded = known == digest(listing.as_bytes());
    Ok(Some(if as_loaded { digest(text.as_bytes()) } else { "changed by another program".to_owned() }))
}

/// A value of nftables that stays the same until rules of a place change; `None` if there is no such place.
fn state(stack: &str, place: RulesAt) -> Result<Option<String>, Failure> {
    let table = match place {
        RulesAt::Host => format!("lsx-{stack}"),
        RulesAt::Router => "lsx".to_owned(),
    };
    let read = || nftables::state(&table).map_err(|e| super::io_failure("read the state of nftables", &e));
    match place {
        RulesAt::Host => read().map(Some),
        RulesAt::Router => match namespace::enter(namespace::NamespaceRef::Name(&model::router(stack)), read)
        {
            Ok((_, state)) => state.map(Some),
            Err(_) => Ok(None),
        },
    }
}

/// The record of rules that were just loaded: their listing and the state value, then their text. The state is read first:
/// after a change in between, the next run lists them again.
pub(crate) fn record(stack: &str, place: RulesAt, text: &str) -> Result<String, Failure> {
    let state = state(stack, place)?.unwrap_or_default();
    let listing = list(stack, place)?.unwrap_or_default();
    Ok(format!("# {} {state}\n{text}", digest(listing.as_bytes())))
}

/// The tables of a place as nft lists them, without counters; `None` if one is missing. One nft process per table: its
/// cache has only the family of the last command, so a second `list` in one run does not find the first one's table (nft
/// 1.0.6).
fn list(stack: &str, place: RulesAt) -> Result<Option<String>, Failure> {
    let run = |family: &str, table: &str| match Program::new("nft")
        .args(["-s", "list", "table", family, table])
        .in_memory()
        .run(b"")
    {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(failure) if missing(&failure) => Ok(None),
        Err(failure) => Err(failure),
    };
    let name = format!("lsx-{stack}");
    match place {
        RulesAt::Host => Ok(match (run("inet", &name)?, run("bridge", &name)?) {
            (None, None) => None,
            (routed, bridged) => Some(routed.unwrap_or_default() + &bridged.unwrap_or_default()),
        }),
        RulesAt::Router => match namespace::open(namespace::NamespaceRef::Name(&model::router(stack))) {
            Ok(router) => namespace::inside(router.as_fd(), || run("inet", "lsx"))
                .map_err(|e| super::io_failure("enter the router", &e))?,
            Err(_) => Ok(None),
        },
    }
}

fn missing(failure: &Failure) -> bool {
    failure.program.as_ref().is_some_and(|p| p.output.iter().any(|l| l.contains("No such file or directory")))
}
