//! Network namespaces: named as by iproute2, checked when opened, and entered in a separate thread.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs, statfs};

/// The folder of names (iproute2 `NETNS_RUN_DIR`).
const NAMES: &str = "/run/netns";
/// The calling thread's network namespace; `/proc/self` would be the main thread's.
const OWN: &str = "/proc/thread-self/ns/net";

/// Identifies a network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceRef<'a> {
    /// A name under `/run/netns`.
    Name(&'a str),
    /// Any path to one.
    Path(&'a Path),
    /// That of a process, by its number in the caller's PID namespace.
    Process(u32),
}

impl NamespaceRef<'_> {
    /// Its file.
    ///
    /// # Errors
    /// `InvalidInput` for a name that is empty, `.`, `..`, longer than 255 bytes or with a slash or NUL.
    pub fn path(&self) -> io::Result<PathBuf> {
        match self {
            NamespaceRef::Name(name) => file_of(name),
            NamespaceRef::Path(path) => Ok(path.to_path_buf()),
            NamespaceRef::Process(number) => Ok(PathBuf::from(format!("/proc/{number}/ns/net"))),
        }
    }
}

/// Creates a named network namespace. Its loopback is down, as with `ip netns add`.
///
/// Safe against a crash at any point: a file left by a crash without its mount is reused.
///
/// # Errors
/// `AlreadyExists` when the name holds a namespace; `PermissionDenied` without `CAP_SYS_ADMIN`.
pub fn create(name: &str) -> io::Result<()> {
    let file = file_of(name)?;
    let _lock = locked_folder()?;
    if is_namespace_file(&file).unwrap_or(false) {
        let text = format!("the network namespace {name} exists");
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    // Mode 0 as iproute2: the file is not read, the mount covers it. A dangling link there is not followed.
    let mut leftover = OpenOptions::new();
    leftover
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o0)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(&file)?;
    // After the file: a run that is killed here leaves a name, which the next one finds, and not a mount alone.
    share_folder()?;
    apart(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(mount(Some(OWN), &file, None::<&str>, MsFlags::MS_BIND, None::<&str>)?)
    })
}

/// Deletes a name and its mount; with the last name the folder's own mount is removed, too. The namespace itself ends with
/// its last process and descriptor, in the background.
///
/// # Errors
/// `NotFound` when there is no such name.
pub fn delete(name: &str) -> io::Result<()> {
    let file = file_of(name)?;
    file.symlink_metadata()?;
    let _lock = locked_folder()?;
    // Shared: where the name is mounted in other mount namespaces, it is unmounted, too.
    share_folder()?;
    // Two programs that created the same name without a lock leave two mounts, one on the other.
    while umount2(&file, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_ok() {}
    if fs::read_dir(NAMES)?.nth(1).is_none() {
        // The last name, and before its file: a run that is killed here leaves a name, which the next one finds. A program
        // that waits for the lock finds no mount and creates it again; the folder is kept for it.
        let _ = umount2(NAMES, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
    }
    Ok(nix::unistd::unlink(&file)?)
}

/// The names with a namespace, sorted; leftovers of a crash are left out.
///
/// # Errors
/// When `/run/netns` cannot be read; a missing one is an empty list.
pub fn list() -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(NAMES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        // A name may be removed in the meantime.
        if is_namespace_file(&entry.path()).unwrap_or(false) {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// Opens a network namespace.
///
/// # Errors
/// `NotFound`; `InvalidInput` for anything that is not a network namespace; `PermissionDenied` without `CAP_SYS_ADMIN`.
pub fn open(place: NamespaceRef<'_>) -> io::Result<OwnedFd> {
    enter(place, || ()).map(|(space, ())| space)
}

/// Opens a network namespace and runs `work` inside, on one new thread.
///
/// # Errors
/// As [`open`]; then `work` did not run.
pub fn enter<T: Send>(place: NamespaceRef<'_>, work: impl FnOnce() -> T + Send) -> io::Result<(OwnedFd, T)> {
    let path = place.path()?;
    let refused =
        |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {what}", path.display()));
    // Non-blocking: the path may be a pipe without a writer.
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&path)?;
    if fstatfs(&file)?.filesystem_type() != NSFS_MAGIC {
        return Err(refused("not a namespace"));
    }
    // The kind is found by trying, because its ioctl (NS_GET_NSTYPE) has no safe wrapper: setns answers EINVAL for another
    // kind.
    let result = apart(|| match setns(&file, CloneFlags::CLONE_NEWNET) {
        Err(Errno::EINVAL) => Err(refused("a namespace, but not of the network")),
        entered => Ok(entered.map(|()| work())?),
    })?;
    Ok((file.into(), result))
}

/// The network namespace of the calling thread.
///
/// # Errors
/// If `/proc` is not mounted.
pub fn own() -> io::Result<OwnedFd> {
    File::open(OWN).map(OwnedFd::from)
}

/// A new network namespace without a name; it ends with the descriptor. Used to test the kernel's features.
///
/// # Errors
/// `PermissionDenied` without `CAP_SYS_ADMIN`.
pub fn nameless() -> io::Result<OwnedFd> {
    apart(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        own()
    })
}

/// Runs `work` on a new thread inside the namespace; the caller's own namespace does not change. A panic is passed on.
///
/// # Errors
/// If the thread cannot be created or cannot enter; then `work` did not run.
pub fn inside<T: Send>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    apart(|| {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        Ok(work())
    })
}

/// In a separate thread, whose namespace may be changed for good.
fn apart<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".to_owned()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn file_of(name: &str) -> io::Result<PathBuf> {
    let bad =
        name.is_empty() || name == "." || name == ".." || name.len() > 255 || name.contains(['/', '\0']);
    if bad {
        let text = format!("{name:?} is not a name of a network namespace");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(Path::new(NAMES).join(name))
}

fn is_namespace_file(path: &Path) -> io::Result<bool> {
    Ok(statfs(path)?.filesystem_type() == NSFS_MAGIC)
}

/// The folder of names, created and locked.
fn locked_folder() -> io::Result<File> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(NAMES)?;
    let directory = File::open(NAMES)?;
    directory.lock()?;
    Ok(directory)
}

/// Makes the folder of names a shared mount, as with iproute2, so that a name created in one mount namespace is visible, and
/// can be unmounted, in the others.
fn share_folder() -> io::Result<()> {
    let none = None::<&str>;
    let share = || mount(none, NAMES, none, MsFlags::MS_SHARED | MsFlags::MS_REC, none);
    match share() {
        // Not a mount yet.
        Err(Errno::EINVAL) => {
            mount(Some(NAMES), NAMES, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
            share()?;
        }
        outcome => outcome?,
    }
    Ok(())
}
