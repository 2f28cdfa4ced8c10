//! Files copied into or out of an instance: a sequence of parts, each a small tar, so that only one part is in memory. A
//! path in a part begins with the offset of its bytes in the file, and cannot lead outside the target folder.

mod unfinished;
mod unpack;

use common::stdio;
use common::{Failure, Kind};
use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};
pub(crate) use unfinished::{Keep, Unfinished};
pub(crate) use unpack::unpack;

/// Size in bytes of all pieces of a file but the last, which is smaller and so ends the file; and the approximate size of a
/// part. Both sides must have the same.
const PART: usize = 4 * 1024 * 1024;
/// The name of the copied file or folder in a part.
const ROOT: &str = "r";
/// Maximum depth of folders.
const DEEP: usize = 200;

/// Receives a part.
pub(crate) type Send<'a> = &'a mut dyn FnMut(Vec<u8>) -> Result<(), Failure>;

/// The number of entries that were skipped because they are not a file, folder or link.
pub(crate) type Skipped = u64;

/// Packs a file, or a folder with its contents; links are not followed, except the path itself.
///
/// # Errors
/// What could not be read or sent.
pub(crate) fn pack(path: &Path, send: Send<'_>) -> Result<Skipped, Failure> {
    let mut packer = Packer { part: Builder::new(Vec::new()), send, skipped: 0 };
    let found = std::fs::metadata(path).map_err(|e| failed(path, "read", &e))?;
    packer.add(path, Path::new(ROOT), &found, 0)?;
    packer.flush()?;
    Ok(packer.skipped)
}

struct Packer<'a> {
    part: Builder<Vec<u8>>,
    send: Send<'a>,
    skipped: Skipped,
}

impl Packer<'_> {
    fn add(&mut self, path: &Path, name: &Path, found: &Metadata, deep: usize) -> Result<(), Failure> {
        let told = |e: io::Error| failed(path, "read", &e);
        if found.is_dir() {
            if deep > DEEP {
                return Err(failed(path, "take", &io::Error::other("too many nested folders")));
            }
            self.put(EntryType::Directory, 0, name, found, &[]).map_err(told)?;
            let mut all: Vec<_> =
                std::fs::read_dir(path).map_err(told)?.flatten().map(|e| e.file_name()).collect();
            all.sort();
            for entry in all {
                let (path, name) = (path.join(&entry), name.join(&entry));
                // A file that was removed in the meantime is skipped.
                if let Ok(found) = std::fs::symlink_metadata(&path) {
                    self.add(&path, &name, &found, deep + 1)?;
                }
            }
            return Ok(());
        }
        if found.is_symlink() {
            let to = std::fs::read_link(path).map_err(told)?;
            let mut header = header(EntryType::Symlink, found);
            self.part.append_link(&mut header, Path::new("0").join(name), to).map_err(told)?;
            return self.full();
        }
        if !found.is_file() {
            self.skipped += 1;
            return Ok(());
        }
        let mut file =
            OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).map_err(told)?;
        let mut offset = 0;
        loop {
            let mut piece = Vec::new();
            Read::by_ref(&mut file).take(PART as u64).read_to_end(&mut piece).map_err(told)?;
            // Also an empty one: it says that the file ends.
            self.put(EntryType::Regular, offset, name, found, &piece).map_err(told)?;
            self.full()?;
            if piece.len() < PART {
                return Ok(());
            }
            offset += piece.len() as u64;
        }
    }

    fn put(
        &mut self,
        kind: EntryType,
        offset: u64,
        name: &Path,
        found: &Metadata,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut header = header(kind, found);
        header.set_size(bytes.len() as u64);
        self.part.append_data(&mut header, Path::new(&offset.to_string()).join(name), bytes)
    }

    fn full(&mut self) -> Result<(), Failure> {
        if self.part.get_ref().len() < PART { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let part = std::mem::replace(&mut self.part, Builder::new(Vec::new()));
        (self.send)(part.into_inner().map_err(|e| failed(Path::new("-"), "pack", &e))?)
    }
}

fn header(kind: EntryType, found: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    header.set_mode(found.permissions().mode() & 0o777);
    header
}

/// The target of something called `base`: in `to` if that is a folder, else `to` itself.
pub(crate) fn place(to: &Path, base: &str) -> PathBuf {
    if to.is_dir() { to.join(base) } else { to.to_owned() }
}

fn failed(path: &Path, verb: &str, error: &io::Error) -> Failure {
    Failure::new(Kind::Failed, "ct.parcel", format!("cannot {verb} {}: {error}", path.display()))
}

/// The verb `parcel`, run in an instance by lsx's own program there.
///
/// # Errors
/// As the functions.
pub(crate) fn run(what: &str, words: &[String]) -> Result<(), Failure> {
    let word = |n: usize| words.get(n).map_or("", String::as_str);
    let skipped = match what {
        "pack" => pack(Path::new(word(0)), &mut |part| stdio::write(&part))?,
        "unpack" => {
            let unpacked = unpack(Path::new(word(0)), io::stdin().lock(), Keep::Named)?;
            // The caller has it removed if the next part does not come.
            let left = unpacked.unfinished.and_then(Unfinished::leave);
            stdio::write(left.unwrap_or_default().display().to_string().as_bytes())?;
            unpacked.skipped
        }
        "abandon" => {
            unfinished::abandon(Path::new(word(0)))?;
            0
        }
        _ => {
            let place = place(Path::new(word(0)), word(1)).display().to_string();
            stdio::write(place.as_bytes())?;
            0
        }
    };
    if skipped > 0 {
        common::log::warning(&format!("{skipped} not copied: neither file, folder nor link"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
