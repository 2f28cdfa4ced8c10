//! The keys of clients: read on the operator's machine, and needed on the host of the server.

use crate::model::{Key, Shared, TRANSFER};
use crate::update::keys;
use common::plan::Kept;
use common::secret;
use common::tool::Source;
use common::transfer::{NeededSecret, Needs};
use common::{Failure, Failures, Kind};
use std::collections::BTreeMap;

/// The secrets that the document names as keys, by name.
///
/// # Errors
/// All that are missing, cannot be read, or are no keys.
pub(crate) fn gather(from: &Source<'_>) -> Result<BTreeMap<String, Key>, Failures> {
    let (mut all, mut failures) = (BTreeMap::new(), Vec::new());
    let Some(dns) = &from.stack.dns else { return Ok(all) };
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
