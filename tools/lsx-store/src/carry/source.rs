//! The host that has the volume: lists folders and reads files, while instances may still change them. Reads only.

use super::meta::{self, entry};
use super::{Entry, Got, Listing, MESSAGE, PIECE, Part, Raw, Want, sum};
use common::host::beneath;
use common::{Failure, Kind, log};
use nix::sys::time::TimeValLike as _;
use nix::time::ClockId;
use rustix::fs::{self, AtFlags, Dir, FileType, OFlags, SeekFrom};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::time::UNIX_EPOCH;

/// The most names of one listing, and the most bytes of their attributes.
const NAMES: usize = 2000;
const ATTRIBUTES: usize = 1 << 20;
/// How the token of a file ends that is compared once more, since it was changed while others used it.
const LAST: &str = ".last";
/// A file that was changed less than so many seconds ago may change again without another time of change.
const FRESH: i64 = 1;
/// By so many milliseconds a clock may move without having been set.
const STEP: u64 = 1000;
/// What statfs(2) says of tmpfs. Pages of it that are mapped are never noticed to change.
const TMPFS: i128 = 0x0102_1994;

/// Writes to the disk what is in memory. Returns the time before: from then on each change of a file changes its time, also one by a page
/// that was mapped, which the kernel notices only once until the page is on the disk.
///
/// # Errors
/// Of the file system.
pub(crate) fn begin(root: &OwnedFd) -> Result<i64, Failure> {
    let since = now() - FRESH;
    fs::syncfs(root).map_err(|e| failed("write", &Raw::default(), e))?;
    Ok(since)
}

/// Which clock [`begin`] tells the time by: the boot of this host, and when it was by the clock, in milliseconds.
///
/// # Errors
/// Of the kernel.
pub(crate) fn clock() -> Result<String, Failure> {
    let told = |e: String| Failure::new(Kind::Failed, "store.move", format!("cannot read the clock: {e}"));
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_err(|e| told(e.to_string()))?;
    let since = ClockId::CLOCK_BOOTTIME.now().map_err(|e| told(e.to_string()))?;
    let now = ClockId::CLOCK_REALTIME.now().map_err(|e| told(e.to_string()))?;
    Ok(format!("{} {}", boot.trim(), now.num_milliseconds() - since.num_milliseconds()))
}

/// Whether two of them are the same one, which was not set in between. It may run a little faster or slower.
pub(super) fn steady(before: &str, now: &str) -> bool {
    let parts = |clock: &str| {
        let (boot, at) = clock.split_once(' ')?;
        Some((boot.to_owned(), at.parse::<i64>().ok()?))
    };
    let both = parts(before).zip(parts(now));
    both.is_some_and(|(before, now)| before.0 == now.0 && before.1.abs_diff(now.1) <= STEP)
}

/// Since when changes are compared by their content: all of it, if the times of files do not tell, or if there is no disk to which pages
/// were written.
///
/// # Errors
/// Of the kernel.
pub(crate) fn compared(root: &OwnedFd, since: Option<i64>, before: Option<&str>) -> Result<i64, Failure> {
    let disk = fs::fstatfs(root).map_err(|e| failed("look at", &Raw::default(), e))?;
    let same = match before {
        Some(before) if i128::from(disk.f_type) != TMPFS => steady(before, &clock()?),
        _ => false,
    };
    Ok(since.filter(|_| same).unwrap_or(i64::MIN))
}

/// The names of a folder after one; none if the folder is gone. With `since` nobody uses the volume any more, and what was changed from
/// then on is compared once more.
///
/// # Errors
/// Of the file system; what cannot go along.
pub(crate) fn list(
    root: &OwnedFd,
    path: &Raw,
    after: &Raw,
    since: Option<i64>,
) -> Result<Option<Listing>, Failure> {
    let told = |e: Errno| failed("read", path, e);
    let folder = match beneath::folder(root, &path.0) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if !path.0.is_empty() => return Ok(None),
        folder => folder.map_err(told)?,
    };
    let own = fs::fstat(&folder).map_err(told)?;
    let mut names: Vec<Vec<u8>> = Vec::new();
    for found in Dir::read_from(&folder).map_err(told)? {
        let name = found.map_err(told)?.file_name().to_bytes().to_vec();
        if !matches!(name.as_slice(), b"." | b"..") && name > after.0 {
            names.push(name);
        }
    }
    names.sort_unstable();
    let mut listing = Listing {
        path: path.clone(),
        after: after.clone(),
        own: Entry { attributes: meta::attributes(&folder, b"").map_err(told)?, ..entry(b"", &own) },
        ..Listing::default()
    };
    let (all, mut bytes) = (names.len(), 0);
    for (n, name) in names.iter().enumerate() {
        if listing.entries.len() >= NAMES || bytes >= ATTRIBUTES {
            listing.more = n < all;
            break;
        }
        let at = path.join(&Raw(name.clone()));
        if let Some(one) = described(&folder, name, own.st_dev, since).map_err(|e| failed("take", &at, e))? {
            bytes += one.attributes.iter().map(|(name, value)| name.0.len() + value.0.len()).sum::<usize>();
            listing.entries.push(one);
        }
    }
    Ok(Some(listing))
}

