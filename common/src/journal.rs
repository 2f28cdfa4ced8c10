//! A journal: what has happened, as lines of JSON that are on the disk before they count.
//!
//! A line is `{"sum":"16 digits","n":NUMBER,"is":[ENTRY, ...]}`: all entries of one call of [`Journal::append`], so that they are there
//! together or not at all. The sum is the beginning of the SHA-256 of what follows it, and numbers are consecutive. A last line that was
//! not written to its end is dropped; any other damage refuses the whole file. One process at a time holds the lock and writes.

mod lines;
mod reader;
mod tail;

pub use reader::{New, Reader};

use crate::failure::{Failure, Kind};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fsync, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};

/// The files in the folder of a journal.
const FILE: &str = "journal";
const NEXT: &str = "journal.next";
const LOCK: &str = "lock";
/// The longest file, in bytes.
const MOST: u64 = 1024 * 1024 * 1024;
/// Entries in a line of a compacted journal.
const TOGETHER: usize = 1000;
/// A journal is not compacted below this length, in bytes, nor before it is so many times as long as it was then.
const SHORT: u64 = 1024 * 1024;
const TIMES: u64 = 4;

/// A journal that this process writes.
#[derive(Debug)]
pub struct Journal<T> {
    folder: OwnedFd,
    file: File,
    _lock: OwnedFd,
    /// The number of the next line.
    number: u64,
    length: u64,
    /// The length after it was compacted.
    compact: u64,
    /// What is on the disk is not known: an earlier write failed.
    unsure: bool,
    of: PhantomData<T>,
}

/// A journal with its entries.
pub type Opened<T> = (Journal<T>, Vec<T>);

/// A journal that was opened by a reader, and what that had not seen.
pub type Resumed<T> = (Journal<T>, New<T>);

/// A state of the file: whether a reader has to read it again.
pub type Mark = (u64, u64);

fn failed(what: &str, error: io::Error) -> Failure {
    Failure::new(Kind::Failed, "journal", format!("cannot {what} the journal: {error}"))
}

/// All entries, by a process that does not write; with the state of the file.
///
/// # Errors
/// Damage, or errors of the file system.
pub fn read<T: DeserializeOwned>(folder: impl AsFd) -> Result<(Vec<T>, Option<Mark>), Failure> {
    let mark = mark(&folder);
    let bytes = file(&folder)?.map(|file| whole(&file)).transpose()?.unwrap_or_default();
    Ok((lines::read(&bytes, None)?.entries, mark))
}

/// The last entry; only the end of the file is read. None without an entry.
///
/// # Errors
/// Errors of the file system, or entries of another kind. Damage before the last line is not found.
pub fn last<T: DeserializeOwned>(folder: impl AsFd) -> Result<Option<T>, Failure> {
    let Some(file) = file(&folder)? else { return Ok(None) };
    let length = file.metadata().map_err(|e| failed("read", e))?.len();
    tail::last(&file, length)
}

/// The file, for a reader; none if there is none.
fn file(folder: impl AsFd) -> Result<Option<File>, Failure> {
    // Its owner may have fewer rights than the reader: neither a link nor a pipe is waited for.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match openat(&folder, FILE, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(e) => return Err(failed("open", e.into())),
    };
    let is_file = file.metadata().map_err(|e| failed("read", e))?.is_file();
    is_file.then_some(Some(file)).ok_or_else(|| failed("read", io::Error::other("it is no regular file")))
}

