//! Whether a certificate leads to a root, as clients find out: signatures, times, purposes and name constraints, by webpki.

use crate::model::Use;
use crate::read::Read;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::time::Duration;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Checks a certificate, with those between it and the root, at a time.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn leads(
    leaf: &CertificateDer<'_>,
    between: &[CertificateDer<'_>],
    root: &CertificateDer<'_>,
    usage: &[Use],
    now: u64,
) -> Result<(), String> {
    let anchor = anchor_from_trusted_cert(root).map_err(told)?;
    let of = EndEntityCert::try_from(leaf).map_err(told)?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(now));
    for one in usage {
        let usage = match one {
            Use::Server => KeyUsage::server_auth(),
            Use::Client => KeyUsage::client_auth(),
        };
        let anchors = [anchor.clone()];
        of.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, between, at, usage, None, None).map_err(told)?;
    }
    Ok(())
}

/// What is wrong, in words.
fn told(error: webpki::Error) -> String {
    let at = |time: UnixTime| common::log::at(time.as_secs());
    match error {
        webpki::Error::CertExpired { not_after, .. } => format!("its time ended at {}", at(not_after)),
        webpki::Error::CertNotValidYet { not_before, .. } => format!("its time begins at {}", at(not_before)),
        webpki::Error::UnknownIssuer => "the authority of the stack has not issued it".to_owned(),
        webpki::Error::NameConstraintViolation => "the authority may not issue it for its names".to_owned(),
        other => other.to_string(),
    }
}

/// Whether it is for a name or an address.
pub(crate) fn is_for(leaf: &CertificateDer<'_>, name: &str) -> bool {
    let Ok(name) = ServerName::try_from(name) else { return false };
    EndEntityCert::try_from(leaf).is_ok_and(|of| of.verify_is_valid_for_subject_name(&name).is_ok())
}

/// The certificates in DER.
pub(crate) fn ders(all: &[Read]) -> Vec<CertificateDer<'static>> {
    all.iter().map(|one| one.der.clone()).collect()
}
