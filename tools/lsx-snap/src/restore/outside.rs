//! Restores a volume, or something in it, to a folder of the host, beside what is there.

use super::{Answer, Order, Sought, room, sought};
use crate::model::{BackAt, Intent};
use common::host::removal::tree;
use common::host::volume::FOLDER;
use common::host::{beneath, file};
use common::{Failure, Failures, Kind};
use rustix::fs::{self, AtFlags, CWD, Mode, RenameFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Restores to `DIR/NAME`, which is not there yet.
///
/// # Errors
/// Something is there; a link leads to the folder, or others than root see it; as of volumes.
pub(super) fn restore(intent: &Intent, order: &Order, to: &Path) -> Result<Answer, Failures> {
    let [ask] = &order.volumes[..] else {
        return Err(Failure::new(Kind::Bug, "snap.to", "one volume is restored to a folder").into());
    };
    let inside = ask.path.as_deref().and_then(|path| Path::new(path).file_name());
    let name = inside.unwrap_or(ask.volume.as_ref());
    let (folder, at) = (private(to)?, to.join(name));
    let wrong = |e: Errno| file::failure(&at, "restore", &e.into());
    if fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        return Err(there(&at).into());
    }
    let Sought { back, found, repository, failures } = sought(intent, ask)?;
    let count = back.count(room(&folder, to)?)?;
    // It has its name when all of it is there. Of a run that was killed nothing is used.
    let aside = CString::new(format!(".lsx-restore-{}", intent.stack)).unwrap_or_default();
    tree(&folder, &aside).map_err(wrong)?;
    fs::mkdirat(&folder, &aside, Mode::from_raw_mode(0o700)).map_err(wrong)?;
    let own = beneath::file(&folder, aside.to_bytes(), FOLDER).map_err(wrong)?;
    let put = back.put(&own, name.as_bytes()).and_then(|()| {
        let renamed = fs::syncfs(&own)
            .and_then(|()| fs::renameat_with(&own, name, &folder, name, RenameFlags::NOREPLACE))
            .and_then(|()| fs::fsync(&folder));
        renamed.map_err(|e| if e == Errno::EXIST { there(&at) } else { wrong(e) })
    });
    let gone = tree(&folder, &aside).map_err(wrong);
    put.and(gone)?;
    let told = BackAt {
        volume: ask.volume.clone(),
        repository,
        snapshot: found.snapshot.id,
        of: Some(found.snapshot.at),
        files: Some(count.files),
        bytes: Some(count.bytes),
        to: Some(at.display().to_string()),
        ..BackAt::default()
    };
    Ok(Answer { volumes: vec![told], warnings: failures })
}

fn there(at: &Path) -> Failure {
    Failure::new(Kind::Failed, "snap.exists", format!("{} is there already", at.display()))
        .hint("nothing is written over: move it away, or name another folder")
}

/// A folder of root alone: what instances have saved may be programs that run as root, and devices.
fn private(to: &Path) -> Result<OwnedFd, Failure> {
    let told = |e: Errno| file::failure(to, "open", &e.into());
    let open = || fs::openat2(CWD, to, FOLDER, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    let folder = match open() {
        Err(Errno::NOENT) => {
            file::private_folder(to)?;
            open().map_err(told)?
        }
        folder => folder.map_err(told)?,
    };
    let there = fs::fstat(&folder).map_err(told)?;
    if there.st_uid != 0 || there.st_mode & 0o077 != 0 {
        let message = format!("others than root can enter {}", to.display());
        return Err(Failure::new(Kind::Failed, "snap.open", message)
            .hint("name a folder that is not there, or one with the mode 0700: what was saved may be devices and programs of root"));
    }
    Ok(folder)
}
