//! Makes the authority: the root signs itself and an intermediate authority, which signs everything else. Both may issue for the same
//! names and addresses only (RFC 5280, 4.2.1.10).

use super::sign::{bug, fresh, issuer, params};
use crate::model::Authority;
use crate::places;
use crate::seen::{self, EARLIER, now};
use common::host::file::{self, Mode};
use common::{Failure, Kind};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyUsagePurpose, NameConstraints,
};
use std::path::Path;

/// Makes a new one, or gives the one that is there a new intermediate certificate, for the same key.
///
/// # Errors
/// Errors of the file system.
pub(super) fn make(stack: &str, wanted: &Authority) -> Result<(), Failure> {
    let folder = places::authority(stack);
    if folder.symlink_metadata().is_ok() {
        return renew(stack, wanted, &folder);
    }
    let new = folder.with_file_name("authority.new");
    file::remove_tree(&new)?;
    file::private_folder(&new)?;
    let (root_key, key) = (fresh()?, fresh()?);
    let root = root_params(wanted)?;
    let root_cert = root.self_signed(&root_key).map_err(bug)?;
    let end = now().saturating_add(wanted.root_life_s);
    let issuer_cert = issuer_params(wanted, end)?
        .signed_by(&key, &issuer(&root_name(&wanted.name), &root_key))
        .map_err(bug)?;
    let files = [
        (places::ROOT_KEY, root_key.serialize_pem()),
        (places::ROOT_CERT, root_cert.pem()),
        (places::ISSUER_KEY, key.serialize_pem()),
        (places::ISSUER_CERT, issuer_cert.pem()),
    ];
    for (name, text) in files {
        file::write(&new.join(name), text.as_bytes(), Mode::Private)?;
    }
    // Only now is it there, with all of its files.
    file::rename_tree(&new, &folder)?;
    synced(&folder)
}

fn synced(folder: &Path) -> Result<(), Failure> {
    let parent = folder.parent().unwrap_or(folder);
    let done = std::fs::File::open(parent).and_then(|folder| folder.sync_all());
    done.map_err(|e| file::failure(parent, "write", &e))
}

fn renew(stack: &str, wanted: &Authority, folder: &Path) -> Result<(), Failure> {
    let opened = seen::open(stack).map_err(|(_, why)| Failure::new(Kind::Failed, "pki.authority", why))?;
    let issuer = issuer(&opened.root.subject, &opened.root_key);
    let signed =
        issuer_params(wanted, opened.root.not_after)?.signed_by(&opened.key, &issuer).map_err(bug)?;
    file::write(&folder.join(places::ISSUER_CERT), signed.pem().as_bytes(), Mode::Private).map(|_| ())
}

fn root_name(name: &str) -> String {
    format!("{name} root")
}

fn root_params(wanted: &Authority) -> Result<CertificateParams, Failure> {
    let end = now().saturating_add(wanted.root_life_s);
    authority_params(&root_name(&wanted.name), wanted, end, 1)
}

/// That of the intermediate authority, which ends with the root at the latest.
fn issuer_params(wanted: &Authority, root_end: u64) -> Result<CertificateParams, Failure> {
    let end = now().saturating_add(wanted.life_s).min(root_end);
    let mut all = authority_params(&wanted.name, wanted, end, 0)?;
    // No other purpose: so its names need no constraints of other kinds.
    all.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(all)
}

fn authority_params(
    name: &str,
    wanted: &Authority,
    end: u64,
    below: u8,
) -> Result<CertificateParams, Failure> {
    let mut all = params(name, now().saturating_sub(EARLIER), end)?;
    all.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    all.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let names = wanted.names.iter().cloned().map(GeneralSubtree::DnsName);
    let networks = wanted.networks.iter().map(|network| {
        GeneralSubtree::IpAddress(CidrSubnet::V4(network.network().octets(), network.netmask().octets()))
    });
    let mail = wanted.names.iter().cloned().map(GeneralSubtree::Rfc822Name);
    all.name_constraints = Some(NameConstraints {
        permitted_subtrees: names.chain(networks).chain(mail).collect(),
        // What is not permitted is refused only where something of its kind is named.
        excluded_subtrees: vec![GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16]))],
    });
    Ok(all)
}

#[cfg(test)]
pub(super) fn made(wanted: &Authority) -> (rcgen::KeyPair, String, rcgen::KeyPair, String) {
    let (root_key, key) = (fresh().unwrap(), fresh().unwrap());
    let root = root_params(wanted).unwrap().self_signed(&root_key).unwrap();
    let issuer_cert = issuer_params(wanted, u64::MAX).unwrap();
    let issuer_cert = issuer_cert.signed_by(&key, &issuer(&root_name(&wanted.name), &root_key)).unwrap();
    (root_key, root.pem(), key, issuer_cert.pem())
}
