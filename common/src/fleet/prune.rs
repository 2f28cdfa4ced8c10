//! Old copies of the tools on a host: which may go, and their removal.

use crate::host::limit;
use crate::{Failure, Failures, Kind};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// How many copies stay, the newest first.
const KEPT: usize = 2;

/// Removes this host's old tool copies: folders of [`super::BIN`] whose name is 16 hex digits, except the newest two,
/// the one this program runs from, and every one that a file in [`super::BOOT`] names. Nothing else is touched.
/// Returns the removed names; what cannot be read or removed stays. A fleet asks for it after it shipped a copy.
pub fn prune() -> Vec<String> {
    under(Path::new(super::BIN), Path::new(super::BOOT)).unwrap_or_default()
}

/// Removes every tool copy of this host once no stack keeps anything here, so that `down` leaves nothing. The copy that
/// runs goes, too: the kernel keeps it until it ends. What cannot be removed stays, and is as good as pruned later.
pub fn leave() {
    let bin = Path::new(super::BIN);
    if Path::new("/etc/lsx").exists() {
        return;
    }
    for (_, name) in copies(bin).unwrap_or_default() {
        let _ = remove(&bin.join(name));
    }
    for folder in bin.ancestors().take(2) {
        let _ = fs::remove_dir(folder);
    }
}

/// [`prune`] for any folders.
pub(super) fn under(dir: &Path, boot: &Path) -> Result<Vec<String>, Failures> {
    let named = texts(boot).map_err(|e| failure(boot, e))?;
    let own = fs::read_link("/proc/self/exe").unwrap_or_default();
    let mut copies = copies(dir).map_err(|e| failure(dir, e))?;
    copies.sort_by(|a, b| b.cmp(a));
    let mut removed = Vec::new();
    let mut failures = Failures::default();
    for (_, name) in copies.into_iter().skip(KEPT) {
        let path = dir.join(&name);
        if own.starts_with(&path) || named.iter().any(|text| text.contains(&name)) {
            continue;
        }
        match remove(&path) {
            Ok(()) => removed.push(name),
            Err(error) => failures.0.push(failure(&path, error)),
        }
    }
    failures.verdict().map(|()| removed)
}

/// Whether a name is that of a tool copy: 16 lower-case hex digits.
pub(super) fn is_digest(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn copies(dir: &Path) -> io::Result<Vec<(SystemTime, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if is_digest(&name) && entry.file_type()?.is_dir() {
            found.push((entry.metadata()?.modified()?, name));
        }
    }
    Ok(found)
}

fn texts(boot: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(boot) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut texts = Vec::new();
    for entry in entries {
        let path: PathBuf = entry?.path();
        if path.is_file() {
            // One that is damaged may name a copy all the same.
            let text = limit::last(fs::File::open(path)?, limit::NOISE)?;
            texts.push(String::from_utf8_lossy(&text).into_owned());
        }
    }
    Ok(texts)
}

/// Removes a flat folder. A folder inside it is not ours and stops the removal.
fn remove(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        nix::unistd::unlink(&entry?.path())?;
    }
    fs::remove_dir(path)
}

fn failure(path: &Path, error: io::Error) -> Failure {
    Failure::new(Kind::Failed, "fleet.prune", format!("cannot prune {}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
    fn keeps_the_newest_two_and_what_boot_names() {
        let temp = tempfile::tempdir().unwrap();
        let bin = temp.path().join("bin");
        let boot = temp.path().join("boot.d");
        let names: Vec<String> = (0..5).map(|n| format!("{n:016x}")).collect();
        for (age, name) in names.iter().map(String::as_str).chain(["other", "00000000000000AA"]).enumerate() {
            fs::create_dir_all(bin.join(name)).unwrap();
            fs::write(bin.join(name).join("lsx-net"), "x").unwrap();
            let when = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 + age as u64);
            fs::File::open(bin.join(name)).unwrap().set_modified(when).unwrap();
        }
        fs::create_dir_all(&boot).unwrap();
        fs::write(boot.join("office"), format!("/var/lib/lsx/bin/{}/lsx-net up\n", names[1])).unwrap();
        let done = under(&bin, &boot).unwrap();
        assert_eq!(done, [names[2].clone(), names[0].clone()]);
        assert!(bin.join("other").exists() && bin.join("00000000000000AA").exists());
        assert!(bin.join(&names[1]).exists() && bin.join(&names[3]).exists());
    }

    #[test]
    fn a_folder_that_is_missing_is_a_failure() {
        assert_eq!(under(Path::new("/nonexistent"), Path::new("/nonexistent")).unwrap_err().exit(), 1);
    }
}
