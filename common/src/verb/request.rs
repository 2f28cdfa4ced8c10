//! What a controller asks of a host in a session.

use crate::transfer::{Piece, Secrets};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// A request of the controller to a host.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(super) enum Request<P> {
    Observe {
        stack: Option<String>,
        #[serde(default)]
        lock: bool,
    },
    Apply {
        host: String,
        plan: P,
        undo: bool,
        /// Other waves come before or after this one.
        #[serde(default)]
        several: bool,
        #[serde(default)]
        failpoint: Option<String>,
    },
    /// Undoes the waves that were done in this session.
    Revert,
    /// The run is over on all hosts: nothing is undone any more.
    Commit,
    Call {
        name: String,
        input: Value,
    },
    /// Which of these bytes this host lacks.
    Lacking {
        digests: Vec<String>,
    },
    /// Stores a piece of some bytes.
    Receive {
        piece: Piece,
    },
    /// Stores secrets.
    Secrets {
        secrets: Secrets,
    },
    /// Takes the locks that some tools have of a stack, all or none, and waits for them.
    Lock {
        stack: String,
        tools: BTreeSet<String>,
        wait_ms: u64,
    },
    /// Releases all locks before the session ends.
    Unlock,
    /// Records the hosts that a stack has had.
    Roll {
        stack: String,
        hosts: BTreeSet<Ipv4Addr>,
    },
    Leave {
        stack: String,
    },
    /// What other tools still run of a stack here, and need of this one.
    Dependents {
        stack: String,
    },
}
