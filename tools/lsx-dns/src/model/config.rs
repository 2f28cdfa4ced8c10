//! The configuration of a server: what it answers, and to whom. It has no clock and no order that matters, so that the same
//! document gives the same bytes.

use super::update::{Client, SERVERS, Servers, TRANSFER, Transfer};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

/// Times of a zone for secondaries, in seconds (RFC 1912 2.2).
pub(crate) const REFRESH: u32 = 3600;
pub(crate) const RETRY: u32 = 600;
pub(crate) const EXPIRE: u32 = 604_800;

/// The program that answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// lsx-dns.
    #[default]
    Embedded,
    /// dnsmasq of the host.
    Dnsmasq,
    /// BIND of the host.
    Bind,
}

impl Driver {
    fn own(&self) -> bool {
        *self == Driver::Embedded
    }
}

/// The configuration of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// The program that answers.
    #[serde(default, skip_serializing_if = "Driver::own")]
    pub driver: Driver,
    /// The addresses of its sockets, UDP and TCP.
    #[schemars(with = "Vec<String>")]
    pub listen: Vec<SocketAddrV4>,
    /// The domain of the stack.
    pub domain: String,
    /// TTL of answers in seconds.
    pub ttl: u32,
    /// TTL of negative answers in seconds.
    pub negative_ttl: u32,
    /// The zones that it answers for, without the last dot.
    pub zones: Vec<String>,
    /// All records, by name.
    pub records: Vec<Entry>,
    /// What each source sees. The longest matching prefix counts.
    pub views: Vec<View>,
    /// Servers for all other names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forward: Vec<Ipv4Addr>,
    /// Servers for the names below a domain.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub beyond: BTreeMap<String, Vec<Ipv4Addr>>,
    /// Number of answers of other servers that are kept; 0: none.
    #[serde(default)]
    pub cache: u32,
    /// Number of datagrams a second from one source that are answered.
    #[serde(default = "rate")]
    pub rate: u32,
    /// Whether queries are logged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub log: bool,
    /// Replicas that answers leave out while they are not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Clients that may change names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub update: BTreeMap<String, Client>,
    /// Servers that may transfer the zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// Servers on other hosts with the same names, if clients change them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers: Option<Servers>,
    /// Networks whose clients of DHCP have the names that they tell; with a journal also those of other hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leased: Vec<Named>,
}

/// A network whose clients of DHCP have names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Named {
    /// Addresses of the network.
    #[schemars(with = "String")]
    pub cidr: Ipv4Net,
    /// The domain of the names.
    pub domain: String,
    /// Their TTL in seconds.
    pub ttl: u32,
    /// Whether another host gives the addresses, and its server tells the names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
}

/// Which replicas are probed, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Seconds between probes.
    pub interval: u32,
    /// The replicas.
    pub replicas: Vec<Replica>,
}

/// A replica that is probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replica {
    /// Its address.
    pub address: Ipv4Addr,
    /// The port that accepts connections.
    pub port: u16,
    /// The path that answers by HTTP, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Config {
    /// Whether its names can be changed or transferred: then it has a serial that must survive, and so a journal.
    pub fn changes(&self) -> bool {
        !self.update.is_empty() || self.transfer.is_some() || self.servers.is_some()
    }

    /// The keys that it needs: their usual names, which are those of the clients, and their secrets.
    pub fn keys(&self) -> Vec<(&str, &str)> {
        let clients = self.update.iter().map(|(name, client)| (name.as_str(), client.key.as_str()));
        let servers = self.transfer.iter().filter_map(|transfer| Some((TRANSFER, transfer.key.as_deref()?)));
        let shared = self.servers.iter().map(|servers| (SERVERS, servers.key.as_str()));
        clients.chain(servers).chain(shared).collect()
    }

    /// The view of a source; none for strangers.
    pub(crate) fn view(&self, source: Ipv4Addr) -> Option<&View> {
        let longest = |view: &View| {
            let nets = view.from.iter().filter(|net| net.contains(&source));
            nets.map(Ipv4Net::prefix_len).max()
        };
        let all = self.views.iter().filter_map(|view| Some((longest(view)?, view)));
        all.max_by_key(|(prefix, _)| *prefix).map(|(_, view)| view)
    }
}

/// The default number of datagrams a second from one source.
pub(crate) fn rate() -> u32 {
    200
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Entry {
    /// Its name, fully qualified without the last dot.
    pub name: String,
    /// Its data.
    #[serde(flatten)]
    pub data: Data,
    /// TTL in seconds, if it is not that of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// Who sees it.
    #[serde(default, skip_serializing_if = "Seen::everyone")]
    pub seen: Seen,
    /// The part of the document that gives it, such as `instances.web`; servers do not get it.
    #[serde(skip)]
    pub of: String,
}

/// The data of a record; names are fully qualified without the last dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// An address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A canonical name.
    Cname(String),
    /// A mail exchanger.
    Mx(u16, String),
    /// A text.
    Txt(String),
    /// A service: priority, weight, port and host.
    Srv(u16, u16, u16, String),
    /// A name for an address.
    Ptr(String),
    /// A name server.
    Ns(String),
    /// An authority that may issue certificates: flags, tag and value.
    Caa(u8, String, String),
    /// Any other data: the number of its type, and its bytes in hexadecimal (RFC 3597). No record of a document has it.
    Other(u16, String),
}

/// Who sees a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// All sources that have a view.
    #[default]
    All,
    /// Sources that may reach this address.
    Reaching(Ipv4Addr),
    /// Sources on these networks.
    Networks(Vec<String>),
}

impl View {
    /// Whether it has a record.
    pub(crate) fn sees(&self, entry: &Entry) -> bool {
        match &entry.seen {
            Seen::All => true,
            Seen::Reaching(address) => self.reach.iter().any(|net| net.contains(address)),
            Seen::Networks(networks) => networks.iter().any(|network| self.networks.contains(network)),
        }
    }
}

impl Seen {
    fn everyone(&self) -> bool {
        *self == Seen::All
    }
}

/// What some sources see.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct View {
    /// The sources.
    #[schemars(with = "Vec<String>")]
    pub from: Vec<Ipv4Net>,
    /// The networks that they are on.
    pub networks: Vec<String>,
    /// The addresses that they may reach.
    #[schemars(with = "Vec<String>")]
    pub reach: Vec<Ipv4Net>,
}
