//! Compares a restored folder with its snapshot: what is on the disk, read by another way than it was written by.

use super::given::{link, time};
use super::known::{attributes, is_own, mode};
use super::source::{Source, named, shared};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::host::volume::FOLDER;
use common::host::{beneath, file};
use common::{Failure, Kind, document};
use rustic_core::DataId;
use rustic_core::repofile::{Node, NodeType};
use rustix::fs::{self, Advice, AtFlags, Dir, FileType, OFlags, SeekFrom, Stat};
use rustix::io::{self, Errno};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What was found of files that have several names.
type Links = BTreeMap<(u64, u64), (u64, Option<Vec<DataId>>)>;

fn differs(path: &Path, what: &str) -> Failure {
    let message = format!("{} is not restored as it was saved: {what}", path.display());
    Failure::new(Kind::Failed, "snap.differs", message)
        .hint("can its file system keep this? Nothing was exchanged")
}

fn told(path: &Path, e: Errno) -> Failure {
    file::failure(path, "compare", &e.into())
}

/// Compares a folder.
///
/// # Errors
/// The first difference; of the file system.
pub(super) fn folder(source: &dyn Source, top: &OwnedFd, node: &Node) -> Result<(), Failure> {
    let root = PathBuf::from("/");
    let mut links = Links::new();
    alike(source, top, (b".", node), &root, &mut links)?;
    below(source, top, node, root, &mut links)
}

/// Compares one name in a folder.
///
/// # Errors
/// As [`folder`].
pub(super) fn one(source: &dyn Source, top: &OwnedFd, name: &[u8], node: &Node) -> Result<(), Failure> {
    let (path, mut links) = (PathBuf::from("/").join(OsStr::from_bytes(name)), Links::new());
    alike(source, top, (name, node), &path, &mut links)?;
    if node.is_dir() {
        let there = beneath::file(top, name, FOLDER).map_err(|e| told(&path, e))?;
        below(source, &there, node, path, &mut links)?;
    }
    Ok(())
}

/// What is below a folder. Paths are opened from the top again: so their number is no matter.
fn below(
    source: &dyn Source,
    top: &OwnedFd,
    node: &Node,
    path: PathBuf,
    links: &mut Links,
) -> Result<(), Failure> {
    let mut left = vec![(Vec::new(), path, node.clone())];
    while let Some((under, path, folder)) = left.pop() {
        let there = beneath::folder(top, &under).map_err(|e| told(&path, e))?;
        let all = named(source, &path, &folder)?;
        let mut found = BTreeSet::new();
        for entry in Dir::read_from(&there).map_err(|e| told(&path, e))? {
            let name = entry.map_err(|e| told(&path, e))?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                found.insert(name);
            }
        }
        let wanted: BTreeSet<Vec<u8>> = all.iter().map(|(name, _)| name.clone()).collect();
        if let Some(other) = found.symmetric_difference(&wanted).next() {
            let other = path.join(OsStr::from_bytes(other));
            return Err(differs(&other, "it is there alone, or not there"));
        }
        for (name, node) in all {
            let path = path.join(OsStr::from_bytes(&name));
            alike(source, &there, (&name, &node), &path, links)?;
            if node.is_dir() {
                let between: &[u8] = if under.is_empty() { b"" } else { b"/" };
                left.push(([under.as_slice(), between, &name].concat(), path, node));
            }
        }
    }
    Ok(())
}

fn alike(
    source: &dyn Source,
    above: &OwnedFd,
    (name, node): (&[u8], &Node),
    path: &Path,
    links: &mut Links,
) -> Result<(), Failure> {
    let stat = fs::statat(above, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| told(path, e))?;
    let no = |what: &str| Err(differs(path, what));
    let known = &node.meta;
    if !same_kind(above, name, &stat, &node.node_type) {
        return no("another kind of file, device or link");
    }
    if known.mode.is_some_and(|wanted| !node.is_symlink() && bits(wanted) != bits(mode(stat.st_mode))) {
        return no("its mode");
    }
    if known.uid.is_some_and(|uid| uid != stat.st_uid) || known.gid.is_some_and(|gid| gid != stat.st_gid) {
        return no("its owner");
    }
    let own = (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or_default());
    if time(known).is_some_and(|wanted| wanted != own) {
        return no("its time");
    }
    if let Some(wanted) = shared(node) {
        let (first, content) = links.entry(wanted).or_insert_with(|| (stat.st_ino, node.content.clone()));
        if *content == node.content && *first != stat.st_ino {
            return no("it is another file than its other names");
        }
    }
    attributed(above, name, node, path)?;
    if node.is_file() { content(source, above, (name, node), path, &stat) } else { Ok(()) }
}

/// What chmod(2) sets.
fn bits(mode: u32) -> u32 {
    mode & (0o777 | 1 << 23 | 1 << 22 | 1 << 20)
}

fn same_kind(above: &OwnedFd, name: &[u8], stat: &Stat, wanted: &NodeType) -> bool {
    match (FileType::from_raw_mode(stat.st_mode), wanted) {
        (FileType::Symlink, NodeType::Symlink { .. }) => fs::readlinkat(above, name, Vec::new())
            .is_ok_and(|to| to.to_bytes() == wanted.to_link().as_os_str().as_bytes()),
        (FileType::BlockDevice, NodeType::Dev { device })
        | (FileType::CharacterDevice, NodeType::Chardev { device }) => stat.st_rdev == *device,
        (FileType::Directory, NodeType::Dir)
        | (FileType::RegularFile, NodeType::File)
        | (FileType::Fifo, NodeType::Fifo)
        | (FileType::Socket, NodeType::Socket) => true,
        _ => false,
    }
}

