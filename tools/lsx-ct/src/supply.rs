//! Sends hosts what steps need and hosts lack: blobs of images and files in pieces, and secrets.

mod secrets;

pub(crate) use secrets::{digest as secret_digest, keep as keep_secrets};

use crate::Ct;
use crate::image::Store;
use crate::model::Object;
use crate::oci::runtime::Runtime;
use crate::paths;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::stack::Driver;
use common::tool::{Each, PlanOf};
use common::{Failure, Failures, Kind, fleet, live, people};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

/// Size of a piece in bytes.
const PIECE: usize = 2 * 1024 * 1024;

/// A piece of a blob.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Piece {
    digest: String,
    offset: u64,
    /// Base64 (RFC 4648).
    data: String,
    last: bool,
}

/// Sends everything; returns the hosts where that failed. First the hosts are asked what they lack, and this machine is
/// checked: everything to send must be here, as named in the plan.
///
/// # Errors
/// Everything that is missing here or has changed; then nothing was sent to any host.
pub(crate) fn supply(
    store: &Path,
    plan: &PlanOf<Ct>,
    each: Each<'_>,
) -> Result<BTreeMap<String, Failures>, Failures> {
    let mut failed = BTreeMap::new();
    let wanted = wanted(plan);
    if wanted.is_empty() {
        return Ok(failed);
    }
    let mut queues: BTreeMap<String, VecDeque<(String, u64)>> = BTreeMap::new();
    let questions = wanted.iter().map(|(host, digests)| (host.clone(), json!(digests))).collect();
    for (host, answer) in each("lacks", questions) {
        match answer.and_then(|lacks| Ok(fleet::shape::<Vec<String>>(lacks)?)) {
            Ok(lacks) => {
                queues.insert(host, lacks.into_iter().map(|digest| (digest, 0)).collect());
            }
            Err(failures) => _ = failed.insert(host, failures),
        }
    }
    let store = Store::open(store)?;
    let (secrets, mut missing) = secrets::read(plan);
    let named: BTreeSet<&String> = wanted.values().flatten().collect();
    let mut here = BTreeMap::new();
    for digest in queues.values().flatten().map(|(digest, _)| digest) {
        if !here.contains_key(digest) {
            here.insert(
                digest.clone(),
                whole(&store, digest, &named, plan).map_err(|f| missing.push(f)).is_ok(),
            );
        }
    }
    Failures(missing).verdict()?;
    runtimes(plan, each, &mut failed);
    queues.retain(|host, _| !failed.contains_key(host));
    pieces(&store, queues, Load::of(&store, plan), each, &mut failed);
    secrets.send(each, &mut failed);
    Ok(failed)
}

/// Checks that a blob which a host lacks is in the store of this machine, with everything that an image's manifest names.
fn whole(store: &Store, digest: &str, named: &BTreeSet<&String>, plan: &PlanOf<Ct>) -> Result<(), Failure> {
    let parts = store.blobs(digest).unwrap_or_default().into_iter().map(|blob| blob.digest);
    let all: Vec<String> = std::iter::once(digest.to_owned()).chain(parts).collect();
    let Some(lacks) = store.missing(&all).into_iter().next() else { return Ok(()) };
    let what = plan.steps.iter().find_map(|step| named_by(step.after.as_ref()?, digest));
    let what = what.filter(|_| named.iter().any(|n| *n == digest)).unwrap_or_else(|| "a layer".to_owned());
    let message =
        format!("{what} ({lacks}) is missing in the image store of this machine, {}", store.place());
    Err(Failure::new(Kind::Data, "ct.supply.missing", message)
        .hint("run `lsx-ct up` with the document, or make the plan again on this machine"))
}

