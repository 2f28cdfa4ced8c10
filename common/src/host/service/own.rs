//! What a server gets besides its sockets: a folder of its own for what must outlive it, secrets, files of others that it reads, and a
//! folder that it sees. Its supervisor opens them, since a server without root cannot.

use super::kept::KeptService;
use crate::failure::{Failure, Kind};
use crate::host::service::seen;
use crate::host::{file, limit, received};
use crate::plan::{Definition, Kept};
use crate::secret;
use nix::unistd::{Gid, Uid, fchown};
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

impl KeptService {
    /// Opens the folder, if the definition wants one, then the secrets in the order of their names, the files that it reads, the folder
    /// that it sees, and its folders in volumes.
    pub(super) fn open_own(&self, definition: &Definition) -> Result<Vec<OwnedFd>, Failure> {
        let folder = definition.data.then(|| self.folder(definition.unprivileged)).transpose()?;
        let secrets = definition.secrets.iter().map(|(name, digest)| self.secret(name, digest));
        let reads = definition.reads.iter().map(|path| opened(Path::new(path)));
        let seen = definition.seen.iter().map(|path| seen::open_folder(Path::new(path)));
        let user = if definition.unprivileged { self.user() } else { 0 };
        let folders = definition.folders.iter().map(|folder| seen::in_volume(&self.stack, folder, user));
        folder.into_iter().map(Ok).chain(secrets).chain(reads).chain(seen).chain(folders).collect()
    }

    /// The folder, which belongs to the user of the server.
    fn folder(&self, unprivileged: bool) -> Result<OwnedFd, Failure> {
        let Kept::Data { path } = Kept::data(self.tool, &self.stack) else { return Err(self.bug()) };
        let path: PathBuf = Path::new(&path).join(&self.name);
        if !path.symlink_metadata().is_ok_and(|at| at.is_dir()) {
            file::private_folder(&path)?;
        }
        let failed = |what: &str, e: std::io::Error| file::failure(&path, what, &e);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = open(&path, flags, Mode::empty()).map_err(|e| failed("open", e.into()))?;
        let user = if unprivileged { self.user() } else { 0 };
        let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
        fchown(&folder, Some(uid), Some(gid)).map_err(|e| failed("change", e.into()))?;
        Ok(folder)
    }

    fn secret(&self, name: &str, digest: &str) -> Result<OwnedFd, Failure> {
        let path = received::secret_path(&self.stack, self.tool, name);
        let value = file::read_at_most(&path, limit::SECRET)?;
        if value.is_none_or(|value| secret::digest(&value) != digest) {
            let message = format!("secret {name} on this host is missing, or is not that of the definition");
            let hint = format!("run `lsx-{} up` with the stack's file", self.tool);
            return Err(Failure::new(Kind::Data, "host.service", message).hint(hint));
        }
        File::open(&path).map(Into::into).map_err(|e| file::failure(&path, "open", &e))
    }

    fn bug(&self) -> Failure {
        Failure::new(Kind::Bug, "host.service", format!("service {} has no folder", self.name))
    }
}

/// A file that another program writes, for reading. If it is missing it is made, so that both have the same file whoever comes first.
fn opened(path: &Path) -> Result<OwnedFd, Failure> {
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        file::private_folder(folder)?;
    }
    let failed = |e: std::io::Error| file::failure(path, "open", &e);
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::from_raw_mode(0o644)).map_err(|e| failed(e.into()))?;
    let plain = File::from(file.try_clone().map_err(failed)?).metadata().map_err(failed)?.is_file();
    if plain { Ok(file) } else { Err(failed(std::io::ErrorKind::InvalidInput.into())) }
}
