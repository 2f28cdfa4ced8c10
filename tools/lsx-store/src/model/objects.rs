//! The configuration of a host's S3 server.

use super::State;
use common::stack::Action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

/// The name of the service.
pub const S3: &str = "s3";

/// What the S3 server of a host serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Objects {
    /// Where it listens: at the gateways of its networks.
    #[schemars(with = "Vec<String>")]
    pub listen: Vec<SocketAddrV4>,
    /// The name of its region, which clients may be told.
    pub region: String,
    /// The secret of each user, by the name in the document. The user's name is the access key.
    pub users: BTreeMap<String, String>,
    /// Buckets, by name.
    pub buckets: BTreeMap<String, ServedBucket>,
}

/// A bucket that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServedBucket {
    /// The volume that has a folder with the name of the bucket.
    pub volume: String,
    /// Whether earlier versions of its objects are kept; else its users decide.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub versioning: bool,
    /// What users may do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub allow: BTreeMap<String, Vec<Right>>,
}

/// A bucket as a host has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BucketSeen {
    /// The stack.
    pub stack: String,
    /// The bucket.
    pub bucket: String,
    /// Its volume.
    pub volume: String,
    /// The folder of its objects.
    pub path: String,
    /// Whether it can be used: its volume and its folder are there.
    pub state: State,
    /// The number of uploads in parts that have begun and are not objects yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploads: Option<u64>,
    /// When something was last added to the one that has waited for the longest time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_at: Option<String>,
}

/// What a user may do with a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Read objects.
    Get,
    /// Write objects.
    Put,
    /// List objects.
    List,
    /// Delete objects.
    Delete,
}

impl From<Action> for Right {
    fn from(action: Action) -> Self {
        match action {
            Action::Get => Right::Get,
            Action::Put => Right::Put,
            Action::List => Right::List,
            Action::Delete => Right::Delete,
        }
    }
}

/// A secret that the server needs: its digest, and its place on the operator's machine. Values are in no document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    /// The digest of its value.
    pub digest: String,
    /// Its place on the operator's machine; none if the host must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

impl Objects {
    /// Its folder in a volume, for each bucket.
    pub fn folders(&self) -> Vec<common::plan::VolumeFolder> {
        let of = |(name, bucket): (&String, &ServedBucket)| common::plan::VolumeFolder {
            volume: bucket.volume.clone(),
            name: name.clone(),
        };
        self.buckets.iter().map(of).collect()
    }
}
