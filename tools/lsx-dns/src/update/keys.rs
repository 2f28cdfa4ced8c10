//! Keys of clients (RFC 8945), as they are written in secrets.

use crate::model::{Config, SERVERS, TRANSFER};
use crate::zone::Owner;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use domain::base::name::ToName;
use domain::tsig::{Algorithm, Key, KeyName};
use ring::hmac;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The algorithms that are accepted, the usual one first. Others are too weak (RFC 8945 6).
const ALGORITHMS: [(&str, Algorithm); 3] = [
    ("hmac-sha256", Algorithm::Sha256),
    ("hmac-sha384", Algorithm::Sha384),
    ("hmac-sha512", Algorithm::Sha512),
];
/// The shortest key, in bytes.
const LEAST: usize = 16;
/// What a secret says.
pub(crate) struct Written {
    /// The name of the key.
    pub(crate) name: String,
    /// Its only algorithm; none: any.
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) bytes: Vec<u8>,
}

/// What the owner of a key may do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Who {
    /// The clients of the document that have the key.
    pub(crate) clients: BTreeSet<String>,
    /// Whether it may transfer zones.
    pub(crate) transfers: bool,
    /// Whether it is another server of the stack.
    pub(crate) serves: bool,
}

/// The keys of a server.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) all: HashMap<(KeyName, Algorithm), Arc<Key>>,
    /// The same for what is signed without the crate's help.
    pub(crate) codes: HashMap<(KeyName, Algorithm), hmac::Key>,
    who: HashMap<Owner, Who>,
    /// The key of servers that transfer zones.
    pub(crate) transfer: Option<Arc<Key>>,
    /// That of the servers of the stack on several hosts.
    pub(crate) servers: Option<Arc<Key>>,
}

/// Reads a secret: the output of tsig-keygen, or base64 of at least 16 bytes, whose key has the name `usual`.
///
/// # Errors
/// What is wrong, without any part of the secret.
pub(crate) fn read(usual: &str, secret: &[u8]) -> Result<Written, String> {
    let text = std::str::from_utf8(secret).map_err(|_| "it is not text".to_owned())?.trim();
    if !text.starts_with("key ") && !text.starts_with("key\"") {
        return Ok(Written { name: usual.to_owned(), algorithm: None, bytes: decoded(text)? });
    }
    let plain = text.replace(['{', '}', ';', '"'], " ");
    let words: Vec<&str> = plain.split_whitespace().collect();
    let missing = |what: &str| format!("it begins as the output of tsig-keygen, but has no {what}");
    let [_, name, fields @ ..] = words.as_slice() else { return Err(missing("name")) };
    // The name may be one of these words, too.
    let after = |word: &str| fields.iter().skip_while(|other| **other != word).nth(1).copied();
    let secret = after("secret");
    let algorithm = after("algorithm").ok_or_else(|| missing("algorithm"))?.to_ascii_lowercase();
    let known = ALGORITHMS.iter().find(|(name, _)| *name == algorithm.trim_end_matches('.'));
    let (_, algorithm) = known.ok_or("its algorithm is not hmac-sha256, hmac-sha384 or hmac-sha512")?;
    let bytes = decoded(secret.ok_or_else(|| missing("secret"))?)?;
    Ok(Written { name: name.trim_end_matches('.').to_owned(), algorithm: Some(*algorithm), bytes })
}

fn hash(algorithm: Algorithm) -> hmac::Algorithm {
    match algorithm {
        Algorithm::Sha512 => hmac::HMAC_SHA512,
        Algorithm::Sha384 => hmac::HMAC_SHA384,
        Algorithm::Sha256 => hmac::HMAC_SHA256,
        Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, // No key has it.
    }
}

/// From base64 with either alphabet.
fn decoded(text: &str) -> Result<Vec<u8>, String> {
    let plain = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    let bytes = STANDARD_NO_PAD.decode(plain);
    let bytes = bytes.map_err(|_| "it is neither base64 nor the output of tsig-keygen".to_owned())?;
    if bytes.len() < LEAST {
        return Err(format!("its key has {} bytes, and {LEAST} is the least", bytes.len()));
    }
    Ok(bytes)
}

impl Written {
    /// The key, with one algorithm or with all.
    ///
    /// # Errors
    /// A name that DNS does not allow.
    pub(crate) fn keys(&self) -> Result<Vec<Key>, String> {
        let name: KeyName =
            self.name.parse().map_err(|e| format!("{} is not a name of a key: {e}", self.name))?;
        let chosen = ALGORITHMS.iter().filter(|(_, one)| self.algorithm.is_none_or(|own| own == *one));
        chosen
            .map(|(_, one)| Key::new(*one, &self.bytes, name.clone(), None, None).map_err(|e| e.to_string()))
            .collect()
    }

    /// As tsig-keygen prints it.
    pub(crate) fn text(&self) -> String {
        let usual = ALGORITHMS[0];
        let chosen = ALGORITHMS.iter().find(|(_, one)| self.algorithm == Some(*one)).unwrap_or(&usual);
        let secret = base64::engine::general_purpose::STANDARD.encode(&self.bytes);
        format!("key \"{}\" {{\n\talgorithm {};\n\tsecret \"{secret}\";\n}};\n", self.name, chosen.0)
    }
}

