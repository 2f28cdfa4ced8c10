//! What the server that keeps the names tells those of other hosts: the lines of its journal. So they have owners, and what counts once.

use super::line::Line;
use serde::{Deserialize, Serialize};

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct News {
    /// The serial before it, and after it.
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// Whether the lines are all that there is, since what the other server has is not known.
    pub(crate) whole: bool,
    pub(crate) lines: Vec<Line>,
}

impl News {
    /// Whether there is nothing new.
    pub(crate) fn is_empty(&self) -> bool {
        !self.whole && self.lines.is_empty()
    }
}
