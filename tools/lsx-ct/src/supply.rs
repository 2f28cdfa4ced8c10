//! What steps need and hosts lack is sent to them: blobs of images and files in pieces, and secrets.

use crate::Ct;
use crate::apply::blobs;
use crate::image::Store;
use crate::model::Object;
use crate::oci::disk::folder_with;
use crate::oci::runtime::Runtime;
use crate::paths;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::host::file::{self, Mode};
use common::stack::Driver;
use common::tool::{Each, PlanOf};
use common::{Failure, Failures, Kind, live, people};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

/// Bytes of one piece.
const PIECE: usize = 2 * 1024 * 1024;

/// A piece of a blob on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Piece {
    digest: String,
    offset: u64,
    /// Base64 (RFC 4648).
    data: String,
    last: bool,
}

/// Sends everything; the hosts where that failed.
pub(crate) fn supply(store: &Path, plan: &PlanOf<Ct>, each: Each<'_>) -> BTreeMap<String, Failures> {
    let mut failed = BTreeMap::new();
    let mut wanted = wanted(plan);
    if wanted.is_empty() {
        return failed;
    }
    runtimes(plan, each, &mut failed);
    wanted.retain(|host, _| !failed.contains_key(host));
    let questions = wanted.iter().map(|(host, digests)| (host.clone(), json!(digests))).collect();
    let mut queues: BTreeMap<String, VecDeque<(String, u64)>> = BTreeMap::new();
    for (host, answer) in each("lacks", questions) {
        match answer {
            Ok(lacks) => {
                let lacks: Vec<String> = serde_json::from_value(lacks).unwrap_or_default();
                queues.insert(host, lacks.into_iter().map(|digest| (digest, 0)).collect());
            }
            Err(failures) => _ = failed.insert(host, failures),
        }
    }
    match Store::open(store) {
        Ok(store) => pieces(&store, queues, Load::of(&store, plan), each, &mut failed),
        Err(failure) => failed.extend(queues.into_keys().map(|host| (host, failure.clone().into()))),
    }
    secrets(plan, each, &mut failed);
    failed
}

/// What is on its way, as a terminal shows it.
struct Load {
    /// By digest: the image it is of, and its size.
    blobs: BTreeMap<String, (String, u64)>,
    /// Bytes that a host has had.
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

    /// `busybox: 34M of 120M to h2`, once a piece has gone and more are to come.
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

/// Hosts that make or start something without an engine try what shall run it, before anything is changed.
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

/// The host's side of it.
///
/// # Errors
/// When none works; with what each said.
pub(crate) fn runtime(input: &Value) -> Result<Value, Failure> {
    Runtime::find(input["runtime"].as_str())?;
    Ok(Value::Null)
}

/// Blobs by host: those of every image and file that its steps make something of.
fn wanted(plan: &PlanOf<Ct>) -> BTreeMap<String, BTreeSet<String>> {
    let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for step in &plan.steps {
        if let Some(Object::Instance(instance)) = &step.after {
            wanted.entry(step.host.clone()).or_default().extend(blobs(instance));
        }
    }
    wanted
}

/// One piece to every host that waits for one, until nobody does. A host that has an image's manifest then asks for its layers.
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
            match answer {
                Ok(lacks) => {
                    if ends.get(&host) == Some(&true) {
                        queue.pop_front();
                    }
                    let lacks: Vec<String> = serde_json::from_value(lacks).unwrap_or_default();
                    queue.extend(lacks.into_iter().map(|digest| (digest, 0)));
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
            "the store of this machine lacks it: run `lsx-ct up` with the document instead of a saved plan",
        )
    })?;
    Ok(Piece { digest: digest.to_owned(), offset, last: bytes.len() < PIECE, data: STANDARD.encode(bytes) })
}

/// Secrets are read now, and go from this machine's disk to the host's without a word.
fn secrets(plan: &PlanOf<Ct>, each: Each<'_>, failed: &mut BTreeMap<String, Failures>) {
    let mut sent: BTreeMap<String, Value> = BTreeMap::new();
    for step in plan.steps.iter().filter(|s| !failed.contains_key(&s.host)) {
        let Some(Object::Instance(instance)) = &step.after else { continue };
        for secret in &instance.secrets {
            let Some(path) = plan.data.secrets.get(&secret.name) else { continue };
            let entry =
                sent.entry(step.host.clone()).or_insert_with(|| json!({"stack": plan.stack, "values": {}}));
            if let Ok(bytes) = std::fs::read(path) {
                entry["values"][&secret.name] = json!(STANDARD.encode(bytes));
            }
        }
    }
    for (host, answer) in if sent.is_empty() { BTreeMap::new() } else { each("secrets", sent) } {
        if let Err(failures) = answer {
            failed.insert(host, failures);
        }
    }
}

/// The host's side: which of these it lacks, layers of images whose manifest it has included.
///
/// # Errors
/// What the store said.
pub(crate) fn lacks(digests: &Value) -> Result<Value, Failure> {
    let digests: Vec<String> = serde_json::from_value(digests.clone()).unwrap_or_default();
    let store = Store::open(Path::new(paths::STORE))?;
    let mut all = store.missing(&digests);
    for digest in digests.iter().filter(|d| !all.contains(d)).cloned().collect::<Vec<_>>() {
        all.extend(below(&store, &digest));
    }
    Ok(json!(all))
}

/// The host's side: takes a piece; answers with what the blob makes it want.
///
/// # Errors
/// What the store said; a digest that is wrong.
pub(crate) fn receive(piece: Value) -> Result<Value, Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::new(Kind::Bug, "ct.receive", e.to_string());
    let piece: Piece = serde_json::from_value(piece).map_err(|e| wrong(&e))?;
    let bytes = STANDARD.decode(&piece.data).map_err(|e| wrong(&e))?;
    let store = Store::open(Path::new(paths::STORE))?;
    store.receive(&piece.digest, piece.offset, &bytes, piece.last)?;
    Ok(json!(if piece.last { below(&store, &piece.digest) } else { Vec::new() }))
}

/// What an image's manifest names and the store lacks; nothing for any other blob.
fn below(store: &Store, digest: &str) -> Vec<String> {
    let blobs = store.blobs(digest).unwrap_or_default();
    store.missing(&blobs.into_iter().map(|b| b.digest).collect::<Vec<_>>())
}

/// The host's side: keeps secrets, root's alone.
///
/// # Errors
/// What the file system said.
pub(crate) fn keep_secrets(input: &Value) -> Result<Value, Failure> {
    let stack = input["stack"].as_str().unwrap_or_default();
    folder_with(&Path::new(paths::SECRETS).join(stack), 0o700)?;
    for (name, value) in input["values"].as_object().into_iter().flatten() {
        let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
        file::write(&paths::secret(stack, name), &bytes, Mode::Private)?;
    }
    Ok(Value::Null)
}
