//! The section `pki`: reads it from the document.

use super::ssh;
use super::{
    Acme, Authority, Certificate, Challenge, Eab, Existing, For, KeyAlgorithm, Permit, Pki, Revocation, Root,
    Trust, Usage,
};
use crate::decode::at::{At, string, truth};
use crate::decode::words::{label, mode, source};
use crate::value::{Parsed, Wrong, address, cidr_or_address, domain, hostname, name, pace, rate};
use std::collections::BTreeMap;

const ALGORITHMS: [(&str, KeyAlgorithm); 4] = [
    ("p256", KeyAlgorithm::P256),
    ("p384", KeyAlgorithm::P384),
    ("ed25519", KeyAlgorithm::Ed25519),
    ("rsa3072", KeyAlgorithm::Rsa3072),
];
const USAGES: [(&str, Usage); 2] = [("server", Usage::Server), ("client", Usage::Client)];
const TRUST: [(&str, Trust); 2] = [("hosts", Trust::Hosts), ("instances", Trust::Instances)];
const CHALLENGES: [(&str, Challenge); 3] =
    [("http-01", Challenge::Http01), ("dns-01", Challenge::Dns01), ("tls-alpn-01", Challenge::TlsAlpn01)];
const EAB: [(&str, Eab); 2] = [("optional", Eab::Optional), ("required", Eab::Required)];

pub(crate) fn pki(at: At<'_, '_>) -> Option<Pki> {
    let table = at.table()?;
    let pki = Pki {
        host: table.get("host", string),
        authority: table.get("authority", authority),
        life: table.get("life", |at| at.span(3600, 34560000)),
        certificates: table.get("certificates", certificates).unwrap_or_default(),
        trust: table.get("trust", |at| at.many(|at| at.word(&TRUST))).unwrap_or_default(),
        acme: table.get("acme", acme),
        revocation: table.get("revocation", revocation),
        ssh: table.get("ssh", ssh::ssh),
    };
    table.finish();
    Some(pki)
}

pub(super) fn authority(at: At<'_, '_>) -> Option<Authority> {
    let table = at.table()?;
    let authority = Authority {
        name: table.get("name", string),
        algorithm: table.get("algorithm", |at| at.word(&ALGORITHMS)).unwrap_or_default(),
        life: table.get("life", |at| at.span(86400, 1261440000)),
        root: table.get("root", root),
        passphrase: table.get("passphrase", string),
        permit: table.get("permit", permit),
        existing: table.get("existing", existing),
    };
    table.finish();
    Some(authority)
}

pub(super) fn root(at: At<'_, '_>) -> Option<Root> {
    let table = at.table()?;
    let root = Root {
        life: table.get("life", |at| at.span(86400, 1261440000)),
        key: table.get("key", |at| at.parse(source)),
    };
    table.finish();
    Some(root)
}

pub(super) fn permit(at: At<'_, '_>) -> Option<Permit> {
    let table = at.table()?;
    let permit = Permit {
        names: table.get("names", |at| at.many(|at| at.parse(domain))).unwrap_or_default(),
        networks: table.get("networks", |at| at.many(|at| at.parse(cidr_or_address))).unwrap_or_default(),
    };
    table.finish();
    Some(permit)
}

pub(super) fn existing(at: At<'_, '_>) -> Option<Existing> {
    let table = at.table()?;
    let existing = Existing {
        certificate: table.need("certificate", |at| at.parse(source)).unwrap_or_default(),
        key: table.need("key", string).unwrap_or_default(),
    };
    table.finish();
    Some(existing)
}

pub(super) fn certificate(at: At<'_, '_>) -> Option<Certificate> {
    let table = at.table()?;
    let certificate = Certificate {
        names: table.get("names", |at| at.many(|at| at.parse(hostname))).unwrap_or_default(),
        addresses: table.get("addresses", |at| at.many(|at| at.parse(address))).unwrap_or_default(),
        usage: table.get("usage", |at| at.many(|at| at.word(&USAGES))).unwrap_or_default(),
        algorithm: table.get("algorithm", |at| at.word(&ALGORITHMS)),
        life: table.get("life", |at| at.span(3600, 34560000)),
        users: table.get("for", |at| at.many(|at| at.parse(beneficiary))).unwrap_or_default(),
        owner: table.get("owner", |at| at.parse(owner)),
        mode: table.get("mode", |at| at.parse(mode)),
    };
    table.finish();
    Some(certificate)
}

pub(super) fn acme(at: At<'_, '_>) -> Option<Acme> {
    let table = at.table()?;
    let acme = Acme {
        networks: table.get("networks", |at| at.many(string)).unwrap_or_default(),
        challenges: table.get("challenges", |at| at.many(|at| at.word(&CHALLENGES))).unwrap_or_default(),
        eab: table.get("eab", |at| at.word(&EAB)).unwrap_or_default(),
        rate: table.get("rate", |at| at.parse(rate)),
    };
    table.finish();
    Some(acme)
}

pub(super) fn revocation(at: At<'_, '_>) -> Option<Revocation> {
    let table = at.table()?;
    let revocation =
        Revocation { crl: table.get("crl", |at| at.parse(pace)), ocsp: table.get("ocsp", truth) };
    table.finish();
    Some(revocation)
}

fn certificates(at: At<'_, '_>) -> Option<BTreeMap<String, Certificate>> {
    at.entries(label, certificate)
}

/// A user of a certificate.
fn beneficiary(text: &str) -> Parsed<For> {
    let named = |rest: &str| name(rest).map(|()| rest.to_owned());
    match text.split_once('/') {
        Some(("balance", rest)) => named(rest).map(For::Balance),
        Some(("instance", rest)) => named(rest).map(For::Instance),
        Some(("host", rest)) => named(rest).map(For::Host),
        None if text == "store" => Ok(For::Store),
        _ => Err(Wrong::new(
            format!("`{text}` cannot use a certificate"),
            "write balance/NAME, instance/NAME, host/NAME or store",
        )),
    }
}

/// `user` or `user:group`, each by name or number.
fn owner(text: &str) -> Parsed<String> {
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    match text.split(':').count() <= 2 && text.split(':').all(word) {
        true => Ok(text.to_owned()),
        false => Err(Wrong::new(format!("`{text}` is not an owner"), "user or user:group, like \"0:0\"")),
    }
}
