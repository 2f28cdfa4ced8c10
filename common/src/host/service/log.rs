//! The log of a supervised program, line by line with time, in the format of the container runtime interface: `TIME stdout F text`.
//! The file is rotated by size, and a pipe never blocks the program for long: a full disk loses lines, and their number is
//! logged.

use crate::host::file;
use std::collections::VecDeque;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

/// Maximum size of a file in bytes.
const SIZE: u64 = 10 * 1024 * 1024;
/// Number of rotated files: `log.1` is the newest.
const OLD: usize = 2;
/// A longer line is split into pieces, all but the last marked `P`.
const LINE: u64 = 16 * 1024;

/// The log of one program.
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    file: Option<File>,
    size: u64,
    lost: u64,
}

impl Log {
    /// In an existing folder.
    pub fn new(folder: &Path) -> Arc<Log> {
        Arc::new(Log { folder: folder.to_owned(), open: Mutex::default() })
    }

    /// Reads a pipe to its end, in a separate thread.
    pub fn pump(self: &Arc<Self>, stream: &'static str, pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.by_ref().take(LINE).read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let whole = line.last() == Some(&b'\n');
                line.pop_if(|last| *last == b'\n');
                log.line(stream, if whole { "F" } else { "P" }, &line);
                line.clear();
            }
        })
    }

    /// Logs a message of lsx.
    pub fn say(&self, text: &str) {
        text.lines().for_each(|line| self.line("lsx", "F", line.as_bytes()));
    }

    /// Logs output, each line with a prefix.
    pub fn lines(&self, stream: &str, front: &str, text: &[u8]) {
        for line in text.strip_suffix(b"\n").unwrap_or(text).split(|b| *b == b'\n') {
            let most = usize::try_from(LINE).unwrap_or(usize::MAX);
            self.line(stream, "F", &[front.as_bytes(), &line[..line.len().min(most)]].concat());
        }
    }

    fn line(&self, stream: &str, whole: &str, text: &[u8]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = format!("{} {stream} {whole} ", crate::log::now()).into_bytes();
        line.extend_from_slice(text);
        line.push(b'\n');
        if open.size > SIZE {
            self.turn(&mut open);
        }
        if open.file.is_none() {
            let file = OpenOptions::new().append(true).create(true).open(self.folder.join("log"));
            open.size = file.as_ref().ok().and_then(|f| f.metadata().ok()).map_or(0, |m| m.len());
            open.file = file.ok();
        }
        let lost = open.lost;
        let written = open.file.as_mut().is_some_and(|file| {
            let told =
                lost == 0 || writeln!(file, "{} lsx F {lost} lines were lost", crate::log::now()).is_ok();
            told && file.write_all(&line).is_ok()
        });
        match written {
            true => (open.size, open.lost) = (open.size + line.len() as u64, 0),
            false => {
                // A truncated line on a full disk is removed.
                let whole = open.size;
                open.file.as_ref().map(|file| file.set_len(whole));
                open.lost += 1;
            }
        }
    }

    fn turn(&self, open: &mut Open) {
        let name = |n: usize| self.folder.join(if n == 0 { "log".to_owned() } else { format!("log.{n}") });
        let _ = file::remove(&name(OLD));
        for n in (0..OLD).rev() {
            let _ = std::fs::rename(name(n), name(n + 1));
        }
        *open = Open { lost: open.lost, ..Open::default() };
    }
}

/// A log that is read while it is written.
#[derive(Debug)]
pub struct Follow {
    folder: PathBuf,
    /// The number of existing lines to return first.
    lines: Option<usize>,
    open: Option<File>,
    /// The start of an incomplete line.
    rest: Vec<u8>,
}

/// Number of bytes read at once.
const PIECE: u64 = 1024 * 1024;

impl Follow {
    /// Of the log in a folder; the last existing lines come first.
    pub fn new(folder: &Path, lines: usize) -> Follow {
        Follow { folder: folder.to_owned(), lines: Some(lines), open: None, rest: Vec::new() }
    }

    /// The lines since the last call; at first the last existing lines.
    pub fn more(&mut self) -> Vec<String> {
        let Some(lines) = self.lines.take() else { return self.read() };
        let mut all = VecDeque::new();
        for name in (1..=OLD).rev().map(|n| format!("log.{n}")) {
            all.extend(of(&self.folder.join(name), lines));
        }
        loop {
            let more = self.read();
            if more.is_empty() {
                break;
            }
            all.extend(more);
            all.drain(..all.len().saturating_sub(lines));
        }
        all.drain(..all.len().saturating_sub(lines));
        all.into()
    }

    fn read(&mut self) -> Vec<String> {
        let path = self.folder.join("log");
        loop {
            if self.open.is_none() {
                self.open = File::open(&path).ok();
            }
            let Some(file) = &mut self.open else { return Vec::new() };
            let before = self.rest.len();
            let _ = file.take(PIECE).read_to_end(&mut self.rest);
            if self.rest.len() == before {
                // The file was rotated if its name now belongs to another one; it has been read to its end.
                let same = |now: &Metadata| file.metadata().is_ok_and(|open| open.ino() == now.ino());
                if std::fs::metadata(&path).is_ok_and(|now| !same(&now)) {
                    self.open = None;
                    continue;
                }
                return Vec::new();
            }
            let Some(end) = self.rest.iter().rposition(|b| *b == b'\n') else { continue };
            let whole: Vec<u8> = self.rest.drain(..=end).collect();
            let lines = whole[..end].split(|b| *b == b'\n');
            return lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        }
    }
}

fn of(path: &Path, lines: usize) -> Vec<String> {
    let mut last = VecDeque::with_capacity(lines.min(10_000));
    let Ok(file) = File::open(path) else { return Vec::new() };
    for line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
        if last.len() == lines {
            last.pop_front();
        }
        last.push_back(String::from_utf8_lossy(&line).into_owned());
    }
    last.into()
}

/// The last lines, oldest first.
pub fn tail(folder: &Path, lines: usize) -> Vec<String> {
    let mut last = VecDeque::new();
    for name in (1..=OLD).rev().map(|n| format!("log.{n}")).chain(["log".to_owned()]) {
        last.extend(of(&folder.join(name), lines));
        last.drain(..last.len().saturating_sub(lines));
    }
    last.into()
}
