//! What the verbs on objects of any S3 server say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was done with an object or a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// `lsx.store.done/1`.
    pub schema: String,
    /// The verb: `put`, `get`, `rm`, `mb` or `rb`.
    pub verb: String,
    /// The server, as a URL.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// The key of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The file on this machine; none for standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The size of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The number of parts in which it was sent, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
    /// Its ETag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Whether a checksum of the server was compared with the bytes here. Without one only the size was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
}

/// Buckets, or objects of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct List {
    /// `lsx.store.list/1`.
    pub schema: String,
    /// The server, as a URL.
    pub endpoint: String,
    /// The bucket; none if all are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// Whether there are more than are shown.
    pub more: bool,
    /// What there is, in the order of the server.
    pub rows: Vec<Row>,
}

/// A line of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// A bucket, a key, or what several keys begin with.
    pub name: String,
    /// The size of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// When it was changed, or made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The ETag of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}
