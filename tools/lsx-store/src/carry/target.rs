//! The host that gets the volume: makes a folder that nobody uses yet the same as what the other host tells.

use super::meta::{self, entry};
use super::source::{failed, piece};
use super::{Entry, Got, Listing, PIECE, Part, Raw, Taken, sum};
use common::Failure;
use common::host::beneath;
use common::host::removal::tree;
use rustix::fs::{self, AtFlags, Dir, FallocateFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::fd::OwnedFd;

/// Bytes that are summed in one answer.
const SUMMED: u64 = 64 << 20;

/// Makes the names of a folder those of a listing. Their content comes later.
///
/// # Errors
/// Of the file system; names that are none.
pub(crate) fn take(root: &OwnedFd, listing: &Listing) -> Result<Taken, Failure> {
    let folder = beneath::folder(root, &listing.path.0).map_err(|e| failed("open", &listing.path, e))?;
    let mut taken = Taken { changed: surplus(&folder, listing)?, wants: Vec::new() };
    for (n, wanted) in listing.entries.iter().enumerate() {
        let at = listing.path.join(&wanted.name);
        let done = one(root, &folder, wanted, n, &mut taken);
        done.map_err(|e| failed("make", &at, e))?;
    }
    // What is made in a folder changes its time. That of the volume itself comes last of all.
    if !listing.more && !listing.path.0.is_empty() {
        let (above, name) =
            beneath::above(root, &listing.path.0).map_err(|e| failed("open", &listing.path, e))?;
        taken.changed +=
            u64::from(meta::set(above, name, &listing.own).map_err(|e| failed("set", &listing.path, e))?);
    }
    Ok(taken)
}

/// Removes what is not in the listing, among the names that it tells all of.
fn surplus(folder: &OwnedFd, listing: &Listing) -> Result<u64, Failure> {
    let told = |e: Errno| failed("read", &listing.path, e);
    let wanted: BTreeSet<&[u8]> = listing.entries.iter().map(|entry| entry.name.0.as_slice()).collect();
    let last = listing.entries.last().map(|entry| entry.name.0.as_slice()).filter(|_| listing.more);
    let mut gone = Vec::new();
    for found in Dir::read_from(folder).map_err(told)? {
        let name = found.map_err(told)?.file_name().to_owned();
        let bytes = name.to_bytes();
        let meant = bytes > listing.after.0.as_slice() && last.is_none_or(|last| bytes <= last);
        if meant && !matches!(bytes, b"." | b"..") && !wanted.contains(bytes) {
            gone.push(name);
        }
    }
    for name in &gone {
        let at = listing.path.join(&Raw(name.to_bytes().to_vec()));
        away(folder, name).map_err(|e| failed("remove", &at, e))?;
    }
    Ok(gone.len() as u64)
}

fn away(folder: &OwnedFd, name: &CString) -> Result<(), Errno> {
    match fs::unlinkat(folder, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => tree(folder, name),
        done => done,
    }
}

fn one(root: &OwnedFd, folder: &OwnedFd, wanted: &Entry, n: usize, taken: &mut Taken) -> Result<(), Errno> {
    let name = wanted.name.0.as_slice();
    if !beneath::is_name(name) {
        return Err(Errno::INVAL);
    }
    let kind = FileType::from_raw_mode(wanted.mode);
    let mut there = match fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => None,
        there => Some(there?),
    };
    let first = match &wanted.same {
        None => None,
        Some(path) => {
            let (above, name) = beneath::above(root, &path.0)?;
            let stat = fs::statat(&above, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Some((above, name.to_vec(), stat))
        }
    };
    if there.as_ref().is_some_and(|there| !fits(folder, wanted, there, first.as_ref().map(|(.., stat)| stat)))
    {
        away(folder, &CString::new(name).map_err(|_| Errno::INVAL)?)?;
        (there, taken.changed) = (None, taken.changed + 1);
    }
    if let Some((above, other, _)) = first {
        if there.is_none() {
            fs::linkat(above, other.as_slice(), folder, name, AtFlags::empty())?;
            taken.changed += 1;
        }
        return Ok(());
    }
    if there.is_none() {
        make(folder, wanted, kind)?;
        taken.changed += 1;
    }
    // Of a file it is set with its content.
    let other = !matches!(kind, FileType::RegularFile | FileType::Directory);
    if other && wanted.linked && !made_of(folder, wanted) {
        meta::set_token(folder, name, Some(&wanted.token))?;
    }
    if kind == FileType::RegularFile {
        let have = there.map_or(0, |there| u64::try_from(there.st_size).unwrap_or(0));
        if meta::token(folder, name).as_ref() != Some(&wanted.token) || have != wanted.size {
            meta::set_token(folder, name, None)?;
            taken.wants.push((n, have));
            return Ok(());
        }
    }
    // The time of a folder is set when all of it was made.
    let time = match kind {
        FileType::Directory => meta::mtime(&fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?),
        _ => wanted.mtime,
    };
    taken.changed += u64::from(meta::set(folder, name, &Entry { mtime: time, ..wanted.clone() })?);
    Ok(())
}

/// Whether what is there can become what is wanted, without a change of anything else.
fn fits(folder: &OwnedFd, wanted: &Entry, there: &Stat, first: Option<&Stat>) -> bool {
    let kind = FileType::from_raw_mode(there.st_mode);
    if kind != FileType::from_raw_mode(wanted.mode) {
        return false;
    }
    let same = |first: &Stat| (first.st_dev, first.st_ino) == (there.st_dev, there.st_ino);
    if let Some(first) = first {
        return same(first);
    }
    // One that has other names here must have those that it has there.
    let alone = || there.st_nlink == 1 || (wanted.linked && made_of(folder, wanted));
    match kind {
        FileType::Symlink => {
            let to = fs::readlinkat(folder, wanted.name.0.as_slice(), Vec::new()).ok();
            let to = to.map(CString::into_bytes);
            to.as_deref() == wanted.to.as_ref().map(|to| to.0.as_slice()) && alone()
        }
        FileType::Directory => true,
        FileType::CharacterDevice | FileType::BlockDevice => there.st_rdev == wanted.device && alone(),
        _ => alone(),
    }
}

/// Whether what is there was made as a copy of the same file.
fn made_of(folder: &OwnedFd, wanted: &Entry) -> bool {
    let token = meta::token(folder, &wanted.name.0).unwrap_or_default();
    token.split('.').next() == Some(wanted.inode.to_string().as_str())
}

fn make(folder: &OwnedFd, wanted: &Entry, kind: FileType) -> Result<(), Errno> {
    let (name, private) = (wanted.name.0.as_slice(), Mode::from_raw_mode(0o600));
    match kind {
        FileType::Directory => fs::mkdirat(folder, name, Mode::from_raw_mode(0o700)),
        FileType::RegularFile => {
            beneath::file(folder, name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL).map(|_| ())
        }
        FileType::Symlink => {
            let to = wanted.to.as_ref().ok_or(Errno::INVAL)?;
            fs::symlinkat(to.0.as_slice(), folder, name)
        }
        // A character device without a number is what overlays have in the place of a removed file.
        FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice => {
            fs::mknodat(folder, name, kind, private, wanted.device)
        }
        FileType::Unknown => Err(Errno::INVAL),
    }
}

/// Sums of what a file has from an offset on, by pieces; of a part that is no whole piece, too.
///
/// # Errors
/// Of the file system.
pub(crate) fn sums(root: &OwnedFd, path: &Raw, offset: u64) -> Result<Vec<String>, Failure> {
    let told = |e: Errno| failed("read", path, e);
    let (above, name) = beneath::above(root, &path.0).map_err(told)?;
    let file = beneath::file(above, name, OFlags::RDONLY).map_err(told)?;
    let mut all = Vec::new();
    while (all.len() as u64) * PIECE < SUMMED {
        let read = piece(&file, offset + all.len() as u64 * PIECE, PIECE).map_err(told)?;
        if read.is_empty() {
            break;
        }
        all.push(sum(&read));
    }
    Ok(all)
}

/// Writes parts of a file from an offset on. With the last ones it is what the entry says, if it is settled.
///
/// # Errors
/// Of the file system; bytes that are not those of their sum.
pub(crate) fn write(
    root: &OwnedFd,
    path: &Raw,
    wanted: &Entry,
    offset: u64,
    got: &Got,
) -> Result<(), Failure> {
    let told = |e: Errno| failed("write", path, e);
    let (above, name) = beneath::above(root, &path.0).map_err(told)?;
    let file = beneath::file(&above, name, OFlags::RDWR).map_err(told)?;
    let stat = fs::fstat(&file).map_err(told)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(told(Errno::INVAL));
    }
    if entry(b"", &stat).size != wanted.size {
        fs::ftruncate(&file, wanted.size).map_err(told)?;
    }
    let mut at = offset;
    for part in &got.parts {
        at = written(&file, at, part, wanted.size).map_err(told)?;
    }
    if got.whole && at == wanted.size {
        meta::set(&above, name, wanted).map_err(told)?;
        let token = Some(wanted.token.as_str()).filter(|_| got.settled);
        meta::set_token(&above, name, token).map_err(told)?;
    }
    Ok(())
}

