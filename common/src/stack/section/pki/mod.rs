//! The authority of a stack, and what it signs.

pub(crate) mod decode;
pub(crate) mod rules;
pub(crate) mod ssh;

use crate::stack::schema::{
    Address, BeneficiaryText, CidrOrAddress, Domain, DurationText, FileMode, HostName, Labelled, Many,
    PaceText, RateText, Source, Word, table,
};
use crate::stack::value::{Duration, Pace, Rate};
use crate::stack::value::{is_default, octal};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use ssh::SshAuthority;
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

/// The authority of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Pki {
    /// Host that signs; when absent the first gateway, or the only host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub host: Option<String>,
    /// The authority; one is made when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<Authority>,
    /// How long certificates are good; 90 d when absent. They are renewed when a third is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub life: Option<Duration>,
    /// A map of certificates by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<Certificate>>")]
    pub certificates: BTreeMap<String, Certificate>,
    /// Who gets the authority into its own list of those to be trusted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Trust>>")]
    pub trust: Vec<Trust>,
    /// Signs for those who prove by ACME that a name is theirs (RFC 8555).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<Acme>,
    /// How it is told what is good no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
    /// Certificates of OpenSSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshAuthority>,
}

/// Who signs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Authority {
    /// Its name; that of the stack when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub name: Option<String>,
    /// Keys that are made.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<KeyAlgorithm>")]
    pub algorithm: KeyAlgorithm,
    /// How long it signs; 2 y when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub life: Option<Duration>,
    /// The root above it, whose key stays on the operator's machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    /// Secret that its key is locked with on its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub passphrase: Option<String>,
    /// What it may sign, written into it (RFC 5280 4.2.1.10).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permit: Option<Permit>,
    /// An authority that is there already, instead of one that is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing: Option<Existing>,
}

/// Keys of certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyAlgorithm {
    /// ECDSA on NIST P-256.
    #[default]
    P256,
    /// ECDSA on NIST P-384.
    P384,
    /// EdDSA, which not every program takes.
    Ed25519,
    /// RSA of 3072 bits.
    Rsa3072,
}

/// The root above an authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Root {
    /// How long it is good; 10 y when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub life: Option<Duration>,
    /// File with its key on the operator's machine, as `file:root.key`; made when it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Source>")]
    pub key: Option<String>,
}

/// What an authority may sign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Permit {
    /// Domains, and what is below them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Domain>>")]
    pub names: Vec<String>,
    /// Addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<CidrOrAddress>>")]
    pub networks: Vec<Ipv4Net>,
}

/// An authority that is there already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Existing {
    /// File with its certificate and those above it, in PEM.
    #[schemars(with = "Source")]
    pub certificate: String,
    /// Secret with its key, in PEM.
    #[schemars(with = "Word")]
    pub key: String,
}

/// A certificate that is kept good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Certificate {
    /// Names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<HostName>>")]
    pub names: Vec<String>,
    /// Addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Address>>")]
    pub addresses: Vec<Ipv4Addr>,
    /// What it is for; `server` when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Usage>>")]
    pub usage: Vec<Usage>,
    /// Its key; as the authority's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<KeyAlgorithm>,
    /// How long it is good; that of the section when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub life: Option<Duration>,
    /// Who uses it: `balance/NAME`, `instance/NAME`, `host/NAME` or `store`. It lies on their hosts.
    #[serde(rename = "for", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<BeneficiaryText>>")]
    pub users: Vec<For>,
    /// Who owns its files on a host, user or user:group; root when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub owner: Option<String>,
    /// Octal mode of its key; 0600 when absent.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "octal")]
    #[schemars(with = "Option<FileMode>")]
    pub mode: Option<u32>,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Usage {
    /// Servers of TLS.
    Server,
    /// Clients of TLS.
    Client,
}

/// Who gets the authority into its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Hosts of the stack.
    Hosts,
    /// Instances.
    Instances,
}

/// Signing by ACME.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Acme {
    /// Networks that reach it; all with a gateway when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub networks: Vec<String>,
    /// Proofs that it takes; all when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Challenge>>")]
    pub challenges: Vec<Challenge>,
    /// Whether an account needs a key that was given beforehand.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<Eab>")]
    pub eab: Eab,
    /// Certificates that one account may have; `50/h` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RateText>")]
    pub rate: Option<Rate>,
}

/// A proof that a name is somebody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Challenge {
    /// A file at the name, by HTTP.
    #[serde(rename = "http-01")]
    Http01,
    /// A record of `dns`.
    #[serde(rename = "dns-01")]
    Dns01,
    /// A certificate at the name, by TLS.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// Whether an account needs a key that was given beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Eab {
    /// It may have one.
    #[default]
    Optional,
    /// It must have one.
    Required,
}

/// How it is told what is good no more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Revocation {
    /// How often the list is made anew; 24 h when absent, `off` makes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<PaceText>")]
    pub crl: Option<Pace>,
    /// Whether single certificates can be asked about; `true` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<bool>,
}

/// Who uses a certificate; written `balance/www`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum For {
    /// A balancer.
    Balance(String),
    /// An instance.
    Instance(String),
    /// A host.
    Host(String),
    /// The S3 server.
    Store,
}

impl fmt::Display for For {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            For::Balance(name) => write!(f, "balance/{name}"),
            For::Instance(name) => write!(f, "instance/{name}"),
            For::Host(name) => write!(f, "host/{name}"),
            For::Store => f.write_str("store"),
        }
    }
}

impl Serialize for For {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
