//! Rules for snapshots: volumes and repositories exist, and each job has a time.

use super::{Job, Keep, Quiesce};
use crate::decode::near::hint;
use crate::rules::Check;

impl<'s> Check<'s> {
    /// The section `snap`.
    pub(crate) fn snap(&mut self) {
        let Some(snap) = &self.stack.snap else { return };
        for (name, target) in snap.to.iter().filter(|(_, target)| !target.key.is_empty()) {
            self.secret(&target.key, || format!("snap.to.{name}.key"));
        }
        for (name, job) in &snap.what {
            self.kept(name, job);
            self.when(name, job);
            for (i, to) in job.to.iter().enumerate() {
                self.find(&snap.to, "repository", to, || format!("snap.what.{name}.to.{i}"));
            }
            self.around(name, job);
        }
        if snap.check.is_some() && snap.to.is_empty() && !self.unread("snap.to") {
            let message = "there is no repository to verify".to_owned();
            self.tell("stack.snap.check", "snap.check".to_owned(), message, "write snap.to");
        }
    }

    /// The volumes of a job.
    fn kept(&mut self, name: &str, job: &'s Job) {
        for (i, volume) in job.volumes.iter().enumerate() {
            self.volume(volume, || format!("snap.what.{name}.volumes.{i}"));
        }
        if job.volumes.is_empty() && !self.unread(&format!("snap.what.{name}.volumes")) {
            self.volume(name, || format!("snap.what.{name}"));
        }
        let nothing = job.keep.as_ref().is_some_and(|keep| *keep == Keep::default());
        if nothing && !self.unread(&format!("snap.what.{name}.keep")) {
            let message = "no snapshot would be kept".to_owned();
            self.tell(
                "stack.snap.keep",
                format!("snap.what.{name}.keep"),
                message,
                "write it like { hours: 24, days: 7 }",
            );
        }
    }

    /// Exactly one of `every` and `at`.
    fn when(&mut self, name: &str, job: &Job) {
        let path = format!("snap.what.{name}");
        let unread = self.unread(&format!("{path}.every")) || self.unread(&format!("{path}.at"));
        match (job.every.is_some(), job.at.is_empty()) {
            (true, false) => {
                let message = "`every` and `at` are both given".to_owned();
                self.tell("stack.snap.time", format!("{path}.at"), message, "remove one of them");
            }
            (false, true) if !unread => {
                let message = "it has no time".to_owned();
                self.tell("stack.snap.time", path, message, "write every: 1h, or at: \"02:30\"");
            }
            _ => {}
        }
    }

    /// What to do around a snapshot.
    fn around(&mut self, name: &str, job: &'s Job) {
        let Some(Quiesce::Commands(commands)) = &job.quiesce else { return };
        let path = |key: &str| format!("snap.what.{name}.quiesce.{key}");
        if !commands.instance.is_empty() {
            self.instance(&commands.instance, || path("in"));
        }
        if commands.before.is_empty() && commands.after.is_empty() && !self.unread(&path("before")) {
            let message = "no command is given".to_owned();
            let at = format!("snap.what.{name}.quiesce");
            self.tell("stack.snap.quiesce", at, message, "write before: [PROGRAM, ARGUMENT]");
        }
    }

    /// A volume of the stack: in `store.volumes`, or of an instance.
    pub(crate) fn volume(&mut self, name: &str, path: impl Fn() -> String) {
        let stored = self.stack.store.iter().flat_map(|store| store.volumes.keys());
        let mounted = self.stack.instances.values().flat_map(|instance| instance.volumes.keys());
        let mut known: Vec<&str> = stored.chain(mounted).map(String::as_str).collect();
        known.sort_unstable();
        known.dedup();
        if !known.contains(&name) {
            let hint = hint(name, known);
            self.tell("stack.volume.unknown", path(), format!("there is no volume `{name}`"), hint);
        }
    }
}
