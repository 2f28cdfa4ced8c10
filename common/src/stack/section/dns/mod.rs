//! Names, addresses and boot files for the stack: what lsx-dns serves.

pub(crate) mod decode;
pub(crate) mod dhcp;
pub(crate) mod dhcp_rules;
pub(crate) mod names;
pub(crate) mod rules;

use crate::stack::schema::{
    Address, CaaText, Domain, DurationText, Int, Ipv6Text, Labelled, Many, MxText, Named, PaceText, Port,
    RecordName, Short, SrvText, Target, Word, table,
};
use crate::stack::value::is_default;
use crate::stack::value::{Duration, Pace, Protocol};
use dhcp::{Boot, Dhcp};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What lsx-dns serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Dns {
    /// What answers.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<DnsDriver>")]
    pub driver: DnsDriver,
    /// Servers asked for all other names; those of the host when absent, none when empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Many<Address>>")]
    pub forward: Option<Vec<Ipv4Addr>>,
    /// A map from a domain to the servers asked for it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<Domain, Many<Address>>>")]
    pub zones: BTreeMap<String, Vec<Ipv4Addr>>,
    /// How long answers may be kept; 60 s when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub ttl: Option<Duration>,
    /// How long it may be kept that there is no such name; 10 s when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub negative_ttl: Option<Duration>,
    /// Answers of others that are kept; 10000 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<0, 1000000>>")]
    pub cache: Option<u32>,
    /// Questions that one source may ask in a second; 200 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 1000000>>")]
    pub rate: Option<u32>,
    /// Writes every question down.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub log: bool,
    /// A map from a name below the domain (`@` is the domain itself) to an address or a record.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<RecordName, Short<Many<Address>, Record>>>")]
    pub records: BTreeMap<String, Record>,
    /// A map from the name of a service to what has it, told as `_NAME._tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<DnsService>>")]
    pub services: BTreeMap<String, DnsService>,
    /// How often replicas are asked whether they are ready, so that only those are told; `off` tells all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<PaceText>")]
    pub health: Option<Pace>,
    /// A map of those who may change names (RFC 2136), by any name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<Update>>")]
    pub update: BTreeMap<String, Update>,
    /// Other servers that get the whole zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
    /// A map from a network to what is told to those who ask for an address there. The addresses are its `dhcp_range`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Named<Dhcp>>")]
    pub dhcp: BTreeMap<String, Dhcp>,
    /// What machines without a disk get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<Boot>,
}

/// What answers questions.
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
    /// The name that this one stands for; nothing else is beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Target>")]
    pub cname: Option<String>,
    /// Preference and host of mail, as `10 mail`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<MxText>>")]
    pub mx: Vec<String>,
    /// Texts, at most 4000 bytes each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub txt: Vec<String>,
    /// Priority, weight, port and host, as `0 5 443 web.production`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<SrvText>>")]
    pub srv: Vec<String>,
    /// Names that this one points to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Target>>")]
    pub ptr: Vec<String>,
    /// Authorities that may sign, as `0 issue ca.example.org`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<CaaText>>")]
    pub caa: Vec<String>,
    /// Servers of a zone below.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Target>>")]
    pub ns: Vec<String>,
    /// How long it may be kept; that of the section when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub ttl: Option<Duration>,
    /// Networks that see it; all when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub networks: Vec<String>,
}

/// A service that instances have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct DnsService {
    /// The instance, all replicas.
    #[schemars(with = "Word")]
    pub to: String,
    /// Its port.
    #[schemars(with = "Port")]
    pub port: u16,
    /// `tcp` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
}

/// Who may change which names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Update {
    /// Secret with the key of TSIG.
    #[schemars(with = "Word")]
    pub key: String,
    /// Names below the domain; `*` stands for any text.
    #[schemars(with = "Many<Word>")]
    pub names: Vec<String>,
    /// Types of records.
    #[schemars(with = "Many<RecordType>")]
    pub types: Vec<RecordType>,
}

/// Other servers of the zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Transfer {
    /// Their addresses.
    #[schemars(with = "Many<Address>")]
    pub to: Vec<Ipv4Addr>,
    /// Secret with the key of TSIG.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub key: Option<String>,
}

/// A type of records that may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// An address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Another name.
    Cname,
    /// A host of mail.
    Mx,
    /// A name for an address.
    Ptr,
    /// A service.
    Srv,
    /// A text.
    Txt,
}
