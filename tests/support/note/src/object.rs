//! The objects and facts of a host.

use common::plan::{self, Kept};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One object of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "object", rename_all = "snake_case")]
pub(crate) enum Object {
    /// A note.
    Note(Text),
    /// The intent of this host, restored after a reboot.
    Intent {
        /// Digest of its notes.
        digest: String,
    },
    /// The boot entry.
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

/// A note about an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Text {
    /// The instance.
    pub(crate) name: String,
    /// The text.
    pub(crate) text: String,
}

/// What a host keeps: `/etc/lsx/STACK/note.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Intent {
    /// `lsx.note.intent/1`.
    pub(crate) schema: String,
    /// The stack.
    pub(crate) stack: String,
    /// The notes, by name.
    pub(crate) notes: Vec<Text>,
    /// How often a line is added to the list of this host, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) every_s: Option<u64>,
}

/// Further facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Facts {
    /// The intent of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) intent: Option<Intent>,
    /// The program on this host that the boot entry runs.
    #[serde(default)]
    pub(crate) program: String,
}

/// What is gathered, and shared by steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Data {
    /// The secrets that a note needs on its host, by note and name: digest, and place on the operator's machine.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) secrets: BTreeMap<String, BTreeMap<String, (String, String)>>,
}

impl Object {
    pub(crate) fn key(&self) -> String {
        match self {
            Object::Note(note) => format!("note:{}", note.name),
            Object::Intent { .. } => "intent:note".to_owned(),
            Object::Boot { .. } => "boot:note".to_owned(),
            Object::Timer { .. } => "timer:note".to_owned(),
        }
    }
}

impl plan::Object for Object {
    fn replaced_by(&self, _: &Self) -> bool {
        false
    }

    fn called(&self) -> Option<(String, &'static str)> {
        match self {
            Object::Note(note) => Some((format!("note {}", note.name), "")),
            _ => None,
        }
    }

    fn kept(&self) -> Option<Kept> {
        match self {
            Object::Note(_) => None,
            Object::Intent { digest } => Some(Kept::Intent(digest.clone())),
            Object::Boot { program, host } => {
                Some(Kept::Boot { program: program.clone(), host: host.clone() })
            }
            Object::Timer { program, host } => {
                Some(Kept::Timer { program: program.clone(), host: host.clone() })
            }
        }
    }

    fn content(&self) -> Option<&str> {
        match self {
            Object::Intent { digest } => Some(digest),
            _ => None,
        }
    }
}
