//! The objects and facts of a host.

use common::plan::{self, Definition, WithKept};
use common::transfer::Granted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One object of a host.
pub(crate) type Object = WithKept<Note>;

/// One of this tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "object", rename_all = "snake_case")]
pub(crate) enum Note {
    /// A note.
    Note(Text),
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
    /// A program that is kept running, and whether this host has data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<Definition>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) data: bool,
}

/// Further facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Facts {
    /// The intent of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) intent: Option<Intent>,
    /// The tool's copy on this host, which entries run.
    #[serde(default)]
    pub(crate) program: String,
}

/// What is gathered, and shared by steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Data {
    /// The secrets that a note needs on its host.
    #[serde(default, skip_serializing_if = "Granted::is_empty")]
    pub(crate) secrets: Granted,
}

impl plan::Object for Note {
    fn replaced_by(&self, _: &Self) -> bool {
        false
    }

    fn called(&self) -> Option<(String, &'static str)> {
        let Note::Note(note) = self;
        Some((format!("note {}", note.name), ""))
    }
}
