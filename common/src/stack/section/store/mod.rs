//! Volumes, disks and objects.

pub(crate) mod decode;
pub(crate) mod rules;
pub(crate) mod s3;
pub(crate) mod s3_rules;

use crate::stack::schema::{
    AbsolutePath, BorrowerText, BucketName, FileMode, Int, Labelled, Named, SizeText, Word, table,
};
use crate::stack::value::Size;
use crate::stack::value::{is_default, octal};
use s3::{Bucket, S3, S3User};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Volumes, disks and objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Store {
    /// Folder of volumes on each host; `/var/lib/lsx/volumes/STACK` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<AbsolutePath>")]
    pub root: Option<String>,
    /// What volumes are made of.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<StoreDriver>")]
    pub driver: StoreDriver,
    /// A map from a host to what its volumes are made of.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Named<Pool>>")]
    pub pools: BTreeMap<String, Pool>,
    /// A map of volumes by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<Volume>>")]
    pub volumes: BTreeMap<String, Volume>,
    /// A map of disks that are lent by iSCSI, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<Disk>>")]
    pub disks: BTreeMap<String, Disk>,
    /// The server of objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
    /// A map of those who use objects.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<S3User>>")]
    pub users: BTreeMap<String, S3User>,
    /// A map of buckets by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<BucketName, Bucket>>")]
    pub buckets: BTreeMap<String, Bucket>,
    /// A registry of images whose old ones go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<Registry>,
}

/// What a volume is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreDriver {
    /// What the host has of the following, the first.
    #[default]
    Auto,
    /// A subvolume.
    Btrfs,
    /// A data set.
    Zfs,
    /// A logical volume of a thin pool.
    Lvm,
    /// A folder with a project quota.
    Xfs,
    /// A folder.
    Directory,
}

/// Where the volumes of a host are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Pool {
    /// What they are made of; that of the section when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<StoreDriver>,
    /// A volume group and thin pool as `vg0/thin`, a data set, or a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub from: Option<String>,
}

/// A volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Volume {
    /// Most that it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SizeText>")]
    pub size: Option<Size>,
    /// Host it is on; that of the instance that uses it when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub host: Option<String>,
    /// User, or user:group, that owns its folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub owner: Option<String>,
    /// Octal mode of its folder.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "octal")]
    #[schemars(with = "Option<FileMode>")]
    pub mode: Option<u32>,
    /// What it is made of; that of its host when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<StoreDriver>,
}

/// A disk that is lent by iSCSI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Disk {
    /// How much it holds.
    #[schemars(with = "SizeText")]
    pub size: Size,
    /// Host it is on.
    #[schemars(with = "Word")]
    pub host: String,
    /// What lends it.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<DiskDriver>")]
    pub driver: DiskDriver,
    /// Network by which it is reached.
    #[schemars(with = "Word")]
    pub network: String,
    /// Who may use it: `instance/NAME` or `host/NAME`.
    #[schemars(with = "BorrowerText")]
    pub to: Borrower,
}

/// What lends a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiskDriver {
    /// The kernel where it can.
    #[default]
    Auto,
    /// The kernel.
    Lio,
    /// tgtd of the host.
    Tgt,
}

/// A registry of images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Registry {
    /// The instance that is one.
    #[schemars(with = "Word")]
    pub instance: String,
    /// Its volume.
    #[schemars(with = "Word")]
    pub volume: String,
    /// Tags of each image that stay; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 10000>>")]
    pub keep: Option<u32>,
}

/// Who may use a disk; written `instance/vm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Borrower {
    /// An instance.
    Instance(String),
    /// A host.
    Host(String),
}

impl Borrower {
    /// Stands for what could not be read.
    fn none() -> Self {
        Borrower::Host(String::new())
    }
}

impl fmt::Display for Borrower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Borrower::Instance(name) => write!(f, "instance/{name}"),
            Borrower::Host(name) => write!(f, "host/{name}"),
        }
    }
}

impl Serialize for Borrower {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
