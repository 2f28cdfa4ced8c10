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
    /// A program that is kept running.
    Service {
        /// Its name.
        name: String,
        /// Digest of the definition that its supervisor has loaded; empty if there is none.
        config: String,
        /// Whether it runs, with a supervisor.
        running: bool,
    },
    /// The folder of what must outlive the stack: `down` removes it only with `--destroy-data`.
    Data {
        /// Its path.
        path: String,
    },
}

/// What a service runs: the text of a plan that [`Kept::Service`] names by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Definition {
    /// The program and its arguments. It runs as root, in the foreground.
    pub argv: Vec<String>,
}

impl Kept {
    /// Its key among the objects of a tool.
    pub fn key(&self, tool: &str) -> String {
        match self {
            Kept::Intent { .. } => format!("intent:{tool}"),
            Kept::Boot { .. } => format!("boot:{tool}"),
            Kept::Timer { .. } => format!("timer:{tool}"),
            Kept::Service { name, .. } => format!("service:{name}"),
            Kept::Data { .. } => format!("data:{tool}"),
        }
    }

    /// The objects of a host with an intent; `program` is the tool's copy there, and `timer` whether there are jobs.
    pub fn of(digest: String, program: &str, host: &str, timer: bool) -> Vec<Kept> {
        let (program, host) = (program.to_owned(), host.to_owned());
        let entry = timer.then(|| Kept::Timer { program: program.clone(), host: host.clone() });
        [Kept::Intent { digest }, Kept::Boot { program, host }].into_iter().chain(entry).collect()
    }

    /// The folder of a tool's data of a stack.
    pub fn data(tool: &str, stack: &str) -> Kept {
        Kept::Data { path: format!("/var/lib/lsx/{tool}/{stack}/data") }
    }

    /// The keys of what an object needs that the intent names: so it is removed before both.
    pub fn below(tool: &str) -> Vec<String> {
        vec![format!("intent:{tool}"), format!("boot:{tool}")]
    }

    /// As wanted. A job reads the intent.
    pub fn want<O: From<Kept>>(self, tool: &str) -> Want<O> {
        let (needs, why) = match self {
            Kept::Timer { .. } => (Kept::below(tool), "runs jobs that are due"),
            Kept::Service { .. } => (self.needs(tool), "is kept running"),
            Kept::Data { .. } => (Vec::new(), "outlives the stack"),
            _ => (Vec::new(), "restores this host after a reboot"),
        };
        Want { key: self.key(tool), object: self.into(), needs, why: why.to_owned() }
    }

    /// As existing: services and the timer are removed first, then the boot entry, and data last.
    pub fn have<O: From<Kept>>(self, tool: &str) -> Have<O> {
        Have { key: self.key(tool), needs: self.needs(tool), object: self.into() }
    }

    fn needs(&self, tool: &str) -> Vec<String> {
        let mut needs = match self {
            Kept::Timer { .. } | Kept::Service { .. } => Kept::below(tool),
            Kept::Intent { .. } => vec![format!("boot:{tool}")],
            Kept::Boot { .. } => Vec::new(),
            Kept::Data { .. } => return Vec::new(),
        };
        needs.push(format!("data:{tool}"));
        needs
    }

    /// As [`super::Object::called`].
    pub fn called(&self) -> Option<(String, &'static str)> {
        match self {
            Kept::Service { name, .. } => Some((format!("service {name}"), "")),
            Kept::Data { path } => Some((format!("data {path}"), "")),
            Kept::Intent { .. } | Kept::Boot { .. } | Kept::Timer { .. } => None,
        }
    }

    /// As [`super::Object::content`].
    pub fn content(&self) -> Option<&str> {
        match self {
            Kept::Intent { digest } => Some(digest),
            Kept::Service { config, .. } => Some(config),
            _ => None,
        }
    }
}
