//! Files copied into or out of an instance: a sequence of parts, each a small tar, so that only one part is in memory. A
//! path in a part begins with the offset of its bytes in the file, and cannot lead outside the target folder.

use common::stdio;
use common::{Failure, Kind};
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Builder, EntryType, Header};

/// Approximate size of a part in bytes.
const PART: usize = 4 * 1024 * 1024;
/// The name of the copied file or folder in a part.
const ROOT: &str = "r";
/// Maximum depth of folders.
const DEEP: usize = 200;
/// Maximum length of a path in bytes (PATH_MAX).
const PATH: usize = 4096;

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
            if !piece.is_empty() || offset == 0 {
                self.put(EntryType::Regular, offset, name, found, &piece).map_err(told)?;
                self.full()?;
            }
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

/// Unpacks a sequence of parts. Set-user-ID and similar bits and owners are not restored.
///
/// # Errors
/// A path or link that leads outside, an obstacle, or what could not be written.
pub(crate) fn unpack(target: &Path, from: impl Read) -> Result<Skipped, Failure> {
    let mut archive = Archive::new(from);
    archive.set_ignore_zeros(true);
    let mut skipped = 0;
    let broken = |e: io::Error| {
        Failure::new(Kind::Failed, "ct.parcel", format!("the data received is malformed: {e}"))
    };
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let (kind, mode) = (entry.header().entry_type(), entry.header().mode().unwrap_or(0o644) & 0o777);
        let path = entry.path().map_err(broken)?.into_owned();
        let (offset, inside) = split(&path).ok_or_else(|| elsewhere(&path))?;
        let at = if inside.as_os_str().is_empty() { target.to_owned() } else { target.join(&inside) };
        real(target, &inside)?;
        let told = |e: io::Error| failed(&at, "write", &e);
        match kind {
            EntryType::Directory => folder(&at, mode).map_err(told)?,
            EntryType::Symlink => {
                let to = entry.link_name().map_err(broken)?.ok_or_else(|| elsewhere(&path))?.into_owned();
                clear(&at).and_then(|()| std::os::unix::fs::symlink(to, &at)).map_err(told)?;
            }
            EntryType::Regular | EntryType::Continuous => {
                let mut file = file(&at, offset, mode).map_err(told)?;
                io::copy(&mut entry, &mut file).map_err(told)?;
            }
            _ => skipped += 1,
        }
    }
    Ok(skipped)
}

/// The offset in its file, and its path below the root; `None` for an invalid path.
fn split(path: &Path) -> Option<(u64, PathBuf)> {
    let plain =
        |part: Component<'_>| if let Component::Normal(name) = part { Some(name.to_owned()) } else { None };
    let parts: Option<Vec<_>> = path.components().map(plain).collect();
    let parts = parts.filter(|_| path.as_os_str().len() <= PATH && !path.as_os_str().is_empty())?;
    let (offset, rest) = parts.split_first()?;
    let (root, rest) = rest.split_first()?;
    let offset = offset.to_str()?.parse().ok()?;
    (root.to_str() == Some(ROOT)).then(|| (offset, rest.iter().collect()))
}

/// Whether all parents below the target are folders and not links.
fn real(target: &Path, inside: &Path) -> Result<(), Failure> {
    let mut above: Vec<&Path> = inside.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()).collect();
    above.reverse();
    let folder = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
    match above.iter().find(|part| !folder(&target.join(part))) {
        None => Ok(()),
        Some(part) => Err(elsewhere(&target.join(part))),
    }
}

fn folder(at: &Path, mode: u32) -> io::Result<()> {
    match std::fs::symlink_metadata(at) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(io::Error::other("a path on the way is not a folder")),
        Err(_) => DirBuilder::new().mode(mode | 0o700).create(at),
    }
}

fn clear(at: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(at) {
        Ok(found) if found.is_dir() => Err(io::Error::other("there is a folder of this name")),
        Ok(_) => common::host::file::remove(at).map(|_| ()).map_err(|e| io::Error::other(e.message)),
        Err(_) => Ok(()),
    }
}

/// A new file; or an existing one of length `offset`.
fn file(at: &Path, offset: u64, mode: u32) -> io::Result<File> {
    if offset == 0 {
        clear(at)?;
        return OpenOptions::new().write(true).create_new(true).mode(mode).open(at);
    }
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = OpenOptions::new().append(true).custom_flags(flags).open(at)?;
    match file.metadata()? {
        found if found.is_file() && found.len() == offset => Ok(file),
        _ => Err(io::Error::other("the file has changed meanwhile")),
    }
}

fn elsewhere(path: &Path) -> Failure {
    Failure::new(
        Kind::Failed,
        "ct.parcel.path",
        format!("{} leads outside the target folder; it was not written", path.display()),
    )
}

fn failed(path: &Path, verb: &str, error: &io::Error) -> Failure {
    Failure::new(Kind::Failed, "ct.parcel", format!("cannot {verb} {}: {error}", path.display()))
}

/// The verb `parcel`, run in an instance by lsx's own program there.
///
/// # Errors
/// As the three functions.
pub(crate) fn run(what: &str, words: &[String]) -> Result<(), Failure> {
    let word = |n: usize| words.get(n).map_or("", String::as_str);
    let skipped = match what {
        "pack" => pack(Path::new(word(0)), &mut |part| stdio::write(&part))?,
        "unpack" => unpack(Path::new(word(0)), io::stdin().lock())?,
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