/// Labels that the host itself gives are its own matter.
fn attributed(above: &OwnedFd, name: &[u8], node: &Node, path: &Path) -> Result<(), Failure> {
    let there = attributes(&link(above, name).into_os_string())
        .map_err(|e| file::failure(path, "compare attributes of", &e))?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let there: BTreeMap<String, String> =
        there.as_array().into_iter().flatten().map(|one| (text(&one["name"]), text(&one["value"]))).collect();
    let wanted = node.meta.extended_attributes.iter().filter(|one| !is_own(one.name.as_bytes()));
    let wanted: BTreeMap<String, String> = wanted
        .map(|one| (one.name.clone(), STANDARD.encode(one.value.as_deref().unwrap_or_default())))
        .collect();
    for (name, value) in &wanted {
        if there.get(name) != Some(value) {
            return Err(differs(path, &format!("its attribute {name}")));
        }
    }
    let more = there.keys().find(|name| !wanted.contains_key(*name) && !name.starts_with("security."));
    more.map_or(Ok(()), |name| Err(differs(path, &format!("its attribute {name}"))))
}

fn content(
    source: &dyn Source,
    above: &OwnedFd,
    (name, node): (&[u8], &Node),
    path: &Path,
    stat: &Stat,
) -> Result<(), Failure> {
    let wrong = |e: Errno| told(path, e);
    let there = beneath::file(above, name, OFlags::RDONLY).map_err(wrong)?;
    // What is on the disk, if the kernel can forget it.
    let _ = fs::fadvise(&there, 0, None, Advice::DontNeed);
    let mut at = 0;
    let mut zeros = BTreeSet::new();
    for part in node.content.iter().flatten() {
        let length = source.length(part)?;
        if !(zeros.contains(part) && is_hole(&there, at, length)) {
            let bytes = read(&there, at, length).map_err(wrong)?;
            if document::digest(&bytes) != part.to_hex().as_str() {
                return Err(differs(path, &format!("its content from byte {at} on")));
            }
            if bytes.iter().all(|byte| *byte == 0) {
                zeros.insert(*part);
            }
        }
        at += length;
    }
    if u64::try_from(stat.st_size) != Ok(at) {
        return Err(differs(path, &format!("it has {} bytes instead of {at}", stat.st_size)));
    }
    Ok(())
}

fn is_hole(there: &OwnedFd, at: u64, length: u64) -> bool {
    match fs::seek(there, SeekFrom::Data(at)) {
        Ok(data) => data >= at.saturating_add(length),
        Err(e) => e == Errno::NXIO,
    }
}

fn read(there: &OwnedFd, at: u64, length: u64) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| Errno::FBIG)?];
    let mut done = 0;
    while done < bytes.len() {
        match io::pread(there, &mut bytes[done..], at + done as u64)? {
            0 => break,
            read => done += read,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests {
    use super::super::tests::{Fake, plain};
    use super::super::written::Writer;
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn what_was_written_is_compared() {
        let (temp, mut fake) = (tempfile::tempdir().unwrap(), Fake::default());
        let zeros = vec![0; 1 << 20];
        let mut words = fake.file("words", &[b"some ", b"words"]);
        (words.meta.links, words.meta.inode) = (2, 7);
        let again = Node { name: "again".to_owned(), ..words.clone() };
        let deep = fake.folder_of("deep", vec![again]);
        let nodes = vec![
            deep,
            words,
            fake.file("holes", &[&zeros, &zeros, b"end"]),
            plain("link", NodeType::from_link(Path::new("/etc/passwd"))),
            plain("a\\n\\xffb", NodeType::Fifo),
        ];
        let top = fake.folder_of("", nodes);
        let open = |path: &Path| OwnedFd::from(std::fs::File::open(path).unwrap());
        let at = temp.path().join("v");
        std::fs::create_dir(&at).unwrap();
        Writer::new(&fake, &open(&at)).fill(&top).unwrap();
        let compared = || folder(&fake, &open(&at), &top).map_err(|failure| failure.message);
        compared().unwrap();
        let seen = |name: &str| std::fs::symlink_metadata(at.join(name)).unwrap();
        assert_eq!(seen("words").ino(), seen("deep/again").ino());
        assert!(seen("holes").len() == (2 << 20) + 3 && seen("holes").blocks() < 64, "{:?}", seen("holes"));
        assert_eq!(std::fs::read_link(at.join("link")).unwrap(), Path::new("/etc/passwd"));
        // Whatever is changed is noticed.
        let holes = at.join("holes");
        let file = std::fs::File::options().write(true).open(&holes).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"x", 5).unwrap();
        assert!(
            compared()
                .unwrap_err()
                .contains("/holes is not restored as it was saved: its content from byte 0")
        );
        std::os::unix::fs::FileExt::write_all_at(&file, b"\0", 5).unwrap();
        compared().unwrap();
        std::fs::write(at.join("deep/more"), "").unwrap();
        assert!(compared().unwrap_err().contains("/deep/more"));
        std::fs::remove_file(at.join("deep/more")).unwrap();
        std::fs::remove_file(at.join("deep/again")).unwrap();
        std::fs::copy(at.join("words"), at.join("deep/again")).unwrap();
        assert!(compared().unwrap_err().contains("its other names"));
        // A second one does not write over it.
        assert!(Writer::new(&fake, &open(&at)).fill(&top).is_err());
    }
}
