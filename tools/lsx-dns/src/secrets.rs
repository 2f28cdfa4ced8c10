//! The keys of clients, and the files that instances are told: read on the operator's machine, and needed on the host of the server.

use crate::model::{Key, SERVERS_SECRET, Shared, TRANSFER};
use crate::plan::meta;
use crate::update::keys;
use common::host::{file, limit};
use common::plan::Kept;
use common::secret::{self, SEED};
use common::stack::dns_servers;
use common::tool::Source;
use common::transfer::{NeededSecret, Needs};
use common::{Failure, Failures, Kind};
use std::collections::BTreeMap;
use std::path::Path;

/// The secrets that the document names as keys, and the files of instances, by name.
///
/// # Errors
/// All that are missing, cannot be read, or are no keys.
pub(crate) fn gather(from: &Source<'_>) -> Result<BTreeMap<String, Key>, Failures> {
    let (mut all, mut failures) = (BTreeMap::new(), Vec::new());
    if !["dns", "meta"].iter().any(|section| from.only.section(section)) {
        return Ok(all);
    }
    files(from, &mut all, &mut failures);
    let Some(dns) = &from.stack.dns else { return Failures(failures).verdict().map(|()| all) };
    let clients = dns.update.iter().map(|(name, update)| (name.as_str(), update.key.as_str()));
    let servers = dns.transfer.iter().filter_map(|transfer| Some((TRANSFER, transfer.key.as_deref()?)));
    for (of, name) in clients.chain(servers) {
        match key(from, of, name) {
            Ok(key) => _ = all.insert(name.to_owned(), key),
            Err(failure) => failures.push(failure),
        }
    }
    if dns_servers(from.stack).is_some() {
        match common(from) {
            Ok(key) => _ = all.insert(SERVERS_SECRET.to_owned(), key),
            Err(failure) => failures.push(failure),
        }
    }
    Failures(failures).verdict().map(|()| all)
}

/// The key of servers on several hosts, which the seed gives.
fn common(from: &Source<'_>) -> Result<Key, Failure> {
    if !from.stack.secrets.contains_key(SEED) {
        let message =
            "servers of names on several hosts need a common key, and the document has no seed for it";
        let hint = "write seed: file:PATH in `secrets`, and make it: head -c 32 /dev/urandom | base64 >PATH";
        return Err(Failure::new(Kind::Data, "dns.plan.update", message).at("secrets").hint(hint));
    }
    let mut secrets = from.stack.secrets.clone();
    secrets.insert(SERVERS_SECRET.to_owned(), "derive".to_owned());
    let place = secret::place(&secrets, SERVERS_SECRET, &|path| from.beside(path))?;
    let value = secret::value(&from.stack.name, SERVERS_SECRET, &place)?;
    Ok(Key { digest: secret::digest(&value), place: Some(place) })
}

/// The most different files, since a server gets each by a descriptor of its own.
const FILES: usize = 500;

/// Reads the files that instances are told. User data count as a whole.
fn files(from: &Source<'_>, all: &mut BTreeMap<String, Key>, failures: &mut Vec<Failure>) {
    let mut read: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut whole: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for file in meta::files(from.stack) {
        if !read.contains_key(&file.name) {
            match bytes(from, &file) {
                Err(failure) => {
                    failures.push(failure.at(file.at));
                    continue;
                }
                Ok((bytes, place)) => {
                    let key = Key { digest: secret::digest(&bytes), place: Some(place) };
                    all.insert(file.name.clone(), key);
                    read.insert(file.name.clone(), bytes);
                }
            }
        }
        if let (Some(of), Some(bytes)) = (file.user_of, read.get(&file.name)) {
            joined(whole.entry(meta::whole(&of)).or_default(), bytes);
        }
    }
    if read.len() > FILES {
        let message = format!("instances are told {} different files, more than {FILES}", read.len());
        failures.push(Failure::new(Kind::Data, "dns.metadata.files", message).at("meta"));
    }
    all.extend(whole.into_iter().map(|(of, data)| (of, Key { digest: secret::digest(&data), place: None })));
}

fn bytes(from: &Source<'_>, file: &meta::File) -> Result<(Vec<u8>, String), Failure> {
    let found = std::path::absolute(from.beside(&file.path));
    let found = found.map_err(|e| file::failure(Path::new(&file.path), "find", &e))?;
    let place = found.display().to_string();
    match file::read_at_most(&found, limit::SECRET)? {
        Some(bytes) => Ok((bytes, place)),
        None => {
            let failure =
                Failure::new(Kind::Data, "dns.metadata.file", format!("cannot read {place}: no such file"));
            Err(failure.hint("paths are relative to the document, or to --base"))
        }
    }
}

/// Adds a file to those before it, as lsx-ct does.
pub(crate) fn joined(all: &mut Vec<u8>, more: &[u8]) {
    if !all.is_empty() && !all.ends_with(b"\n") {
        all.push(b'\n');
    }
    all.extend(more);
}

fn key(from: &Source<'_>, of: &str, name: &str) -> Result<Key, Failure> {
    let found = secret::find(from.stack, name, &|path| from.beside(path))?;
    let value = secret::value(&from.stack.name, name, &found.place)?;
    keys::read(of, &value).and_then(|written| written.keys()).map_err(|why| {
        let message = format!("secret {name} is no key for {of}: {why}");
        let hint = "write `derive` as its source, or make one: tsig-keygen NAME >FILE";
        Failure::new(Kind::Data, "dns.key", message).hint(hint)
    })?;
    Ok(Key { digest: found.digest, place: Some(found.place) })
}

/// What a server needs on its host.
pub(crate) fn needs<'p>(data: &'p Shared, object: &Kept) -> Needs<'p> {
    let Kept::Service { config, .. } = object else { return Needs::default() };
    let keys = data.keys.get(config).into_iter().flatten();
    let needed =
        keys.map(|(name, key)| NeededSecret { name, digest: &key.digest, place: key.place.as_deref() });
    Needs { secrets: needed.collect(), ..Needs::default() }
}
