//! Files inside an instance's root, seen from the host: no link in there leads out (openat2(2), RESOLVE_IN_ROOT).

use crate::accounts::{Account, Accounts, Alone};
use common::{Failure, Kind};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::fchown;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

/// A root, and the first of the ids of its users.
pub(super) struct Root {
    folder: OwnedFd,
    ids: u32,
}

impl Root {
    pub(super) fn open(root: &Path, ids: Option<u32>) -> Result<Root, Failure> {
        let folder = File::open(root)
            .map_err(|e| {
                failed(root, "open", nix::Error::from_raw(e.raw_os_error().unwrap_or(nix::libc::EIO)))
            })?
            .into();
        Ok(Root { folder, ids: ids.unwrap_or_default() })
    }

    /// The text of a file; `None` when there is none.
    pub(super) fn read(&self, path: &Path) -> Option<String> {
        let mut text = String::new();
        // What runs in it may have put anything there; a pipe or a device would keep us waiting.
        let mut file = File::from(self.at(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK, 0).ok()?);
        file.metadata().ok()?.is_file().then_some(())?;
        file.read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Writes a file with its owner and mode; missing folders are root's, 0755.
    pub(super) fn write(&self, path: &Path, bytes: &[u8], mode: u32, owner: &Account) -> Result<(), Failure> {
        let told = |e| failed(path, "write", e);
        let mut folder = std::path::PathBuf::from("/");
        for part in path.parent().into_iter().flat_map(Path::components).skip(1) {
            let above = folder.clone();
            folder.push(part);
            if self.at(&folder, OFlag::O_PATH | OFlag::O_DIRECTORY, 0).is_err() {
                let above = self.at(&above, OFlag::O_PATH | OFlag::O_DIRECTORY, 0).map_err(told)?;
                mkdirat(&above, Path::new(&part), Mode::from_bits_truncate(0o755)).map_err(told)?;
                self.give(&self.at(&folder, OFlag::O_RDONLY, 0).map_err(told)?, &Account::default())
                    .map_err(told)?;
            }
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC;
        let mut file = File::from(self.at(path, flags, 0o600).map_err(told)?);
        self.give(&file, owner).map_err(told)?;
        file.write_all(bytes)
            .map_err(|e| failed(path, "write", nix::Error::from_raw(e.raw_os_error().unwrap_or(5))))?;
        fchmod(&file, Mode::from_bits_truncate(mode)).map_err(told)
    }

    fn give(&self, file: impl std::os::fd::AsFd, owner: &Account) -> nix::Result<()> {
        fchown(file, Some((self.ids + owner.user).into()), Some((self.ids + owner.group).into()))
    }

    fn at(&self, path: &Path, flags: OFlag, mode: u32) -> nix::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(Mode::from_bits_truncate(mode))
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(&self.folder, path, how)
    }

    /// Somebody in it, by its own passwd(5) and group(5).
    pub(super) fn account(&self, text: &str, alone: Alone) -> Result<Account, Failure> {
        let file = |path| self.read(Path::new(path)).unwrap_or_default();
        Accounts::read(&file("/etc/passwd"), &file("/etc/group")).resolve(text, alone).map_err(|who| {
            Failure::new(Kind::Data, "ct.user", format!("the image has no {who}"))
                .hint("write its number, or make it in the image")
        })
    }
}

fn failed(path: &Path, verb: &str, error: nix::Error) -> Failure {
    let failure = Failure::new(
        Kind::Failed,
        "ct.oci.place",
        format!("cannot {verb} {} in the instance: {error}", path.display()),
    );
    if error == nix::Error::ENOSPC { failure.hint("the disk is full") } else { failure }
}