/// The name in the document of a blob that an object uses.
fn named_by(object: &Object, digest: &str) -> Option<String> {
    let Object::Instance(instance) = object else { return None };
    if instance.image.digest == digest {
        return Some(format!("image {}", instance.image.name));
    }
    let files = instance.files.iter().map(|file| (&file.digest, &file.path));
    let recipes = instance.recipes.iter().map(|recipe| (&recipe.digest, &recipe.path));
    let (_, path) = files.chain(recipes).find(|(of, _)| *of == digest)?;
    Some(format!("{path} of instance {}", instance.name))
}

/// Transfers in progress, for a terminal.
struct Load {
    /// By digest: its image and size.
    blobs: BTreeMap<String, (String, u64)>,
    /// Bytes sent to a host.
    sent: BTreeMap<String, u64>,
}

impl Load {
    fn of(store: &Store, plan: &PlanOf<Ct>) -> Load {
        let images = plan.steps.iter().filter_map(|step| match &step.after {
            Some(Object::Instance(instance)) => Some(&instance.image),
            _ => None,
        });
        let images: BTreeSet<(&str, &str)> = images.map(|i| (i.digest.as_str(), i.name.as_str())).collect();
        let parts = |(digest, name): (&str, &str)| {
            let blobs = store.blobs(digest).unwrap_or_default();
            blobs.into_iter().map(|b| (b.digest, (name.to_owned(), b.size_bytes))).collect::<Vec<_>>()
        };
        Load { blobs: images.into_iter().flat_map(parts).collect(), sent: BTreeMap::new() }
    }

    /// `busybox: 34M of 120M to h2`, after the first of several pieces.
    fn show(&mut self, host: &str, queue: &VecDeque<(String, u64)>) {
        let sent = self.sent.entry(host.to_owned()).or_default();
        *sent += PIECE as u64;
        let size = |digest: &String| self.blobs.get(digest).map_or(0, |(_, size)| *size);
        let left: u64 = queue.iter().map(|(digest, offset)| size(digest).saturating_sub(*offset)).sum();
        let line = format!("{host} images");
        match queue.front().and_then(|(digest, _)| self.blobs.get(digest)) {
            Some((image, _)) if left > 0 => {
                let (sent, all) = (people::size(*sent), people::size(*sent + left));
                live::set(&line, &format!("{image}: {sent} of {all} to {host}"));
            }
            _ => live::clear(&line),
        }
    }
}

/// Hosts that create or start something with the driver oci test the OCI runtime before anything is changed.
fn runtimes(plan: &PlanOf<Ct>, each: Each<'_>, failed: &mut BTreeMap<String, Failures>) {
    let oci = |object: &Object| matches!(object, Object::Instance(i) if i.driver == Driver::Oci);
    let steps = plan.steps.iter().filter(|step| step.after.as_ref().is_some_and(oci));
    let hosts: BTreeMap<String, Value> =
        steps.map(|step| (step.host.clone(), json!({"runtime": plan.data.runtime}))).collect();
    for (host, answer) in if hosts.is_empty() { BTreeMap::new() } else { each("runtime", hosts) } {
        if let Err(failures) = answer {
            failed.insert(host, failures);
        }
    }
}

/// The host's side.
///
/// # Errors
/// If none works, with the error of each.
pub(crate) fn runtime(input: &Value) -> Result<Value, Failure> {
    Runtime::find(input["runtime"].as_str())?;
    Ok(Value::Null)
}

/// Blobs by host: those of all images and files for its steps.
fn wanted(plan: &PlanOf<Ct>) -> BTreeMap<String, BTreeSet<String>> {
    let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for step in &plan.steps {
        if let Some(Object::Instance(instance)) = &step.after {
            wanted.entry(step.host.clone()).or_default().extend(instance.blobs());
        }
    }
    wanted
}

