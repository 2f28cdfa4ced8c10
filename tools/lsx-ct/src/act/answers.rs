//! The answers of the verbs on instances.

use crate::model::{Done, Recipe, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The result of a program in an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Ran {
    /// `lsx.ct.ran/1`.
    pub schema: String,
    /// The host.
    pub host: String,
    /// The stack; absent for a program on the host itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stack: String,
    /// The instance; absent for a program on the host itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// Whether its exit code is 0.
    pub ok: bool,
    /// Exit code; 128 plus the signal that ended it; 124 past the time limit; absent if it could not be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Its duration.
    pub ms: u64,
    /// Its standard output, the first 1 MiB; bytes that are not UTF-8 are replaced by U+FFFD.
    pub stdout: String,
    /// Its standard error, the first 1 MiB.
    pub stderr: String,
    /// Number of bytes of both that were left out; absent if none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "required by serde")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The result of a verb on an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Acted {
    /// `lsx.ct.acted/1`.
    pub schema: String,
    /// The host.
    pub host: String,
    /// The stack.
    pub stack: String,
    /// The instance.
    pub instance: String,
    /// `start`, `stop`, `restart` or `wait`.
    pub done: String,
    /// Whether it succeeded.
    pub ok: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A line of an instance's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Line {
    /// `lsx.ct.line/1`.
    pub schema: String,
    /// The host.
    pub host: String,
    /// The stack.
    pub stack: String,
    /// The instance.
    pub instance: String,
    /// When it was written (RFC 3339), if the engine knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// `stdout`, `stderr`, or `lsx` for messages of lsx-ct.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The line.
    pub line: String,
}

/// Resource usage of an instance, as rates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Top {
    /// `lsx.ct.top/1`.
    pub schema: String,
    /// The host.
    pub host: String,
    /// The stack.
    pub stack: String,
    /// The instance.
    pub instance: String,
    /// Its state.
    pub state: State,
    /// CPU usage, in percent of one processor; two busy processors are 200.
    pub cpu_percent: f64,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Number of processes.
    pub processes: u64,
    /// Received bytes per second.
    pub received_bps: u64,
    /// Sent bytes per second.
    pub sent_bps: u64,
}

/// The recipes of an instance, as recorded on its host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Had {
    /// The host.
    pub host: String,
    /// The stack.
    pub stack: String,
    /// The instance.
    pub instance: String,
    /// Those of its last definition.
    pub wanted: Vec<Recipe>,
    /// Those that have been run.
    pub done: Vec<Done>,
}

/// A recipe of an instance, and whether it has been run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecipeAt {
    /// `lsx.ct.recipe/1`.
    pub schema: String,
    /// The host.
    pub host: String,
    /// The stack.
    pub stack: String,
    /// The instance.
    pub instance: String,
    /// The recipe, as written in the document.
    pub recipe: String,
    /// Whether it has been run.
    pub state: RecipeState,
    /// For a changed one: `text`, and the names of its changed values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// SHA-256 of its current text; absent if it is not in the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// SHA-256 of the text of its last run; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_digest: Option<String>,
    /// When that run ended (RFC 3339); absent if an older lsx-ct ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_at: Option<String>,
}

/// Whether a recipe has been run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecipeState {
    /// It has been run with its current text and values.
    Ran,
    /// It has never been run in this instance.
    Missing,
    /// It has been run with another text or other values.
    Changed,
    /// It has been run, but is no longer in the document.
    Unnamed,
}
