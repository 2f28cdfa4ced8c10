//! Restores stacks after a reboot: one entry per tool and stack, and one service or cron line that runs them all.

use super::file::{self, Mode};
use super::{Program, wait};
use crate::fleet::BOOT;
use crate::{Failure, Kind};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

const UNIT: &str = "/etc/systemd/system/lsx-boot.service";
const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants/lsx-boot.service";
const CRON: &str = "/etc/cron.d/lsx-boot";
/// Exists while systemd runs the machine (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";
/// Runs every entry in the order of its name; a failed entry does not keep the others from running.
const RUN: &str = "for entry in /etc/lsx/boot.d/*; do \"$entry\" || code=1; done; exit ${code:-0}";

/// How long the program of an entry may take to report its version, and the interval of checks.
const VERSION: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(2);

/// The entry of one tool and stack.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Two digits: entries run in the order of their names, and a tool that depends on another has a higher number.
    pub order: u8,
    /// The stack, whose name has been validated.
    pub stack: &'a str,
    /// The tool, such as `net`.
    pub tool: &'a str,
}

impl Entry<'_> {
    /// Its path: `/etc/lsx/boot.d/10-STACK-net`.
    pub fn path(&self) -> PathBuf {
        Path::new(BOOT).join(self.name())
    }

    /// Writes it, and what runs all entries at boot. `program` is the path of the tool's copy here, `host` the name of this
    /// host in the stack, `intent` the file that the tool keeps here.
    ///
    /// # Errors
    /// Errors of the file system or systemd.
    pub fn write(&self, program: &str, host: &str, intent: &Path) -> Result<(), Failure> {
        sweep();
        file::write(&self.path(), self.text(program, host, intent).as_bytes(), Mode::Program)?;
        starter()
    }

    /// The program and the host that the entry names; `None` when there is no entry. The program is empty when the entry
    /// would not work: nothing runs the entries at boot, its program does not answer `--version`, or its text is damaged.
    ///
    /// # Errors
    /// Kind `Denied` when it may not be read.
    pub fn read(&self) -> Result<Option<(String, String)>, Failure> {
        let text = match file::read(&self.path()) {
            Err(failure) if failure.kind != Kind::Denied => Some(String::new()),
            text => text?,
        };
        Ok(text.map(|text| words(&text)).map(|(program, host)| {
            let works = runs() && answers(&program, VERSION);
            (if works { program } else { String::new() }, host)
        }))
    }

    /// Removes it, and with the last entry what runs them. The entry goes last, since it tells a next run that there is
    /// something to do.
    ///
    /// # Errors
    /// Errors of the file system or systemd.
    pub fn remove(&self) -> Result<(), Failure> {
        sweep();
        let own = self.path();
        let entries = std::fs::read_dir(BOOT).into_iter().flatten().flatten();
        if entries.filter(|e| e.path() != own).count() == 0 {
            stop()?;
        }
        file::remove(&own)?;
        file::remove_empty(Path::new(BOOT));
        file::remove_empty(Path::new("/etc/lsx"));
        Ok(())
    }

    fn name(&self) -> String {
        format!("{:02}-{}-{}", self.order, self.stack, self.tool)
    }

    fn text(&self, program: &str, host: &str, intent: &Path) -> String {
        let Entry { stack, tool, .. } = self;
        format!(
            "#!/bin/sh\n# lsx-{tool} brings its part of stack {stack} back after a reboot.\n\
             exec {program} up --quiet --self {host} {}\n",
            intent.display()
        )
    }
}

/// The program and the host of an entry's text.
fn words(text: &str) -> (String, String) {
    let line = text.lines().find_map(|l| l.strip_prefix("exec ")).unwrap_or_default();
    let mut words = line.split(' ');
    let program = words.next().unwrap_or_default().to_owned();
    let host = words.skip_while(|w| *w != "--self").nth(1).unwrap_or_default().to_owned();
    (program, host)
}

/// Whether a program exists and reports its version in time; any other program could run forever.
fn answers(program: &str, limit: Duration) -> bool {
    let null = Stdio::null;
    let start = || Program::new(program).args(["--version"]).start(null(), null(), null()).ok();
    let Some(mut child) = Path::new(program).is_file().then(start).flatten() else { return false };
    let mut status = None;
    wait::until(limit, STEP, || {
        status = child.try_wait().transpose();
        status.is_some()
    });
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    status.is_some_and(|ended| ended.is_ok_and(|status| status.success()))
}

/// Whether something runs the entries at boot. On a machine with neither systemd nor cron that is up to its owner.
fn runs() -> bool {
    match (Path::new(SYSTEMD).exists(), Path::new("/etc/cron.d").exists()) {
        (true, _) => Path::new(UNIT).exists() && Path::new(ENABLED).symlink_metadata().is_ok(),
        (false, cron) => !cron || Path::new(CRON).exists(),
    }
}

/// systemd if it runs, else cron's @reboot; both do the same.
fn starter() -> Result<(), Failure> {
    if Path::new(SYSTEMD).exists() {
        let unit = format!(
            "# lsx: brings the stacks of this host back after a reboot.\n[Unit]\nDescription=lsx stacks of this host\n\
             # Otherwise multi-user.target would wait for this unit and for the network (systemd.target(5)).\n\
             DefaultDependencies=no\nRequires=sysinit.target\nConflicts=shutdown.target\nBefore=shutdown.target\n\
             Wants=network-online.target\n\
             After=sysinit.target basic.target network-online.target nftables.service netfilter-persistent.service ufw.service \
             firewalld.service docker.service\n\n\
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

/// Removes what a killed run left half written. The entry itself shows a next run that there is something to do, so that it
/// comes here.
fn sweep() {
    [UNIT, CRON].iter().filter_map(|path| Path::new(path).parent()).for_each(file::sweep);
}

fn stop() -> Result<(), Failure> {
    if Path::new(UNIT).exists() {
        Program::new("systemctl").args(["disable", "--quiet", "lsx-boot.service"]).run(b"")?;
        file::remove(Path::new(UNIT))?;
    }
    file::remove(Path::new(CRON)).map(|_| ())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests {
    use super::*;

    #[test]
    fn what_says_no_version_in_time_does_not_answer() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        for (name, text, limit, works) in [
            ("good", "#!/bin/sh\nexit 0\n", VERSION, true),
            ("bad", "#!/bin/sh\nexit 1\n", VERSION, false),
            ("loud", "#!/bin/sh\nwhile :; do echo lsx-net; done\n", STEP * 50, false),
            ("slow", "#!/bin/sh\nexec sleep 1000\n", STEP * 50, false),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            assert_eq!(answers(path.to_str().unwrap(), limit), works, "{name}");
        }
        assert!(!answers("/nowhere/lsx-net", VERSION));
    }

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        let entry = Entry { order: 5, stack: "office", tool: "net" };
        assert_eq!(entry.path(), Path::new("/etc/lsx/boot.d/05-office-net"));
        let text = entry.text("/var/lib/lsx/bin/0/lsx-net", "h1", Path::new("/etc/lsx/office/net.json"));
        assert!(
            text.ends_with("exec /var/lib/lsx/bin/0/lsx-net up --quiet --self h1 /etc/lsx/office/net.json\n")
        );
        assert_eq!(words(&text), ("/var/lib/lsx/bin/0/lsx-net".to_owned(), "h1".to_owned()));
        assert_eq!(words("damaged"), (String::new(), String::new()));
    }
}
