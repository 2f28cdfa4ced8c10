//! The lines that a host and its controller exchange, one JSON value each: requests to the host, replies from it.

use crate::Failure;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The request that [`super::agent::agent`] handles itself: `{"op":"prune","dir":...}`.
pub(super) const PRUNE: &str = "prune";

/// The first message of a host.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) tool: String,
    pub(super) version: String,
    /// The size of its file in bytes, because a truncated copy may still start.
    #[serde(default)]
    pub(super) size: u64,
    /// Whether it runs as root, which it needs.
    #[serde(default)]
    pub(super) root: bool,
}

/// A message of a host. After one request: any number of events, then `Ok` or `Failures` once.
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
    use lsx_tests::{Corpus, Dice, soak};
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

    #[test]
    fn soak_wire() {
        let failure = Failure::new(crate::Kind::Data, "a.b", "m").at("x.y").hint("h").because("c").on("h1");
        let hello = Hello { tool: "lsx-net".into(), version: "0.1.0".into(), size: 5, root: true };
        let event = json!({"phase": "do", "step": "bridge.create:lan", "ok": true, "why": "w", "ms": 5});
        let replies = [
            Reply::Hello(hello),
            Reply::Event(event),
            Reply::Ok(json!({"objects": [{"key": "a", "n": 1}]})),
            Reply::Failures(vec![failure]),
        ];
        let corpus = Corpus::of(replies.iter().map(|reply| serde_json::to_value(reply).unwrap()).collect());
        let make = |dice: &mut Dice| {
            let text = corpus.mutant(dice).to_string();
            if dice.below(8) == 0 { dice.broken(&text).into_bytes() } else { text.into_bytes() }
        };
        soak("wire", 20_000, 20, make, |line| match serde_json::from_slice::<Reply>(line) {
            Ok(Reply::Event(event)) => {
                crate::log::event("h1", event);
                true
            }
            Ok(Reply::Failures(failures)) => {
                // A host's failure is shown, whatever its text is.
                let shown = crate::printable::message(&crate::Failures(failures).to_string());
                assert!(!shown.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{shown:?}");
                true
            }
            answer => answer.is_ok(),
        });
    }
}
