//! Warnings about a document.

use crate::{Failure, Kind, Place};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// Stable dotted name.
    pub code: String,
    /// One sentence without a full stop.
    pub message: String,
    /// The place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<Failure> for Warning {
    fn from(failure: Failure) -> Self {
        Warning { code: failure.code, message: failure.message, at: failure.at, hint: failure.hint }
    }
}

impl fmt::Display for Warning {
    /// In the form of a failure: place, message, caret, hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut failure = Failure::new(Kind::Data, &self.code, self.message.as_str());
        failure.at.clone_from(&self.at);
        failure.hint.clone_from(&self.hint);
        failure.fmt(f)
    }
}
