//! The section `dns`: names, addresses and boot files, served by lsx-dns.

pub(crate) mod decode;
pub(crate) mod dhcp;
pub(crate) mod dhcp_rules;
pub(crate) mod names;
pub(crate) mod rules;
pub(crate) mod servers;

use crate::schema::{
    Address, CaaText, Domain, DurationText, Int, Ipv6Text, Labelled, Many, MxText, Named, PaceText, Port,
    RecordName, Short, SrvText, Target, Word, table,
};
use crate::value::is_default;
use crate::value::{Duration, Pace, Protocol};
use dhcp::{Boot, Dhcp};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Settings of lsx-dns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Dns {
    /// The server program.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<DnsDriver>")]
    pub driver: DnsDriver,
    /// Servers for all other names; default: those of the host; an empty list: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Many<Address>>")]
    pub forward: Option<Vec<Ipv4Addr>>,
    /// A map from a domain to its servers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<Domain, Many<Address>>>")]
    pub zones: BTreeMap<String, Vec<Ipv4Addr>>,
    /// TTL of answers; default: 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub ttl: Option<Duration>,
    /// TTL of negative answers; default: 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub negative_ttl: Option<Duration>,
    /// Number of cached answers of other servers; default: 10000; 0: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<0, 1000000>>")]
    pub cache: Option<u32>,
    /// Maximum number of queries by UDP per second from one source; above, it has to use TCP or a cookie; default: 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 1000000>>")]
    pub rate: Option<u32>,
    /// Log every query.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub log: bool,
    /// A map from a name below the domain (`@` is the domain itself) to an address or a record.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<RecordName, Short<Many<Address>, Record>>>")]
    pub records: BTreeMap<String, Record>,
    /// A map from the name of a service to its instances, served as `_NAME._tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<DnsService>>")]
    pub services: BTreeMap<String, DnsService>,
    /// Interval of readiness checks of replicas, so that answers only have ready ones; default: 5s; `off`: answers have all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<PaceText>")]
    pub health: Option<Pace>,
    /// A map of clients that may change names (RFC 2136), by any name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<Update>>")]
    pub update: BTreeMap<String, Update>,
    /// With gateways on several hosts: the one whose server keeps the names that clients change; default: the first gateway's host, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub host: Option<String>,
    /// Other servers that may transfer the zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// A map from a network to its DHCP settings. Addresses are given from its `dhcp_range`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Named<Dhcp>>")]
    pub dhcp: BTreeMap<String, Dhcp>,
    /// Files for machines that boot by the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<Boot>,
}

/// The server program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DnsDriver {
    /// lsx-dns itself.
    #[default]
    Embedded,
    /// dnsmasq of the host.
    Dnsmasq,
    /// BIND of the host.
    Bind,
}

/// Records of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Record {
    /// Addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Address>>")]
    pub a: Vec<Ipv4Addr>,
    /// IPv6 addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Ipv6Text>>")]
    pub aaaa: Vec<Ipv6Addr>,
    /// The canonical name (CNAME); the name has no other records then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Target>")]
    pub cname: Option<String>,
    /// Preference and mail exchanger, such as `10 mail`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<MxText>>")]
    pub mx: Vec<String>,
    /// Texts, at most 4000 bytes each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub txt: Vec<String>,
    /// Priority, weight, port and host, such as `0 5 443 web.production`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<SrvText>>")]
    pub srv: Vec<String>,
    /// Names that this one points to (PTR).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Target>>")]
    pub ptr: Vec<String>,
    /// Authorities that may issue certificates, such as `0 issue ca.example.org`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<CaaText>>")]
    pub caa: Vec<String>,
    /// Name servers of a delegated zone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Target>>")]
    pub ns: Vec<String>,
    /// TTL; default: that of the section.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub ttl: Option<Duration>,
    /// Networks that see it; default: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub networks: Vec<String>,
}

/// A service of instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct DnsService {
    /// The instance, all replicas.
    #[schemars(with = "Word")]
    pub to: String,
    /// Its port.
    #[schemars(with = "Port")]
    pub port: u16,
    /// Protocol; default: `tcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
}

/// A client that may change names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Update {
    /// Secret with the TSIG key: the output of tsig-keygen, whose name it has then, or base64 of at least 16 bytes, such as a derived
    /// secret, for a key with the client's name. HMAC-SHA256, 384 and 512 are accepted.
    #[schemars(with = "Word")]
    pub key: String,
    /// Names below the domain, or reverse names; `*` matches any text.
    #[schemars(with = "Many<Word>")]
    pub names: Vec<String>,
    /// Types of records.
    #[schemars(with = "Many<RecordType>")]
    pub types: Vec<RecordType>,
    /// As what it owns the names that it makes; default: `service`. One that comes first takes a name from one that comes later, and nobody
    /// takes one from the stack.
    #[serde(skip_serializing_if = "UpdateOwner::usual")]
    #[schemars(with = "Option<UpdateOwner>")]
    pub owner: UpdateOwner,
}

/// Secondary servers of the zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Transfer {
    /// Their addresses, on networks of the stack.
    #[schemars(with = "Many<Address>")]
    pub to: Vec<Ipv4Addr>,
    /// Secret with the TSIG key; its name is `transfer` unless the secret has another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub key: Option<String>,
}

/// As what a client owns names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpdateOwner {
    /// Addresses that are reserved.
    Reservation,
    /// Addresses that machines have for some time, such as by DHCP.
    Lease,
    /// Services that name themselves.
    #[default]
    Service,
    /// Challenges of ACME.
    Acme,
}

impl UpdateOwner {
    fn usual(&self) -> bool {
        *self == UpdateOwner::default()
    }
}

/// A type of records that may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// An address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// A canonical name.
    Cname,
    /// The mark of a DHCP server (RFC 4701).
    Dhcid,
    /// A mail exchanger.
    Mx,
    /// A name for an address.
    Ptr,
    /// A service.
    Srv,
    /// A text.
    Txt,
}

impl RecordType {
    /// As in zone files.
    pub const fn text(self) -> &'static str {
        match self {
            RecordType::A => "A",
            RecordType::Aaaa => "AAAA",
            RecordType::Cname => "CNAME",
            RecordType::Dhcid => "DHCID",
            RecordType::Mx => "MX",
            RecordType::Ptr => "PTR",
            RecordType::Srv => "SRV",
            RecordType::Txt => "TXT",
        }
    }
}
