//! The volumes of a plan, the intent of a host, and other observed facts.

mod disks;
mod objects;
mod remote;
mod volume;

pub use disks::{Disk, of as disk_of, parse as disks_of};
pub use objects::{BucketSeen, Key, Objects, Right, S3, ServedBucket};
pub use remote::{Done, List, Row};
pub use volume::{Driver, RECORDS, State, VOLUMES, Volume};

use common::plan::{self, WithKept};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Beside volumes: what is left of those that were removed, and can be made read-only.
pub const REMOVED: &str = ".lsx-removed";

/// One object of a host.
pub type Object = WithKept<Own>;

/// One of this tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "object", rename_all = "snake_case")]
pub enum Own {
    /// A volume.
    Volume(Volume),
}

/// What a host keeps: `/etc/lsx/STACK/store.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// `lsx.store.intent/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// The volumes, by name.
    pub volumes: Vec<Volume>,
    /// What its S3 server serves, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<Objects>,
    /// The digests of the secrets that the server needs, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
}

/// Further facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// The tool's copy on this host, which the boot entry runs.
    #[serde(default)]
    pub program: String,
    /// File systems of this host that can have volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<Disk>,
    /// Programs of this host that drivers need.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub programs: BTreeSet<String>,
    /// Volumes of the stack at their place that lsx-store does not keep: those that lsx-ct has made.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unkept: BTreeSet<String>,
    /// What volumes use, if their file system can be asked; as JSON rows of `usage`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<Usage>,
    /// Buckets that its S3 server serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<BucketSeen>,
}

/// What its steps share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Shared {
    /// The secrets that servers need, by the digest of the definition and by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, BTreeMap<String, Key>>,
}

/// What `volume move` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    /// `lsx.store.moved/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// The volume.
    pub volume: String,
    /// The host that it was on; absent if an earlier run has moved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The host that it is on.
    pub to: String,
    /// How often the volume was compared with its copy.
    pub passes: u64,
    /// Bytes of files that were sent.
    pub sent_bytes: u64,
    /// Milliseconds from before its instances were stopped until those of the new host were started.
    pub stopped_ms: u64,
    /// The instances that were stopped for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<String>,
    /// What has to change in the document, as values of `--set`; else the next `up` refuses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<String>,
}

/// The space that a volume uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// The stack.
    pub stack: String,
    /// The volume.
    pub volume: String,
    /// Its driver.
    pub driver: Driver,
    /// The folder of its content.
    pub path: String,
    /// Bytes that it uses, if that is known without reading all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// Maximum size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Whether writers are stopped at that size.
    pub enforced: bool,
    /// Whether there are subvolumes of btrfs in it, whose content counts to no size.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub subvolumes: bool,
    /// Files and folders in it, if they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_inodes: Option<u64>,
    /// Bytes that are free on its disk.
    pub free_bytes: u64,
    /// Bytes that its disk has.
    pub disk_bytes: u64,
    /// Bytes of its disk that stay free: with less, instances that write are stopped.
    #[serde(default)]
    pub reserve_bytes: u64,
    /// Files that its disk can still have, if their number is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_inodes: Option<u64>,
    /// Files that its disk can have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_inodes: Option<u64>,
}

/// What `usage` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Used {
    /// `lsx.store.usage/1`.
    pub schema: String,
    /// The stack; absent for all stacks of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The volumes, by host and name.
    pub volumes: Vec<UsageAt>,
}

/// The space that a volume uses on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageAt {
    /// The host.
    pub host: String,
    /// The space.
    #[serde(flatten)]
    pub usage: Usage,
}

impl plan::Object for Own {
    fn replaced_by(&self, _: &Self) -> bool {
        false
    }

    fn called(&self) -> Option<(String, &'static str)> {
        let Own::Volume(volume) = self;
        Some((format!("volume {}", volume.name), ""))
    }

    fn brief(&self) -> String {
        let Own::Volume(volume) = self;
        format!("{} at {}", volume.driver, volume.path)
    }
}
