//! An instance as written.

use super::{Granted, Limits, Mount, Tmpfs};
use crate::schema::{
    AbsolutePath, Address, BannerText, CidrOrAddress, Domain, DurationText, FileMode, HttpText, Int, Label,
    Labelled, Many, Pairs, Port, PortMapText, PortOrRange, Short, SignalText, SizeText, Source, Word,
    one_probe, table,
};
use crate::value::{Banner, Driver, Duration, Http, Protocol, Restart, Signal, Size, octal};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A container, or several replicas of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Instance {
    /// A name of `images`, or an image in a form of the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub image: Option<String>,
    /// Host it runs on; `hosts` for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub host: Option<String>,
    /// Replica i runs on entry (i-1) mod n.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub hosts: Vec<String>,
    /// Number of replicas, named NAME-1, NAME-2 ...; default: one, named NAME.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 10000>>")]
    pub count: Option<u32>,
    /// Driver that runs it; default: that of `defaults`, else oci.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// Its interfaces in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Short<Word, Nic>>>")]
    pub networks: Vec<Nic>,
    /// Its name in DNS; default: its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Label>")]
    pub hostname: Option<String>,
    /// Name servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Address>>")]
    pub resolver: Vec<Ipv4Addr>,
    /// Ports that its host publishes for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Short<PortMapText, PortMap>>>")]
    pub ports: Vec<PortMap>,
    /// It may forward packets; its source addresses are then not checked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub forward: bool,
    /// Instances that must be ready before it starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub needs: Vec<String>,
    /// Readiness check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// Program and arguments, instead of the image's entrypoint and command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub command: Vec<String>,
    /// Arguments of the image's entrypoint, or of `command`, instead of the image's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub args: Vec<String>,
    /// Whether it is a whole system, whose first process is an init; default: as the image says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<bool>,
    /// Signal that asks it to stop; default: the image's, else the one that its first process understands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SignalText>")]
    pub stop_signal: Option<Signal>,
    /// Time from this signal until it is killed; default: 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub stop_grace: Option<Duration>,
    /// User, or user:group, that its program runs as.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub user: Option<String>,
    /// Number of its user and group ids; default: 65536.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<65536, 1000000000>>")]
    pub ids: Option<u32>,
    /// Working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<AbsolutePath>")]
    pub workdir: Option<String>,
    /// Environment variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Pairs>")]
    pub env: BTreeMap<String, String>,
    /// Whether it uses the proxy of `defaults`; default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<bool>")]
    pub proxy: Option<bool>,
    /// Resource limits.
    #[serde(skip_serializing_if = "Limits::none")]
    #[schemars(with = "Option<Limits>")]
    pub limits: Limits,
    /// Files added to it, by their path there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<std::collections::BTreeMap<String, Short<Source, File>>>")]
    pub files: BTreeMap<String, File>,
    /// Volumes, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<Short<AbsolutePath, Mount>>>")]
    pub volumes: BTreeMap<String, Mount>,
    /// Size of its /dev/shm; default: 64M.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SizeText>")]
    pub shm_size: Option<Size>,
    /// Folders in memory, by path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Short<Many<AbsolutePath>, BTreeMap<String, Short<SizeText, Tmpfs>>>>")]
    pub tmpfs: BTreeMap<String, Tmpfs>,
    /// Secrets, at /run/secrets/NAME; default owner: its user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Short<Word, Granted>>>")]
    pub secrets: Vec<Granted>,
    /// Certificate of `pki.certificates` for this instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub certificate: Option<String>,
    /// When it is restarted after it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// Profiles of LXD or Incus, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub profiles: Vec<String>,
    /// Recipes run after the first start, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub recipes: Vec<String>,
    /// Files with public keys for ssh logins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub ssh_keys: Vec<String>,
    /// File with user data for cloud-init.
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
    /// One address for each replica; default: derived.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Address>>")]
    pub address: Vec<Ipv4Addr>,
    /// Use it for the default route.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub default: bool,
}

/// A port of the instance's host, forwarded to the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct PortMap {
    /// Port on the host; a range stands for its single ports.
    #[schemars(with = "PortOrRange")]
    pub listen: u16,
    /// Port of the instance, or a range of the same length.
    #[schemars(with = "Option<PortOrRange>")]
    pub to: u16,
    /// Protocol.
    #[schemars(with = "Option<Protocol>")]
    pub protocol: Protocol,
    /// Publish only on this address of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Address>")]
    pub address: Option<Ipv4Addr>,
    /// Sources that may use it; default: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<CidrOrAddress>>")]
    pub from: Vec<Ipv4Net>,
    /// Network of the instance to forward to; default: the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub network: Option<String>,
}

/// Readiness check: exactly one of `tcp`, `http`, `https`, `banner` and `command`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = one_probe)]
pub struct Ready {
    /// A TCP port that accepts connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Port>")]
    pub tcp: Option<u16>,
    /// A path that answers with a status from 200 to 399.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<HttpText>")]
    pub http: Option<Http>,
    /// The same by TLS, with a certificate that is trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<HttpText>")]
    pub https: Option<Http>,
    /// With `https`: PEM file of the trusted authorities, relative to the document; default: those of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Source>")]
    pub ca: Option<String>,
    /// With `https`: the name that the certificate must have; default: the name of the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Domain>")]
    pub server_name: Option<String>,
    /// A TCP port whose first bytes contain the text, such as `22:SSH-2.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BannerText>")]
    pub banner: Option<Banner>,
    /// A program in the instance that exits with 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub command: Vec<String>,
    /// Time limit; default: 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub timeout: Option<Duration>,
    /// Interval between checks; default: 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub interval: Option<Duration>,
}

/// A file added to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct File {
    /// Its source, relative to the document.
    #[schemars(with = "Source")]
    pub source: String,
    /// Octal mode; default: that of the source.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "octal")]
    #[schemars(with = "Option<FileMode>")]
    pub mode: Option<u32>,
    /// User, or user:group, that owns it in the instance; default: root.
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
