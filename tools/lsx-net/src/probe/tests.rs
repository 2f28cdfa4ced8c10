//! Probes on loopback and in network namespaces made here; nothing leaves this machine.

mod http;
mod icmp;
mod lab;
mod scale;
mod sums;
mod targets;
mod tcp;
mod tls;

use super::{Outcome, Target};

/// A target from its compact form.
fn target(text: &str) -> Target {
    text.parse().unwrap()
}

/// A target from JSON.
fn decoded(value: serde_json::Value) -> Target {
    serde_json::from_value(value).unwrap()
}

fn message(outcome: &Outcome) -> &str {
    outcome.error.as_ref().map_or("", |problem| &problem.message)
}
