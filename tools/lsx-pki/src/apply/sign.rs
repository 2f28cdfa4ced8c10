//! Signs certificates, on the host of the authority. Of a request only the key is taken: the names come from the plan.

use crate::chain::{self, ders};
use crate::model::Use;
use crate::places;
use crate::read::{self, Read};
use crate::seen::{self, EARLIER, now};
use common::host::file::{self, Mode};
use common::{Failure, Failures, Kind};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// The longest common name (RFC 5280, ub-common-name).
const COMMON: usize = 64;

/// What the authority is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) stack: String,
    pub(crate) certificates: Vec<Wish>,
}

/// A certificate for a host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub(crate) host: String,
    pub(crate) name: String,
    pub(crate) names: Vec<String>,
    pub(crate) addresses: Vec<Ipv4Addr>,
    pub(crate) usage: Vec<Use>,
    pub(crate) life_s: u64,
    /// As in [`super::key::Requests`].
    pub(crate) request: String,
}

/// What it answers: the root's certificate, and chains in the order of the wishes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Signed {
    pub(crate) root: String,
    pub(crate) chains: Vec<String>,
}

/// A public key.
struct Point(Vec<u8>);

impl PublicKeyData for Point {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// Signs all, or none. Each certificate is stored before anybody gets it.
///
/// # Errors
/// Requests that are refused; an authority that cannot be used.
pub(crate) fn sign(order: &Order) -> Result<Signed, Failures> {
    common::host::root()?;
    let opened = seen::open(&order.stack)
        .map_err(|(_, why)| Failure::new(Kind::Failed, "pki.authority", format!("the authority: {why}")))?;
    let now = now();
    if now < opened.issuer.not_before {
        let message = "the clock of this host is before the beginning of the authority";
        let failure = Failure::new(Kind::Failed, "pki.clock", message);
        return Err(failure.hint("set the clock, then run `lsx-pki up`").into());
    }
    let issuer = issuer(&opened.issuer.subject, &opened.key);
    let (mut chains, mut failures) = (Vec::new(), Vec::new());
    for wish in &order.certificates {
        match one(wish, &issuer, (&opened.issuer, &opened.root), now) {
            Ok(leaf) => {
                let chain = format!("{}{}", leaf.pem(), opened.issuer.pem());
                let file = places::issued(&order.stack).join(format!("{}.pem", leaf.serial));
                match file::write(&file, chain.as_bytes(), Mode::Private) {
                    Ok(_) => chains.push(chain),
                    Err(failure) => failures.push(failure),
                }
            }
            Err(why) => {
                let message = format!("certificate {} of {} is not issued: {why}", wish.name, wish.host);
                failures.push(Failure::new(Kind::Failed, "pki.refused", message));
            }
        }
    }
    Failures(failures).verdict()?;
    Ok(Signed { root: opened.root.pem(), chains })
}

/// One certificate, which clients would accept.
fn one(
    wish: &Wish,
    issuer: &Issuer<'_, &KeyPair>,
    (above, root): (&Read, &Read),
    now: u64,
) -> Result<Read, String> {
    let der = bytes(&wish.request).ok_or("its request is damaged")?;
    let point = Point(read::request(&der)?);
    if point.0 == above.point || point.0 == root.point {
        return Err("its key is that of the authority".to_owned());
    }
    if wish.names.is_empty() && wish.addresses.is_empty() {
        return Err("it has no name and no address".to_owned());
    }
    let end = now.saturating_add(wish.life_s).min(above.not_after);
    let shown = wish.names.iter().find(|name| name.len() <= COMMON).cloned();
    let common = shown.or_else(|| wish.addresses.first().map(ToString::to_string)).unwrap_or_default();
    let told = |e: Failure| e.message;
    let mut all = params(&common, now.saturating_sub(EARLIER).max(above.not_before), end).map_err(told)?;
    all.is_ca = IsCa::ExplicitNoCa;
    all.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    all.extended_key_usages = wish.usage.iter().map(purpose).collect();
    for name in &wish.names {
        let name = name.as_str().try_into().map_err(|_| format!("{name:?} is no name"))?;
        all.subject_alt_names.push(SanType::DnsName(name));
    }
    let addresses = wish.addresses.iter().map(|at| SanType::IpAddress(IpAddr::V4(*at)));
    all.subject_alt_names.extend(addresses);
    let signed = all.signed_by(&point, issuer).map_err(|e| e.to_string())?;
    let leaf = read::certificate(CertificateDer::from(signed.der().to_vec()))?;
    chain::leads(&leaf.der, &ders(std::slice::from_ref(above)), &root.der, &wish.usage, now)?;
    Ok(leaf)
}

fn purpose(usage: &Use) -> ExtendedKeyUsagePurpose {
    match usage {
        Use::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Use::Client => ExtendedKeyUsagePurpose::ClientAuth,
    }
}

/// Bytes from hexadecimal digits.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let even = text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if even { text.as_bytes().chunks(2).map(pair).collect() } else { None }
}

/// A new key of ECDSA on P-256.
pub(super) fn fresh() -> Result<KeyPair, Failure> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(bug)
}

/// An authority with this name and key.
pub(super) fn issuer<'a>(name: &str, key: &'a KeyPair) -> Issuer<'static, &'a KeyPair> {
    let mut all = CertificateParams::default();
    all.distinguished_name = called(name);
    all.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Issuer::new(all, key)
}

fn called(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}

