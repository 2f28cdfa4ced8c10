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

/// The most bytes of a lock.
const MOST: u64 = 1 << 16;
/// Bytes that come before what is encrypted.
const NONCE: usize = 16;
/// What begins a text that is compressed, by Zstandard.
const COMPRESSED: u8 = 2;

/// Held until dropped; that of a process that was killed is removed by the next one.
pub(super) struct Lock(PathBuf);

impl Lock {
    /// Takes it, beside others: nobody may delete. Removes those that dead processes of this host have left.
    ///
    /// # Errors
    /// Kind `Again` if somebody has the repository alone.
    pub(super) fn take(repository: &Path, key: &MasterKey) -> Result<Lock, Failure> {
        let (folder, cipher) = (repository.join("locks"), cipher(key)?);
        let host = common::host::name();
        let said = json!({"time": Timestamp::now().to_string(), "exclusive": false, "hostname": host,
            "username": "root", "pid": std::process::id()});
        let mut bytes = vec![0; NONCE];
        rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
            .map_err(|e| failed(&e.to_string()))?;
        let sealed = cipher.encrypt(bytes[..].into(), said.to_string().as_bytes());
        let sealed = sealed.map_err(|_| failed("it cannot be encrypted"))?;
        bytes.extend(sealed);
        let path = folder.join(document::digest(&bytes));
        file::write(&path, &bytes, Mode::Private)?;
        let lock = Lock(path);
        // Whoever wants it alone writes first and looks then, too: one of both sees the other.
        for other in std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let said = if other == lock.0 { None } else { opened(&cipher, &other) };
            let Some(said) = said else { continue };
            let pid = said["pid"].as_u64().unwrap_or_default();
            if said["hostname"] == host.as_str() && !Path::new(&format!("/proc/{pid}")).exists() {
                file::remove(&other)?;
            } else if said["exclusive"] == true {
                let who = said["hostname"].as_str().unwrap_or_default();
                let message = format!(
                    "process {pid} of {} has the repository at {} for itself",
                    common::host::limit::text(who),
                    repository.display()
                );
                return Err(Failure::new(Kind::Again, "snap.locked", message)
                    .hint("wait for it; if it has died, `restic unlock` removes its lock"));
            }
        }
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = file::remove(&self.0);
    }
}

fn failed(why: &str) -> Failure {
    Failure::new(Kind::Failed, "snap.lock", format!("the repository cannot be locked: {why}"))
}

/// What a lock says; none if it is no lock of this repository.
fn opened(cipher: &Aes256CtrPoly1305Aes, path: &Path) -> Option<Value> {
    let bytes = file::read_at_most(path, MOST).ok()??;
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
