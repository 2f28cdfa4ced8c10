//! An instance as its host should run it: every value said, nothing left to the engine. Two are compared field by field.

use super::{Done, File, Recipe, Rlimit, Secret, Tmpfs, Volume};
use common::stack::resolved::NicAt;
use common::stack::{Driver, Restart};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// Name: the key in the stack, or key-number with `count`.
    pub name: String,
    /// The key in the stack.
    pub of: String,
    /// What runs it.
    pub driver: Driver,
    /// What it is made of.
    pub image: Image,
    /// Its own name for itself.
    pub hostname: String,
    /// Interfaces in order, complete in themselves.
    pub nics: Vec<NicAt>,
    /// What runs in it; empty: what the image says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Arguments of what runs; empty: what the image says, where it says what runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Whether it is a whole system; absent: what the image says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<bool>,
    /// User, or user:group; absent: what the image says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Folder it starts in; absent: what the image says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Environment, over that of the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What it may use.
    #[serde(default, skip_serializing_if = "Limits::none")]
    pub limits: Limits,
    /// Files put into it, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// Folders of the host that outlive it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Bytes of its /dev/shm; absent: 64 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_bytes: Option<u64>,
    /// Folders in memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<Tmpfs>,
    /// Bytes of disk that its layer is limited to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Limits of setrlimit(2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rlimits: Vec<Rlimit>,
    /// At /run/secrets/NAME.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// When it is started again after it ended.
    pub restart: Restart,
    /// Profiles of LXD or Incus, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// Programs run in it once, after its first start, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipes: Vec<Recipe>,
    /// What must be ready before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// How one knows that it is ready; absent: it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// Digest of its /etc/hosts, a text of the plan.
    pub hosts: String,
    /// Whether it runs, or has ended as it may.
    pub running: bool,
}

impl Instance {
    /// Whether what runs must be started anew to become `next`. Names, limits, and when it is ready or started again change
    /// while it runs; in LXD and Incus volumes do, too, and recipes are run in what runs.
    pub fn needs_restart(&self, next: &Instance) -> bool {
        let alone = |i: &Instance| i.driver == Driver::Oci;
        let fixed = |i: &Instance| Instance {
            nics: i.nics.iter().map(plugged).collect(),
            volumes: if alone(i) { i.volumes.clone() } else { Vec::new() },
            recipes: if alone(i) { i.recipes.clone() } else { Vec::new() },
            limits: Limits::default(),
            hosts: String::new(),
            restart: Restart::default(),
            needs: Vec::new(),
            ready: None,
            running: true,
            ..i.clone()
        };
        fixed(self) != fixed(next)
    }

    /// Whether nothing differs but its hosts file and its resolver, which are written in place.
    pub fn only_names_differ(&self, next: &Instance) -> bool {
        let fixed = |i: &Instance| Instance {
            nics: i.nics.iter().map(plugged).collect(),
            hosts: String::new(),
            running: true,
            ..i.clone()
        };
        fixed(self) == fixed(next)
    }

    /// What becoming `next` means for whoever uses it.
    pub fn means(&self, next: &Instance) -> &'static str {
        match (self.needs_recreate(next), self.needs_restart(next), self.running) {
            (true, ..) => "made anew, and what was written into it goes",
            (_, true, true) => "started anew",
            (_, _, false) => "started",
            _ => "changed while it runs",
        }
    }

    /// The recipes that have not been run yet, in order.
    pub fn recipes_left(&self, done: &[Done]) -> Vec<&Recipe> {
        let had = |recipe: &Recipe| done.iter().any(|done| done.recipe.same(recipe));
        self.recipes.iter().filter(|recipe| !had(recipe)).collect()
    }

    /// The secrets that its host must have, with their digests: its own, and those of its recipes.
    pub fn all_secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.secrets.iter().map(|secret| (secret.name.as_str(), secret.digest.as_str()));
        own.chain(self.recipes.iter().flat_map(Recipe::secrets))
    }

    /// Whether it must be made anew, which takes along what was written into it.
    pub fn needs_recreate(&self, next: &Instance) -> bool {
        let own = |i: &Instance| i.driver == Driver::Oci && i.disk_bytes.is_some();
        self.image.digest != next.image.digest || self.driver != next.driver || own(self) != own(next)
    }
}

/// An interface without what is written into resolv.conf because of it.
fn plugged(nic: &NicAt) -> NicAt {
    NicAt { resolver: Vec::new(), search: Vec::new(), ..nic.clone() }
}

/// What an instance is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// As the document calls it.
    pub name: String,
    /// Digest of its OCI manifest, `sha256:` and 64 hexadecimal digits.
    pub digest: String,
}

/// What an instance may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Bytes of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Thousandths of a processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus_milli: Option<u32>,
    /// Processes and threads.
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
    /// Whether it runs on the same host: then its own state is looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub here: bool,
    /// Its address as the dependent reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// What is tried from the dependent's own place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// How long `up` waits, in milliseconds; after a reboot there is no end.
    pub timeout_ms: u64,
}

/// How one knows that an instance is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ready {
    /// What is tried.
    #[serde(flatten)]
    pub probe: Probe,
    /// How long `up` waits, in milliseconds.
    pub timeout_ms: u64,
    /// How often it is tried at most, in milliseconds.
    pub interval_ms: u64,
}

/// One try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// A TCP port that accepts.
    Tcp(u16),
    /// A TCP port whose first bytes hold the words.
    Banner {
        /// Port.
        port: u16,
        /// Words.
        holds: String,
    },
    /// A path that answers with a status from 200 to 399.
    Http {
        /// Port.
        port: u16,
        /// Path, with its slash.
        path: String,
    },
    /// A program in the instance that ends with 0.
    Command(Vec<String>),
}