/// Something in a folder; none if it is gone. What is mounted there cannot go along.
fn described(folder: &OwnedFd, name: &[u8], disk: u64, since: Option<i64>) -> Result<Option<Entry>, Errno> {
    let gone = |e: Errno| if e == Errno::NOENT { Ok(None) } else { Err(e) };
    let stat = match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(e) => return gone(e),
        Ok(stat) => stat,
    };
    if stat.st_dev != disk {
        return Err(Errno::XDEV);
    }
    let kind = FileType::from_raw_mode(stat.st_mode);
    let mut one = entry(name, &stat);
    if since.is_some_and(|since| stat.st_ctime >= since) {
        one.token += LAST;
    }
    if kind == FileType::Symlink {
        match fs::readlinkat(folder, name, Vec::new()) {
            Err(e) => return gone(e),
            Ok(to) => one.to = Some(Raw(to.into_bytes())),
        }
    }
    match meta::attributes(folder, name) {
        Err(e) => gone(e),
        Ok(attributes) => Ok(Some(Entry { attributes, ..one })),
    }
}

/// Parts of a file from an offset on. A file that is gone, or is another one by now, ends before its size and is not settled.
///
/// # Errors
/// Of the file system.
pub(crate) fn read(root: &OwnedFd, want: &Want, room: usize) -> Result<Got, Failure> {
    let told = |e: Errno| failed("read", &want.path, e);
    let mut got = Got { end: want.offset, ..Got::default() };
    let opened = beneath::above(root, &want.path.0)
        .and_then(|(above, name)| beneath::file(above, name, OFlags::RDONLY | OFlags::NOATIME));
    let file = match opened {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(got),
        file => file.map_err(told)?,
    };
    let stat = fs::fstat(&file).map_err(told)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(got);
    }
    let mut sums = want.sums.iter();
    let mut bytes = 0;
    while got.end < want.size && bytes < room {
        let offset = got.end;
        let length = PIECE.min(want.size - offset);
        let known = sums.next();
        let data = data_from(&file, offset, want.size).map_err(told)?;
        // Without anything to compare with, a hole is as long as it is.
        if known.is_none() && data >= offset + length {
            got.parts.push(Part::Hole(data - offset));
            got.end = data;
            continue;
        }
        let read = piece(&file, offset, length).map_err(told)?;
        if (read.len() as u64) < length {
            return Ok(got); // it has become shorter
        }
        let now = sum(&read);
        bytes += if known == Some(&now) { 1024 } else { read.len() };
        got.parts.push(if known == Some(&now) { Part::Same(length) } else { Part::Bytes(Raw(read), now) });
        got.end += length;
    }
    let after = fs::fstat(&file).map_err(told)?;
    got.whole = got.end == want.size;
    let token = want.token.strip_suffix(LAST).unwrap_or(&want.token);
    got.settled = entry(b"", &after).token == token && !fresh(after.st_ctime);
    Ok(got)
}

fn fresh(ctime: i64) -> bool {
    now().abs_diff(ctime) <= FRESH.unsigned_abs()
}

fn now() -> i64 {
    let now = log::clock().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// Where the next data are, at most at `end`.
fn data_from(file: &OwnedFd, offset: u64, end: u64) -> Result<u64, Errno> {
    match fs::seek(file, SeekFrom::Data(offset)) {
        Ok(at) => Ok(at.min(end)),
        Err(Errno::NXIO) => Ok(end),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(offset),
        Err(e) => Err(e),
    }
}

/// Bytes from an offset on; fewer only at the end of the file.
pub(super) fn piece(file: impl AsFd, offset: u64, length: u64) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(MESSAGE)];
    let mut have = 0;
    while have < bytes.len() {
        match rustix::io::pread(&file, &mut bytes[have..], offset + have as u64)? {
            0 => break,
            n => have += n,
        }
    }
    bytes.truncate(have);
    Ok(bytes)
}

/// What went wrong where.
pub(super) fn failed(verb: &str, path: &Raw, e: Errno) -> Failure {
    let path = if path.0.is_empty() { "its folder".to_owned() } else { path.shown() };
    let failure = |why: &str| {
        Failure::new(Kind::Failed, "store.move", format!("cannot {verb} {path} of the volume: {why}"))
    };
    match e {
        Errno::XDEV => failure("something is mounted there, or it is a subvolume")
            .hint("unmount it, or copy what it has into a folder"),
        Errno::TOOBIG => failure("it has too many attributes").hint("setfattr -x removes them"),
        Errno::NOSPC | Errno::DQUOT => {
            failure(&e.to_string()).hint("make room on the disk of the new host, then run this again")
        }
        e => failure(&e.to_string()),
    }
}