impl Keys {
    /// Of a configuration, and secrets by name.
    ///
    /// # Errors
    /// A secret that is missing or has no key; two keys with one name.
    pub(crate) fn new(config: &Config, secrets: &BTreeMap<String, Vec<u8>>) -> Result<Keys, String> {
        let mut keys = Keys::default();
        let mut known: BTreeMap<String, &str> = BTreeMap::new();
        for (of, secret) in config.keys() {
            let value = secrets.get(secret).ok_or_else(|| format!("secret {secret} is missing"))?;
            let wrong = |why: String| format!("secret {secret} is no key: {why}");
            let written = read(of, value).map_err(wrong)?;
            let name = written.name.to_ascii_lowercase();
            if let Some(other) = known.insert(name.clone(), secret).filter(|other| *other != secret) {
                return Err(format!("secrets {other} and {secret} are keys with one name, {name}"));
            }
            for key in written.keys().map_err(wrong)? {
                let who = keys.who.entry(key.name().to_vec()).or_default();
                if of == TRANSFER && config.transfer.as_ref().and_then(|t| t.key.as_deref()) == Some(secret) {
                    who.transfers = true;
                }
                if config.update.contains_key(of) {
                    who.clients.insert(of.to_owned());
                }
                who.serves |= of == SERVERS;
                let (transfers, serves, at) =
                    (who.transfers, who.serves, (key.name().clone(), key.algorithm()));
                let key = Arc::new(key);
                if transfers && keys.transfer.is_none() {
                    keys.transfer = Some(Arc::clone(&key));
                }
                if serves && keys.servers.is_none() {
                    keys.servers = Some(Arc::clone(&key));
                }
                let code = hmac::Key::new(hash(key.algorithm()), &written.bytes);
                keys.codes.insert(at.clone(), code);
                keys.all.insert(at, key);
            }
        }
        Ok(keys)
    }

    /// What the owner of a key may do.
    pub(crate) fn who(&self, name: &Owner) -> Who {
        self.who.get(name).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsx_tests::{Dice, soak};

    #[test]
    fn a_secret_is_base64_or_the_output_of_tsig_keygen() {
        let bare = read("certbot", b"gFmDkkM4Rw_-nA6QXwf9n9TDMXBbUhWLTLKzCWkIujI\n").unwrap();
        assert_eq!((bare.name.as_str(), bare.algorithm, bare.bytes.len()), ("certbot", None, 32));
        assert_eq!(bare.keys().unwrap().len(), 3);
        let again = read("other", bare.text().as_bytes()).unwrap();
        assert_eq!((again.name.as_str(), again.algorithm), ("certbot", Some(Algorithm::Sha256)));
        assert_eq!((&again.bytes, again.keys().unwrap().len()), (&bare.bytes, 1));
        let named = "key \"dhcp.example.\" { algorithm HMAC-SHA512; secret \"MTIzNDU2Nzg5MDEyMzQ1Ng==\"; };";
        let named = read("x", named.as_bytes()).unwrap();
        assert_eq!((named.name.as_str(), named.algorithm), ("dhcp.example", Some(Algorithm::Sha512)));
        let same = "key \"secret\" { algorithm hmac-sha256; secret \"MTIzNDU2Nzg5MDEyMzQ1Ng==\"; };";
        assert_eq!(read("x", same.as_bytes()).unwrap().name, "secret");
        for (text, why) in [
            ("c2hvcnQ=", "has 5 bytes"),
            ("not base64!", "neither base64"),
            ("key \"a\" { algorithm hmac-md5; secret \"MTIzNDU2Nzg5MDEyMzQ1Ng==\"; };", "is not hmac-sha256"),
            ("key \"a\" { algorithm hmac-sha256; };", "no secret"),
        ] {
            let wrong = read("x", text.as_bytes()).err().unwrap_or_default();
            assert!(wrong.contains(why) && !wrong.contains(text), "{text}: {wrong}");
        }
    }

    #[test]
    fn soak_keys() {
        let texts = [
            "gFmDkkM4Rw_-nA6QXwf9n9TDMXBbUhWLTLKzCWkIujI\n",
            "key \"dhcp.example.\" { algorithm HMAC-SHA512; secret \"MTIzNDU2Nzg5MDEyMzQ1Ng==\"; };",
            "key \"a\" {\n\talgorithm hmac-sha256;\n\tsecret \"gFmDkkM4Rw+/nA6QXwf9n9TDMXBbUhWLTLKzCWkIujI=\";\n};\n",
        ];
        let make = |dice: &mut Dice| {
            let text = texts[dice.below(texts.len())];
            (if dice.below(4) > 0 { dice.broken(text) } else { text.to_owned() }).into_bytes()
        };
        soak("dns-key", 5_000, 20, make, |bytes| {
            let Ok(written) = read("usual", bytes) else { return false };
            if written.keys().is_err() {
                return false;
            }
            // What is printed is the same key.
            let again = read("other", written.text().as_bytes()).unwrap();
            assert_eq!((&again.name, &again.bytes), (&written.name, &written.bytes));
            true
        });
    }
}
