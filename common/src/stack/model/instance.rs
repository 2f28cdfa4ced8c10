//! An instance as written.

use super::write;
use crate::stack::resolved::Protocol;
use crate::stack::value::{Cpus, Duration, Http, Size};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Something that runs: a container of one of the drivers, or several alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// A name of `images`, or an image in the driver's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Where it runs; `hosts` for several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Replica i runs on entry (i-1) mod n.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Replicas, named NAME-1, NAME-2 ...; absent: one, named NAME.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// What runs it; oci when neither it nor `defaults` say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// Its interfaces in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Nic>,
    /// Its name in DNS, when that is not the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Name servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolver: Vec<Ipv4Addr>,
    /// Ports of the host that lead to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMap>,
    /// Lets packets of others pass.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forward: bool,
    /// Instances that must be ready before it starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// How one knows that it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// What runs in it, instead of the image's own command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// User, or user:group, that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Folder it starts in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What it may use.
    #[serde(skip_serializing_if = "Limits::none")]
    pub limits: Limits,
    /// Files put into it, by their path there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, File>,
    /// Volumes, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Mount>,
    /// Names of secrets, at /run/secrets/NAME.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// When it is started again after it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// Profiles of LXD or Incus, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Recipes applied after the first start, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipes: Vec<String>,
    /// Files with public keys of those who may log in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<String>,
    /// File with cloud-init's user data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_init: Option<String>,
}

/// An interface: the first is eth0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nic {
    /// Network.
    pub name: String,
    /// One address a replica; derived when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<Ipv4Addr>,
    /// The default route goes here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
}

/// A port of the instance's host that leads to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortMap {
    /// Port on the host.
    pub listen: u16,
    /// Port of the instance.
    pub to: u16,
    /// Protocol.
    pub protocol: Protocol,
    /// Only on this address of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// Sources that may use it; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Ipv4Net>,
    /// Network by which it is reached; the first when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// How one knows that an instance is ready. Exactly one of `tcp`, `http` and `command`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// A TCP port that accepts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<u16>,
    /// A path that answers with a status from 200 to 399.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// A program in the instance that ends with 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// How long to wait for it; 60 s when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How often to look; 1 s when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
}

/// What an instance may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Bytes of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
}

impl Limits {
    fn none(&self) -> bool {
        *self == Limits::default()
    }
}

/// A file put into an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// Where its contents are, relative to the document.
    pub source: String,
    /// Octal mode; that of the source when absent.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write::mode")]
    pub mode: Option<u32>,
    /// User, or user:group, that owns it in the instance; root when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// Where a volume appears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Path in the instance.
    pub path: String,
    /// Without the right to write.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// The same image in every driver's form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Image {
    /// For the OCI runtime: `oci:FOLDER` or `docker://NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oci: Option<String>,
    /// For LXD: `tar:FILE` or `REMOTE:ALIAS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lxd: Option<String>,
    /// For Incus, the same words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incus: Option<String>,
    /// For Docker: a reference, or `tar:FILE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker: Option<String>,
}

/// What runs an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// An OCI runtime, without a daemon.
    #[default]
    Oci,
    /// LXD.
    Lxd,
    /// Incus.
    Incus,
    /// Docker.
    Docker,
}

/// When an instance is started again after it stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Always, also after a reboot.
    #[default]
    Always,
    /// When it ended with a failure.
    OnFailure,
    /// Never.
    No,
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
