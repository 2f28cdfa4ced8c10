//! What a host keeps: the intent, and the entry that brings it back after a reboot.

use super::Changer;
use crate::model::{Desired, Intent, IntentFile, Row};
use crate::paths::Paths;
use crate::plan;
use common::host::Program;
use common::host::file::{self, Mode};
use common::{Failure, Kind};
use common::{document, fleet};
use std::path::Path;

const UNIT: &str = "/etc/systemd/system/lsx-boot.service";
const CRON: &str = "/etc/cron.d/lsx-boot";
/// There while systemd runs the machine (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";
const ENTRIES: &str = "/etc/lsx/boot.d";

impl Changer<'_> {
    /// Writes the intent; it names the digest, the rest comes from the plan.
    pub(super) fn keep(&self, wanted: &IntentFile) -> Result<(), Failure> {
        let path = Paths::new(self.stack).intent();
        self.remember_intent(&path)?;
        let missing =
            || Failure::new(Kind::Data, "net.plan.contents", "the plan lacks what the host shall keep");
        if let Some(old) = self.text(&noted(&wanted.digest, &wanted.rows)) {
            return file::write(&path, old.as_bytes(), Mode::Private).map(|_| ());
        }
        let text = self.text(&wanted.digest).ok_or_else(missing)?;
        let desired: Desired = serde_json::from_str(&text)
            .map_err(|e| Failure::new(Kind::Data, "net.plan.contents", e.to_string()))?;
        let rows = self.rows_of(&desired);
        let intent =
            Intent { schema: document::schema("net", "intent"), stack: self.stack.to_owned(), desired, rows };
        file::write(&path, &document::canonical(&intent)?, Mode::Private).map(|_| ())
    }

    fn rows_of(&self, desired: &Desired) -> Vec<Row> {
        desired.networks.iter().filter_map(|n| self.rows.get(&n.name)).flatten().cloned().collect()
    }

    /// Removes the intent.
    pub(super) fn forget(&self) -> Result<(), Failure> {
        let path = Paths::new(self.stack).intent();
        self.remember_intent(&path)?;
        file::remove(&path)?;
        path.parent().into_iter().for_each(file::remove_empty);
        file::remove_empty(Path::new("/etc/lsx"));
        Ok(())
    }

    /// The file that is about to go, so that undo can bring it back.
    fn remember_intent(&self, path: &Path) -> Result<(), Failure> {
        if let Some(old) = file::read(path)? {
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

/// What a replaced intent is remembered by. The rows belong to it: they change alone when another host's instances do.
fn noted(digest: &str, rows: &str) -> String {
    format!("intent {digest} {rows}")
}

/// Writes the entry of a stack, and what runs all entries at boot.
pub(super) fn boot(stack: &str, program: &str, host: &str) -> Result<(), Failure> {
    install(program)?;
    let paths = Paths::new(stack);
    let text = format!(
        "#!/bin/sh\n# lsx-net brings the networks of stack {stack} back after a reboot.\nexec {program} up --quiet --self {host} {}\n",
        paths.intent().display()
    );
    file::write(&paths.boot(), text.as_bytes(), Mode::Program)?;
    starter()
}

/// The program and the host that an entry names.
pub fn read_boot(text: &str) -> (String, String) {
    let line = text.lines().find_map(|l| l.strip_prefix("exec ")).unwrap_or_default();
    let mut words = line.split(' ');
    let program = words.next().unwrap_or_default().to_owned();
    let host = words.skip_while(|w| *w != "--self").nth(1).unwrap_or_default().to_owned();
    (program, host)
}

/// Whether something runs the entries at boot; the entry of a stack alone brings nothing back.
pub fn boots() -> bool {
    let enabled = Path::new("/etc/systemd/system/multi-user.target.wants/lsx-boot.service");
    match (Path::new(SYSTEMD).exists(), Path::new("/etc/cron.d").exists()) {
        (true, _) => Path::new(UNIT).exists() && enabled.symlink_metadata().is_ok(),
        (false, cron) => !cron || Path::new(CRON).exists(),
    }
}

/// Removes the entry of a stack; with the last one, what runs them. The entry goes last, for it is what a next run sees.
pub(super) fn remove_boot(stack: &str) -> Result<(), Failure> {
    let own = Paths::new(stack).boot();
    let others =
        std::fs::read_dir(ENTRIES).into_iter().flatten().flatten().filter(|e| e.path() != own).count();
    if others == 0 {
        if Path::new(UNIT).exists() {
            Program::new("systemctl").args(["disable", "--quiet", "lsx-boot.service"]).run(b"")?;
            file::remove(Path::new(UNIT))?;
        }
        file::remove(Path::new(CRON))?;
    }
    file::remove(&own)?;
    file::remove_empty(Path::new(ENTRIES));
    file::remove_empty(Path::new("/etc/lsx"));
    Ok(())
}

/// A host that was changed in-process has no copy of this program yet.
fn install(program: &str) -> Result<(), Failure> {
    if !Path::new(program).exists() {
        fleet::install(&[crate::PROGRAM.to_owned()])?;
    }
    Ok(())
}

/// systemd where it runs, cron's @reboot elsewhere; both do the same: every entry in the order of its name.
fn starter() -> Result<(), Failure> {
    const RUN: &str = "for entry in /etc/lsx/boot.d/*; do \"$entry\" || code=1; done; exit ${code:-0}";
    if Path::new(SYSTEMD).exists() {
        let unit = format!(
            "# lsx: brings the stacks of this host back after a reboot.\n[Unit]\nDescription=lsx stacks of this host\n\
             Wants=network-online.target\nAfter=network-online.target nftables.service firewalld.service docker.service\n\n\
             [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c '{RUN}'\n\n\
             [Install]\nWantedBy=multi-user.target\n"
        );
        file::write(Path::new(UNIT), unit.as_bytes(), Mode::Public)?;
        Program::new("systemctl").args(["enable", "--quiet", "lsx-boot.service"]).run(b"")?;
    } else if Path::new("/etc/cron.d").exists() {
        let line =
            format!("# lsx: brings the stacks of this host back after a reboot.\n@reboot root {RUN}\n");
        file::write(Path::new(CRON), line.as_bytes(), Mode::Public)?;
    }
    Ok(())
}
