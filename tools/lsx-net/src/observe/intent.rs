//! What a stack keeps on its host: the intent and the boot entry.

use super::have;
use crate::model::{Intent, IntentFile, Object};
use crate::paths::{Paths, note};
use crate::plan::{by_network, intent_digest, rows_digest};
use common::plan::Have;
use common::{Failure, document};

/// The intent of this host; an unreadable file counts as none, and `up` writes it again.
pub(super) fn intent(paths: &Paths) -> Result<Option<Intent>, Failure> {
    let Some(text) = note(&paths.intent())? else { return Ok(None) };
    Ok(document::read(&text, "net.json", &document::schema("net", "intent")).ok())
}

/// The same for a stack; an unreadable file is ignored.
pub(crate) fn kept_intent(stack: &str) -> Option<Intent> {
    intent(&Paths::new(stack)).ok().flatten()
}

/// The files that a stack keeps, as objects.
pub(super) fn kept(paths: &Paths) -> Result<Vec<Have<Object>>, Failure> {
    let mut objects = Vec::new();
    if paths.intent().exists() {
        let file = intent(paths)?.map_or(IntentFile { digest: String::new(), rows: String::new() }, |kept| {
            IntentFile {
                digest: intent_digest(&kept.desired),
                rows: rows_digest(&kept.desired, &by_network(&kept.rows)),
            }
        });
        objects.push(have("intent:net", Object::Intent(file), &[]));
    }
    if let Some((program, host)) = paths.boot().read()? {
        objects.push(have("boot:net", Object::Boot { program, host }, &["intent:net"]));
    }
    Ok(objects)
}
