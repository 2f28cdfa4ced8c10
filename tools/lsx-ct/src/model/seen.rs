//! What else is seen on a host: how its instances fare, and what could run one.

use common::stack::Driver;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// What `observe` tells beside the objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// Every instance of every engine here that lsx made.
    pub instances: Vec<Status>,
    /// What can run instances here, and what is missing.
    pub engines: Vec<Engine>,
    /// Names that engines hold for somebody else, as `lxd:web`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<String>,
    /// Volumes of the stack that was asked for, on this host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Digests of the images in the store of this host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// Digest of what this host keeps for the stack that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<super::Intent>,
    /// This program's copy here, which a boot entry names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub program: String,
}

/// How an instance fares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The stack it belongs to.
    pub stack: String,
    /// Its name.
    pub name: String,
    /// What runs it.
    pub driver: Driver,
    /// Its image, as the document calls it.
    pub image: String,
    /// Its addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// Whether whoever needs it may go on: it runs, and its probe, where it has one, was answered.
    #[serde(default)]
    pub ready: bool,
    /// Its snapshots, where its engine makes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// The recipes that have been run in it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipes: Vec<super::Done>,
    /// What it does.
    #[serde(flatten)]
    pub condition: Condition,
    /// What it uses.
    #[serde(flatten)]
    pub usage: Usage,
}

/// What an instance does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Condition {
    /// In one word.
    pub state: State,
    /// Its first process, as the host counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When it was started last (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// How often it was started again by itself.
    #[serde(default)]
    pub restarts: u32,
    /// How it ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// What it waits for, or why it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What an instance does, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does not run.
    #[default]
    Stopped,
    /// It waits for what it needs.
    Waiting,
    /// It runs and is not ready yet.
    Starting,
    /// It runs, and is ready where it has a probe.
    Running,
    /// It ended, and will be started again in a moment.
    Restarting,
    /// It ended by itself and stays so.
    Exited,
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exit {
    /// Exit code; 128 and the signal where one ended it.
    pub code: i32,
    /// When (RFC 3339).
    pub at: String,
    /// Whether the kernel ended it for want of memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oom: bool,
}

/// What an instance uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Time on processors, in milliseconds.
    #[serde(default)]
    pub cpu_ms: u64,
    /// Memory, in bytes.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Processes.
    #[serde(default)]
    pub processes: u64,
    /// Received on all interfaces, in bytes.
    #[serde(default)]
    pub received_bytes: u64,
    /// Sent on all interfaces, in bytes.
    #[serde(default)]
    pub sent_bytes: u64,
}

/// Something that can run instances here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Engine {
    /// The driver that uses it.
    pub driver: Driver,
    /// Program or server, with version: `runc 1.1.5`.
    pub name: String,
    /// What it can do here: `userns`, `idmap`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub can: Vec<String>,
    /// What it cannot do here and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cannot: Vec<String>,
    /// Profiles that it has, where it has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profiles: Option<Vec<String>>,
    /// Whether it works at all: tried by running something.
    pub works: bool,
}
