//! What an instance is given beside its image.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A file put into an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct File {
    /// Absolute path in the instance; of a recipe, its name.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// User, or user:group, by name or number; empty: root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// SHA-256 of its contents, which are a blob of the image store.
    pub digest: String,
}

/// A folder of the host in an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Volume {
    /// Name in the stack.
    pub name: String,
    /// Path in the instance.
    pub path: String,
    /// Without the right to write.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// User, or user:group, that owns its folder; absent: as it is, and a new one as the image's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Permission bits of its folder; absent: as it is, and a new one as the image's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// A folder in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tmpfs {
    /// Path in the instance.
    pub path: String,
    /// Bytes it holds; absent: what the kernel gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Permission bits; absent: 1777.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// A limit of setrlimit(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rlimit {
    /// Its name in small letters, as `nofile`.
    pub name: String,
    /// The soft limit; absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soft: Option<u64>,
    /// The hard limit; absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard: Option<u64>,
}

/// A secret: never its value.
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
