//! The tool's own binaries, and the digests that are their addresses on a host.

use super::control::hex;
use super::digests::Digests;
use crate::{Failure, Kind};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Where this program itself can be read, even if its file was replaced meanwhile.
pub(super) const SELF: &str = "/proc/self/exe";

/// A set of binaries for one architecture.
#[derive(Clone, Debug)]
pub(super) struct Set {
    /// The tool first.
    pub(super) parts: Vec<Part>,
    /// The name of their folder: 16 hex digits.
    pub(super) digest: String,
    /// Size of the tool itself in bytes.
    pub(super) size: u64,
}

/// One binary of a set. Its address does not depend on the set, so that sets share files.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) name: String,
    path: PathBuf,
    /// Digest of its content: 64 hex digits.
    pub(super) digest: String,
    /// As [`Set::digest`], for a set of this file alone.
    pub(super) address: String,
    packed: Arc<OnceLock<Vec<u8>>>,
}

impl Set {
    /// The set of this program: itself first, the others from the same folder. `private`: a folder that belongs to this
    /// user alone, for the cache of digests.
    pub(super) fn own(names: &[String], private: Option<&Path>) -> Result<Set, Failure> {
        let path = std::env::current_exe().map_err(|e| unreadable(Path::new(SELF), &e))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let place = |(n, name): (usize, &String)| if n == 0 { SELF.into() } else { folder.join(name) };
        let files = names.iter().enumerate().map(|(n, name)| (name.clone(), place((n, name)))).collect();
        Set::of(files, private)
    }

    /// The set for another architecture, from the folder of prepared tools.
    pub(super) fn foreign(
        names: &[String],
        tools: Option<&Path>,
        arch: &str,
        private: Option<&Path>,
    ) -> Result<Set, Failure> {
        let message = format!("the host is {arch}, this machine is {}", std::env::consts::ARCH);
        let failure = Failure::new(Kind::Unreachable, "fleet.arch", message);
        let Some(tools) = tools else {
            return Err(failure.hint(format!("put a build for it in a folder {arch}/ and set LSX_TOOLS")));
        };
        let folder = tools.join(arch);
        let files = names.iter().map(|name| (name.clone(), folder.join(name))).collect();
        Set::of(files, private).map_err(|e| {
            let hint = format!("put {} for {arch} in {}", names.join(" and "), folder.display());
            failure.because(e.message).hint(hint)
        })
    }

    fn of(files: Vec<(String, PathBuf)>, private: Option<&Path>) -> Result<Set, Failure> {
        let mut digests = Digests::of(private);
        let (mut parts, mut own) = (Vec::new(), None);
        for (name, path) in files {
            let (size, digest) = digests.digest(&path).map_err(|e| unreadable(&path, &e))?;
            own.get_or_insert(size);
            let address = address([(name.as_str(), digest.as_str())]);
            parts.push(Part { name, path, digest, address, packed: Arc::default() });
        }
        let digest = address(parts.iter().map(|part| (part.name.as_str(), part.digest.as_str())));
        Ok(Set { parts, digest, size: own.unwrap_or_default() })
    }
}

impl Part {
    /// Its content, which must match its address.
    pub(super) fn read(&self) -> Result<Vec<u8>, Failure> {
        let bytes = std::fs::read(&self.path).map_err(|e| unreadable(&self.path, &e))?;
        if hex(&Sha256::digest(&bytes)) == self.digest {
            return Ok(bytes);
        }
        let message = format!("{} was replaced during this run", self.path.display());
        Err(Failure::new(Kind::Again, "fleet.set", message).hint("run the command again"))
    }

    /// The same in gzip's format. Compressed once for all hosts.
    pub(super) fn packed(&self, bytes: &[u8]) -> &[u8] {
        // The first level: better compression takes longer than the saved transfer at 100 Mbit/s.
        let pack = || {
            let mut small = GzEncoder::new(Vec::new(), Compression::fast());
            small.write_all(bytes).and_then(|()| small.finish())
        };
        self.packed.get_or_init(|| pack().unwrap_or_default())
    }
}

/// 16 hex digits of names and digests.
fn address<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut hash = Sha256::new();
    for (name, digest) in files {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
        hash.update(digest.as_bytes());
    }
    hex(&hash.finalize()[..8])
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot read {}", path.display());
    Failure::new(Kind::Failed, "fleet.set", message).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_architecture_comes_from_the_folder_of_tools() {
        let set = ["lsx-net".to_owned()];
        assert_eq!(Set::foreign(&set, None, "riscv64", None).unwrap_err().code, "fleet.arch");
        let temp = tempfile::tempdir().unwrap();
        let missing = Set::foreign(&set, Some(temp.path()), "riscv64", None).unwrap_err();
        assert_eq!((missing.kind, missing.causes.len()), (Kind::Unreachable, 1));
    }

    #[test]
    fn a_file_has_one_address_whatever_its_set() {
        let own = std::env::current_exe().unwrap();
        let beside = own.file_name().unwrap().to_str().unwrap().to_owned();
        let two = Set::own(&["lsx-ct".to_owned(), beside], None).unwrap();
        let one = Set::own(&["lsx-ct".to_owned()], None).unwrap();
        assert_eq!((&one.digest, &one.parts[0].address), (&two.parts[0].address, &one.digest));
        assert!(two.digest != one.digest && two.parts[1].address != one.digest);
    }
}
