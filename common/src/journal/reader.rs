//! A reader that remembers how far it is, so that of a journal that has grown it reads what is new.

use super::lines;
use crate::failure::Failure;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};

/// What a reader has not seen yet.
#[derive(Debug, PartialEq, Eq)]
pub enum New<T> {
    /// All entries: it reads this file for the first time, or what it has read is not there any more.
    All(Vec<T>),
    /// Those that were added.
    More(Vec<T>),
}

/// How far a reader is.
#[derive(Debug, Default)]
pub struct Reader {
    /// The file. While it is open no other one has its number.
    file: Option<File>,
    /// Its state when it was read.
    state: State,
    /// The length of the lines that were read.
    pub(super) length: u64,
    /// The number of the next one.
    pub(super) next: u64,
    /// The last of them: while it is in its place, so is everything before it.
    last: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    file: (u64, u64),
    length: u64,
    changed: (i64, i64),
}

impl Reader {
    /// What is new. Of a file that has not changed nothing is read.
    ///
    /// # Errors
    /// Damage, or errors of the file system; the next call reads all of it.
    pub fn look<T: DeserializeOwned>(&mut self, folder: impl AsFd) -> Result<New<T>, Failure> {
        let Some(file) = super::file(&folder)? else {
            *self = Reader::default();
            return Ok(New::All(Vec::new()));
        };
        let at = file.metadata().map_err(|e| super::failed("read", e))?;
        let changed = (at.ctime(), at.ctime_nsec());
        let state = State { file: (at.dev(), at.ino()), length: at.len(), changed };
        let known = std::mem::take(self);
        if known.file.is_some() && state.file == known.state.file {
            if state == known.state {
                *self = known;
                return Ok(New::More(Vec::new()));
            }
            if let Some((more, reader)) = known.more(&file, state) {
                *self = reader;
                return Ok(New::More(more));
            }
        }
        let bytes = super::whole(&file)?;
        let found = lines::read(&bytes, None)?;
        let last = last(&bytes[..found.length]).to_vec();
        *self = Reader { file: Some(file), state, length: found.length as u64, next: found.next, last };
        Ok(New::All(found.entries))
    }

    /// What follows what was read; none if that is not there any more.
    fn more<T: DeserializeOwned>(self, file: &File, state: State) -> Option<(Vec<T>, Reader)> {
        let from = self.length - self.last.len() as u64;
        let length = state.length.checked_sub(from).filter(|length| *length <= super::MOST)?;
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        file.read_exact_at(&mut bytes, from).ok()?;
        let new = bytes.strip_prefix(self.last.as_slice())?;
        let found = lines::read(new, Some(self.next)).ok()?;
        let last = if found.length == 0 { self.last } else { last(&new[..found.length]).to_vec() };
        let length = self.length + found.length as u64;
        Some((found.entries, Reader { file: self.file, state, length, next: found.next, last }))
    }
}

/// The last line.
fn last(lines: &[u8]) -> &[u8] {
    lines.split_inclusive(|byte| *byte == b'\n').next_back().unwrap_or_default()
}
