//! The intent of a host, other observed facts, and what the verbs print.

mod restored;

pub use restored::{Back, BackAt, Half, Own, Restored, RestoredSeen};

use common::plan::WithKept;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What `--destroy-data` removes: the records of a stack.
pub const RECORDS: &str = "/var/lib/lsx/snap";
/// The tag of a snapshot of one moment.
pub(crate) const CONSISTENT: &str = "lsx-consistent";

/// One object of a host.
pub type Object = WithKept<Own>;

/// What a host keeps: `/etc/lsx/STACK/snap.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// `lsx.snap.intent/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// The name of the host in the stack.
    pub host: String,
    /// Snapshot jobs with volumes on this host, by name.
    pub jobs: Vec<Job>,
    /// The repositories that they need, by name.
    pub repositories: Vec<Repository>,
}

/// The part of a snapshot job that a host does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Name in `snap.what`.
    pub name: String,
    /// Its volumes on this host, at one point in time.
    pub volumes: Vec<String>,
    /// Its repositories.
    pub to: Vec<String>,
}

/// A repository in a folder of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Repository {
    /// Name in `snap.to`.
    pub name: String,
    /// The folder.
    pub path: String,
    /// The secret with its password.
    pub key: String,
    /// The digest of that.
    pub digest: String,
}

/// Further facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// The tool's copy on this host, which the boot entry runs.
    #[serde(default)]
    pub program: String,
    /// Snapshot jobs, by stack and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobSeen>,
    /// Repositories, by stack and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<RepositorySeen>,
    /// What restores keep beside volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restores: Vec<RestoredSeen>,
}

/// A job of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobSeen {
    /// The stack.
    pub stack: String,
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// Its last run; absent if it has never run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Run>,
    /// What no run has ever saved, if it has run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsaved: Vec<Unsaved>,
}

/// A repository of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepositorySeen {
    /// The stack.
    pub stack: String,
    /// The repository.
    #[serde(flatten)]
    pub repository: Repository,
    /// `new` if the first `take` makes it, `ready`, or `missing` if it was there.
    pub state: State,
}

/// Whether a repository can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The first `take` makes it.
    New,
    /// It is there.
    Ready,
    /// It was there.
    Missing,
}

/// A volume that a repository has never had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unsaved {
    /// The volume.
    pub volume: String,
    /// The repository.
    pub repository: String,
}

/// A run of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The time of the last snapshot, also of an earlier run, RFC 3339 in UTC; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Whether everything was saved, to all repositories.
    pub ok: bool,
    /// Whether it has not ended yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub running: bool,
}

/// The record of a stack on a host: /var/lib/lsx/snap/STACK/data/runs.json.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Runs {
    /// `lsx.snap.runs/1`.
    pub(crate) schema: String,
    /// What repositories call themselves, by path.
    pub(crate) repositories: BTreeMap<String, String>,
    /// The digests of their configurations, by path.
    #[serde(default)]
    pub(crate) configurations: BTreeMap<String, String>,
    /// The last run of each job.
    pub(crate) jobs: BTreeMap<String, Recorded>,
}

/// The last run of a job, as it is recorded: before it begins, and at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    /// As in [`Run`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    /// As in [`Run`].
    pub(crate) ok: bool,
    /// The process, until it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<Process>,
    /// The repositories, by what they call themselves, that have ever had a snapshot of a volume.
    #[serde(default)]
    pub(crate) saved: BTreeMap<String, BTreeSet<String>>,
}

/// A process; no other one ever has the same number and start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: u32,
    /// The machine's start, and the process's after it.
    pub(crate) start: String,
}

/// What its steps share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Shared {
    /// The secrets that a host needs, by the digest of its intent and by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, BTreeMap<String, Key>>,
}

/// A secret: its digest, and its place on the operator's machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    /// The digest of its value.
    pub digest: String,
    /// Its place; absent if the host must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// What `take` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Taken {
    /// `lsx.snap.taken/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// What was saved, by host.
    pub snapshots: Vec<TakenAt>,
}

/// A volume that was saved in a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TakenAt {
    /// The host.
    #[serde(default)]
    pub host: String,
    /// The job.
    pub job: String,
    /// The volume.
    pub volume: String,
    /// The repository.
    pub repository: String,
    /// The snapshot's name there.
    pub id: String,
    /// The time of what was saved, RFC 3339 in UTC.
    pub at: String,
    /// Whether all of the volume is from one moment. If not, programs may have written to it meanwhile.
    pub consistent: bool,
    /// Whether all of it was read; what was not is in the failure.
    pub complete: bool,
    /// The number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes by which the repository grew.
    pub added_bytes: u64,
}

/// What `list` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct List {
    /// `lsx.snap.list/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// Its snapshots, by host and repository, the oldest first.
    pub snapshots: Vec<ListAt>,
}

/// A snapshot in a repository of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListAt {
    /// The host with the repository.
    #[serde(default)]
    pub host: String,
    /// The repository.
    pub repository: String,
    /// The snapshot.
    #[serde(flatten)]
    pub snapshot: Snapshot,
}

/// A snapshot in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// Its name there.
    pub id: String,
    /// The time of what was saved, RFC 3339 in UTC.
    pub at: String,
    /// The host whose volume it is.
    pub of: String,
    /// The volume.
    pub volume: String,
    /// Whether some of it could not be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
    /// Whether all of it is from one moment.
    pub consistent: bool,
    /// The bytes of its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}
