//! Which certificates of servers are trusted: those of an authority that is named, else of one that this host trusts.

use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::dates::{Dates, Moment};
use crate::probe::problem::Problem;

/// Files with the authorities that Linux distributions trust.
const STORES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Maximum size of such a file, which is 220 KB in Debian.
const STORE_BYTES: u64 = 8 * 1024 * 1024;
/// How a certificate in PEM begins.
const PEM: &str = "-----BEGIN ";

/// The authorities that a probe trusts, and where they are from.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    roots: Vec<CertificateDer<'static>>,
    pub(super) from: String,
}

impl Trust {
    /// Those of `ca`, a file or the text of one; else those of this host.
    pub(super) fn of(ca: Option<&str>) -> Result<Self, Problem> {
        let (from, text) = match ca {
            Some(text) if text.trim_start().starts_with(PEM) => ("ca".to_owned(), text.as_bytes().to_vec()),
            Some(path) => (
                path.to_owned(),
                read(path).map_err(|e| Problem::new(format!("ca: cannot read {path}: {e}")))?,
            ),
            None => STORES.iter().find_map(|path| Some(((*path).to_owned(), read(path).ok()?))).ok_or_else(
                || {
                    Problem::new("this host has no file of trusted authorities").hint(
                        "install ca-certificates, or name the authority's certificate with --ca or `ca`",
                    )
                },
            )?,
        };
        let roots: Vec<_> = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok).collect();
        if roots.is_empty() {
            return Err(Problem::new(format!("{from}: it contains no certificate"))
                .hint("it must begin with -----BEGIN CERTIFICATE-----"));
        }
        Ok(Self { roots, from })
    }

    /// Checks certificates by these authorities, and keeps the dates of the server's own in `seen`.
    pub(super) fn checker(self, provider: Arc<CryptoProvider>, seen: SeenDates) -> Result<Checker, Problem> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.roots.iter().cloned());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
        let inner = inner.map_err(|e| Problem::new(format!("{}: no usable certificate: {e}", self.from)))?;
        Ok(Checker { inner, roots: self.roots, seen })
    }
}

fn read(path: &str) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(STORE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The dates of the certificate that a server has shown.
#[derive(Debug, Clone, Default)]
pub(in crate::probe) struct SeenDates(Arc<Mutex<Option<Dates>>>);

impl SeenDates {
    pub(super) fn last(&self) -> Option<Moment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|dates| dates.not_after)
    }
}

/// webpki's check; and a certificate that is itself in the list is accepted, which webpki refuses if it is an authority's.
#[derive(Debug)]
pub(super) struct Checker {
    inner: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
    seen: SeenDates,
}

impl ServerCertVerifier for Checker {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let dates = Dates::of(certificate);
        *self.seen.0.lock().unwrap_or_else(PoisonError::into_inner) = dates;
        if !self.roots.iter().any(|root| root.as_ref() == certificate.as_ref()) {
            return self.inner.verify_server_cert(certificate, chain, name, ocsp, now);
        }
        let Dates { not_before, not_after } = dates.ok_or(CertificateError::BadEncoding)?;
        let time = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if time > not_after.unix() {
            return Err(CertificateError::Expired.into());
        }
        if time < not_before.unix() {
            return Err(CertificateError::NotValidYet.into());
        }
        rustls::client::verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
