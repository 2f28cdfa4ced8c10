//! What else lsx-net observes on a host: what could collide, and its intent.

use super::Intent;
use common::stack::resolved::Protocol;
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// The rest of the observed document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// The intent of this host for the stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// Interfaces of instances that are attached.
    #[serde(default)]
    pub attached: Vec<Attached>,
    /// Permanent neighbour entries of attached interfaces and gateways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Known>,
    /// Routes of the host itself, without the default route.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub routes: Vec<Ipv4Net>,
    /// VXLAN devices of others.
    #[serde(default)]
    pub tunnels: Vec<Tunnels>,
    /// Listening programs.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// Names of links that look like lsx's but have no mark.
    #[serde(default)]
    pub strangers: Vec<String>,
    /// Foreign chains at the forward hook.
    #[serde(default)]
    pub chains: Vec<Chain>,
    /// Foreign chains at the input hook that may drop packets to the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Chain>,
    /// The interface of each address of the host.
    #[serde(default)]
    pub addresses: Vec<(Ipv4Addr, String)>,
    /// Interfaces with a strict `rp_filter`, which drop a packet whose sender is routed through another interface.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strict: Vec<String>,
    /// The outgoing interface of each route, if an interface is strict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<(String, String)>")]
    pub paths: Vec<(Ipv4Net, String)>,
    /// Processes in the stack's router, such as `1234 (tcpdump)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inhabitants: Vec<String>,
    /// The outgoing interfaces of default routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outward: Vec<String>,
    /// Missing features of the kernel, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// Replicas behind load balancers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaAt>,
    /// Certificates of load balancers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateState>,
    /// Whether HAProxy is installed, for load balancers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub haproxy: bool,
    /// The program on this host that the boot entry runs.
    #[serde(default)]
    pub program: String,
    /// The port of this ssh session, if it came by ssh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_port: Option<u16>,
}

/// A replica behind a load balancer, as HAProxy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaAt {
    /// Stack.
    pub stack: String,
    /// Load balancer.
    pub balancer: String,
    /// Instance.
    pub instance: String,
    /// `up`, `down`, or `drain` for one that gets no new connections.
    pub state: String,
    /// Why it is down: the result of the last test of its health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A certificate of load balancers, as their supervisor takes it from its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateState {
    /// Stack.
    pub stack: String,
    /// Folder of the host with its files; the file, if it is a secret.
    pub folder: String,
    /// `used`; `waiting` if there is none that could be used, so that its ports are closed; `kept` if an earlier one is used,
    /// because the present one cannot be.
    pub state: String,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl CertificateState {
    /// What is wrong with the certificate of these balancers, if anything.
    pub fn wrong(&self, balancers: &[&str]) -> Option<String> {
        let CertificateState { folder, state, why, .. } = self;
        let names = balancers.join(", ");
        let why = why.as_ref()?;
        match state.as_str() {
            "used" => None,
            "kept" => {
                Some(format!("{names}: the certificate in {folder} is not used, the previous one is: {why}"))
            }
            _ => Some(format!("{names}: ports with TLS are closed until {folder} has a certificate: {why}")),
        }
    }
}

/// An interface of an instance on a bridge of lsx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attached {
    /// Stack.
    pub stack: String,
    /// Instance and interface, such as `web-1.eth0`.
    pub name: String,
    /// Port of the bridge.
    pub link: String,
    /// The bridge; empty if none.
    pub bridge: String,
    /// MTU in bytes.
    pub mtu: u32,
}

/// The permanent neighbour entries of one interface, for the addresses in the intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Known {
    /// Network.
    pub network: String,
    /// Instance and interface, such as `web-1.eth0`, or `router`.
    pub at: String,
    /// Number of entries.
    pub count: usize,
    /// Digest of the entries; their order does not matter.
    pub digest: String,
}

/// A VXLAN device of another stack or program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tunnels {
    /// The device.
    pub link: String,
    /// Its stack; empty if it does not belong to lsx.
    pub stack: String,
    /// VXLAN network identifier.
    pub vni: u32,
    /// UDP port.
    pub port: u16,
}

/// A used port of the host: a program listens on it, or another stack publishes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Listener {
    /// Protocol.
    pub protocol: Protocol,
    /// Port.
    pub port: u16,
    /// Address; absent: all addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// The stack that publishes it; empty for a program.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stack: String,
}

/// A foreign chain at the forward or input hook.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Chain {
    /// nftables family.
    pub family: String,
    /// Table.
    pub table: String,
    /// Chain.
    pub chain: String,
}

impl Chain {
    /// The key of the marked rule in it.
    pub fn key(&self) -> String {
        format!("accept:{}.{}.{}", self.family, self.table, self.chain)
    }
}