/// The state of the file now.
pub fn mark(folder: impl AsFd) -> Option<Mark> {
    let stat = statat(folder, FILE, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some((stat.st_ino, u64::try_from(stat.st_size).ok()?))
}

fn whole(file: &File) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(|e| failed("read", e))?;
    if bytes.len() as u64 > MOST {
        return Err(failed("read", io::Error::other(format!("it has more than {MOST} bytes"))));
    }
    Ok(bytes)
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens the journal of a folder for writing, and reads all entries; none while another process writes it.
    ///
    /// # Errors
    /// Damage, or errors of the file system.
    pub fn open(folder: OwnedFd) -> Result<Option<Opened<T>>, Failure> {
        let opened = Journal::open_with(folder, &mut Reader::default())?;
        Ok(opened.map(|(journal, New::All(entries) | New::More(entries))| (journal, entries)))
    }

    /// The same, where a reader may know some of the entries already.
    ///
    /// # Errors
    /// Damage, or errors of the file system.
    pub fn open_with(folder: OwnedFd, reader: &mut Reader) -> Result<Option<Resumed<T>>, Failure> {
        let private = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = openat(&folder, LOCK, flags, private).map_err(|e| failed("lock", e.into()))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(e) => return Err(failed("lock", e.into())),
        }
        let _ = unlinkat(&folder, NEXT, AtFlags::empty());
        let file = openat(&folder, FILE, flags | OFlags::APPEND, private);
        let file = File::from(file.map_err(|e| failed("open", e.into()))?);
        let new = reader.look(&folder)?;
        let (number, length) = (reader.next, reader.length);
        let ready = || {
            if file.metadata()?.len() > length {
                file.set_len(length)?;
                file.sync_data()?;
            }
            Ok(fsync(&folder)?)
        };
        if let Err(e) = ready() {
            *reader = Reader::default(); // What it has read just now is told to nobody.
            return Err(failed("open", e));
        }
        let (compact, of) = (length, PhantomData);
        Ok(Some((Journal { folder, file, _lock: lock, number, length, compact, unsure: false, of }, new)))
    }

    /// Adds entries. They are on the disk when it returns, or not at all.
    ///
    /// # Errors
    /// Errors of the file system, such as a full disk.
    pub fn append(&mut self, entries: &[T]) -> io::Result<()> {
        if self.unsure {
            return Err(io::Error::other("an earlier write failed"));
        }
        let line = lines::line(self.number, entries)?;
        if let Err(e) = self.file.write_all(&line).and_then(|()| self.file.sync_data()) {
            // After a failed sync nobody knows what is on the disk (fsync(2)): only a new file is sure.
            self.unsure = true;
            let _ = self.file.set_len(self.length);
            return Err(e);
        }
        self.number += 1;
        self.length += line.len() as u64;
        Ok(())
    }

    /// Whether a shorter journal should take its place, by [`Journal::replace`].
    pub const fn is_long(&self) -> bool {
        self.unsure || (self.length > SHORT && self.length / TIMES > self.compact)
    }

    /// Whether nothing can be added before [`Journal::replace`].
    pub const fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// Puts a journal with these entries in its place: after a crash there is the old or the new one. The last entry has a line of its
    /// own, so that [`last`] reads little.
    ///
    /// # Errors
    /// Errors of the file system; the old one stays.
    pub fn replace(&mut self, entries: &[T]) -> io::Result<()> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let next = openat(&self.folder, NEXT, flags | OFlags::APPEND, Mode::RUSR | Mode::WUSR)?;
        let mut next = File::from(next);
        let (mut number, mut length) = (self.number, 0);
        let (most, end) = entries.split_at(entries.len().saturating_sub(1));
        let written = most.chunks(TOGETHER).chain(end.chunks(1)).try_for_each(|part| {
            let line = lines::line(number, part)?;
            number += 1;
            length += line.len() as u64;
            next.write_all(&line)
        });
        let renamed = written.and_then(|()| next.sync_all()).and_then(|()| {
            renameat(&self.folder, NEXT, &self.folder, FILE)?;
            Ok(fsync(&self.folder)?)
        });
        if let Err(e) = renamed {
            let _ = unlinkat(&self.folder, NEXT, AtFlags::empty());
            return Err(e);
        }
        (self.file, self.number, self.length, self.compact, self.unsure) =
            (next, number, length, length, false);
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests;
