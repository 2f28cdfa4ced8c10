//! What an instance gets in addition to its image: limits, volumes, memory, secrets.

use crate::schema::{AbsolutePath, CpusText, FileMode, Int, SizeText, Word, rlimits, table};
use crate::value::{Cpus, Rlimit, Size, octal};
use schemars::JsonSchema;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Resource limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = rlimits)]
pub struct Limits {
    /// Memory in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SizeText>")]
    pub memory: Option<Size>,
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<CpusText>")]
    pub cpus: Option<Cpus>,
    /// Number of processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 4194304>>")]
    pub processes: Option<u32>,
    /// Disk space in bytes, without volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SizeText>")]
    pub disk: Option<Size>,
    /// Limits of setrlimit(2), by name.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rlimits: BTreeMap<String, Rlimit>,
}

impl Limits {
    pub(super) fn none(&self) -> bool {
        *self == Limits::default()
    }
}

/// A volume in an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Mount {
    /// Path in the instance.
    #[schemars(with = "AbsolutePath")]
    pub path: String,
    /// Mount it read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub read_only: bool,
    /// Other instances on the same host may write to it, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub shared: bool,
    /// User, or user:group, that owns its folder; default for a new volume: as in the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Word>")]
    pub owner: Option<String>,
    /// Octal mode of its folder; default for a new volume: as in the image.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "octal")]
    #[schemars(with = "Option<FileMode>")]
    pub mode: Option<u32>,
}

/// A folder in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Tmpfs {
    /// Its size; default: half of the host's memory, at most the instance's limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SizeText>")]
    pub size: Option<Size>,
    /// Octal mode; default: 1777.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "octal")]
    #[schemars(with = "Option<FileMode>")]
    pub mode: Option<u32>,
}

/// A secret of an instance; its name alone is the short form.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Granted {
    /// Name in `secrets`.
    #[schemars(with = "Word")]
    pub name: String,
    /// User, or user:group, that owns it in the instance; default: the instance's user.
    #[schemars(with = "Option<Word>")]
    pub owner: Option<String>,
    /// Octal mode; default: 0400.
    #[schemars(with = "Option<FileMode>")]
    pub mode: Option<u32>,
}

impl Serialize for Granted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.owner.is_none() && self.mode.is_none() {
            return serializer.serialize_str(&self.name);
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        if let Some(owner) = &self.owner {
            map.serialize_entry("owner", owner)?;
        }
        if let Some(mode) = self.mode {
            map.serialize_entry("mode", &format!("{mode:04o}"))?;
        }
        map.end()
    }
}

/// A value for a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipeValue {
    /// A text.
    Text(String),
    /// The secret of this name, without the newlines at its end.
    Secret(String),
}

/// The long form of [`RecipeValue`].
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub(crate) struct SecretValue<'a> {
    /// Name in `secrets`.
    #[schemars(with = "Word")]
    secret: &'a str,
}

impl Serialize for RecipeValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            RecipeValue::Text(text) => serializer.serialize_str(text),
            RecipeValue::Secret(secret) => SecretValue { secret }.serialize(serializer),
        }
    }
}
