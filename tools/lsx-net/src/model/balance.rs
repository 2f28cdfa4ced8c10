//! Load balancers of a host, and the server that runs them.

use common::stack::{Algorithm, Mode, Sticky};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// The name of the server that runs all load balancers of a stack on a host.
pub const BALANCE: &str = "balance";

/// A load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Balancer {
    /// Its name in `balance`.
    pub name: String,
    /// Ports it listens on.
    pub listen: Vec<u16>,
    /// The only address of the host it is reached at; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// Host names or TLS server names, some with `*.` in front; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostname: Vec<String>,
    /// The path that its requests have or are below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is balanced.
    pub mode: Mode,
    /// How a replica is chosen.
    pub algorithm: Algorithm,
    /// How a client is kept on one replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// The certificate, as in the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// The folder of the host with its files; the file, if it is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The digest of its value, if it is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Requests on port 80 are redirected to this port with TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<u16>,
    /// Sends the PROXY protocol.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxy: bool,
    /// Idle time in milliseconds after which a connection is closed.
    pub timeout_ms: u64,
    /// Sources that may use it; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub from: Vec<Ipv4Net>,
    /// How replicas are asked whether they are ready.
    pub health: Health,
    /// The replicas.
    pub backends: Vec<Backend>,
}

/// A replica behind a balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Backend {
    /// Instance.
    pub name: String,
    /// Address.
    pub address: Ipv4Addr,
    /// Port.
    pub port: u16,
    /// Its share of new connections, 0 to 256; 0 for one that is drained.
    pub weight: u32,
}

/// How the replicas of a balancer are asked whether they are ready: as by `ready` of the instance. A program in the
/// instance cannot be run from the router; then the port is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// The port accepts connections.
    Tcp(u16),
    /// A path answers with a status from 200 to 399.
    Http {
        /// Port.
        port: u16,
        /// Path.
        path: String,
        /// By TLS; its certificate is not checked.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        tls: bool,
    },
    /// The first bytes contain a text.
    Banner {
        /// Port.
        port: u16,
        /// Text.
        holds: String,
    },
}

/// A server of lsx-net in the router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Server {
    /// Its name: `balance`.
    pub name: String,
    /// Digest of the configuration that it has loaded; empty when it does not answer.
    pub config: String,
    /// Whether it serves, in the router, with a supervisor.
    pub running: bool,
}
