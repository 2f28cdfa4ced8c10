//! What is worth a line and stops nothing.

use crate::{Failure, Kind, Place};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that is worth a line and stops nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// Stable dotted name.
    pub code: String,
    /// One sentence without a full stop.
    pub message: String,
    /// Where.
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
    /// The shape of a failure: place, message, caret, hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut failure = Failure::new(Kind::Data, &self.code, self.message.as_str());
        failure.at.clone_from(&self.at);
        failure.hint.clone_from(&self.hint);
        failure.fmt(f)
    }
}
