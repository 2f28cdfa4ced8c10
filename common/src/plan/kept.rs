//! The objects that the engine keeps on a host for every tool, beside the tool's own. Pure.

use super::{Have, Want};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An object that the engine writes and removes for every tool, as documents have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "object", rename_all = "snake_case")]
pub enum Kept {
    /// The intent of this host, restored after a reboot.
    Intent {
        /// The key of its content.
        digest: String,
    },
    /// The entry that restores it.
    Boot {
        /// The program that it runs.
        program: String,
        /// The host's name in the stack.
        host: String,
    },
    /// The entry that is run each minute.
    Timer {
        /// The program that it runs.
        program: String,
        /// The host's name in the stack.
        host: String,
    },
}

impl Kept {
    /// Its key among the objects of a tool.
    pub fn key(&self, tool: &str) -> String {
        let kind = match self {
            Kept::Intent { .. } => "intent",
            Kept::Boot { .. } => "boot",
            Kept::Timer { .. } => "timer",
        };
        format!("{kind}:{tool}")
    }

    /// The objects of a host with an intent; `program` is the tool's copy there, and `timer` whether there are jobs.
    pub fn of(digest: String, program: &str, host: &str, timer: bool) -> Vec<Kept> {
        let (program, host) = (program.to_owned(), host.to_owned());
        let entry = timer.then(|| Kept::Timer { program: program.clone(), host: host.clone() });
        [Kept::Intent { digest }, Kept::Boot { program, host }].into_iter().chain(entry).collect()
    }

    /// The keys of what an object needs that the intent names: so it is removed before both.
    pub fn below(tool: &str) -> Vec<String> {
        vec![format!("intent:{tool}"), format!("boot:{tool}")]
    }

    /// As wanted. A job reads the intent.
    pub fn want<O: From<Kept>>(self, tool: &str) -> Want<O> {
        let (needs, why) = match self {
            Kept::Timer { .. } => (Kept::below(tool), "runs jobs that are due"),
            _ => (Vec::new(), "restores this host after a reboot"),
        };
        Want { key: self.key(tool), object: self.into(), needs, why: why.to_owned() }
    }

    /// As existing: the timer is removed first, the boot entry last.
    pub fn have<O: From<Kept>>(self, tool: &str) -> Have<O> {
        let needs = match self {
            Kept::Timer { .. } => Kept::below(tool),
            Kept::Intent { .. } => vec![format!("boot:{tool}")],
            Kept::Boot { .. } => Vec::new(),
        };
        Have { key: self.key(tool), object: self.into(), needs }
    }
}
