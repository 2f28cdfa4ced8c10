//! The configuration of the metadata service: what each instance is told about itself. User data and keys are files of the operator,
//! which this only names: they reach the host as secrets do.

use common::stack::Driver;
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddrV4};

/// The configuration of the metadata service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Meta {
    /// The stack.
    pub stack: String,
    /// The addresses of the router to which it translates 169.254.169.254.
    #[schemars(with = "Vec<String>")]
    pub listen: Vec<SocketAddrV4>,
    /// Whether a request needs a token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tokens: bool,
    /// The secrets that are the vendor data, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vendor_data: Vec<String>,
    /// The instances that may ask.
    pub instances: Vec<Machine>,
}

/// An instance that may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Its key in the stack.
    pub of: String,
    /// Its identity, which is another one when its user data are others: cloud-init then runs as on a new machine.
    pub id: String,
    /// Its host name.
    pub hostname: String,
    /// The host it runs on.
    pub host: String,
    /// What runs it.
    pub driver: Driver,
    /// Its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Its interfaces with an address in the document.
    pub interfaces: Vec<Interface>,
    /// The secrets that are its user data, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_data: Vec<String>,
    /// The secrets that have its public keys for ssh logins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

/// An interface of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Interface {
    /// Name inside the instance.
    pub name: String,
    /// Network it is on.
    pub network: String,
    /// Hardware address.
    pub mac: String,
    /// Its address and the network's prefix.
    #[schemars(with = "String")]
    pub address: Ipv4Net,
    /// The instance's name on this network.
    pub fqdn: String,
    /// MTU in bytes.
    pub mtu: u32,
    /// The default route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Ipv4Addr>,
    /// Name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolver: Vec<Ipv4Addr>,
    /// Search domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
}

impl Meta {
    /// The secrets that its server needs.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let own = self.instances.iter().flat_map(|one| one.user_data.iter().chain(&one.keys));
        self.vendor_data.iter().chain(own).map(String::as_str)
    }
}
