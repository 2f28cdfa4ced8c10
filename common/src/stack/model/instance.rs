//! An instance as written.

use super::{Granted, Limits, Mount, Tmpfs};
use crate::stack::schema::{
    AbsolutePath, Address, BannerText, CidrOrAddress, DurationText, FileMode, HttpText, Int, Label, Labelled,
    Many, Pairs, Port, PortMapText, PortOrRange, Short, SizeText, Source, Word, one_probe, table,
};
use crate::stack::value::{Banner, Driver, Duration, Http, Protocol, Restart, Size, octal};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Something that runs: a container of one of the drivers, or several alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Instance {
    /// A name of `images`, or an image in the driver's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub image: Option<String>,
    /// Where it runs; `hosts` for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub host: Option<String>,
    /// Replica i runs on entry (i-1) mod n.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub hosts: Vec<String>,
    /// Replicas, named NAME-1, NAME-2 ...; absent: one, named NAME.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 10000>>")]
    pub count: Option<u32>,
    /// What runs it; oci when neither it nor `defaults` say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// Its interfaces in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Short<Word, Nic>>>")]
    pub networks: Vec<Nic>,
    /// Its name in DNS, when that is not the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Label>")]
    pub hostname: Option<String>,
    /// Name servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Address>>")]
    pub resolver: Vec<Ipv4Addr>,
    /// Ports of the host that lead to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Short<PortMapText, PortMap>>>")]
    pub ports: Vec<PortMap>,
    /// Lets packets of others pass.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub forward: bool,
    /// Instances that must be ready before it starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub needs: Vec<String>,
    /// How one knows that it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// What runs in it, instead of the image's own command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub command: Vec<String>,
    /// Arguments of the image's entrypoint, or of `command`, instead of the image's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub args: Vec<String>,
    /// Whether it is a whole system, whose first process is an init; absent: what the image says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<bool>,
    /// User, or user:group, that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub user: Option<String>,
    /// Folder it starts in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<AbsolutePath>")]
    pub workdir: Option<String>,
    /// Environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Pairs>")]
    pub env: BTreeMap<String, String>,
    /// What it may use.
    #[serde(skip_serializing_if = "Limits::none")]
    #[schemars(with = "Option<Limits>")]
    pub limits: Limits,
    /// Files put into it, by their path there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, Short<Source, File>>>")]
    pub files: BTreeMap<String, File>,
    /// Volumes, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<Short<AbsolutePath, Mount>>>")]
    pub volumes: BTreeMap<String, Mount>,
    /// Size of its /dev/shm; 64M when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SizeText>")]
    pub shm_size: Option<Size>,
    /// Folders in memory, by path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Short<Many<AbsolutePath>, BTreeMap<String, Short<SizeText, Tmpfs>>>>")]
    pub tmpfs: BTreeMap<String, Tmpfs>,
    /// Secrets, at /run/secrets/NAME; they belong to its user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Short<Word, Granted>>>")]
    pub secrets: Vec<Granted>,
    /// Certificate of `pki.certificates` that it is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub certificate: Option<String>,
    /// When it is started again after it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// Profiles of LXD or Incus, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub profiles: Vec<String>,
    /// Recipes applied after the first start, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub recipes: Vec<String>,
    /// Files with public keys of those who may log in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub ssh_keys: Vec<String>,
    /// File with cloud-init's user data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Source>")]
    pub cloud_init: Option<String>,
}

/// An interface: the first is eth0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Nic {
    /// Network.
    #[schemars(with = "Word")]
    pub name: String,
    /// One address a replica; derived when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Address>>")]
    pub address: Vec<Ipv4Addr>,
    /// The default route goes here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub default: bool,
}

/// A port of the instance's host that leads to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct PortMap {
    /// Port on the host; a range stands for its ports one by one.
    #[schemars(with = "PortOrRange")]
    pub listen: u16,
    /// Port of the instance; of a range as many.
    #[schemars(with = "Option<PortOrRange>")]
    pub to: u16,
    /// Protocol.
    #[schemars(with = "Option<Protocol>")]
    pub protocol: Protocol,
    /// Only on this address of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Address>")]
    pub address: Option<Ipv4Addr>,
    /// Sources that may use it; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<CidrOrAddress>>")]
    pub from: Vec<Ipv4Net>,
    /// Network by which it is reached; the first when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub network: Option<String>,
}

/// How one knows that an instance is ready. Exactly one of `tcp`, `http`, `banner` and `command`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = one_probe)]
pub struct Ready {
    /// A TCP port that accepts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Port>")]
    pub tcp: Option<u16>,
    /// A path that answers with a status from 200 to 399.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<HttpText>")]
    pub http: Option<Http>,
    /// A TCP port whose first bytes hold the words, as `22:SSH-2.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BannerText>")]
    pub banner: Option<Banner>,
    /// A program in the instance that ends with 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub command: Vec<String>,
    /// How long to wait for it; 60 s when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub timeout: Option<Duration>,
    /// How often to look; 1 s when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub interval: Option<Duration>,
}

/// A file put into an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct File {
    /// Where its contents are, relative to the document.
    #[schemars(with = "Source")]
    pub source: String,
    /// Octal mode; that of the source when absent.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "octal")]
    #[schemars(with = "Option<FileMode>")]
    pub mode: Option<u32>,
    /// User, or user:group, that owns it in the instance; root when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub owner: Option<String>,
}

impl Instance {
    /// Names and numbers of its replicas: NAME alone without `count`, else NAME-1 ... NAME-count.
    pub fn replicas(&self, key: &str) -> Vec<String> {
        match self.count {
            None => vec![key.to_owned()],
            Some(count) => (1..=count).map(|i| format!("{key}-{i}")).collect(),
        }
    }
}
