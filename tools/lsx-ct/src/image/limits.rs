//! All limits for images, archives and registries. Their senders are not trusted: what exceeds a limit is a bomb or a
//! mistake, and is refused with the name of the limit before it fills memory or disk.

use super::refused;
use common::Failure;
use common::host::file;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// Limits of one archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

/// 10 million entries, 64 GiB. All packed layers of an image together have the same limit.
pub(super) const BOUNDS: Bounds = Bounds { entries: 10_000_000, bytes: 64 << 30 };
/// A manifest, an index, a configuration, metadata.yaml.
pub(super) const DOCUMENT: u64 = 4 << 20;
/// Layers of one image: the maximum of overlayfs(5).
pub(super) const LAYERS: usize = 500;
/// Blobs of one archive: an image for a dozen architectures has a few hundred.
pub(super) const BLOBS: usize = if cfg!(test) { 100 } else { 10_000 };
/// Names and attributes of one entry of an archive.
pub(super) const META: u64 = 1 << 20;
/// Bytes of a path, as in Linux (PATH_MAX without its terminator).
pub(super) const PATH: usize = 4095;
/// Depth of folders. A deeper tree could not be removed with the files that one process may open.
pub(super) const DEPTH: usize = 255;
/// Names kept in memory while an archive is read, in bytes.
pub(super) const NAMES: usize = 512 << 20;
/// Memory for the window when unpacking zstd: enough for `zstd --ultra -22`, and the limit of `zstd -d`.
pub(super) const ZSTD: u64 = 128 << 20;
/// Memory for unpacking xz, in KiB: `xz -9` needs 65 MiB.
pub(super) const XZ_KIB: u32 = 128 << 10;
/// A token, or any other short answer of a registry.
pub(super) const ANSWER: u64 = 1 << 20;
/// Redirections, one after another.
pub(super) const HOPS: usize = 5;
/// A registry that sends less than this in this time counts as stopped.
const PACE: (u64, Duration) =
    if cfg!(test) { (4 << 10, Duration::from_secs(4)) } else { (128 << 10, Duration::from_secs(60)) };
/// Free space is checked each time this many bytes have been written.
const STEP: u64 = 16 << 20;
/// Part of a disk that stays free: 5 %, at most this.
const RESERVE: u64 = 1 << 30;

/// The failure for malformed data.
pub(super) fn broken(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// The failure for an exceeded limit.
pub(super) fn over(what: &str, limit: impl std::fmt::Display) -> Failure {
    refused("limit", format!("{what}: {limit}"))
        .hint("it is damaged or malicious: fetch or create it again, or use another image")
}

/// Opens a file for reading. A pipe or a device could block, or have no end.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// Reads a whole document.
pub(super) fn document(path: &Path, from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(DOCUMENT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DOCUMENT {
        let name = path.file_name().unwrap_or_default().display().to_string();
        return Err(broken(format!("a document of more than {DOCUMENT} bytes: {name}")));
    }
    Ok(bytes)
}

/// Names kept in memory.
#[derive(Debug, Default)]
pub(super) struct Kept(usize);

impl Kept {
    /// Adds a name.
    pub(super) fn name(&mut self, name: &[u8]) -> Result<(), Failure> {
        self.0 = self.0.saturating_add(name.len() + 64); // overhead of its container
        if self.0 > NAMES {
            return Err(over("its names", format!("they need more than {} MiB of memory", NAMES >> 20)));
        }
        Ok(())
    }
}

/// Checks free space on a disk while data is written.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Bytes and files since the last check.
    bytes: u64,
    files: u64,
}

impl Room {
    /// Adds bytes, or one file.
    pub(super) fn take(&mut self, place: impl AsFd, bytes: u64) -> io::Result<()> {
        self.bytes += bytes;
        self.files += u64::from(bytes == 0);
        if self.bytes < STEP && self.files < 4096 {
            return Ok(());
        }
        *self = Room::default();
        room(place, 0)
    }
}

/// The reserve of a disk of this size, in bytes.
pub(crate) fn reserve(size: u64) -> u64 {
    RESERVE.min(size / 20)
}

/// Refuses to fill a disk: after so many more bytes, a part must stay free.
pub(super) fn room(place: impl AsFd, bytes: u64) -> io::Result<()> {
    let disk = rustix::fs::fstatvfs(place)?;
    let (free, size) =
        (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize));
    let files = disk.f_files > 0 && disk.f_favail < disk.f_files / 20;
    if files || free < bytes.saturating_add(reserve(size)) {
        let what = if files { "files" } else { "bytes" };
        return Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!("5 % of the disk's {what} must stay free (at most 1 GiB)"),
        ));
    }
    Ok(())
}

/// The same before writing data of known size.
pub(super) fn room_in(folder: &Path, bytes: u64) -> Result<(), Failure> {
    let opened =
        rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let told = opened.map_err(io::Error::from).and_then(|folder| room(folder, bytes));
    told.map_err(|e| file::failure(folder, "write into", &e))
}

/// Data from a registry: at most its size, and no slower than [`PACE`].
pub(super) struct Paced<R> {
    inner: R,
    left: u64,
    most: u64,
    since: Duration,
    came: u64,
}

impl<R: Read> Paced<R> {
    pub(super) fn new(inner: R, most: u64) -> Self {
        Paced { inner, left: most, most, since: Duration::ZERO, came: 0 }
    }

    /// All of it, up to the limit.
    pub(super) fn whole(mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map(|_| bytes)
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let begin = Instant::now(); // the reader's own time does not count
        let count = self.inner.read(buffer)?;
        (self.since, self.came) = (self.since + begin.elapsed(), self.came + count as u64);
        if count as u64 > self.left {
            return Err(broken(format!("it sends more than {} bytes", self.most)));
        }
        self.left -= count as u64;
        if self.since >= PACE.1 && count > 0 {
            if self.came < PACE.0 {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("it sends less than {} bytes in {} s", PACE.0, PACE.1.as_secs()),
                ));
            }
            (self.since, self.came) = (Duration::ZERO, 0);
        }
        Ok(count)
    }
}