/// Sends pieces to every host that waits for one, until none does. A host that has an image's manifest then asks for its
/// layers.
fn pieces(
    store: &Store,
    mut queues: BTreeMap<String, VecDeque<(String, u64)>>,
    mut load: Load,
    each: Each<'_>,
    failed: &mut BTreeMap<String, Failures>,
) {
    loop {
        let (mut round, mut ends) = (BTreeMap::new(), BTreeMap::new());
        for (host, queue) in &mut queues {
            let Some((digest, offset)) = queue.front_mut() else { continue };
            match piece(store, digest, *offset) {
                Ok(piece) => {
                    *offset += PIECE as u64;
                    ends.insert(host.clone(), piece.last);
                    round.insert(host.clone(), json!(piece));
                }
                Err(failure) => _ = failed.insert(host.clone(), failure.into()),
            }
        }
        queues.retain(|host, _| !failed.contains_key(host));
        if round.is_empty() {
            return;
        }
        for (host, answer) in each("receive", round) {
            let Some(queue) = queues.get_mut(&host) else { continue };
            match answer.and_then(|lacks| Ok(fleet::shape::<BTreeSet<String>>(lacks)?)) {
                Ok(lacks) => {
                    // A host is only sent blobs that belong to those it has just got, each once, and nothing else of this
                    // machine's store.
                    let got = queue.front().map(|(digest, _)| digest.clone()).unwrap_or_default();
                    if ends.get(&host) == Some(&true) {
                        queue.pop_front();
                        let parts = store.blobs(&got).unwrap_or_default().into_iter().map(|blob| blob.digest);
                        let parts: BTreeSet<String> = parts.filter(|part| *part != got).collect();
                        queue.extend(
                            lacks.into_iter().filter(|d| parts.contains(d)).map(|digest| (digest, 0)),
                        );
                    }
                    load.show(&host, queue);
                }
                Err(failures) => {
                    queues.remove(&host);
                    failed.insert(host, failures);
                }
            }
        }
    }
}

fn piece(store: &Store, digest: &str, offset: u64) -> Result<Piece, Failure> {
    let bytes = store.chunk(digest, offset, PIECE).map_err(|failure| {
        failure.hint(
            "it is missing in the store of this machine: run `lsx-ct up` with the document instead of a saved plan",
        )
    })?;
    Ok(Piece { digest: digest.to_owned(), offset, last: bytes.len() < PIECE, data: STANDARD.encode(bytes) })
}

/// The host's side: which of these blobs it lacks, including layers of images whose manifest it has.
///
/// # Errors
/// Errors of the store.
pub(crate) fn lacks(digests: &Value) -> Result<Value, Failure> {
    let digests: Vec<String> = serde_json::from_value(digests.clone())
        .map_err(|e| Failure::new(Kind::Bug, "ct.lacks", e.to_string()))?;
    let store = Store::open(Path::new(paths::STORE))?;
    let mut all = store.missing(&digests);
    for digest in digests.iter().filter(|d| !all.contains(d)).cloned().collect::<Vec<_>>() {
        all.extend(below(&store, &digest));
    }
    Ok(json!(all))
}

/// The host's side: stores a piece; answers with the further blobs needed.
///
/// # Errors
/// Errors of the store; a wrong digest.
pub(crate) fn receive(piece: Value) -> Result<Value, Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::new(Kind::Bug, "ct.receive", e.to_string());
    let piece: Piece = serde_json::from_value(piece).map_err(|e| wrong(&e))?;
    let bytes = STANDARD.decode(&piece.data).map_err(|e| wrong(&e))?;
    let store = Store::open(Path::new(paths::STORE))?;
    store.receive(&piece.digest, piece.offset, &bytes, piece.last)?;
    Ok(json!(if piece.last { below(&store, &piece.digest) } else { Vec::new() }))
}

/// The blobs that an image's manifest names and the store lacks; none for any other blob.
fn below(store: &Store, digest: &str) -> Vec<String> {
    let blobs = store.blobs(digest).unwrap_or_default();
    store.missing(&blobs.into_iter().map(|b| b.digest).collect::<Vec<_>>())
}
