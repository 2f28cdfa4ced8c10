//! What a step of lsx-ct makes, changes or removes.

use super::Instance;
use common::plan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A folder of [`Object::Folders`] as it should be.
pub const CLOSED: &str = "closed to all but root";

/// One thing on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "object", rename_all = "snake_case")]
pub enum Object {
    /// Something that runs.
    Instance(Box<Instance>),
    /// What a run that died left of an instance.
    Remnant {
        /// The instance.
        name: String,
        /// What runs it.
        driver: common::stack::Driver,
    },
    /// Data of instances, which outlives them; only `down --destroy-data` removes it.
    Volume {
        /// Its name in the stack.
        name: String,
    },
    /// Folders above what instances write, images bring and nobody else may know.
    Folders {
        /// Those that are open to others than root, with mode and owner.
        modes: BTreeMap<String, String>,
    },
    /// What this host keeps, to come back after a reboot.
    Intent(IntentFile),
    /// The entry that brings it back.
    Boot {
        /// The program that does.
        program: String,
        /// The host's name in the stack.
        host: String,
    },
}

/// See [`Object::Intent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntentFile {
    /// Digest of its instances.
    pub digest: String,
}

/// What a host keeps: `/etc/lsx/<stack>/ct.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// `lsx.ct.intent/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// By name.
    pub instances: Vec<Instance>,
}

impl Object {
    /// What the plan calls it.
    pub fn key(&self) -> String {
        match self {
            Object::Instance(instance) => format!("instance:{}", instance.name),
            Object::Remnant { name, .. } => format!("remnant:{name}"),
            Object::Volume { name } => format!("volume:{name}"),
            Object::Folders { .. } => "folders:host".to_owned(),
            Object::Intent(_) => "intent:host".to_owned(),
            Object::Boot { .. } => "boot:host".to_owned(),
        }
    }
}

impl plan::Object for Object {
    fn called(&self) -> Option<(String, &'static str)> {
        match self {
            Object::Instance(instance) => Some((instance.name.clone(), "")),
            Object::Remnant { name, .. } => Some((format!("half-made {name}"), "")),
            Object::Volume { name } => Some((format!("volume {name}"), "")),
            Object::Intent(_) | Object::Boot { .. } | Object::Folders { .. } => None,
        }
    }

    /// Who else is there, in its hosts file.
    fn minor(&self, next: &Self) -> bool {
        match (self, next) {
            (Object::Instance(a), Object::Instance(b)) => a.running == b.running && a.only_names_differ(b),
            _ => false,
        }
    }

    fn brief(&self) -> String {
        let Object::Instance(instance) = self else { return String::new() };
        let addresses = instance.nics.iter().map(|nic| nic.address.addr().to_string());
        std::iter::once(instance.image.name.clone()).chain(addresses).collect::<Vec<_>>().join(" ")
    }

    fn means(&self, next: &Self) -> Option<&'static str> {
        match (self, next) {
            (Object::Instance(before), Object::Instance(after)) => Some(before.means(after)),
            _ => None,
        }
    }

    fn replaced_by(&self, next: &Self) -> bool {
        match (self, next) {
            (Object::Instance(a), Object::Instance(b)) => a.needs_recreate(b),
            _ => false,
        }
    }

    /// A remnant may lie under the name of an instance, or where one is about to be put aside: all go first.
    fn excludes(&self, other: &Self) -> bool {
        matches!((self, other), (Object::Remnant { .. }, Object::Instance(_)))
    }

    fn goes_along(&self) -> bool {
        false // what needs a database waits for it, and does not stand on it
    }

    fn hides(&self, path: &str) -> bool {
        let value = |path: &str| path.starts_with("recipes.") && path.contains(".values");
        path == "env" || path.starts_with("env.") || value(path)
    }

    fn content(&self) -> Option<&str> {
        match self {
            Object::Instance(instance) => Some(&instance.hosts),
            Object::Intent(intent) => Some(&intent.digest),
            _ => None,
        }
    }
}
