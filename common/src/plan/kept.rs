//! The objects that the engine keeps on a host for every tool, beside the tool's own. Pure.

use super::{Definition, Have, Object, Want};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Not;

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
        /// Whether it runs, with a supervisor, and in the router if it belongs there.
        running: bool,
        /// Whether another definition takes over without a gap.
        #[serde(default, skip_serializing_if = "Not::not")]
        handover: bool,
        /// Digest of what its process was started with, if it can read the rest again; another definition with the same one is
        /// loaded without a new process.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        start: String,
    },
    /// The folder of what must outlive the stack: `down` removes it only with `--destroy-data`.
    Data {
        /// Its path.
        path: String,
    },
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

    /// A service with this definition, which runs.
    pub fn service(name: String, config: String, definition: &Definition) -> Kept {
        let (handover, start) = (definition.hands_over(), definition.start());
        Kept::Service { name, config, running: true, handover, start }
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
}

impl Object for Kept {
    fn replaced_by(&self, _: &Self) -> bool {
        false
    }

    fn called(&self) -> Option<(String, &'static str)> {
        match self {
            Kept::Service { name, .. } => Some((format!("service {name}"), "")),
            Kept::Data { path } => Some((format!("data {path}"), "")),
            Kept::Intent { .. } | Kept::Boot { .. } | Kept::Timer { .. } => None,
        }
    }

    fn means(&self, next: &Self) -> Option<&'static str> {
        match (self, next) {
            (Kept::Service { running: true, handover: true, .. }, Kept::Service { handover: true, .. }) => {
                Some("handed over")
            }
            (Kept::Service { running: true, start, .. }, Kept::Service { start: next, .. })
                if start == next && !next.is_empty() =>
            {
                Some("reloaded")
            }
            (Kept::Service { .. }, Kept::Service { .. }) => Some("restarted"),
            _ => None,
        }
    }

    fn kept(&self) -> Option<Kept> {
        Some(self.clone())
    }

    fn content(&self) -> Option<&str> {
        match self {
            Kept::Intent { digest } => Some(digest),
            Kept::Service { config, .. } => Some(config),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_whether_a_service_is_handed_over_reloaded_or_restarted() {
        let of = |running, handover, start: &str| Kept::Service {
            name: "names".to_owned(),
            config: String::new(),
            running,
            handover,
            start: start.to_owned(),
        };
        let service = |running, handover| of(running, handover, "");
        assert_eq!(of(true, false, "a").means(&of(true, false, "a")), Some("reloaded"));
        assert_eq!(of(true, false, "a").means(&of(true, false, "b")), Some("restarted"));
        assert_eq!(of(false, false, "a").means(&of(true, false, "a")), Some("restarted"));
        assert_eq!(service(true, true).means(&service(true, true)), Some("handed over"));
        assert_eq!(service(false, true).means(&service(true, true)), Some("restarted"));
        assert_eq!(service(true, false).means(&service(true, false)), Some("restarted"));
        let data = Kept::data("dns", "office");
        assert_eq!(data.means(&data), None);
    }
}
