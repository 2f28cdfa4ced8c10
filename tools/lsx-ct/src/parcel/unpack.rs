//! Unpacks what `cp` sends. A file gets its name when it is complete, so an interrupted copy leaves the former one.

use super::unfinished::{Keep, Unfinished, clear};
use super::{PART, ROOT, Skipped, failed};
use common::{Failure, Kind};
use std::fs::DirBuilder;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};
use tar::{Archive, EntryType};

/// Maximum length of a path in bytes (PATH_MAX).
const PATH: usize = 4096;

/// What was unpacked.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    pub(crate) skipped: Skipped,
    /// The last file, if more of it is to come; or from an older lsx-ct, which does not say that it is complete.
    pub(crate) unfinished: Option<Unfinished>,
}

/// Unpacks a sequence of parts. Set-user-ID and similar bits and owners are not restored.
///
/// # Errors
/// A path or link that leads outside, an obstacle, or what could not be written.
pub(crate) fn unpack(target: &Path, from: impl Read, keep: Keep) -> Result<Unpacked, Failure> {
    let mut archive = Archive::new(from);
    archive.set_ignore_zeros(true);
    let mut all = Unpacked::default();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let (kind, mode) = (entry.header().entry_type(), entry.header().mode().unwrap_or(0o644) & 0o777);
        let path = entry.path().map_err(broken)?.into_owned();
        let (offset, inside) = split(&path).ok_or_else(|| elsewhere(&path))?;
        let at = if inside.as_os_str().is_empty() { target.to_owned() } else { target.join(&inside) };
        real(target, &inside)?;
        let told = |e: io::Error| failed(&at, "write", &e);
        // An older lsx-ct does not mark the end of a file: the next file is the end of the one before.
        let begun = all.unfinished.take_if(|file| offset == 0 || !file.is(&at));
        begun.map_or(Ok(()), Unfinished::finish)?;
        match kind {
            EntryType::Directory => folder(&at, mode).map_err(told)?,
            EntryType::Symlink => {
                let to = entry.link_name().map_err(broken)?.ok_or_else(|| elsewhere(&path))?.into_owned();
                clear(&at).and_then(|()| std::os::unix::fs::symlink(to, &at)).map_err(told)?;
            }
            EntryType::Regular | EntryType::Continuous => {
                let begun = all.unfinished.take();
                let file = begun.map_or_else(|| Unfinished::begin(&at, (offset, mode), keep), Ok);
                let mut file = file.map_err(told)?;
                let size = entry.size();
                file.append(&mut entry, (offset, size)).map_err(told)?;
                if size < PART as u64 {
                    file.finish()?;
                } else {
                    all.unfinished = Some(file);
                }
            }
            _ => all.skipped += 1,
        }
    }
    Ok(all)
}

fn broken(error: io::Error) -> Failure {
    Failure::new(Kind::Failed, "ct.parcel", format!("the data received is malformed: {error}"))
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

fn elsewhere(path: &Path) -> Failure {
    Failure::new(
        Kind::Failed,
        "ct.parcel.path",
        format!("{} leads outside the target folder; it was not written", path.display()),
    )
}
