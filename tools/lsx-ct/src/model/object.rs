//! The objects that a step of lsx-ct creates, changes or removes.

use super::Instance;
use common::plan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The wanted state of a folder of [`Object::Folders`].
pub const CLOSED: &str = "closed to all but root";

/// One object on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "object", rename_all = "snake_case")]
pub enum Object {
    /// An instance.
    Instance(Box<Instance>),
    /// What a killed run left of an instance.
    Remnant {
        /// The instance.
        name: String,
        /// Its driver.
        driver: common::stack::Driver,
    },
    /// Data of instances, kept when they are removed; only `down --destroy-data` removes it.
    Volume {
        /// Its name in the stack.
        name: String,
    },
    /// Folders of instances, images and other data that only root may read.
    Folders {
        /// Those that others can read, with mode and owner.
        modes: BTreeMap<String, String>,
    },
    /// The intent of this host, restored after a reboot.
    Intent(IntentFile),
    /// The boot entry.
    Boot {
        /// The program that it runs.
        program: String,
        /// The host's name in the stack.
        host: String,
    },
}

/// See [`Object::Intent`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntentFile {
    /// Digest of its instances.
    pub digest: String,
}

/// The intent of a host: `/etc/lsx/<stack>/ct.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// `lsx.ct.intent/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// The instances, by name.
    pub instances: Vec<Instance>,
}

impl Object {
    /// Its key in the plan.
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
    fn kept(&self) -> Option<plan::Kept> {
        match self {
            Object::Intent(file) => Some(plan::Kept::Intent { digest: file.digest.clone() }),
            Object::Boot { program, host } => {
                Some(plan::Kept::Boot { program: program.clone(), host: host.clone() })
            }
            _ => None,
        }
    }

    fn called(&self) -> Option<(String, &'static str)> {
        match self {
            Object::Instance(instance) => Some((instance.name.clone(), "")),
            Object::Remnant { name, .. } => Some((format!("incomplete {name}"), "")),
            Object::Volume { name } => Some((format!("volume {name}"), "")),
            Object::Intent(_) | Object::Boot { .. } | Object::Folders { .. } => None,
        }
    }

    /// The other instances in its hosts file.
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

    /// A remnant may have the name of an instance, or the one needed to put an instance aside: all are removed first.
    fn excludes(&self, other: &Self) -> bool {
        matches!((self, other), (Object::Remnant { .. }, Object::Instance(_)))
    }

    fn goes_along(&self) -> bool {
        false // an instance that needs a database waits for it, but is not recreated with it
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