fn written(file: &OwnedFd, at: u64, part: &Part, size: u64) -> Result<u64, Errno> {
    let end = |length: u64| at.checked_add(length).filter(|end| *end <= size).ok_or(Errno::INVAL);
    match part {
        Part::Same(length) => end(*length),
        Part::Hole(length) => {
            let end = end(*length)?;
            let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fs::fallocate(file, how, at, *length)?;
            Ok(end)
        }
        Part::Bytes(bytes, told) => {
            let end = end(bytes.0.len() as u64)?;
            let mut done = 0;
            while done < bytes.0.len() {
                done += rustix::io::pwrite(file, &bytes.0[done..], at + done as u64)?;
            }
            // Read back, it is what the other host has read.
            let back = piece(file, at, bytes.0.len() as u64)?;
            if sum(&back) == *told { Ok(end) } else { Err(Errno::IO) }
        }
    }
}

/// Removes the tokens of a copy that is complete.
///
/// # Errors
/// Of the file system.
pub(crate) fn clean(root: &OwnedFd) -> Result<(), Failure> {
    let mut left = vec![Raw::default()];
    while let Some(path) = left.pop() {
        let told = |e: Errno| failed("finish", &path, e);
        let folder = beneath::folder(root, &path.0).map_err(told)?;
        for found in Dir::read_from(&folder).map_err(told)? {
            let name = found.map_err(told)?.file_name().to_bytes().to_vec();
            if matches!(name.as_slice(), b"." | b"..") {
                continue;
            }
            let stat = fs::statat(&folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW).map_err(told)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                left.push(path.join(&Raw(name)));
            } else {
                meta::set_token(&folder, &name, None).map_err(told)?;
            }
        }
    }
    Ok(())
}
