//! What is observed on a host beside its objects, and what the verbs print.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Further facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// The tool's copy on this host, which the boot entry runs.
    #[serde(default)]
    pub program: String,
    /// Authorities, by stack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<AuthoritySeen>,
    /// Certificates, by stack and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateSeen>,
    /// The certificates of roots, by stack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<RootSeen>,
}

/// An authority on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthoritySeen {
    /// The stack.
    pub stack: String,
    /// The folder of its keys.
    pub path: String,
    /// The SHA-256 of the root's certificate.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// When the root's time is over.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub root_not_after: String,
    /// When the time of the intermediate authority is over.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub not_after: String,
    /// Why it cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A certificate on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateSeen {
    /// The stack.
    pub stack: String,
    /// Name in `pki.certificates`.
    pub name: String,
    /// The folder of its files.
    pub path: String,
    /// Its serial number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub serial: String,
    /// When its time begins.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub not_before: String,
    /// When its time is over.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub not_after: String,
    /// The SHA-256 of the root that it leads to, if it leads to that of this host.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub root: String,
    /// Why it cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The certificate of a root on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RootSeen {
    /// The stack.
    pub stack: String,
    /// Its file.
    pub path: String,
    /// Its SHA-256.
    pub sha256: String,
}

/// What `trust` prints: whom clients have to trust.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trusted {
    /// `lsx.pki.trust/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// The host of the authority.
    pub host: String,
    /// The SHA-256 of the root's certificate.
    pub sha256: String,
    /// When its time is over.
    pub not_after: String,
    /// The certificate in PEM.
    pub pem: String,
}
