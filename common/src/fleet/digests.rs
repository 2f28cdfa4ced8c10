//! The digests of binaries, cached beside the SSH masters: reading and hashing our own binary takes as long as a request to
//! a host.

use super::control::hex;
use crate::host::file::{self, Mode};
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// It has an extension, as all files in that folder but the sockets have.
const NAME: &str = "binaries.digest";
/// The number of files remembered, the latest first.
const KEPT: usize = 16;
/// A limit above the size of [`KEPT`] lines, in bytes.
const LONGEST: u64 = 8192;
/// File times are as coarse as the kernel's tick: a file changed within this time may change again with the same time.
const SETTLED: Duration = Duration::from_secs(2);

/// What this process has read: a host that is local may have no such folder, and needs its digest several times.
static READ: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// The cache. It only saves time: without a folder, or with a damaged file, it is empty.
#[derive(Debug)]
pub(super) struct Digests {
    path: Option<PathBuf>,
    /// The identity of a file (see [`which`]), and its digest.
    known: Vec<(String, String)>,
}

impl Digests {
    /// The cache of a folder, which must belong to this user alone.
    pub(super) fn of(folder: Option<&Path>) -> Digests {
        let path = folder.map(|f| f.join(NAME));
        let text = path.as_deref().and_then(|p| trusted(p).ok()?).unwrap_or_default();
        Digests { path, known: text.lines().filter_map(line).collect() }
    }

    /// Size in bytes and digest of a file, which is read only when it is unknown or has changed.
    pub(super) fn digest(&mut self, path: &Path) -> io::Result<(u64, String)> {
        let mut file = File::open(path)?;
        let before = file.metadata()?;
        let which = which(&before);
        let read = READ.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, digest)) = self.known.iter().chain(&read).find(|(known, _)| *known == which) {
            return Ok((before.len(), digest.clone()));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let digest = hex(&Sha256::digest(&bytes));
        if settled(&before) && self::which(&file.metadata()?) == which {
            READ.lock().unwrap_or_else(PoisonError::into_inner).push((which.clone(), digest.clone()));
            self.keep(which, digest.clone());
        }
        Ok((bytes.len() as u64, digest))
    }

    fn keep(&mut self, which: String, digest: String) {
        self.known.insert(0, (which, digest));
        self.known.truncate(KEPT);
        let text: String = self.known.iter().map(|(which, digest)| format!("{which} {digest}\n")).collect();
        if let Some(path) = &self.path {
            let _ = file::write(path, text.as_bytes(), Mode::Private);
        }
    }
}

/// The text of a file that only this user can have written.
fn trusted(path: &Path) -> io::Result<Option<String>> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    let ours = found.uid() == nix::unistd::geteuid().as_raw() && found.mode() & 0o077 == 0;
    let mut text = String::new();
    if ours && found.is_file() {
        file.take(LONGEST).read_to_string(&mut text)?;
        return Ok(Some(text));
    }
    Ok(None)
}

/// Parses a whole line; a truncated line is ignored.
fn line(line: &str) -> Option<(String, String)> {
    let (which, digest) = line.split_once(' ')?;
    let whole = digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    whole.then(|| (which.to_owned(), digest.to_owned()))
}

/// Identifies a file and its state: writing to the file or replacing it changes one of these values. The last one, the
/// inode's change time, cannot be set.
fn which(file: &Metadata) -> String {
    format!(
        "{}:{}:{}:{}.{:09}:{}.{:09}",
        file.dev(),
        file.ino(),
        file.len(),
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec()
    )
}

fn settled(file: &Metadata) -> bool {
    let changed = u64::try_from(file.ctime()).map(|s| SystemTime::UNIX_EPOCH + Duration::from_secs(s));
    changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > SETTLED))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// A folder, a file in it that has settled, and what is remembered of it.
    fn remembered() -> (tempfile::TempDir, PathBuf, PathBuf, String) {
        let temp = tempfile::tempdir().unwrap();
        let (binary, cache) = (temp.path().join("binary"), temp.path().join(NAME));
        fs::write(&binary, "one").unwrap();
        let digest = hex(&Sha256::digest("one"));
        assert_eq!(Digests::of(Some(temp.path())).digest(&binary).unwrap(), (3, digest.clone()));
        assert!(!cache.exists(), "what has changed just now is not remembered");
        // The time of an inode cannot be set, so the test says that the file is known.
        let text = format!("{} {digest}\n", which(&fs::metadata(&binary).unwrap()));
        file::write(&cache, text.as_bytes(), Mode::Private).unwrap();
        (temp, binary, cache, digest)
    }

    /// Writes another digest in, so that a look shows whether it was believed.
    fn lie(cache: &Path, digest: &str) -> String {
        let lie = "0".repeat(64);
        let text = fs::read_to_string(cache).unwrap().replace(digest, &lie);
        file::write(cache, text.as_bytes(), Mode::Private).unwrap();
        lie
    }

    #[test]
    fn a_known_file_is_not_read_and_a_changed_one_is() {
        let (temp, binary, cache, digest) = remembered();
        let lie = lie(&cache, &digest);
        let look = || Digests::of(Some(temp.path())).digest(&binary).unwrap().1;
        assert_eq!(look(), lie);
        assert_eq!(Digests::of(None).digest(&binary).unwrap().1, digest);
        let times = fs::metadata(&binary).unwrap().modified().unwrap();
        fs::write(&binary, "two").unwrap();
        File::options().write(true).open(&binary).unwrap().set_modified(times).unwrap();
        assert_eq!(look(), hex(&Sha256::digest("two")));
    }

    #[test]
    fn what_is_damaged_or_open_to_others_is_not_believed() {
        let (temp, binary, cache, digest) = remembered();
        let lie = lie(&cache, &digest);
        let look = || Digests::of(Some(temp.path())).digest(&binary).unwrap().1;
        let whole = fs::read(&cache).unwrap();
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o660)).unwrap();
        assert_eq!(look(), digest);
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(look(), lie);
        for damaged in [&whole[..whole.len() - 2], &b"\xff\xff\n"[..], &b"a b\n\n"[..]] {
            fs::write(&cache, damaged).unwrap();
            assert_eq!(look(), digest);
        }
        fs::rename(&cache, temp.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", &cache).unwrap();
        fs::write(&cache, &whole).unwrap();
        assert_eq!(look(), digest);
        fs::remove_file(&cache).unwrap();
        fs::create_dir(&cache).unwrap();
        assert_eq!(look(), digest);
    }

    #[test]
    fn a_file_that_has_settled_is_remembered_for_the_next_run() {
        let temp = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        if !settled(&fs::metadata(&own).unwrap()) {
            return;
        }
        let (_, digest) = Digests::of(Some(temp.path())).digest(&own).unwrap();
        let cache = temp.path().join(NAME);
        assert_eq!(fs::metadata(&cache).unwrap().mode() & 0o777, 0o600);
        lie(&cache, &digest);
        assert_ne!(Digests::of(Some(temp.path())).digest(&own).unwrap().1, digest);
    }
}
