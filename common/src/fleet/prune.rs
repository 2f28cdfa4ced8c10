//! Old copies of the tools on a host: which are removed, and the removal.

use crate::host::limit;
use crate::{Failure, Failures, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How many copies of a tool stay, the newest first.
const KEPT: usize = 2;
/// The folders of entries that name copies.
pub(super) const ENTRIES: [&str; 2] = [super::BOOT, super::TIMER];

/// Removes this host's old tool copies: folders of [`super::BIN`] whose name is 16 hex digits, except the newest two of
/// each tool, those that a process runs, and those that an entry names. Nothing else is touched.
/// Returns the removed names; what cannot be read or removed stays. A fleet asks for it after it shipped a copy.
pub fn prune() -> Vec<String> {
    under(Path::new(super::BIN), &ENTRIES.map(Path::new)).unwrap_or_default()
}

/// Removes every tool copy of this host when no stack keeps anything here any more, so that `down` leaves nothing. The
/// running copy is removed, too: the kernel keeps it until it ends. What cannot be removed is left for a later [`prune`].
pub fn leave() {
    let bin = Path::new(super::BIN);
    if Path::new("/etc/lsx").exists() {
        return;
    }
    for copy in copies(bin).unwrap_or_default() {
        let _ = remove(&bin.join(copy.name));
    }
    for folder in bin.ancestors().take(2) {
        let _ = fs::remove_dir(folder);
    }
}

/// [`prune`] for any folders.
pub(super) fn under(dir: &Path, entries: &[&Path]) -> Result<Vec<String>, Failures> {
    let mut named = Vec::new();
    for folder in entries {
        named.extend(texts(folder).map_err(|e| failure(folder, e))?);
    }
    let mut copies = copies(dir).map_err(|e| failure(dir, e))?;
    copies.sort_by(|a, b| (b.modified, &b.name).cmp(&(a.modified, &a.name)));
    let running = running();
    let mut newer: BTreeMap<&[String], usize> = BTreeMap::new();
    let mut removed = Vec::new();
    let mut failures = Failures::default();
    for copy in &copies {
        let newer = newer.entry(&copy.programs).or_default();
        *newer += 1;
        let named = || named.iter().any(|text| text.contains(&copy.name));
        if *newer <= KEPT || !copy.files.is_disjoint(&running) || named() {
            continue;
        }
        let path = dir.join(&copy.name);
        match remove(&path) {
            Ok(()) => removed.push(copy.name.clone()),
            Err(error) => failures.0.push(failure(&path, error)),
        }
    }
    failures.verdict().map(|()| removed)
}

/// Whether a name is that of a tool copy: 16 lower-case hex digits.
pub(super) fn is_digest(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A folder with a tool and its other files.
struct Copy {
    name: String,
    modified: SystemTime,
    /// The name of the tool, which identifies its copies; none for files being written.
    programs: Vec<String>,
    files: BTreeSet<File>,
}

/// Device and inode: one file may have several names.
type File = (u64, u64);

fn copies(dir: &Path) -> io::Result<Vec<Copy>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if is_digest(&name) && entry.file_type()?.is_dir() {
            let modified = entry.metadata()?.modified()?;
            let mut copy = Copy { name, modified, programs: Vec::new(), files: BTreeSet::new() };
            for file in fs::read_dir(entry.path())?.flatten() {
                let name = file.file_name().to_string_lossy().into_owned();
                copy.files.extend(file.metadata().map(|m| (m.dev(), m.ino())));
                copy.programs.extend(Some(name).filter(|name| !name.starts_with('.')));
            }
            copy.programs.sort();
            found.push(copy);
        }
    }
    Ok(found)
}

/// The files that processes of this host run, including those in instances.
fn running() -> BTreeSet<File> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let file = |process: fs::DirEntry| fs::metadata(process.path().join("exe")).ok();
    processes.filter_map(file).map(|m| (m.dev(), m.ino())).collect()
}

