//! Services and files that tools provide for each other.

use crate::value::Protocol;
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A service of a tool on the router of a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ServiceAt {
    /// Host.
    pub host: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Port.
    pub port: u16,
    /// Its name: `dns`, `balance/www`.
    pub name: String,
    /// The name of the tool that serves it: `net`, `dns`.
    pub tool: String,
    /// Served only on this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// The router has no such address: it translates it to its own ones, and to this port there, which nobody else reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner: Option<u16>,
    /// Networks that reach it at the router.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Whether it can also be reached from outside the stack, at the addresses of the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub world: bool,
    /// Other hosts of the stack whose routers reach it, at the tunnels' port of this host by TCP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Sources that may use it; default: all that reach it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub from: Vec<Ipv4Net>,
}

/// A volume on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeAt {
    /// Name in `store.volumes`.
    pub name: String,
    /// Host.
    pub host: String,
    /// Maximum size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// User, or user:group, that owns its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Octal mode of its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// A certificate on a host that uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateAt {
    /// Name in `pki.certificates`.
    pub name: String,
    /// Host.
    pub host: String,
    /// Folder there, with cert.pem, chain.pem, fullchain.pem and key.pem.
    pub folder: String,
    /// Names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Ipv4Addr>,
}
