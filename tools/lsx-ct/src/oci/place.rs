//! Files inside an instance's root, seen from the host: no link in there leads out (openat2(2), RESOLVE_IN_ROOT).

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

/// Who owns a file in the instance, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user: u32,
    pub(super) group: u32,
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
        let file = self.at(path, OFlag::O_RDONLY, 0).ok()?;
        File::from(file).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Writes a file with its owner and mode; missing folders are root's, 0755.
    pub(super) fn write(&self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> Result<(), Failure> {
        let told = |e| failed(path, "write", e);
        let mut folder = std::path::PathBuf::from("/");
        for part in path.parent().into_iter().flat_map(Path::components).skip(1) {
            let above = folder.clone();
            folder.push(part);
            if self.at(&folder, OFlag::O_PATH | OFlag::O_DIRECTORY, 0).is_err() {
                let above = self.at(&above, OFlag::O_PATH | OFlag::O_DIRECTORY, 0).map_err(told)?;
                mkdirat(&above, Path::new(&part), Mode::from_bits_truncate(0o755)).map_err(told)?;
                self.give(&self.at(&folder, OFlag::O_RDONLY, 0).map_err(told)?, Owner::default())
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

    fn give(&self, file: impl std::os::fd::AsFd, owner: Owner) -> nix::Result<()> {
        fchown(file, Some((self.ids + owner.user).into()), Some((self.ids + owner.group).into()))
    }

    fn at(&self, path: &Path, flags: OFlag, mode: u32) -> nix::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(Mode::from_bits_truncate(mode))
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(&self.folder, path, how)
    }

    /// `user[:group]` as numbers, and the further groups of the user, by the instance's own passwd(5) and group(5).
    pub(super) fn user(&self, text: &str) -> Result<(Owner, Vec<u32>), Failure> {
        let (user, group) = text.split_once(':').map_or((text, None), |(u, g)| (u, Some(g)));
        let passwd = self.read(Path::new("/etc/passwd")).unwrap_or_default();
        let groups = self.read(Path::new("/etc/group")).unwrap_or_default();
        let missing = |kind: &str, name: &str| {
            Failure::new(Kind::Data, "ct.user", format!("the image has no {kind} {name}"))
                .hint("write its number, or make it in the image")
        };
        if user.is_empty() {
            return Ok((Owner::default(), Vec::new()));
        }
        let entry =
            passwd.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| f.first() == Some(&user));
        let number = |field: Option<&&str>| field.and_then(|f| f.parse::<u32>().ok());
        let uid = number(entry.as_ref().and_then(|e| e.get(2))).or_else(|| user.parse().ok());
        let uid = uid.ok_or_else(|| missing("user", user))?;
        let of_group = |name: &str| {
            let line =
                groups.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| f.first() == Some(&name));
            number(line.as_ref().and_then(|l| l.get(2))).or_else(|| name.parse().ok())
        };
        let gid = match group {
            Some(name) => of_group(name).ok_or_else(|| missing("group", name))?,
            None => number(entry.as_ref().and_then(|e| e.get(3))).unwrap_or_default(),
        };
        let member = |l: &&str| l.rsplit(':').next().is_some_and(|m| m.split(',').any(|m| m == user));
        let further = groups.lines().filter(member).filter_map(|l| l.split(':').nth(2)?.parse().ok());
        Ok((Owner { user: uid, group: gid }, further.collect()))
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
