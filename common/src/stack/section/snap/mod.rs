//! What is kept of a stack, how long and where else.

pub(crate) mod decode;
pub(crate) mod rules;

use crate::stack::schema::{
    ClockText, DurationText, Int, Labelled, Many, PercentText, QuiesceWord, RepositoryText, Short, SizeText,
    Word, table,
};
use crate::stack::value::{Clock, Duration, Percent, Size};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// What is kept of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Snap {
    /// A map of other places, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<SnapTarget>>")]
    pub to: BTreeMap<String, SnapTarget>,
    /// A map of what is kept, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<Labelled<Job>>")]
    pub what: BTreeMap<String, Job>,
    /// Keeps the document, the locks and what tools wrote, too; `true` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<bool>,
    /// How it is looked whether a copy can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Proof>,
}

/// Another place for copies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct SnapTarget {
    /// `sftp:user@host:/path`, `rest:https://...`, `s3:https://...` or `local:/path`.
    #[schemars(with = "RepositoryText")]
    pub repository: String,
    /// Secret that copies are locked with.
    #[schemars(with = "Word")]
    pub key: String,
    /// Nothing is taken away there by this stack.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub append_only: bool,
    /// Bytes a second, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SizeText>")]
    pub limit: Option<Size>,
}

/// What is kept together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Job {
    /// Volumes, at one point in time; the one of this name when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub volumes: Vec<String>,
    /// How often.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub every: Option<Duration>,
    /// Times of day, instead of `every`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<ClockText>>")]
    pub at: Vec<Clock>,
    /// How many stay; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// What happens to those who write meanwhile: `none` (when absent), `freeze`, `stop`, or a map of commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Short<QuiesceWord, QuiesceTable>>")]
    pub quiesce: Option<Quiesce>,
    /// Other places, of `snap.to`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub to: Vec<String>,
    /// Paths in volumes that are left out; `*` stands for any text without a slash.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub exclude: Vec<String>,
}

/// How many snapshots stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Keep {
    /// All of this age.
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
    /// The instance they are run in.
    #[serde(rename = "in")]
    #[schemars(with = "Word")]
    pub instance: String,
    /// Program and arguments, before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub before: Vec<String>,
    /// Program and arguments, after it, whatever happened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Many<Word>>")]
    pub after: Vec<String>,
    /// How long each may take; 10 s when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub timeout: Option<Duration>,
}

/// How copies are proved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = table)]
pub struct Proof {
    /// How often; 7 d when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DurationText>")]
    pub every: Option<Duration>,
    /// Share of the data that is read back; `5%` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<PercentText>")]
    pub read: Option<Percent>,
}

/// What happens to those who write while a snapshot is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quiesce {
    /// Nothing.
    None,
    /// Their file system waits.
    Freeze,
    /// They are stopped and started again.
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
