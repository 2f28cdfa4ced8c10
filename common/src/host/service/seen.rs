//! Folders of the host for a server: one that it sees, read-only and so that no link in it is followed, and those in volumes that it writes.

use crate::host::{file, volume};
use crate::plan::VolumeFolder;
use crate::{Failure, Kind};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Gid, Mode, OFlags, ResolveFlags, Uid, fchown, fstatvfs, fsync, mkdirat, open, openat2};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// No link is followed (mount_setattr(2)); kernels before 5.10 ignore it. For mount(2), and as statvfs(3) tells it.
const NO_LINKS: MsFlags = MsFlags::from_bits_retain(256);
const NO_LINKS_TOLD: u64 = 0x2000;

/// Opens it in a mount that nobody else sees, and that is gone with the last descriptor.
///
/// # Errors
/// Errors of the kernel; one that cannot keep a program from following links.
pub(super) fn open_folder(folder: &Path) -> Result<OwnedFd, Failure> {
    let failed = |e: io::Error| file::failure(folder, "show", &e);
    let mounted = std::thread::scope(|scope| {
        // Only a thread of its own can have other mounts than the rest of this process.
        let thread = std::thread::Builder::new().name("mount".to_owned());
        let thread = thread.spawn_scoped(scope, || mounted(folder))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let seen = mounted.map_err(failed)?;
    let told = fstatvfs(&seen).map_err(|e| failed(e.into()))?;
    if told.f_flag.bits() & NO_LINKS_TOLD == 0 {
        let message = "this kernel cannot keep a program from following links; that is new in Linux 5.10";
        return Err(Failure::new(Kind::Failed, "host.service", message));
    }
    Ok(seen)
}

fn mounted(folder: &Path) -> io::Result<OwnedFd> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    mount(Some(folder), folder, none, MsFlags::MS_BIND, none)?;
    let rights = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | NO_LINKS;
    mount(none, folder, none, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | rights, none)?;
    Ok(open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// A folder in a volume, which belongs to a user. It is made if it is missing. Instances may write to the volume, so no link is followed.
///
/// # Errors
/// If the volume is not there, or something else is at the folder's place.
pub(super) fn in_volume(stack: &str, folder: &VolumeFolder, user: u32) -> Result<OwnedFd, Failure> {
    let VolumeFolder { volume: of, name } = folder;
    let place = volume::place(stack, of);
    let Some(root) = volume::ready(stack, of)? else {
        let message = format!("lsx-store has not made the volume {of}");
        return Err(Failure::new(Kind::Failed, "host.volume", message).hint("run `lsx-store up`"));
    };
    let failed = |what: &str, e: Errno| file::failure(&place.join(name), what, &e.into());
    match mkdirat(&root, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => fsync(&root).map_err(|e| failed("make", e))?,
        Err(Errno::EXIST) => {}
        Err(e) => return Err(failed("make", e)),
    }
    let stay = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let made = openat2(&root, name, volume::FOLDER, Mode::empty(), stay).map_err(|e| failed("open", e))?;
    fchown(&made, Some(Uid::from_raw(user)), Some(Gid::from_raw(user))).map_err(|e| failed("change", e))?;
    // No image of an instance fills it any more.
    volume::not_new(&root).map_err(|e| file::failure(&place, "mark", &e))?;
    Ok(made)
}
