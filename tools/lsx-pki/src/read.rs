//! What certificates and requests say (RFC 5280, RFC 2986). They are read, and nothing is believed but what their signature proves. Pure.

use crate::model::Use;
use common::document::{digest, hex};
use ipnet::Ipv4Net;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::net::Ipv4Addr;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, NameConstraints, SubjectAltName};
use x509_cert::request::CertReq;

const SERVER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
/// ecdsa-with-SHA256.
const SIGNED: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// id-ecPublicKey.
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// secp256r1.
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// The length of a point of P-256, uncompressed (SEC 1, 2.3.3).
const POINT: usize = 65;
/// The most bytes of a request; ours have 250.
pub(crate) const REQUEST: usize = 16 * 1024;

/// A certificate.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) serial: String,
    /// Seconds since 1970.
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    /// The common name of its subject.
    pub(crate) subject: String,
    pub(crate) names: Vec<String>,
    pub(crate) addresses: Vec<Ipv4Addr>,
    /// Whether it has names of other kinds.
    pub(crate) others: bool,
    pub(crate) usage: Vec<Use>,
    /// Its public key.
    pub(crate) point: Vec<u8>,
    /// The domains and networks of its name constraints.
    pub(crate) permits: (Vec<String>, Vec<Ipv4Net>),
}

impl Read {
    /// Its SHA-256.
    pub(crate) fn sha256(&self) -> String {
        digest(&self.der)
    }

    /// In PEM.
    pub(crate) fn pem(&self) -> String {
        pem(&self.der)
    }

    /// Whether less than a third of its time is left.
    pub(crate) fn due(&self, now: u64) -> bool {
        let life = self.not_after.saturating_sub(self.not_before);
        now.saturating_add(life / 3) > self.not_after
    }
}

/// A certificate in PEM (RFC 7468).
pub(crate) fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut all = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        all.push_str(&String::from_utf8_lossy(line));
        all.push('\n');
    }
    all + "-----END CERTIFICATE-----\n"
}

/// The certificates of a file in PEM; at least one.
///
/// # Errors
/// Why they cannot be read.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<Read>, String> {
    let mut all = Vec::new();
    for der in CertificateDer::pem_slice_iter(text) {
        all.push(certificate(der.map_err(|e| format!("it is no PEM: {e}"))?)?);
    }
    if all.is_empty() { Err("it has no certificate".to_owned()) } else { Ok(all) }
}

/// A certificate in DER.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn certificate(der: CertificateDer<'static>) -> Result<Read, String> {
    let wrong = |e: x509_cert::der::Error| format!("it is no certificate: {e}");
    let read = x509_cert::Certificate::from_der(&der).map_err(wrong)?;
    let of = read.tbs_certificate();
    let (mut names, mut addresses, mut others) = (Vec::new(), Vec::new(), false);
    if let Some((_, SubjectAltName(all))) = of.get_extension::<SubjectAltName>().map_err(wrong)? {
        for name in all {
            match (&name, address(&name)) {
                (GeneralName::DnsName(name), _) => names.push(name.to_string()),
                (_, Some([a, b, c, d])) => addresses.push(Ipv4Addr::new(a, b, c, d)),
                _ => others = true,
            }
        }
    }
    names.sort();
    addresses.sort();
    let usage = of.get_extension::<ExtendedKeyUsage>().map_err(wrong)?.map(|(_, all)| all.0);
    let usage = usage.unwrap_or_default();
    let usage =
        [(SERVER, Use::Server), (CLIENT, Use::Client)].into_iter().filter(|(id, _)| usage.contains(id));
    let usage = usage.map(|(_, one)| one).collect();
    let permits = of.get_extension::<NameConstraints>().map_err(wrong)?.map(|(_, all)| permits(&all));
    let subject = of.subject().common_name().map_err(wrong)?;
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    Ok(Read {
        serial: hex(of.serial_number().as_bytes()),
        not_before: seconds(of.validity().not_before),
        not_after: seconds(of.validity().not_after),
        subject: subject.map(|name| name.value().into_owned()).unwrap_or_default(),
        names,
        addresses,
        others,
        usage,
        point: of.subject_public_key_info().subject_public_key.raw_bytes().to_vec(),
        permits: permits.unwrap_or_default(),
        der,
    })
}

fn address(name: &GeneralName) -> Option<[u8; 4]> {
    let GeneralName::IpAddress(bytes) = name else { return None };
    bytes.as_bytes().try_into().ok()
}

/// Domains and networks that are permitted.
fn permits(all: &NameConstraints) -> (Vec<String>, Vec<Ipv4Net>) {
    let (mut names, mut networks) = (Vec::new(), Vec::new());
    for tree in all.permitted_subtrees.iter().flatten() {
        match &tree.base {
            GeneralName::DnsName(name) => names.push(name.to_string()),
            GeneralName::IpAddress(bytes) => {
                let Ok([a, b, c, d, mask @ ..]) = <[u8; 8]>::try_from(bytes.as_bytes()) else { continue };
                let network = Ipv4Net::with_netmask(Ipv4Addr::new(a, b, c, d), Ipv4Addr::from(mask));
                networks.extend(network);
            }
            _ => {}
        }
    }
    (names, networks)
}

/// The public key of a request, which its signature proves. Names and extensions that it asks for are not looked at.
///
/// # Errors
/// Why it is refused.
pub(crate) fn request(der: &[u8]) -> Result<Vec<u8>, String> {
    if der.len() > REQUEST {
        return Err(format!("it has {} bytes, more than {REQUEST}", der.len()));
    }
    let wrong = |e: x509_cert::der::Error| format!("it is no request: {e}");
    let request = CertReq::from_der(der).map_err(wrong)?;
    let key = &request.info.public_key;
    let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.decode_as().ok());
    let point = key.subject_public_key.raw_bytes();
    if key.algorithm.oid != EC || curve != Some(P256) || point.len() != POINT || point.first() != Some(&4) {
        return Err("its key is not ECDSA on P-256".to_owned());
    }
    if request.algorithm.oid != SIGNED {
        return Err("it is not signed with ECDSA and SHA-256".to_owned());
    }
    let signed = request.info.to_der().map_err(wrong)?;
    let proof = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
    let proved = proof.verify(&signed, request.signature.raw_bytes());
    proved.map_err(|_| "its signature is not by its own key".to_owned())?;
    Ok(point.to_vec())
}
