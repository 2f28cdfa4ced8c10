//! Load balancers on the routers of hosts.

pub(crate) mod decode;
pub(crate) mod rules;

use crate::stack::schema::{
    Address, CidrOrAddress, DurationText, HostName, Int, Many, Port, UrlPath, Word, table,
};
use crate::stack::value::Duration;
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::Serialize;
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
    /// Only on this address of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Address>")]
    pub address: Option<Ipv4Addr>,
    /// HTTP host names or TLS server names it answers for, `*.` in front for all below; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<HostName>>")]
    pub hostname: Vec<String>,
    /// HTTP paths that begin so; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<UrlPath>")]
    pub path: Option<String>,
    /// The instance behind it, all replicas.
    #[schemars(with = "Word")]
    pub to: String,
    /// Port of the instance.
    #[schemars(with = "Port")]
    pub port: u16,
    /// Network by which it reaches the instance; the instance's first when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub network: Option<String>,
    /// What is balanced; when absent `http` where a key needs it, else `tcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// How a replica is chosen; `roundrobin` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
    /// Shares of replicas, by name, 0 to 256; 1 for those that are not named.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<String, Int<0, 256>>>")]
    pub weight: BTreeMap<String, u32>,
    /// Replicas that get nobody new.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub drain: Vec<String>,
    /// Keeps a client on one replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// Certificate of `pki.certificates`, or `secret/NAME` of `secrets`: chain and key in PEM. Every port but 80 speaks TLS then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub tls: Option<String>,
    /// Sends who comes by port 80 to TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub redirect: bool,
    /// Tells the instance who comes by the PROXY protocol, version 2.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub proxy: bool,
    /// How long a connection may be silent; 60 s when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub timeout: Option<Duration>,
    /// Sources that may use it; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<CidrOrAddress>>")]
    pub from: Vec<Ipv4Net>,
}

/// What a balancer understands of what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Bytes.
    Tcp,
    /// Requests, by host name and path.
    Http,
    /// TLS by server name, unopened.
    Tls,
}

/// How a balancer chooses a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// One after the other.
    RoundRobin,
    /// The one with the fewest connections.
    LeastConn,
    /// By the client's address.
    Source,
    /// The less busy of two.
    Random,
}

/// How a client stays on one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sticky {
    /// A cookie of the balancer's.
    Cookie,
    /// The client's address.
    Source,
}

impl Balance {
    /// What is balanced: what the document says, else what its other keys need.
    pub fn mode(&self) -> Mode {
        let http = !self.hostname.is_empty()
            || self.path.is_some()
            || self.tls.is_some()
            || self.redirect
            || self.sticky == Some(Sticky::Cookie);
        self.mode.unwrap_or(if http { Mode::Http } else { Mode::Tcp })
    }

    /// Whether a port that it listens on speaks TLS, ended here.
    pub fn ends_tls(&self, port: u16) -> bool {
        self.tls.is_some() && port != 80
    }

    /// Whether the two can be told apart on one port.
    pub(crate) fn shares(&self, other: &Balance, port: u16) -> bool {
        let alike = self.mode() == other.mode() && self.ends_tls(port) == other.ends_tls(port);
        let names = self.hostname.iter().any(|name| other.hostname.contains(name))
            || (self.hostname.is_empty() && other.hostname.is_empty());
        let paths = |balance: &Balance| balance.path.clone().unwrap_or_else(|| "/".to_owned());
        alike && self.mode() != Mode::Tcp && !(names && paths(self) == paths(other))
    }

    /// The secret with its certificate, where that is no certificate of `pki`.
    pub fn tls_secret(&self) -> Option<&str> {
        self.tls.as_deref()?.strip_prefix("secret/")
    }
}
