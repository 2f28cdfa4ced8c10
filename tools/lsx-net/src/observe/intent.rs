//! What the engine keeps of a stack on this host: the intent and the boot entry.

use super::have;
use crate::Net;
use crate::model::{Intent, Object};
use crate::plan::intent_file;
use common::host::kept::{Found, Keeper};
use common::plan::Have;

/// What reads and writes it.
pub(crate) fn keeper(stack: &str) -> Keeper<Intent> {
    Keeper::of::<Net>(stack)
}

/// The intent of a stack; an unreadable file is ignored, and `up` writes it again.
pub(crate) fn kept_intent(stack: &str) -> Option<Intent> {
    keeper(stack).intent().ok().flatten()
}

/// The files that a stack keeps, as objects.
pub(super) fn objects(found: &Found<Intent>) -> Vec<Have<Object>> {
    let mut objects = Vec::new();
    if found.there {
        let file = found.intent.as_ref().map(intent_file).unwrap_or_default();
        objects.push(have("intent:net", Object::Intent(file), &[]));
    }
    if let Some((program, host)) = found.boot.clone() {
        objects.push(have("boot:net", Object::Boot { program, host }, &["intent:net"]));
    }
    objects
}
