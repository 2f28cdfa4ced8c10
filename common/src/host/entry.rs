//! Entries: programs in a folder that a host runs at boot, or each minute; one for each tool and stack.

use super::file::{self, Mode};
use super::starter::{AT_BOOT, EACH_MINUTE, Starter};
use super::{Program, process, wait};
use crate::fleet::{BOOT, TIMER};
use crate::{Failure, Kind};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// How long the program of an entry may take to report its version, and the interval of checks.
const VERSION: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(2);

/// When an entry is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// After a reboot: it restores what the host kept.
    Boot,
    /// Each minute: it runs jobs that are due.
    Minute,
}

impl Occasion {
    /// The folder of its entries.
    const fn folder(self) -> &'static str {
        match self {
            Occasion::Boot => BOOT,
            Occasion::Minute => TIMER,
        }
    }

    /// What runs them.
    const fn starter(self) -> &'static Starter {
        match self {
            Occasion::Boot => &AT_BOOT,
            Occasion::Minute => &EACH_MINUTE,
        }
    }

    /// The verb of the tool, and what it does, for the entry's text.
    const fn verb(self) -> (&'static str, &'static str) {
        match self {
            Occasion::Boot => ("up", "brings its part of stack STACK back after a reboot"),
            Occasion::Minute => ("tick", "does what is due in its part of stack STACK, each minute"),
        }
    }
}

/// The entry of one tool and stack.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When it is run.
    pub on: Occasion,
    /// Two digits: entries run in the order of their names, and a tool that depends on another has a higher number.
    pub order: u8,
    /// The stack, whose name has been validated.
    pub stack: &'a str,
    /// The tool, such as `net`.
    pub tool: &'a str,
}

impl Entry<'_> {
    /// Its path, such as `/etc/lsx/boot.d/10-STACK-net`.
    pub fn path(&self) -> PathBuf {
        Path::new(self.on.folder()).join(self.name())
    }

    /// Writes it, and what runs all entries of its kind. `program` is the path of the tool's copy here, `host` the name of this
    /// host in the stack, `intent` the file that the tool keeps here.
    ///
    /// # Errors
    /// Errors of the file system or systemd.
    pub fn write(&self, program: &str, host: &str, intent: &Path) -> Result<(), Failure> {
        self.on.starter().sweep();
        file::write(&self.path(), self.text(program, host, intent).as_bytes(), Mode::Program)?;
        self.on.starter().start()
    }

    /// The program and the host that the entry names; `None` when there is no entry. The program is empty when the entry
    /// would not work: nothing runs the entries, its program does not answer `--version`, or its text is damaged.
    ///
    /// # Errors
    /// Kind `Denied` when it may not be read.
    pub fn read(&self) -> Result<Option<(String, String)>, Failure> {
        let text = match file::read(&self.path()) {
            Err(failure) if failure.kind != Kind::Denied => Some(String::new()),
            text => text?,
        };
        Ok(text.map(|text| words(&text)).map(|(program, host)| {
            let works = self.on.starter().runs() && answers(&program, VERSION);
            (if works { program } else { String::new() }, host)
        }))
    }

    /// Removes it, and with the last entry what runs them. The entry goes last, since it tells a next run that there is
    /// something to do.
    ///
    /// # Errors
    /// Errors of the file system or systemd.
    pub fn remove(&self) -> Result<(), Failure> {
        let (folder, starter) = (Path::new(self.on.folder()), self.on.starter());
        starter.sweep();
        let own = self.path();
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        if entries.filter(|e| e.path() != own).count() == 0 {
            starter.stop()?;
        }
        file::remove(&own)?;
        file::remove_empty(folder);
        file::remove_empty(Path::new("/etc/lsx"));
        Ok(())
    }

    fn name(&self) -> String {
        format!("{:02}-{}-{}", self.order, self.stack, self.tool)
    }

    fn text(&self, program: &str, host: &str, intent: &Path) -> String {
        let Entry { stack, tool, .. } = self;
        let (verb, does) = self.on.verb();
        let does = does.replace("STACK", stack);
        let intent = intent.display();
        format!("#!/bin/sh\n# lsx-{tool} {does}.\nexec {program} {verb} --quiet --self {host} {intent}\n")
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

/// Whether a program exists and reports its version in time; any other program could run forever. The one that runs now does, so it
/// is not started.
fn answers(program: &str, limit: Duration) -> bool {
    if process::runs_now(Path::new(program)) {
        return true;
    }
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
        // This test's own program would be a failure there: it has no such option.
        let own = std::env::current_exe().unwrap();
        let copy = folder.path().join("copy");
        std::fs::copy(&own, &copy).unwrap();
        assert!(answers(own.to_str().unwrap(), VERSION) && !answers(copy.to_str().unwrap(), VERSION));
    }

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        let entry = Entry { on: Occasion::Boot, order: 5, stack: "office", tool: "net" };
        assert_eq!(entry.path(), Path::new("/etc/lsx/boot.d/05-office-net"));
        let text = entry.text("/var/lib/lsx/bin/0/lsx-net", "h1", Path::new("/etc/lsx/office/net.json"));
        assert!(
            text.ends_with("exec /var/lib/lsx/bin/0/lsx-net up --quiet --self h1 /etc/lsx/office/net.json\n")
        );
        assert_eq!(words(&text), ("/var/lib/lsx/bin/0/lsx-net".to_owned(), "h1".to_owned()));
        let entry = Entry { on: Occasion::Minute, ..entry };
        assert_eq!(entry.path(), Path::new("/etc/lsx/timer.d/05-office-net"));
        let text = entry.text("/bin/lsx-net", "h2", Path::new("/etc/lsx/office/net.json"));
        assert!(
            text.ends_with("exec /bin/lsx-net tick --quiet --self h2 /etc/lsx/office/net.json\n"),
            "{text}"
        );
        assert_eq!(words(&text), ("/bin/lsx-net".to_owned(), "h2".to_owned()));
        assert_eq!(words("damaged"), (String::new(), String::new()));
    }
}
