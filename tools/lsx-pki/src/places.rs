//! Where the files of a stack are on its hosts. Pure.

use crate::model::ROOT;
use std::path::{Path, PathBuf};

/// The files of a certificate; the last one is what says that it is there.
pub(crate) const CERT: &str = "cert.pem";
pub(crate) const CHAIN: &str = "chain.pem";
pub(crate) const FULL: &str = "fullchain.pem";
/// The key of a certificate.
pub(crate) const KEY: &str = "key.pem";
/// Of the authority: the keys and certificates of the root and of the intermediate authority.
pub(crate) const ROOT_KEY: &str = "root-key.pem";
pub(crate) const ROOT_CERT: &str = "root.pem";
pub(crate) const ISSUER_KEY: &str = "issuer-key.pem";
pub(crate) const ISSUER_CERT: &str = "issuer.pem";

/// Everything of a stack.
pub(crate) fn of(stack: &str) -> PathBuf {
    Path::new(ROOT).join(stack)
}

/// The certificate of the root, on each host.
pub(crate) fn root(stack: &str) -> PathBuf {
    of(stack).join(ROOT_CERT)
}

/// The folder of a certificate.
pub(crate) fn certificate(stack: &str, name: &str) -> PathBuf {
    certificates(stack).join(name)
}

/// The folder of all certificates.
pub(crate) fn certificates(stack: &str) -> PathBuf {
    of(stack).join("certs")
}

/// The folder of the authority, in the data of the stack.
pub(crate) fn authority(stack: &str) -> PathBuf {
    of(stack).join("data").join("authority")
}

/// The folder of what it has issued.
pub(crate) fn issued(stack: &str) -> PathBuf {
    of(stack).join("data").join("issued")
}
