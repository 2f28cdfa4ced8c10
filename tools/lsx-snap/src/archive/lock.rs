//! restic's lock in a repository: while it is there, restic deletes nothing (`prune`), and refuses what must be alone (`check`).

use aes256ctr_poly1305aes::aead::Aead;
use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::host::file::{self, Mode};
use common::{Failure, Kind, document};
use rustic_core::jiff::Timestamp;
use rustic_core::repofile::MasterKey;
use ruzstd::decoding::StreamingDecoder;
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The most bytes of a lock.
const MOST: u64 = 1 << 16;
/// Bytes that come before what is encrypted.
const NONCE: usize = 16;
/// How often it is written anew: after 30 minutes restic takes a lock for one that nobody has any more, and `prune` deletes what
/// no snapshot needs yet.
const EVERY: Duration = Duration::from_secs(300);
/// What begins a text that is compressed, by Zstandard.
const COMPRESSED: u8 = 2;

/// Held until dropped; that of a process that was killed is removed by the next one.
pub(super) struct Lock {
    file: Arc<LockFile>,
    /// Dropped, it ends the thread that renews the file.
    end: Option<Sender<()>>,
    renews: Option<JoinHandle<()>>,
}

/// The file of a lock.
struct LockFile {
    repository: PathBuf,
    cipher: Aes256CtrPoly1305Aes,
    /// None once somebody has removed it.
    path: Mutex<Option<PathBuf>>,
}

impl Lock {
    /// Takes it, beside others: nobody may delete. Removes those that dead processes of this host have left.
    ///
    /// # Errors
    /// Kind `Again` if somebody has the repository alone.
    pub(super) fn take(repository: &Path, key: &MasterKey) -> Result<Lock, Failure> {
        Lock::renewed(repository, key, EVERY)
    }

    fn renewed(repository: &Path, key: &MasterKey, every: Duration) -> Result<Lock, Failure> {
        let (repository, cipher) = (repository.to_owned(), cipher(key)?);
        let file = Arc::new(LockFile { repository, cipher, path: Mutex::default() });
        let own = file.write()?;
        file.set(Some(own.clone()));
        let (end, ended) = channel();
        let mut lock = Lock { file: Arc::clone(&file), end: Some(end), renews: None };
        // Whoever wants it alone writes first and looks then, too: one of both sees the other.
        file.others(&own)?;
        lock.renews = Some(std::thread::spawn(move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                file.renew();
            }
        }));
        Ok(lock)
    }

    /// Whether it was held all the time: else others may have deleted what this run has written.
    ///
    /// # Errors
    /// If somebody has removed it.
    pub(super) fn held(&self) -> Result<(), Failure> {
        let path = self.file.path.lock().unwrap_or_else(PoisonError::into_inner);
        if path.as_ref().is_some_and(|path| path.exists()) {
            return Ok(());
        }
        let at = self.file.repository.display();
        let message = format!("the lock of the repository at {at} was removed while it was written to");
        Err(Failure::new(Kind::Failed, "snap.lock", message).hint(
            "others may have deleted what was written, so no snapshot was saved: run `lsx-snap take` again",
        ))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(renews) = self.renews.take() {
            let _ = renews.join();
        }
        if let Some(path) = self.file.set(None) {
            let _ = file::remove(&path);
        }
    }
}

impl LockFile {
    /// Replaces the path.
    fn set(&self, path: Option<PathBuf>) -> Option<PathBuf> {
        std::mem::replace(&mut self.path.lock().unwrap_or_else(PoisonError::into_inner), path)
    }

    /// Writes one with the present time.
    fn write(&self) -> Result<PathBuf, Failure> {
        let said = json!({"time": Timestamp::now().to_string(), "exclusive": false, "hostname": common::host::name(),
            "username": "root", "pid": std::process::id()});
        let mut bytes = vec![0; NONCE];
        rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
            .map_err(|e| failed(&e.to_string()))?;
        let sealed = self.cipher.encrypt(bytes[..].into(), said.to_string().as_bytes());
        let sealed = sealed.map_err(|_| failed("it cannot be encrypted"))?;
        bytes.extend(sealed);
        let path = self.repository.join("locks").join(document::digest(&bytes));
        file::write(&path, &bytes, Mode::Private)?;
        Ok(path)
    }

