//! The section `store`: volumes, disks and objects.

pub(crate) mod decode;
pub(crate) mod rules;
pub(crate) mod s3;
pub(crate) mod s3_rules;

use crate::schema::{
    AbsolutePath, BorrowerText, BucketName, FileMode, Int, Labelled, Named, SizeText, Word, table,
};
use crate::value::Size;
use crate::value::{is_default, octal};
use s3::{Bucket, S3, S3User};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Volumes, disks and objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Store {
    /// Folder of volumes on each host; default: `/var/lib/lsx/volumes/STACK`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<AbsolutePath>")]
    pub root: Option<String>,
    /// Driver of volumes.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<StoreDriver>")]
    pub driver: StoreDriver,
    /// A map from a host to the driver of its volumes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Named<Pool>>")]
    pub pools: BTreeMap<String, Pool>,
    /// A map of volumes by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<Volume>>")]
    pub volumes: BTreeMap<String, Volume>,
    /// A map of iSCSI disks, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<Disk>>")]
    pub disks: BTreeMap<String, Disk>,
    /// The S3 server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
    /// A map of S3 users.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<S3User>>")]
    pub users: BTreeMap<String, S3User>,
    /// A map of buckets by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<BucketName, Bucket>>")]
    pub buckets: BTreeMap<String, Bucket>,
    /// Cleanup of an image registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<Registry>,
}

/// The driver of a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreDriver {
    /// The first of the following that the host supports.
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

/// The source of a host's volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Pool {
    /// Driver; default: that of the section.
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
    /// Size limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SizeText>")]
    pub size: Option<Size>,
    /// Its host; default: that of the instance that uses it.
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
    /// Driver; default: that of its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<StoreDriver>,
}

/// An iSCSI disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Disk {
    /// Its size.
    #[schemars(with = "SizeText")]
    pub size: Size,
    /// Its host.
    #[schemars(with = "Word")]
    pub host: String,
    /// The iSCSI target software.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(with = "Option<DiskDriver>")]
    pub driver: DiskDriver,
    /// Network on which it is reached.
    #[schemars(with = "Word")]
    pub network: String,
    /// Its user: `instance/NAME` or `host/NAME`.
    #[schemars(with = "BorrowerText")]
    pub to: Borrower,
}

/// The iSCSI target software.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiskDriver {
    /// The kernel if it supports it, else tgtd.
    #[default]
    Auto,
    /// The kernel.
    Lio,
    /// tgtd of the host.
    Tgt,
}

/// An image registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Registry {
    /// The instance of the registry.
    #[schemars(with = "Word")]
    pub instance: String,
    /// Its volume.
    #[schemars(with = "Word")]
    pub volume: String,
    /// Number of tags kept for each image; default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 10000>>")]
    pub keep: Option<u32>,
}

/// A user of a disk; written `instance/vm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Borrower {
    /// An instance.
    Instance(String),
    /// A host.
    Host(String),
}

impl Borrower {
    /// Used for values that could not be read.
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
