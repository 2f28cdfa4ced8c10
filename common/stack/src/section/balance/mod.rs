//! Load balancers on the routers of hosts.

pub(crate) mod decode;
pub(crate) mod rules;

use crate::schema::{Address, CidrOrAddress, DurationText, HostName, Int, Many, Port, UrlPath, Word, table};
use crate::value::Duration;
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A load balancer on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Balance {
    /// Host it listens on.
    #[schemars(with = "Word")]
    pub host: String,
    /// Ports it listens on.
    #[schemars(with = "Many<Port>")]
    pub listen: Vec<u16>,
    /// Listen only on this address of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Address>")]
    pub address: Option<Ipv4Addr>,
    /// HTTP host names or TLS server names it answers for, with `*.` in front for all names below; default: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<HostName>>")]
    pub hostname: Vec<String>,
    /// The HTTP path and all below it; default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<UrlPath>")]
    pub path: Option<String>,
    /// The instance behind it, all replicas.
    #[schemars(with = "Word")]
    pub to: String,
    /// Port of the instance.
    #[schemars(with = "Port")]
    pub port: u16,
    /// Network of the instance to use; default: the instance's first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub network: Option<String>,
    /// What is balanced; default: `http` if a key needs it, else `tcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// How a replica is chosen; default: `roundrobin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
    /// Weights of replicas, by name, 0 to 256; default: 1.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<String, Int<0, 256>>>")]
    pub weight: BTreeMap<String, u32>,
    /// Replicas that get no new connections.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub drain: Vec<String>,
    /// How a client is kept on one replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// Certificate of `pki.certificates`; or a folder of the host with fullchain.pem, and key.pem or privkey.pem; or
    /// `secret/NAME` of `secrets`, chain and key in PEM. All ports but 80 then use TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub tls: Option<String>,
    /// Redirect requests on port 80 to TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub redirect: bool,
    /// Send the client's address to the instance by the PROXY protocol, version 2.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub proxy: bool,
    /// Idle time after which a connection is closed; default: 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub timeout: Option<Duration>,
    /// Sources that may use it; default: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<CidrOrAddress>>")]
    pub from: Vec<Ipv4Net>,
}

/// The protocol level of a balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// TCP connections.
    Tcp,
    /// HTTP requests, by host name and path.
    Http,
    /// TLS connections by server name, without decryption.
    Tls,
}

/// How a balancer chooses a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// One after the other.
    RoundRobin,
    /// The one with the fewest connections.
    LeastConn,
    /// By the client's address.
    Source,
    /// The less busy of two random ones.
    Random,
}

/// How a client is kept on one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sticky {
    /// By a cookie of the balancer.
    Cookie,
    /// By the client's address.
    Source,
}

impl Balance {
    /// What is balanced: as in the document, else as its other keys need.
    pub fn mode(&self) -> Mode {
        let http = !self.hostname.is_empty()
            || self.path.is_some()
            || self.tls.is_some()
            || self.redirect
            || self.sticky == Some(Sticky::Cookie);
        self.mode.unwrap_or(if http { Mode::Http } else { Mode::Tcp })
    }

    /// Whether a port uses TLS that ends at the balancer.
    pub fn ends_tls(&self, port: u16) -> bool {
        self.tls.is_some() && port != 80
    }

    /// Whether two balancers can share a port.
    pub(crate) fn shares(&self, other: &Balance, port: u16) -> bool {
        let alike = self.mode() == other.mode() && self.ends_tls(port) == other.ends_tls(port);
        let names = self.hostname.iter().any(|name| other.hostname.contains(name))
            || (self.hostname.is_empty() && other.hostname.is_empty());
        let paths = |balance: &Balance| balance.path.clone().unwrap_or_else(|| "/".to_owned());
        alike && self.mode() != Mode::Tcp && !(names && paths(self) == paths(other))
    }

    /// The folder of the host with its certificate and key, or the file with both if they are a secret.
    pub fn tls_folder(&self, stack: &str) -> Option<String> {
        Some(match (self.tls.as_deref()?, self.tls_secret()) {
            (_, Some(secret)) => format!("/var/lib/lsx/secrets/{stack}/net/{secret}"),
            (folder, _) if folder.starts_with('/') => folder.trim_end_matches('/').to_owned(),
            (name, _) => certificate_folder(stack, name),
        })
    }

    /// The secret with its certificate, if it is neither a certificate of `pki` nor a folder.
    pub fn tls_secret(&self) -> Option<&str> {
        self.tls.as_deref()?.strip_prefix("secret/")
    }
}

/// The folder of a certificate of `pki` on each host that uses it.
pub(crate) fn certificate_folder(stack: &str, name: &str) -> String {
    format!("/var/lib/lsx/pki/{stack}/certs/{name}")
}
