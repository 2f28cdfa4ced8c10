//! What a restore needs before it begins: its files, their bytes, and the space that they take.

use super::source::{Source, named, shared};
use common::{Failure, Kind};
use rustic_core::DataId;
use rustic_core::repofile::Node;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What the name of a file, its owner and attributes take, where a file system does not count files.
const FILE: u64 = 512;
/// Space is given in blocks.
const BLOCK: u64 = 4096;

/// The number of files, what is in them, and what they take on a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) space: u64,
}

/// What there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes.
    pub(crate) space: u64,
    /// Files; none if they are not counted.
    pub(crate) files: Option<u64>,
}

/// Counts what is below a node. It ends where there is no room any more: whoever writes a repository can have folders that contain each other
/// many times, so that they have more files than could be counted.
///
/// # Errors
/// What cannot be read; no room.
pub(super) fn count(source: &dyn Source, top: &Node, room: Room) -> Result<Count, Failure> {
    let (mut count, mut links) = (Count::default(), BTreeSet::new());
    one(source, top, &mut count)?;
    let mut left = Vec::new();
    if top.is_dir() {
        left.push((PathBuf::from("/"), top.clone()));
    }
    while let Some((path, folder)) = left.pop() {
        for (name, node) in named(source, &path, &folder)? {
            if shared(&node).is_some_and(|link| !links.insert(link)) {
                continue;
            }
            one(source, &node, &mut count)?;
            fits(&count, room)?;
            if node.is_dir() {
                left.push((path.join(OsStr::from_bytes(&name)), node));
            }
        }
    }
    fits(&count, room).map(|()| count)
}

fn one(source: &dyn Source, node: &Node, count: &mut Count) -> Result<(), Failure> {
    count.files += 1;
    let mut space = FILE + if node.is_dir() { BLOCK } else { 0 };
    let mut last: Option<(DataId, bool)> = None;
    for part in node.content.iter().flatten().filter(|_| node.is_file()) {
        let length = source.length(part)?;
        count.bytes = count.bytes.saturating_add(length);
        // What follows itself is most likely a hole.
        let hole = match last {
            Some((same, hole)) if same == *part => {
                let hole = hole || source.bytes(part)?.iter().all(|byte| *byte == 0);
                last = Some((*part, hole));
                hole
            }
            _ => {
                last = Some((*part, false));
                false
            }
        };
        space = space.saturating_add(if hole { 0 } else { length });
    }
    count.space = count.space.saturating_add(space.next_multiple_of(if space > FILE { BLOCK } else { 1 }));
    Ok(())
}

fn fits(count: &Count, room: Room) -> Result<(), Failure> {
    let no = |what: String| {
        Err(Failure::new(Kind::Failed, "snap.room", what)
            .hint("make room there: the volume stays beside what is restored, so that `undo` brings it back"))
    };
    if count.space > room.space {
        return no(format!("there is no room for what is to be restored: {} bytes are free", room.space));
    }
    match room.files {
        Some(files) if count.files > files => {
            no(format!("there is no room for what is to be restored: {files} more files can be made"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fake, plain};
    use super::*;
    use rustic_core::repofile::NodeType;

    const ROOM: Room = Room { space: 1 << 40, files: None };

    #[test]
    fn holes_and_second_names_take_no_space() {
        let (mut fake, zeros) = (Fake::default(), vec![0; 1 << 20]);
        let holes = fake.file("holes", &[&zeros, &zeros, &zeros, b"end"]);
        let mut one = fake.file("one", &[&[7; 5000]]);
        (one.meta.links, one.meta.inode) = (2, 9);
        let two = Node { name: "two".to_owned(), ..one.clone() };
        let top = fake.folder_of("", vec![holes, one, two, plain("pipe", NodeType::Fifo)]);
        let count = count(&fake, &top, ROOM).unwrap();
        assert_eq!((count.files, count.bytes), (4, (3 << 20) + 3 + 5000));
        assert!((1 << 20..(1 << 20) + 40_000).contains(&count.space), "{count:?}");
    }

    #[test]
    fn folders_without_end_have_one() {
        let mut fake = Fake::default();
        // 10^30 files.
        let mut folder =
            fake.folder_of("x", (0..10).map(|n| plain(&n.to_string(), NodeType::Fifo)).collect());
        for _ in 0..29 {
            let same = (0..10).map(|n| Node { name: n.to_string(), ..folder.clone() }).collect();
            folder = fake.folder_of("x", same);
        }
        for room in [Room { space: 1 << 22, files: None }, Room { files: Some(5000), ..ROOM }] {
            assert_eq!(count(&fake, &folder, room).unwrap_err().code, "snap.room");
        }
    }
}
