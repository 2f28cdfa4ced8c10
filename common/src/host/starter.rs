//! What runs the entries of lsx on a host: units of systemd where it runs the machine, else a line of cron. They are written
//! with the first entry and removed with the last one.

use super::file::{self, Mode};
use super::{Program, systemd};
use crate::Failure;
use std::path::{Path, PathBuf};

const UNITS: &str = "/etc/systemd/system";

/// What runs all entries of a folder.
pub(super) struct Starter {
    /// Units, by the names of their files.
    units: &'static [(&'static str, &'static str)],
    /// The unit that is enabled, and the target that wants it.
    enabled: (&'static str, &'static str),
    /// Whether it starts at once; otherwise at the next boot.
    now: bool,
    /// The file for cron, and its text.
    cron: (&'static str, &'static str),
}

/// Runs each entry once, in the order of their names; a failed one does not keep the others from running.
pub(super) const AT_BOOT: Starter = Starter {
    units: &[("lsx-boot.service", include_str!("starter/lsx-boot.service"))],
    enabled: ("lsx-boot.service", "multi-user.target"),
    now: false,
    cron: ("/etc/cron.d/lsx-boot", include_str!("starter/lsx-boot.cron")),
};

/// Starts each entry, and does not wait for it: one that takes an hour must not hold up the others. With systemd each entry is
/// a service of its own, which is not started again while it runs.
pub(super) const EACH_MINUTE: Starter = Starter {
    units: &[
        ("lsx-timer@.service", include_str!("starter/lsx-timer@.service")),
        ("lsx-timer.service", include_str!("starter/lsx-timer.service")),
        ("lsx-timer.timer", include_str!("starter/lsx-timer.timer")),
    ],
    enabled: ("lsx-timer.timer", "timers.target"),
    now: true,
    cron: ("/etc/cron.d/lsx-timer", include_str!("starter/lsx-timer.cron")),
};

impl Starter {
    /// Whether something runs the entries. On a machine with neither systemd nor cron that is up to its owner.
    pub(super) fn runs(&self) -> bool {
        match (systemd(), Path::new("/etc/cron.d").exists()) {
            (true, _) => {
                let there = self.units().all(|(path, _)| path.exists());
                there && self.link().symlink_metadata().is_ok() && (!self.now || self.active())
            }
            (false, cron) => !cron || Path::new(self.cron.0).exists(),
        }
    }

    /// Writes it. Where systemd does not run the machine, cron does the same.
    ///
    /// # Errors
    /// Errors of the file system or systemd.
    pub(super) fn start(&self) -> Result<(), Failure> {
        if systemd() {
            for (path, text) in self.units() {
                file::write(&path, text.as_bytes(), Mode::Public)?;
            }
            self.systemctl("enable")?;
        } else if Path::new("/etc/cron.d").exists() {
            file::write(Path::new(self.cron.0), self.cron.1.as_bytes(), Mode::Public)?;
        }
        Ok(())
    }

    /// Removes it.
    ///
    /// # Errors
    /// Errors of the file system or systemd.
    pub(super) fn stop(&self) -> Result<(), Failure> {
        if self.units().any(|(path, _)| path.exists()) {
            self.systemctl("disable")?;
            for (path, _) in self.units() {
                file::remove(&path)?;
            }
        }
        file::remove(Path::new(self.cron.0)).map(|_| ())
    }

    /// Removes what a killed run left half written. The entry itself shows a next run that there is something to do, so that
    /// it comes here.
    pub(super) fn sweep(&self) {
        [UNITS, "/etc/cron.d"].iter().for_each(|folder| file::sweep(Path::new(folder)));
    }

    fn units(&self) -> impl Iterator<Item = (PathBuf, &'static str)> {
        self.units.iter().map(|(name, text)| (Path::new(UNITS).join(name), *text))
    }

    /// The link that enables it.
    fn link(&self) -> PathBuf {
        let (unit, target) = self.enabled;
        Path::new(UNITS).join(format!("{target}.wants")).join(unit)
    }

    fn active(&self) -> bool {
        Program::new("systemctl").args(["is-active", "--quiet", self.enabled.0]).run(b"").is_ok()
    }

    fn systemctl(&self, verb: &str) -> Result<(), Failure> {
        let now = self.now.then_some("--now").into_iter();
        let args = [verb, "--quiet"].into_iter().chain(now).chain([self.enabled.0]);
        Program::new("systemctl").args(args).run(b"").map(|_| ())
    }
}