    /// Writes a new one, then removes the old one. If that was removed by somebody else, the lock is lost, and stays so.
    fn renew(&self) {
        let mut path = self.path.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(old) = path.take() else { return };
        match self.write() {
            // The old one still tells others; the next attempt may succeed.
            Err(_) => *path = Some(old),
            Ok(new) if matches!(file::remove(&old), Ok(true)) => *path = Some(new),
            Ok(new) => drop(file::remove(&new)),
        }
    }

    /// Looks at the locks of others; those of dead processes of this host are removed.
    fn others(&self, own: &Path) -> Result<(), Failure> {
        let (folder, host) = (self.repository.join("locks"), common::host::name());
        let told = |e| file::failure(&folder, "read", &e);
        for other in std::fs::read_dir(&folder).map_err(told)? {
            let other = other.map_err(told)?.path();
            let said = if other == own { None } else { opened(&self.cipher, &other)? };
            let Some(said) = said else { continue };
            let pid = said["pid"].as_u64().unwrap_or_default();
            if said["hostname"] == host.as_str() && !Path::new(&format!("/proc/{pid}")).exists() {
                file::remove(&other)?;
            } else if said["exclusive"] == true {
                let who = said["hostname"].as_str().unwrap_or_default();
                let message = format!(
                    "process {pid} of {} has the repository at {} for itself",
                    common::host::limit::text(who),
                    self.repository.display()
                );
                return Err(Failure::new(Kind::Again, "snap.locked", message)
                    .hint("wait for it; if it has died, `restic unlock` removes its lock"));
            }
        }
        Ok(())
    }
}

fn failed(why: &str) -> Failure {
    Failure::new(Kind::Failed, "snap.lock", format!("the repository cannot be locked: {why}"))
}

/// What a lock says; none if it is gone, or no lock of this repository.
fn opened(cipher: &Aes256CtrPoly1305Aes, path: &Path) -> Result<Option<Value>, Failure> {
    Ok(file::read_at_most(path, MOST)?.and_then(|bytes| said(cipher, &bytes)))
}

fn said(cipher: &Aes256CtrPoly1305Aes, bytes: &[u8]) -> Option<Value> {
    let (nonce, sealed) = bytes.split_at_checked(NONCE)?;
    let said = cipher.decrypt(nonce.into(), sealed).ok()?;
    let Some(packed) = said.strip_prefix(&[COMPRESSED]) else { return serde_json::from_slice(&said).ok() };
    let mut text = Vec::new();
    StreamingDecoder::new(packed).ok()?.take(MOST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The key of a repository, as its format has it.
fn cipher(key: &MasterKey) -> Result<Aes256CtrPoly1305Aes, Failure> {
    let said = serde_json::to_value(key).map_err(|e| failed(&e.to_string()))?;
    let mut bytes = Vec::new();
    for part in [&said["encrypt"], &said["mac"]["k"], &said["mac"]["r"]] {
        bytes.extend(STANDARD.decode(part.as_str().unwrap_or_default()).unwrap_or_default());
    }
    let key: &[u8; 64] = bytes[..].try_into().map_err(|_| failed("its key has another length"))?;
    Ok(Aes256CtrPoly1305Aes::new(Key::from_slice(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::host::wait::until;

    #[test]
    fn it_is_renewed_and_one_that_was_removed_is_lost() {
        let temp = tempfile::tempdir().unwrap();
        let locks = temp.path().join("locks");
        file::private_folder(&locks).unwrap();
        let there = || -> Vec<PathBuf> {
            std::fs::read_dir(&locks).unwrap().flatten().map(|entry| entry.path()).collect()
        };
        let lock = Lock::renewed(temp.path(), &MasterKey::new(), Duration::from_millis(50)).unwrap();
        let first = there();
        let (limit, step) = (Duration::from_secs(30), Duration::from_millis(1));
        assert!(until(limit, step, || there().len() == 1 && there() != first));
        lock.held().unwrap();
        // As `restic unlock` removes it, whichever it is by now.
        assert!(until(limit, step, || {
            there().iter().for_each(|path| drop(file::remove(path)));
            lock.held().is_err()
        }));
        assert!(until(limit, step, || lock.file.path.lock().unwrap().is_none()));
        assert_eq!(lock.held().unwrap_err().code, "snap.lock");
        drop(lock);
        assert!(there().is_empty());
    }
}
