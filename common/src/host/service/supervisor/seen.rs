//! A folder of the host that a program sees among its own files: read-only, and so that no link in it is followed.

use crate::host::file;
use crate::{Failure, Kind};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::path::Path;

/// Its name in the program's folder.
pub(super) const SEEN: &str = "seen";
/// No link is followed (mount_setattr(2)); kernels before 5.10 ignore it. For mount(2), and as statvfs(3) tells it.
const NO_LINKS: MsFlags = MsFlags::from_bits_retain(256);
const NO_LINKS_TOLD: u64 = 0x2000;

/// Mounts it for this thread and what it starts. The mount is gone with them.
pub(super) fn show(folder: &Path, at: &Path) -> Result<(), Failure> {
    let failed = |e: nix::Error| file::failure(folder, "show", &e.into());
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).map_err(failed)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none).map_err(failed)?;
    mount(Some(folder), at, none, MsFlags::MS_BIND, none).map_err(failed)?;
    let rights = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | NO_LINKS;
    mount(none, at, none, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | rights, none).map_err(failed)?;
    let told = rustix::fs::statvfs(at).map_err(|e| file::failure(at, "read", &e.into()))?;
    if told.f_flag.bits() & NO_LINKS_TOLD == 0 {
        let message = "this kernel cannot keep a program from following links; that is new in Linux 5.10";
        return Err(Failure::new(Kind::Failed, "host.service", message));
    }
    Ok(())
}
