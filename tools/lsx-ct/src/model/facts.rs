//! What else is observed on a host: the state of instances, and the engines.

use common::stack::Driver;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// What `observe` reports in addition to objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// All instances of lsx in all engines here.
    pub instances: Vec<Status>,
    /// The engines here, and what they lack.
    pub engines: Vec<Engine>,
    /// Names used by others in engines, such as `lxd:web`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<String>,
    /// Volumes of the requested stack on this host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Volumes of the requested stack that lsx-store keeps on this host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stored: Vec<String>,
    /// Digests of the images in the store of this host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// Digest of the host's intent for the requested stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<super::Intent>,
    /// This program's copy on the host, which the boot entry names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub program: String,
}

/// State and usage of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Its stack.
    pub stack: String,
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: Driver,
    /// Its image, by name in the document.
    pub image: String,
    /// Its addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// Whether it is ready: it runs, and its probe, if any, succeeded.
    #[serde(default)]
    pub ready: bool,
    /// Its snapshots, if the engine supports them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// The recipes that have been run in it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipes: Vec<super::Done>,
    /// Its state.
    #[serde(flatten)]
    pub condition: Condition,
    /// Its resource usage.
    #[serde(flatten)]
    pub usage: Usage,
}

/// The state of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Condition {
    /// The state in one word.
    pub state: State,
    /// Its first process, as numbered by the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When it was last started (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// How often it was restarted automatically.
    #[serde(default)]
    pub restarts: u32,
    /// How it last ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// What it waits for, or why it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Condition {
    /// Whether it ended as allowed: by itself, successfully, and not to be restarted.
    pub fn ended_well(&self) -> bool {
        self.state == State::Exited && self.exit.as_ref().is_some_and(|exit| exit.code == 0)
    }
}

/// The state of an instance in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does not run.
    #[default]
    Stopped,
    /// It waits for instances that it needs.
    Waiting,
    /// It runs but is not ready yet.
    Starting,
    /// It runs, and is ready if it has a probe.
    Running,
    /// It ended, and is about to be restarted.
    Restarting,
    /// It ended by itself and is not restarted.
    Exited,
}

impl State {
    /// It in words.
    pub fn word(self) -> &'static str {
        match self {
            State::Stopped => "stopped",
            State::Waiting => "waiting",
            State::Starting => "starting",
            State::Running => "running",
            State::Restarting => "restarting",
            State::Exited => "exited",
        }
    }
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exit {
    /// Exit code; 128 plus the signal that ended it.
    pub code: i32,
    /// When (RFC 3339).
    pub at: String,
    /// Whether the kernel killed it because it was out of memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oom: bool,
}

/// Resource usage of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// CPU time, in milliseconds.
    #[serde(default)]
    pub cpu_ms: u64,
    /// Memory, in bytes.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Number of processes.
    #[serde(default)]
    pub processes: u64,
    /// Bytes received on all interfaces.
    #[serde(default)]
    pub received_bytes: u64,
    /// Bytes sent on all interfaces.
    #[serde(default)]
    pub sent_bytes: u64,
}

/// The feature of an engine that enforces `limits.disk`.
pub const DISK_SIZES: &str = "disk";

/// An engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Engine {
    /// The driver that uses it.
    pub driver: Driver,
    /// Program or server, with version: `runc 1.1.5`.
    pub name: String,
    /// Its features here: `userns`, `idmap`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub can: Vec<String>,
    /// What it lacks here and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cannot: Vec<String>,
    /// Its profiles, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profiles: Option<Vec<String>>,
    /// Whether it works, tested by running something.
    pub works: bool,
}
