//! The files of a program that is not lsx's, and its own commands that check them and ask whether it serves.

use super::STEP;
use crate::failure::{Failure, Kind};
use crate::host::file::{self, Mode};
use crate::host::service::kept::KeptService;
use crate::host::service::log::Log;
use crate::host::{self, namespace, wait};
use crate::plan::{Definition, FOLDER, Program};
use nix::unistd::{Gid, chown};
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Time limit for the command that says whether a program serves.
const ASK: Duration = Duration::from_secs(10);

/// The files of a program.
pub(super) struct Files<'a> {
    pub(super) of: &'a KeptService,
    pub(super) program: &'a Program,
    folder: PathBuf,
}

impl<'a> Files<'a> {
    pub(super) fn of(of: &'a KeptService, program: &'a Program) -> Files<'a> {
        let folder = program.folder.as_ref().map_or_else(|| of.files(), PathBuf::from);
        Files { of, program, folder }
    }

    pub(super) fn filled<'s>(&'s self, words: &'s [String]) -> impl Iterator<Item = String> + 's {
        words.iter().map(|word| filled(word, &self.folder))
    }

    /// Lets the program's own command check a copy of its files.
    pub(super) fn check(&self, definition: &Definition, log: &Log) -> Result<(), Failure> {
        if self.program.check.is_empty() {
            return Ok(());
        }
        let copy = Files { folder: self.of.candidate(), ..*self };
        file::remove_tree(&copy.folder)?;
        copy.write(definition, None)?;
        let argv: Vec<String> = copy.filled(&self.program.check).collect();
        let checked = argv.split_first().map(|(first, more)| host::Program::new(first).args(more).run(b""));
        file::remove_tree(&copy.folder)?;
        let Some(Err(failure)) = checked else { return Ok(()) };
        let said = failure.program.map(|program| program.output).unwrap_or_default();
        said.iter().for_each(|line| log.say(line));
        let last = said.last().cloned().unwrap_or(failure.message);
        let why = format!("the configuration was refused: {last}");
        Err(Failure::new(Kind::Failed, "host.service", why))
    }

    /// Writes them; removes those that only the former definition has. Without a former one the engine's own folder begins empty.
    pub(super) fn write(&self, definition: &Definition, former: Option<&Program>) -> Result<(), Failure> {
        if former.is_none() && self.program.folder.is_none() {
            file::remove_tree(&self.folder)?;
        }
        self.make(definition)?;
        let all = |program: &'_ Program| -> BTreeMap<String, String> {
            program
                .fixed
                .iter()
                .chain(&program.files)
                .map(|(name, text)| (name.clone(), text.clone()))
                .collect()
        };
        let wanted = all(self.program);
        for (name, text) in &wanted {
            let path = self.folder.join(plain(name)?);
            match name.strip_suffix('/') {
                Some(_) => std::fs::create_dir_all(&path).map_err(|e| file::failure(&path, "make", &e))?,
                None => _ = file::write(&path, filled(text, &self.folder).as_bytes(), self.mode(definition))?,
            }
        }
        let former = former.map(all).unwrap_or_default();
        for name in former.keys().filter(|name| !name.ends_with('/') && !wanted.contains_key(*name)) {
            file::remove(&self.folder.join(plain(name)?))?;
        }
        Ok(())
    }

    /// Only its group can enter the folder, if it has one.
    fn mode(&self, definition: &Definition) -> Mode {
        let shared = definition.unprivileged || self.program.group.is_some();
        if shared { Mode::Public } else { Mode::Private }
    }

    fn make(&self, definition: &Definition) -> Result<(), Failure> {
        let group = match &self.program.group {
            Some(name) => Some(group(name)?),
            None => definition.unprivileged.then(|| self.of.user()),
        };
        file::private_folder(&self.folder)?;
        let Some(group) = group else { return Ok(()) };
        let failed = |path: &Path, e: std::io::Error| file::failure(path, "open", &e);
        chown(&self.folder, None, Some(Gid::from_raw(group))).map_err(|e| failed(&self.folder, e.into()))?;
        let set = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode));
        set(&self.folder, 0o750).map_err(|e| failed(&self.folder, e))?;
        // Others may pass through what is above it, and see nothing there.
        for above in self.folder.ancestors().skip(1).take(2) {
            let mode = above.metadata().map_err(|e| failed(above, e))?.mode() & 0o777 | 0o011;
            set(above, mode).map_err(|e| failed(above, e))?;
        }
        Ok(())
    }

    /// Asks once whether it serves.
    pub(super) fn ready(&self, space: &OwnedFd) -> bool {
        let argv: Vec<String> = self.filled(&self.program.ready).collect();
        let Some((first, more)) = argv.split_first() else { return true };
        let program = host::Program::new(first).args(more);
        let start = || program.start(Stdio::null(), Stdio::null(), Stdio::null());
        let Ok(Ok(mut asked)) = namespace::inside(space.as_fd(), start) else { return false };
        let ended = wait::until(ASK, STEP, || !matches!(asked.try_wait(), Ok(None)));
        if !ended {
            let _ = asked.kill();
        }
        asked.wait().is_ok_and(|status| status.success())
    }
}

fn filled(text: &str, folder: &Path) -> String {
    text.replace(FOLDER, &folder.to_string_lossy())
}

/// A name of a file, if it cannot lead out of its folder.
fn plain(name: &str) -> Result<&str, Failure> {
    let wrong = name.starts_with('/') || name.split('/').any(|part| part == "..");
    let failure = || Failure::new(Kind::Data, "host.service", format!("{name:?} is no name of a file"));
    if wrong { Err(failure()) } else { Ok(name) }
}

/// The number of a group of this host.
fn group(name: &str) -> Result<u32, Failure> {
    let text = file::read(Path::new("/etc/group"))?.unwrap_or_default();
    let number = |line: &str| line.strip_prefix(name)?.strip_prefix(':')?.split(':').nth(1)?.parse().ok();
    text.lines().find_map(number).ok_or_else(|| {
        Failure::new(Kind::Failed, "host.service", format!("this host has no group {name}"))
            .hint("the package of the program makes it")
    })
}
