//! Trusted certificates: those of this machine, and those given for a single registry. Checks are never disabled: a
//! registry with a self-signed certificate is trusted by that certificate.

use super::Access;
use crate::image::{limits, refused, unreadable};
use common::Failure;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ureq::tls::{Certificate, PemItem, RootCerts};

/// Files of trusted certificates of Linux distributions; if none exists, Mozilla's list is used.
const TRUSTED: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// The certificates for a registry: the given file, those of the document, those in its folders, and this machine's.
pub(super) fn roots(host: &str, access: &Access) -> Result<RootCerts, Failure> {
    let mut own: Vec<PathBuf> = access.ca.clone().into_iter().collect();
    for folder in &access.certificates {
        let files =
            std::fs::read_dir(folder.join(host)).into_iter().flatten().flatten().map(|entry| entry.path());
        own.extend(files.filter(|path| path.extension().is_some_and(|end| end == "crt")));
    }
    own.sort();
    let written = access.own(host).and_then(|own| own.ca.as_ref());
    let mut extra: Vec<_> = written.map(|pem| parse(pem.as_bytes())).into_iter().flatten().collect();
    for path in &own {
        extra.extend(certificates(path)?);
    }
    let bundle = TRUSTED.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
    let all: Vec<_> = extra.iter().cloned().chain(parse(&bundle)).collect();
    Ok(if all.is_empty() { RootCerts::WebPki } else { RootCerts::Specific(Arc::new(all)) })
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let bytes = limits::open(path).and_then(|file| limits::document(path, file));
    let found = parse(&bytes.map_err(|e| unreadable(path, &e))?);
    if found.is_empty() {
        return Err(refused("ca", format!("{}: it contains no certificate", path.display()))
            .hint("it must begin with -----BEGIN CERTIFICATE-----"));
    }
    Ok(found)
}

fn parse(bundle: &[u8]) -> Vec<Certificate<'static>> {
    let certificate = |item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    };
    ureq::tls::parse_pem(bundle).filter_map(Result::ok).filter_map(certificate).collect()
}