/// What all certificates have: a name, a time, and a serial number that nobody can guess.
pub(super) fn params(name: &str, from: u64, to: u64) -> Result<CertificateParams, Failure> {
    let at = |seconds: u64| {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        time::OffsetDateTime::from_unix_timestamp(seconds).map_err(bug)
    };
    let mut serial = [0; 16];
    SystemRandom::new().fill(&mut serial).map_err(bug)?;
    // Positive, and always as long.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut all = CertificateParams::default();
    (all.not_before, all.not_after) = (at(from)?, at(to)?);
    all.serial_number = Some(SerialNumber::from_slice(&serial));
    all.distinguished_name = called(name);
    all.use_authority_key_identifier_extension = true;
    Ok(all)
}

/// A failure of the libraries that make keys and certificates.
pub(super) fn bug(error: impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Bug, "pki.made", format!("keys and certificates cannot be made: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::authority::made;
    use super::*;
    use crate::model::{Authority, State};

    fn authority() -> Authority {
        Authority {
            name: "office".to_owned(),
            names: vec!["internal".to_owned()],
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            life_s: 730 * 86_400,
            root_life_s: 3650 * 86_400,
            state: State::Valid,
        }
    }

    fn wish(names: &[&str], addresses: &[Ipv4Addr], request: &str) -> Wish {
        Wish {
            host: "h1".to_owned(),
            name: "www".to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            addresses: addresses.to_vec(),
            usage: vec![Use::Server],
            life_s: 86_400,
            request: request.to_owned(),
        }
    }

    fn request(params: CertificateParams, key: &KeyPair) -> String {
        common::document::hex(params.serialize_request(key).unwrap().der())
    }

    #[test]
    fn only_permitted_names_are_signed_and_only_for_proved_keys() {
        let (_, root, key, above) = made(&authority());
        let read = |pem: &str| read::certificates(pem.as_bytes()).unwrap().remove(0);
        let (root, above) = (read(&root), read(&above));
        assert_eq!(above.permits, (authority().names, authority().networks));
        let signer = issuer(&above.subject, &key);
        let leaf = fresh().unwrap();
        let good = request(CertificateParams::default(), &leaf);
        let sign = |wish: &Wish| one(wish, &signer, (&above, &root), now());
        let ten = Ipv4Addr::new(10, 1, 2, 3);
        let signed = sign(&wish(&["www.internal", "*.b.internal"], &[ten], &good)).unwrap();
        assert_eq!(signed.names, ["*.b.internal", "www.internal"]);
        assert_eq!((signed.addresses.as_slice(), signed.point.as_slice()), (&[ten][..], leaf.der_bytes()));
        assert!(chain::is_for(&signed.der, "a.b.internal") && !chain::is_for(&signed.der, "b.internal"));
        assert!(chain::is_for(&signed.der, "10.1.2.3") && !chain::is_for(&signed.der, "10.1.2.4"));
        assert_eq!(read::certificates(signed.pem().as_bytes()).unwrap()[0].der, signed.der);
        // Names of others: the constraint refuses, whatever was planned.
        for wrong in [
            wish(&["www.example.org"], &[], &good),
            wish(&["www.internal", "www.example.org"], &[], &good),
            wish(&[], &[Ipv4Addr::new(192, 0, 2, 1)], &good),
        ] {
            let why = sign(&wrong).unwrap_err();
            assert_eq!(why, "the authority may not issue it for its names");
        }
        // A request that asks for more gets its key signed, and nothing else.
        let mut greedy = CertificateParams::new(vec!["www.example.org".to_owned()]).unwrap();
        greedy.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let signed = sign(&wish(&["a.internal"], &[], &request(greedy, &leaf))).unwrap();
        assert_eq!(signed.names, ["a.internal"]);
        let as_issuer = issuer("a.internal", &leaf);
        let fooled = one(&wish(&["b.internal"], &[], &good), &as_issuer, (&signed, &root), now());
        assert!(fooled.is_err(), "a leaf has signed");
    }

    #[test]
    fn requests_that_prove_nothing_are_refused() {
        let leaf = fresh().unwrap();
        let good = bytes(&request(CertificateParams::default(), &leaf)).unwrap();
        assert_eq!(read::request(&good).as_deref(), Ok(leaf.der_bytes()));
        let mut forged = good.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert!(read::request(&forged).is_err());
        let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let other = bytes(&request(CertificateParams::default(), &other)).unwrap();
        assert_eq!(read::request(&other).unwrap_err(), "its key is not ECDSA on P-256");
        assert!(read::request(&vec![0x30; 20_000]).unwrap_err().contains("more than"));
        for at in 0..good.len() {
            let _ = read::request(&good[..at]); // no part of it makes it panic
            let mut odd = good.clone();
            odd[at] ^= 0x55;
            assert_ne!(read::request(&odd).as_deref(), Ok(leaf.der_bytes()), "byte {at}");
        }
        for text in ["", "0", "zz", "+1"] {
            assert!(bytes(text).is_none_or(|all| all.is_empty()), "{text}");
        }
    }

    #[test]
    fn a_certificate_ends_with_its_authority() {
        let (_, root, key, above) = made(&Authority { life_s: 3600, ..authority() });
        let read = |pem: &str| read::certificates(pem.as_bytes()).unwrap().remove(0);
        let (root, above) = (read(&root), read(&above));
        let leaf = request(CertificateParams::default(), &fresh().unwrap());
        let signed =
            one(&wish(&["a.internal"], &[], &leaf), &issuer(&above.subject, &key), (&above, &root), now());
        assert_eq!(signed.unwrap().not_after, above.not_after);
        assert!(above.due(above.not_after - 1200) && !above.due(above.not_after - 2400));
    }
}
