//! What an instance gets in addition to its image.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A file added to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct File {
    /// Absolute path in the instance.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// User, or user:group, by name or number; empty: root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// SHA-256 of its content, which is a blob of the image store.
    pub digest: String,
}

/// A folder of the host in an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Volume {
    /// Name in the stack.
    pub name: String,
    /// Path in the instance.
    pub path: String,
    /// Mounted read-only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// User, or user:group, that owns its folder; absent: unchanged, and for a new volume as in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Permission bits of its folder; absent: unchanged, and for a new volume as in the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// A folder in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tmpfs {
    /// Path in the instance.
    pub path: String,
    /// Size in bytes; absent: the kernel's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Permission bits; absent: 1777.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// A limit of setrlimit(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rlimit {
    /// Its name in lower case, such as `nofile`.
    pub name: String,
    /// The soft limit; absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft: Option<u64>,
    /// The hard limit; absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard: Option<u64>,
}

/// A secret, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Secret {
    /// Name in the stack.
    pub name: String,
    /// User, or user:group; absent: the instance's user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Permission bits; absent: 0400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// SHA-256 of its value.
    pub digest: String,
}

/// A script that is run in an instance once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recipe {
    /// Its name in the document.
    pub path: String,
    /// Permission bits of its file, which are not used.
    pub mode: u32,
    /// SHA-256 of its text, which is a blob of the image store.
    pub digest: String,
    /// Its values: those of `defaults.values` that its text names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Value>,
}

/// A value for a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// A text.
    Text(String),
    /// A secret, without its value.
    Secret {
        /// Name in the stack.
        secret: String,
        /// SHA-256 of its value.
        digest: String,
    },
}

/// A recipe that has been run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// The recipe.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// When it ended (RFC 3339); absent if an older lsx-ct ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

impl Recipe {
    /// Whether two have the same name, text and values.
    pub fn same(&self, other: &Recipe) -> bool {
        (&self.path, &self.digest, &self.values) == (&other.path, &other.digest, &other.values)
    }

    /// The secrets among its values, with their digests.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.values().filter_map(|value| match value {
            Value::Secret { secret, digest } => Some((secret.as_str(), digest.as_str())),
            Value::Text(_) => None,
        })
    }
}

/// The proxy for the files of an instance; its variables are also in the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proxy {
    /// For HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// For HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<String>,
    /// Variables for logins.
    pub env: BTreeMap<String, String>,
}