fn texts(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut texts = Vec::new();
    for entry in entries {
        let path: PathBuf = entry?.path();
        if path.is_file() {
            // A damaged entry may still name a copy.
            let text = limit::last(fs::File::open(path)?, limit::NOISE)?;
            texts.push(String::from_utf8_lossy(&text).into_owned());
        }
    }
    Ok(texts)
}

/// Removes a flat folder. A folder inside it was not made by lsx and stops the removal.
fn remove(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        nix::unistd::unlink(&entry?.path())?;
    }
    fs::remove_dir(path)
}

fn failure(path: &Path, error: io::Error) -> Failure {
    Failure::new(Kind::Failed, "fleet.prune", format!("cannot remove old tool copies in {}", path.display()))
        .because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Copies of tools in a folder, the oldest first.
    fn made(bin: &Path, copies: &[(&str, &[&str])]) {
        for (age, (name, programs)) in copies.iter().enumerate() {
            fs::create_dir_all(bin.join(name)).unwrap();
            for program in *programs {
                fs::copy("/bin/sleep", bin.join(name).join(program)).unwrap();
            }
            let when = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 + age as u64);
            fs::File::open(bin.join(name)).unwrap().set_modified(when).unwrap();
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
    fn keeps_the_newest_two_of_each_tool_and_what_entries_name() {
        let temp = tempfile::tempdir().unwrap();
        let bin = temp.path().join("bin");
        let boot = temp.path().join("boot.d");
        let names: Vec<String> = (0..9).map(|n| format!("{n:016x}")).collect();
        let (net, ct): (&[&str], &[&str]) = (&["lsx-net"], &["lsx-ct", "lsx-net"]);
        let tools = [ct, net, net, ct, net, ct, net, ct, net];
        let mut copies: Vec<_> = names.iter().map(String::as_str).zip(tools).collect();
        copies.extend([("other", net), ("00000000000000AA", net)]);
        made(&bin, &copies);
        fs::create_dir_all(&boot).unwrap();
        fs::write(boot.join("office"), format!("/var/lib/lsx/bin/{}/lsx-net up\n", names[1])).unwrap();
        let timer = temp.path().join("timer.d");
        fs::create_dir_all(&timer).unwrap();
        fs::write(timer.join("office"), format!("/var/lib/lsx/bin/{}/lsx-net tick\n", names[2])).unwrap();
        let mut done = under(&bin, &[&boot, &timer]).unwrap();
        done.sort();
        assert_eq!(done, [0, 3, 4].map(|n| names[n].clone()));
        assert!(bin.join("other").exists() && bin.join("00000000000000AA").exists());
        assert!([1, 2, 5, 6, 7, 8].iter().all(|&n| bin.join(&names[n]).exists()));
    }

    #[test]
    fn what_a_process_runs_stays_whatever_its_name() {
        let temp = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..4).map(|n| format!("{n:016x}")).collect();
        let copies: Vec<(&str, &[&str])> = names.iter().map(|n| (n.as_str(), &["lsx-ct"][..])).collect();
        made(temp.path(), &copies);
        // It runs under another name of the file, as the first process of an instance does.
        let other = temp.path().join("elsewhere");
        fs::hard_link(temp.path().join(&names[0]).join("lsx-ct"), &other).unwrap();
        let nothing = std::process::Stdio::null;
        let program = crate::host::Program::new(other.to_str().unwrap()).args(["60"]);
        let mut child = program.start(nothing(), nothing(), nothing()).unwrap();
        assert_eq!(under(temp.path(), &[Path::new("/nonexistent")]).unwrap(), [names[1].clone()]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(under(temp.path(), &[Path::new("/nonexistent")]).unwrap(), [names[0].clone()]);
    }

    #[test]
    fn a_folder_that_is_missing_is_a_failure() {
        assert_eq!(under(Path::new("/nonexistent"), &[Path::new("/nonexistent")]).unwrap_err().exit(), 1);
    }
}
