//! The keys of clients, and the files that instances are told: read on the operator's machine, and needed on the host of the server.

use crate::model::{Key, Shared, TRANSFER};
use crate::plan::meta;
use crate::update::keys;
use common::host::file;
use common::plan::Kept;
use common::secret;
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
    Failures(failures).verdict().map(|()| all)
}

/// Reads the files that instances are told. User data count as a whole.
fn files(from: &Source<'_>, all: &mut BTreeMap<String, Key>, failures: &mut Vec<Failure>) {
    let mut whole: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, at, path) in meta::files(from.stack) {
        let failed = |failure: Failure| failure.at(at.clone());
        let found = std::path::absolute(from.beside(&path));
        let found = found.map_err(|e| file::failure(Path::new(&path), "find", &e));
        let read = found.and_then(|found| {
            let place = found.display().to_string();
            Ok((secret::value(&from.stack.name, &name, &place)?, place))
        });
        match read {
            Err(failure) => failures.push(failed(failure)),
            Ok((bytes, place)) => {
                let of = name.rsplit_once('.').map_or(name.as_str(), |(of, _)| of);
                joined(whole.entry(of.to_owned()).or_default(), &bytes);
                all.insert(name, Key { digest: secret::digest(&bytes), place: Some(place) });
            }
        }
    }
    all.extend(whole.into_iter().map(|(of, data)| (of, Key { digest: secret::digest(&data), place: None })));
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
