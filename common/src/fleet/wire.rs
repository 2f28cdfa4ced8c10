//! The lines that a host and its controller exchange: one JSON value each, requests down, replies up.

use crate::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The request that [`super::serve::serve`] answers by itself: `{"op":"prune","dir":...}`.
pub(super) const PRUNE: &str = "prune";

/// The first thing a host says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) tool: String,
    pub(super) version: String,
    /// The size of its file in bytes: a copy that was cut short may still start.
    #[serde(default)]
    pub(super) size: u64,
    /// Whether it runs as root, without which it can do nothing there.
    #[serde(default)]
    pub(super) root: bool,
}

/// What a host says. After one request: any number of events, then `Ok` or `Failures` once.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reply {
    Hello(Hello),
    Event(Value),
    Ok(Value),
    Failures(Vec<Failure>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_lines_are_as_written_down() {
        let hello =
            Reply::Hello(Hello { tool: "lsx-net".into(), version: "0.1.0".into(), size: 5, root: true });
        let text = serde_json::to_string(&hello).unwrap();
        assert_eq!(text, r#"{"hello":{"tool":"lsx-net","version":"0.1.0","size":5,"root":true}}"#);
        assert_eq!(serde_json::to_value(Reply::Event(json!({"n": 1}))).unwrap(), json!({"event": {"n": 1}}));
        assert_eq!(serde_json::to_value(Reply::Ok(json!(null))).unwrap(), json!({"ok": null}));
        assert_eq!(serde_json::to_value(Reply::Failures(vec![])).unwrap(), json!({"failures": []}));
    }
}
