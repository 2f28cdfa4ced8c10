//! Keys of certificates: made on the host that uses them, which they never leave. A request proves that the host has one.

use super::sign::{bug, fresh};
use crate::places;
use crate::read::Read;
use crate::seen;
use common::host::file::{self, Mode};
use common::{Failure, Kind};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What a host is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ask {
    pub(crate) stack: String,
    /// The names of certificates.
    pub(crate) names: Vec<String>,
}

/// Requests in DER (RFC 2986), by the name of the certificate, in hexadecimal digits.
pub(crate) type Requests = BTreeMap<String, String>;

/// Makes requests, and the keys that are missing, or that others could have read.
///
/// # Errors
/// Errors of the file system.
pub(crate) fn requests(ask: &Ask) -> Result<Requests, Failure> {
    common::host::root()?;
    let one = |name: &String| {
        let key = own(&places::certificate(&ask.stack, name))?;
        let request = CertificateParams::default().serialize_request(&key).map_err(bug)?;
        Ok((name.clone(), common::document::hex(request.der())))
    };
    ask.names.iter().map(one).collect()
}

fn own(folder: &Path) -> Result<KeyPair, Failure> {
    let path = folder.join(places::KEY);
    // One that cannot be read now may be good.
    file::read_at_most(&path, seen::MOST)?;
    if let Ok(key) = seen::key(&path)
        && key.algorithm() == &PKCS_ECDSA_P256_SHA256
    {
        return Ok(key);
    }
    file::private_folder(folder)?;
    file::sweep(folder);
    let key = fresh()?;
    file::write(&path, key.serialize_pem().as_bytes(), Mode::Private)?;
    Ok(key)
}

/// A certificate must be for the key of this host.
///
/// # Errors
/// If it is for another one.
pub(super) fn belongs(folder: &Path, leaf: &Read) -> Result<(), Failure> {
    let wrong = |why: String| Failure::new(Kind::Again, "pki.key", why);
    let key = seen::key(&folder.join(places::KEY)).map_err(|(_, why)| wrong(why))?;
    if key.der_bytes() == leaf.point {
        return Ok(());
    }
    Err(wrong(format!("the key in {} has changed since its certificate was requested", folder.display())))
}
