//! The exit code of an instance of LXD or Incus, which these servers do not report: lsx's init records it in the instance.
//! Root there, or the application, can change the record; this only affects whether their own job counts as finished.
//!
//! A record is the target of a symbolic link: the servers recognise one, and read it without opening anything. A pipe in
//! place of a file would block their helper for ever.

use crate::model::Exit;
use common::stack::Restart;
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use std::fs::File;

/// The path in the instance: a folder, whose only entry is the record.
const FOLDER: &str = "/.lsx-exit";
pub(crate) const NOTE: &str = "/.lsx-exit/note";
/// Maximum size of a record, in bytes.
pub(crate) const MOST: usize = 64;

/// Whether an instance that ended by itself with this code is restarted.
pub(crate) fn again(restart: Restart, code: i32) -> bool {
    match restart {
        Restart::Always => true,
        Restart::OnFailure => code != 0,
        Restart::No => false,
    }
}

/// The record of a running instance: it does not exist until the instance has ended, so that a killed one has none.
pub(crate) struct Note(File);

impl Note {
    /// Creates the folder for `owner` (user and group), in place of anything there; returns nothing if that fails.
    pub(crate) fn begin((user, group): (u32, u32)) -> Option<Note> {
        let _ = rustix::fs::unlinkat(CWD, NOTE, AtFlags::empty());
        let _ = rustix::fs::unlinkat(CWD, FOLDER, AtFlags::REMOVEDIR);
        let _ = rustix::fs::unlinkat(CWD, FOLDER, AtFlags::empty());
        rustix::fs::mkdirat(CWD, FOLDER, Mode::from_raw_mode(0o700)).ok()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(CWD, FOLDER, flags, Mode::empty()).ok()?;
        rustix::fs::fchown(&folder, Some(Uid::from_raw(user)), Some(Gid::from_raw(group))).ok()?;
        let folder = File::from(folder);
        folder.sync_all().ok()?;
        Some(Note(folder))
    }

    /// Records the exit code and the time, synced to disk.
    pub(crate) fn end(self, code: u8) {
        // LXD reports a relative target as if it were in the link's own folder.
        let target = format!("/{code}/{}", common::log::now());
        let noted = rustix::fs::symlinkat(target, &self.0, "note");
        let _ = noted.map(|()| self.0.sync_all());
    }
}

/// Parses a record; nothing if it is invalid.
pub(crate) fn read(bytes: &[u8]) -> Option<Exit> {
    let (code, at) = std::str::from_utf8(bytes).ok()?.strip_prefix('/')?.split_once('/')?;
    let time = |b: u8| b.is_ascii_digit() || b"TZ:.-".contains(&b);
    if bytes.len() > MOST || !at.bytes().all(time) {
        return None;
    }
    Some(Exit { code: i32::from(code.parse::<u8>().ok()?), at: at.to_owned(), oom: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_a_code_and_a_time_and_nothing_else() {
        let exit = read(b"/3/2026-11-26T05:40:40.123Z").unwrap();
        assert_eq!((exit.code, exit.at.as_str()), (3, "2026-11-26T05:40:40.123Z"));
        let long = format!("/0/{}", "1".repeat(MOST));
        let wrong = [
            "",
            "/0",
            "0/2026",
            "/256/2026",
            "/-1/2026",
            "/0/\u{1b}[2J",
            "/0/2026\n/1/2026",
            "/etc/passwd",
            "{\"type\":\"sync\"}",
            &long,
        ];
        for text in wrong {
            assert_eq!(read(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn a_job_is_done_when_nothing_starts_it_again() {
        let done = |restart| [0, 1].map(|code| !again(restart, code));
        assert_eq!(done(Restart::Always), [false, false]);
        assert_eq!(done(Restart::OnFailure), [true, false]);
        assert_eq!(done(Restart::No), [true, true]);
    }
}
