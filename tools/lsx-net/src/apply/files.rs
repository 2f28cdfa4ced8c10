//! The files that a host keeps: the intent, and the boot entry.

use super::Changer;
use crate::model::{Desired, Intent, IntentFile, Row};
use crate::paths::{Paths, note};
use crate::plan;
use common::host::file::{self, Mode};
use common::{Failure, Kind};
use common::{document, fleet};
use std::path::Path;

impl Changer {
    /// Writes the intent; the step has its digest, the plan the rest.
    pub(super) fn keep(&self, wanted: &IntentFile) -> Result<(), Failure> {
        let path = Paths::new(&self.stack).intent();
        self.remember_intent(&path)?;
        let missing =
            || Failure::new(Kind::Data, "net.plan.contents", "the plan lacks the intent of the host");
        if let Some(old) = self.text(&noted(&wanted.digest, &wanted.rows)) {
            return file::write(&path, old.as_bytes(), Mode::Private).map(|_| ());
        }
        let text = self.text(&wanted.digest).ok_or_else(missing)?;
        let desired: Desired = serde_json::from_str(&text)
            .map_err(|e| Failure::new(Kind::Data, "net.plan.contents", e.to_string()))?;
        if let Some(old) = self.kept(&path)? {
            self.end_flows(&old, Some(&desired))?;
        }
        let rows = self.rows_of(&desired);
        let intent =
            Intent { schema: document::schema("net", "intent"), stack: self.stack.clone(), desired, rows };
        file::write(&path, &document::canonical(&intent)?, Mode::Private).map(|_| ())
    }

    fn rows_of(&self, desired: &Desired) -> Vec<Row> {
        desired.networks.iter().filter_map(|n| self.plan.data.rows.get(&n.name)).flatten().cloned().collect()
    }

    /// Removes the intent.
    pub(super) fn forget(&self) -> Result<(), Failure> {
        let path = Paths::new(&self.stack).intent();
        self.remember_intent(&path)?;
        if let Some(old) = self.kept(&path)? {
            self.end_flows(&old, None)?;
        }
        file::remove(&path)?;
        path.parent().into_iter().for_each(file::remove_empty);
        file::remove_empty(Path::new("/etc/lsx"));
        Ok(())
    }

    /// The intent kept until now; an unreadable file counts as none.
    fn kept(&self, path: &Path) -> Result<Option<Desired>, Failure> {
        let old = note(path)?;
        let read = |text: String| {
            document::read::<Intent>(&text, "net.json", &document::schema("net", "intent")).ok()
        };
        Ok(old.and_then(read).map(|kept| kept.desired))
    }

    /// The file that is about to be removed, so that undo can restore it.
    fn remember_intent(&self, path: &Path) -> Result<(), Failure> {
        if let Some(old) = note(path)? {
            let kept = document::read::<Intent>(&old, "net.json", &document::schema("net", "intent"));
            let key = |i: Intent| {
                let rows = plan::rows_digest(&i.desired, &plan::by_network(&i.rows));
                noted(&plan::intent_digest(&i.desired), &rows)
            };
            self.remember(kept.map(key).unwrap_or_default(), old);
        }
        Ok(())
    }
}

/// The key of a replaced intent. It includes the rows, which can change alone when instances of another host do.
fn noted(digest: &str, rows: &str) -> String {
    format!("intent {digest} {rows}")
}

/// Writes the boot entry of a stack. A host that is changed in-process has no copy of this program yet.
pub(super) fn boot(stack: &str, program: &str, host: &str) -> Result<(), Failure> {
    if !Path::new(program).exists() {
        fleet::install(&[crate::PROGRAM.to_owned()])?;
    }
    let paths = Paths::new(stack);
    paths.boot().write(program, host, &paths.intent())
}

/// Removes the boot entry of a stack.
pub(super) fn remove_boot(stack: &str) -> Result<(), Failure> {
    Paths::new(stack).boot().remove()
}
