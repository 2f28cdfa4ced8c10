//! Rules: whether our tables are still as we loaded them, and which chains of others would drop our frames.

use super::have;
use crate::model::{self, Accept, Chain, Firewall, Object, Place, Seen};
use crate::netlink::namespace;
use crate::paths::Paths;
use common::document::digest;
use common::host::{Program, file};
use common::plan::{Have, Warning};
use common::{Failure, Kind};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;

/// Marked rules of ours in chains of others: stack, chain, and the handles of the rules.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// By stack and chain; the links a rule lets pass are told from its comment.
    pub marked: BTreeMap<(String, Chain), Vec<(u64, String)>>,
}

/// Fills in the chains of others, and lists our rules in them.
pub(super) fn look(
    stack: Option<&str>,
    seen: &mut Seen,
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
    for chain in &seen.chains {
        for (owner, handle, links) in marked_rules(chain)? {
            if stack.is_none_or(|s| s == owner) {
                listing.marked.entry((owner, chain.clone())).or_default().push((handle, links));
            }
        }
    }
    Ok(listing)
}

/// Chains of others that see routed or bridged frames and may drop them: base chains at the forward hook of `ip` and
/// `inet` tables. Where Docker offers DOCKER-USER, that one stands for its whole table: Docker keeps rules in it.
///
/// # Errors
/// When nft cannot be run.
pub fn foreign_chains() -> Result<Vec<Chain>, Failure> {
    let bytes = Program::new("nft").args(["-j", "list", "chains"]).run(b"")?;
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let chains: Vec<&Value> = items(&value, "chain").collect();
    let text = |c: &Value, key: &str| c[key].as_str().unwrap_or_default().to_owned();
    let of = |c: &Value, chain: &str| Chain {
        family: text(c, "family"),
        table: text(c, "table"),
        chain: chain.to_owned(),
    };
    let has_user = |c: &Value| {
        chains
            .iter()
            .any(|u| u["name"] == "DOCKER-USER" && u["table"] == c["table"] && u["family"] == c["family"])
    };
    let mut found: Vec<Chain> = chains
        .iter()
        .filter(|c| {
            c["hook"] == "forward" && (c["family"] == "ip" || c["family"] == "inet") && c["type"] == "filter"
        })
        .filter(|c| !text(c, "table").starts_with("lsx"))
        .map(|c| of(c, if has_user(c) { "DOCKER-USER".to_owned() } else { text(c, "name") }.as_str()))
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

fn items<'a>(value: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    value["nftables"].as_array().into_iter().flatten().filter_map(move |v| v.get(kind))
}

/// Our rules in a chain of others: the stack, the handle, and the links it lets pass. The comment is the mark.
///
/// # Errors
/// When nft cannot be run.
pub fn marked_rules(chain: &Chain) -> Result<Vec<(String, u64, String)>, Failure> {
    let Chain { family, table, chain } = chain;
    let bytes = match Program::new("nft").args(["-j", "list", "chain", family, table, chain]).run(b"") {
        Ok(bytes) => bytes,
        // Gone between two looks, as Docker's do when it restarts.
        Err(failure) if failure.kind == Kind::Failed => return Ok(Vec::new()),
        Err(failure) => return Err(failure),
    };
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let mark = |rule: &Value| {
        let (stack, links) = rule["comment"].as_str()?.strip_prefix("lsx:")?.split_once(':')?;
        Some((stack.to_owned(), rule["handle"].as_u64()?, links.to_owned()))
    };
    Ok(items(&value, "rule").filter_map(mark).collect())
}

/// The firewall objects and marked rules of a stack.
pub(super) fn objects(stack: &str, listing: &Listing) -> Result<Vec<Have<Object>>, Failure> {
    let mut objects = Vec::new();
    for place in [Place::Host, Place::Router] {
        if let Some(digest) = loaded(stack, place)? {
            let needs: &[&str] = if place == Place::Router { &["router:host"] } else { &[] };
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

/// The digest of the text that was loaded, while the tables still list as they did then; a table that somebody changed has
/// no digest that a plan wants, so `up` loads it anew. `None` when there is no table.
fn loaded(stack: &str, place: Place) -> Result<Option<String>, Failure> {
    let Some(listing) = list(stack, place)? else { return Ok(None) };
    let record = file::read(&Paths::new(stack).rules(place))?.unwrap_or_default();
    let (head, text) = record.split_once('\n').unwrap_or_default();
    let as_loaded = head == format!("# {}", digest(listing.as_bytes()));
    Ok(Some(if as_loaded { digest(text.as_bytes()) } else { "changed by somebody else".to_owned() }))
}

/// The tables of a place as nft lists them, without counters; `None` when one is missing. One nft a table: its cache holds
/// the family of the last command alone, so a second `list` in one run does not find the first one's table (nft 1.0.6).
pub(crate) fn list(stack: &str, place: Place) -> Result<Option<String>, Failure> {
    let run = |family: &str, table: &str| match Program::new("nft")
        .args(["-s", "list", "table", family, table])
        .run(b"")
    {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(failure) if missing(&failure) => Ok(None),
        Err(failure) => Err(failure),
    };
    let name = format!("lsx-{stack}");
    match place {
        Place::Host => Ok(match (run("inet", &name)?, run("bridge", &name)?) {
            (None, None) => None,
            (routed, bridged) => Some(routed.unwrap_or_default() + &bridged.unwrap_or_default()),
        }),
        Place::Router => match namespace::open(namespace::Place::Name(&model::router(stack))) {
            Ok(router) => namespace::inside(router.as_fd(), || run("inet", "lsx"))
                .map_err(|e| super::io_failure("enter the router", &e))?,
            Err(_) => Ok(None),
        },
    }
}

fn missing(failure: &Failure) -> bool {
    failure.program.as_ref().is_some_and(|p| p.output.iter().any(|l| l.contains("No such file or directory")))
}
