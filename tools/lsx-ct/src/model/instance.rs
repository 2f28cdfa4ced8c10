//! The complete definition of an instance for its host, without defaults left to the engine. Two definitions are compared
//! field by field.

use super::{Done, File, IDS, Proxy, Recipe, Rlimit, Secret, Tmpfs, Volume};
use common::stack::resolved::NicAt;
use common::stack::{Driver, Restart};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// An instance as its host should run it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// Name: the key in the stack, or key-number with `count`.
    pub name: String,
    /// The key in the stack.
    pub of: String,
    /// The driver that runs it.
    pub driver: Driver,
    /// Its image.
    pub image: Image,
    /// Its hostname.
    pub hostname: String,
    /// Interfaces in order, with all their values.
    pub nics: Vec<NicAt>,
    /// Program and arguments; empty: as in the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Arguments; empty: those of the image, if it defines the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Whether it is a whole system; absent: as the image says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<bool>,
    /// Name of the signal that asks it to stop; absent: as in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Time from this signal until it is killed, in milliseconds; absent: 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_grace_ms: Option<u64>,
    /// User, or user:group; absent: as in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Number of its user and group ids; absent: 65,536.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<u32>,
    /// Working directory; absent: as in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Environment, in addition to that of the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The proxy for logins and package managers, written to its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// Resource limits.
    #[serde(default, skip_serializing_if = "Limits::none")]
    pub limits: Limits,
    /// Files added to it, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// Volumes of the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Size of its /dev/shm in bytes; absent: 64 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_bytes: Option<u64>,
    /// Folders in memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<Tmpfs>,
    /// Disk limit of its writable layer in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Limits of setrlimit(2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rlimits: Vec<Rlimit>,
    /// Secrets, at /run/secrets/NAME.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// When it is restarted after it ended.
    pub restart: Restart,
    /// Profiles of LXD or Incus, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Programs run in it once, after its first start, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipes: Vec<Recipe>,
    /// Instances that must be ready before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// Readiness check; absent: it is ready when it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// Digest of its /etc/hosts, a text of the plan.
    pub hosts: String,
    /// Whether it runs, or has ended as allowed.
    pub running: bool,
}

impl Instance {
    /// The parts of the image store that it uses.
    pub fn blobs(&self) -> impl Iterator<Item = String> + '_ {
        let files = self.files.iter().map(|file| file.digest.clone());
        let recipes = self.recipes.iter().map(|recipe| recipe.digest.clone());
        std::iter::once(self.image.digest.clone()).chain(files).chain(recipes)
    }

    /// Whether a running instance must be restarted to become `next`. Names, limits, readiness and restart policy change
    /// while it runs; in LXD and Incus volumes do, too, and recipes are run in the running instance.
    pub fn needs_restart(&self, next: &Instance) -> bool {
        let alone = |i: &Instance| i.driver == Driver::Oci;
        let fixed = |i: &Instance| Instance {
            nics: i.nics.iter().map(plugged).collect(),
            volumes: if alone(i) { i.volumes.clone() } else { Vec::new() },
            recipes: if alone(i) { i.recipes.clone() } else { Vec::new() },
            proxy: i.proxy.clone().filter(|_| alone(i)),
            limits: Limits::default(),
            stop_grace_ms: None,
            hosts: String::new(),
            restart: Restart::default(),
            needs: Vec::new(),
            ready: None,
            running: true,
            ..i.clone()
        };
        fixed(self) != fixed(next)
    }

    /// Whether only its hosts file and resolver differ, which are written in place.
    pub fn only_names_differ(&self, next: &Instance) -> bool {
        let fixed = |i: &Instance| Instance {
            nics: i.nics.iter().map(plugged).collect(),
            hosts: String::new(),
            running: true,
            ..i.clone()
        };
        fixed(self) == fixed(next)
    }

    /// The effect of the change to `next` on its users.
    pub fn means(&self, next: &Instance) -> &'static str {
        match (self.needs_recreate(next), self.needs_restart(next), self.running) {
            (true, ..) => "recreated, and its files are lost",
            (_, true, true) => "restarted",
            (_, _, false) => "started",
            _ => "changed while it runs",
        }
    }

    /// The recipes that have not been run yet, in order.
    pub fn recipes_left(&self, done: &[Done]) -> Vec<&Recipe> {
        let had = |recipe: &Recipe| done.iter().any(|done| done.recipe.same(recipe));
        self.recipes.iter().filter(|recipe| !had(recipe)).collect()
    }

    /// The secrets that its host needs, with their digests: its own, and those of its recipes.
    pub fn all_secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.secrets.iter().map(|secret| (secret.name.as_str(), secret.digest.as_str()));
        own.chain(self.recipes.iter().flat_map(Recipe::secrets))
    }

    /// The number of its user and group ids.
    pub fn ids(&self) -> u32 {
        self.ids.unwrap_or(IDS)
    }

    /// Whether it must be recreated, which loses its files: on disk they belong to its range of ids.
    pub fn needs_recreate(&self, next: &Instance) -> bool {
        let own = |i: &Instance| {
            let oci = i.driver == Driver::Oci;
            (oci && i.disk_bytes.is_some(), if oci { i.ids() } else { IDS })
        };
        self.image.digest != next.image.digest || self.driver != next.driver || own(self) != own(next)
    }
}

/// An interface without the values for resolv.conf.
fn plugged(nic: &NicAt) -> NicAt {
    NicAt { resolver: Vec::new(), search: Vec::new(), ..nic.clone() }
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// Its name in the document.
    pub name: String,
    /// Digest of its OCI manifest, `sha256:` and 64 hexadecimal digits.
    pub digest: String,
}

/// Resource limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Bytes of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Thousandths of a processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus_milli: Option<u32>,
    /// Number of processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
}

impl Limits {
    fn none(&self) -> bool {
        *self == Limits::default()
    }
}

/// Another instance that must be ready first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Need {
    /// Its name.
    pub instance: String,
    /// Whether it runs on the same host: then its recorded state is used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub here: bool,
    /// Its address as reached from the dependent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// The probe, made from the dependent's network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// How long `up` waits, in milliseconds; after a reboot there is no limit.
    pub timeout_ms: u64,
}

/// The readiness check of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ready {
    /// The probe.
    #[serde(flatten)]
    pub probe: Probe,
    /// How long `up` waits, in milliseconds.
    pub timeout_ms: u64,
    /// The minimum interval between probes, in milliseconds.
    pub interval_ms: u64,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// A TCP port that accepts connections.
    Tcp(u16),
    /// A TCP port whose first bytes contain the text.
    Banner {
        /// Port.
        port: u16,
        /// The text.
        holds: String,
    },
    /// A path that answers with a status from 200 to 399.
    Http {
        /// Port.
        port: u16,
        /// Path, with its leading slash.
        path: String,
    },
    /// The same by TLS, with a certificate that is trusted.
    Https {
        /// Port.
        port: u16,
        /// Path, with its leading slash.
        path: String,
        /// The name that the certificate must have.
        server_name: String,
        /// The certificates of the trusted authorities as PEM; absent: those of the host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<String>,
    },
    /// A program in the instance that exits with 0.
    Command(Vec<String>),
}
