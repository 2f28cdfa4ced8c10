//! A folder of the host that a server sees: read-only, and so that no link in it is followed.

use crate::host::file;
use crate::{Failure, Kind};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags, fstatvfs, open};
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
