//! The keys of users: read on the operator's machine, and needed on the host of the server.

use crate::model::{Key, Object, Shared};
use common::plan::{Kept, WithKept};
use common::secret;
use common::tool::Source;
use common::transfer::{NeededSecret, Needs};
use common::{Failure, Failures, Kind};
use std::collections::BTreeMap;

/// The lengths of a secret key.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=128;

/// The secrets that users of the document have, by name.
///
/// # Errors
/// All that are missing, cannot be read, or are no keys.
pub(crate) fn gather(from: &Source<'_>) -> Result<BTreeMap<String, Key>, Failures> {
    let (mut all, mut failures) = (BTreeMap::new(), Vec::new());
    let Some(store) = from.stack.store.as_ref().filter(|store| store.s3.is_some()) else { return Ok(all) };
    for (user, known) in &store.users {
        match found(from, &known.key) {
            Ok(key) => _ = all.insert(known.key.clone(), key),
            Err(failure) => failures.push(failure.at(format!("store.users.{user}.key"))),
        }
    }
    Failures(failures).verdict().map(|()| all)
}

fn found(from: &Source<'_>, name: &str) -> Result<Key, Failure> {
    let found = secret::find(from.stack, name, &|path| from.beside(path))?;
    let value = secret::value(&from.stack.name, name, &found.place)?;
    key(&value).map_err(|why| {
        let message = format!("secret {name} is no key for S3: {why}");
        Failure::new(Kind::Data, "store.key", message).hint("write `derive` as its source")
    })?;
    Ok(Key { digest: found.digest, place: Some(found.place) })
}

/// A secret key, from the value of a secret.
///
/// # Errors
/// Why it is none.
pub(crate) fn key(value: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(value).map_err(|_| "it is not text".to_owned())?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it has characters other than letters, digits and signs".to_owned());
    }
    match LENGTHS.contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => {
            Err(format!("it has {} characters, not {} to {}", text.len(), LENGTHS.start(), LENGTHS.end()))
        }
    }
}

/// What a server needs on its host.
pub(crate) fn needs<'p>(data: &'p Shared, object: &Object) -> Needs<'p> {
    let WithKept::Kept(Kept::Service { config, .. }) = object else { return Needs::default() };
    let keys = data.keys.get(config).into_iter().flatten();
    let needed =
        keys.map(|(name, key)| NeededSecret { name, digest: &key.digest, place: key.place.as_deref() });
    Needs { secrets: needed.collect(), ..Needs::default() }
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn a_key_is_one_line_of_signs() {
        assert_eq!(key(b"0123456789abcdef\n").as_deref(), Ok("0123456789abcdef"));
        for wrong in [&b"short"[..], b"0123456789 abcdef", b"0123456789abcdef\n\n", &[0xff; 20], &[b'x'; 129]]
        {
            assert!(key(wrong).is_err(), "{wrong:?}");
        }
    }
}
