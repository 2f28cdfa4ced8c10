//! Restores: what a host remembers of them, what is observed of one that is half done, and what the verbs print.

use common::plan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An object of this tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "object", rename_all = "snake_case")]
pub enum Own {
    /// A restore that was killed: `up` and `down` end it.
    Restore {
        /// The volume.
        volume: String,
        /// Whether the volume has what it is to have, so that the restore is finished. Otherwise the volume stays as it was.
        exchanged: bool,
    },
}

impl Own {
    /// Its key among the objects of a host.
    pub(crate) fn key(&self) -> String {
        let Own::Restore { volume, .. } = self;
        format!("restore:{volume}")
    }
}

impl plan::Object for Own {
    fn replaced_by(&self, _: &Self) -> bool {
        false
    }

    fn called(&self) -> Option<(String, &'static str)> {
        let Own::Restore { volume, .. } = self;
        Some((format!("restore of volume {volume}"), ""))
    }
}

/// A restore of a volume of this host: the volume has one of two contents, and the other one is beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restored {
    /// The volume.
    pub volume: String,
    /// The folder of its content.
    pub path: String,
    /// The folder with the other content.
    pub beside: String,
    /// The mark of the content that was restored.
    pub token: String,
    /// The snapshot.
    pub snapshot: String,
    /// The repository that it is in.
    pub repository: String,
    /// When it was restored, RFC 3339 in UTC.
    pub at: String,
    /// The mark of the first of all that are exchanged together.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Whether `undo` has brought back what was there before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
    /// What is not done yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half: Option<Half>,
}

/// An exchange that is not done yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Half {
    /// Whether the volume is to have the content that was restored.
    pub restored: bool,
    /// Whether what is beside the volume then is of no use.
    pub drop: bool,
    /// Instances that were stopped, and are started again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<String>,
}

/// A restore on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoredSeen {
    /// The stack.
    pub stack: String,
    /// The restore.
    #[serde(flatten)]
    pub restored: Restored,
}

/// What `restore`, `undo` and `settle` print.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Back {
    /// `lsx.snap.back/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// The verb.
    pub verb: String,
    /// Volumes, by host.
    pub volumes: Vec<BackAt>,
}

/// A volume that has other content now, or a path that was restored elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackAt {
    /// The host.
    #[serde(default)]
    pub host: String,
    /// The volume.
    pub volume: String,
    /// The repository.
    pub repository: String,
    /// The snapshot.
    pub snapshot: String,
    /// The time of what was saved, RFC 3339 in UTC; absent where no repository was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The number of files that were restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Their bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Where it was restored, if that is not the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The folder with the content that the volume does not have; absent if it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
    /// Instances that were stopped meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<String>,
}
