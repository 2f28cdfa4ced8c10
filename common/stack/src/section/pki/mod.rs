//! The section `pki`: the certificate authority of a stack, and its certificates.

pub(crate) mod decode;
pub(crate) mod rules;
pub(crate) mod ssh;

use crate::schema::{
    Address, BeneficiaryText, CidrOrAddress, Domain, DurationText, FileMode, HostName, Labelled, Many,
    PaceText, RateText, Source, Word, table,
};
use crate::value::{Duration, Pace, Rate};
use crate::value::{is_default, octal};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use ssh::SshAuthority;
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

/// The certificate authority of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Pki {
    /// Host of the authority; default: the first gateway, or the only host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub host: Option<String>,
    /// Settings of the authority; default: a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<Authority>,
    /// Lifetime of certificates; default: 90d. They are renewed when a third is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub life: Option<Duration>,
    /// A map of certificates by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<Certificate>>")]
    pub certificates: BTreeMap<String, Certificate>,
    /// Hosts and instances that trust the authority.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Trust>>")]
    pub trust: Vec<Trust>,
    /// Issue certificates by ACME to clients that prove control of a name (RFC 8555).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<Acme>,
    /// Revocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
    /// OpenSSH certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshAuthority>,
}

/// The authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Authority {
    /// Its name; default: that of the stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub name: Option<String>,
    /// Type of new keys.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<KeyAlgorithm>")]
    pub algorithm: KeyAlgorithm,
    /// Its lifetime; default: 2y.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub life: Option<Duration>,
    /// The root above it, whose key is on the operator's machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    /// Secret that encrypts its key on its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub passphrase: Option<String>,
    /// Name constraints, written into it (RFC 5280 4.2.1.10); default: the domain, networks and hosts of the stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permit: Option<Permit>,
    /// An existing authority, instead of a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing: Option<Existing>,
}

/// Types of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyAlgorithm {
    /// ECDSA on NIST P-256.
    #[default]
    P256,
    /// ECDSA on NIST P-384.
    P384,
    /// EdDSA, which not every program supports.
    Ed25519,
    /// RSA of 3072 bits.
    Rsa3072,
}

/// The root above an authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Root {
    /// Its lifetime; default: 10y.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub life: Option<Duration>,
    /// File with its key on the operator's machine, as `file:root.key`; created if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Source>")]
    pub key: Option<String>,
}

/// Names for which an authority may issue certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Permit {
    /// Domains, including subdomains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Domain>>")]
    pub names: Vec<String>,
    /// Addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<CidrOrAddress>>")]
    pub networks: Vec<Ipv4Net>,
}

/// An existing authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Existing {
    /// File with its certificate and those of its issuers, in PEM.
    #[schemars(with = "Source")]
    pub certificate: String,
    /// Secret with its key, in PEM.
    #[schemars(with = "Word")]
    pub key: String,
}

/// A certificate that is renewed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Certificate {
    /// Names; those in `hostname` of the load balancers that use it are added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<HostName>>")]
    pub names: Vec<String>,
    /// Addresses; those of the load balancers that use it are added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Address>>")]
    pub addresses: Vec<Ipv4Addr>,
    /// Purpose; default: `server`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Usage>>")]
    pub usage: Vec<Usage>,
    /// Type of its key; default: that of the authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<KeyAlgorithm>,
    /// Lifetime; default: that of the section.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub life: Option<Duration>,
    /// Users of the certificate: `balance/NAME`, `instance/NAME`, `host/NAME` or `store`. It is stored on their hosts.
    #[serde(rename = "for", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<BeneficiaryText>>")]
    pub users: Vec<For>,
    /// Owner of its files on a host, user or user:group; default: root.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub owner: Option<String>,
    /// Octal mode of its key; default: 0600.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "octal")]
    #[schemars(with = "Option<FileMode>")]
    pub mode: Option<u32>,
}

/// The purpose of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Usage {
    /// TLS servers.
    Server,
    /// TLS clients.
    Client,
}

/// Who trusts the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Hosts of the stack.
    Hosts,
    /// Instances.
    Instances,
}

/// ACME.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Acme {
    /// Networks that reach it; default: all with a gateway.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub networks: Vec<String>,
    /// Accepted challenges; default: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Challenge>>")]
    pub challenges: Vec<Challenge>,
    /// Whether an account needs an external key.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<Eab>")]
    pub eab: Eab,
    /// Maximum rate of certificates of one account; default: `50/h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<RateText>")]
    pub rate: Option<Rate>,
}

/// A challenge that proves control of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Challenge {
    /// A file at the name, by HTTP (HTTP-01).
    #[serde(rename = "http-01")]
    Http01,
    /// A record of `dns` (DNS-01).
    #[serde(rename = "dns-01")]
    Dns01,
    /// A certificate at the name, by TLS (TLS-ALPN-01).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// Whether an account needs an external key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Eab {
    /// It is optional.
    #[default]
    Optional,
    /// It is required.
    Required,
}

/// Revocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Revocation {
    /// Interval of new revocation lists; default: 24h; `off`: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<PaceText>")]
    pub crl: Option<Pace>,
    /// Whether the status of single certificates can be queried (OCSP); default: `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<bool>,
}

/// A user of a certificate; written `balance/www`.
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
