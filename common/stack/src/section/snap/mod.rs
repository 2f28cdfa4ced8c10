//! The section `snap`: snapshots of a stack, their retention, and copies elsewhere.

pub(crate) mod decode;
pub(crate) mod rules;

use crate::schema::{
    ClockText, DurationText, Int, Labelled, Many, PercentText, QuiesceWord, RepositoryText, Short, SizeText,
    Word, table,
};
use crate::value::{Clock, Duration, Percent, Size};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Snapshots of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Snap {
    /// A map of repositories for copies, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<SnapTarget>>")]
    pub to: BTreeMap<String, SnapTarget>,
    /// A map of snapshot jobs, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<Job>>")]
    pub what: BTreeMap<String, Job>,
    /// Also save the document, locks and intents; default: `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<bool>,
    /// Verification of copies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Proof>,
}

/// A repository for copies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct SnapTarget {
    /// `sftp:user@host:/path`, `rest:https://...`, `s3:https://...` or `local:/path`.
    #[schemars(with = "RepositoryText")]
    pub repository: String,
    /// Secret that encrypts the copies.
    #[schemars(with = "Word")]
    pub key: String,
    /// This stack never deletes anything there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub append_only: bool,
    /// Bandwidth limit in bytes per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SizeText>")]
    pub limit: Option<Size>,
}

/// A snapshot job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Job {
    /// Volumes, at one point in time; default: the one with this name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub volumes: Vec<String>,
    /// Interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub every: Option<Duration>,
    /// Times of day, instead of `every`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<ClockText>>")]
    pub at: Vec<Clock>,
    /// Retention; default: all snapshots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// What to do with writing instances meanwhile: `none` (default), `freeze`, `stop`, or a map of commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Short<QuiesceWord, QuiesceTable>>")]
    pub quiesce: Option<Quiesce>,
    /// Repositories for copies, of `snap.to`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub to: Vec<String>,
    /// Excluded paths in volumes; `*` matches any text without a slash.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub exclude: Vec<String>,
}

/// Retention of snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Keep {
    /// All up to this age.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub all: Option<Duration>,
    /// The last of this many hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 10000>>")]
    pub hours: Option<u32>,
    /// The last of this many days.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 10000>>")]
    pub days: Option<u32>,
    /// The last of this many weeks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 10000>>")]
    pub weeks: Option<u32>,
    /// The last of this many months.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 10000>>")]
    pub months: Option<u32>,
    /// The last of this many years.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Int<1, 1000>>")]
    pub years: Option<u32>,
}

/// Commands around a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct QuiesceTable {
    /// The instance where they are run.
    #[serde(rename = "in")]
    #[schemars(with = "Word")]
    pub instance: String,
    /// Program and arguments, before the snapshot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub before: Vec<String>,
    /// Program and arguments, after the snapshot, also if it failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub after: Vec<String>,
    /// Time limit of each command; default: 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub timeout: Option<Duration>,
}

/// Verification of copies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Proof {
    /// Interval; default: 7d.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub every: Option<Duration>,
    /// Percentage of the data that is read back; default: `5%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<PercentText>")]
    pub read: Option<Percent>,
}

/// What to do with writing instances during a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quiesce {
    /// Nothing.
    None,
    /// Freeze their file system.
    Freeze,
    /// Stop them and start them again.
    Stop,
    /// Commands in an instance.
    Commands(QuiesceTable),
}

impl Serialize for Quiesce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Quiesce::None => serializer.serialize_str("none"),
            Quiesce::Freeze => serializer.serialize_str("freeze"),
            Quiesce::Stop => serializer.serialize_str("stop"),
            Quiesce::Commands(commands) => commands.serialize(serializer),
        }
    }
}
