//! The objects of a bucket in the order of their keys' bytes, a page at a time, as folders have them: there is no index that could be wrong.

use super::key::{self, Piece};
use super::place::{self, FOLDER, STAY};
use super::{About, Bucket};
use rustix::fs::{AtFlags, Dir, FileType, Mode, openat2, statat};
use std::io;
use std::os::fd::OwnedFd;

/// Which objects are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Range {
    /// Their keys begin with this.
    pub(crate) prefix: String,
    /// Keys that are the same up to this, after the prefix, are shown as one.
    pub(crate) delimiter: Option<String>,
    /// What comes up to this has been shown.
    pub(crate) after: String,
    /// The most items.
    pub(crate) most: usize,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Object(String, Box<About>),
    /// Several keys begin with this.
    Prefix(String),
}

impl Item {
    pub(crate) fn name(&self) -> &str {
        match self {
            Item::Object(name, _) | Item::Prefix(name) => name,
        }
    }
}

/// A part of a listing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
    /// Whether there is more.
    pub(crate) more: bool,
}

/// Something in a folder.
struct Entry {
    /// A key, or how the keys in a folder begin.
    key: String,
    /// Its names from the folder on.
    path: String,
    folder: bool,
}

struct Walk<'a> {
    bucket: &'a Bucket,
    /// Among earlier versions; of those only the keys are of interest.
    past: bool,
    range: &'a Range,
    page: Page,
}

impl Bucket {
    /// A page of its objects.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn list(&self, range: &Range) -> io::Result<Page> {
        self.walked(range, false)
    }

    /// A page of the keys that have earlier versions.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn list_past(&self, range: &Range) -> io::Result<Page> {
        self.walked(range, true)
    }

    fn walked(&self, range: &Range, past: bool) -> io::Result<Page> {
        let mut walk = Walk { bucket: self, past, range, page: Page::default() };
        if range.most > 0 {
            walk.folder(if past { &self.past } else { &self.folder }, "")?;
        }
        Ok(walk.page)
    }
}

impl Walk<'_> {
    /// Adds what is in a folder, whose keys begin with `base`.
    fn folder(&mut self, at: &OwnedFd, base: &str) -> io::Result<()> {
        let mut entries = Vec::new();
        self.entries(at, base, "", &mut entries)?;
        entries.sort_by(|a, b| a.key.as_bytes().cmp(b.key.as_bytes()));
        for entry in entries {
            if self.page.more {
                return Ok(());
            }
            if !entry.folder {
                self.object(at, entry)?;
            } else if self.leads(&entry.key)
                && let Ok(inner) = openat2(at, &entry.path, FOLDER, Mode::empty(), STAY)
            {
                self.folder(&inner, &entry.key)?;
            }
        }
        Ok(())
    }

    /// Whether keys that begin so may be asked for, and have not been shown.
    fn leads(&self, base: &str) -> bool {
        let Range { prefix, after, .. } = self.range;
        let asked = base.starts_with(prefix.as_str()) || prefix.starts_with(base);
        let shown = after.as_str() > base && !after.starts_with(base);
        asked && !shown && !self.collapsed(base)
    }

    /// Whether what was shown last stands for such keys, too.
    fn collapsed(&self, key: &str) -> bool {
        let last = match self.page.items.last() {
            Some(Item::Prefix(last)) => last,
            Some(Item::Object(..)) => return false,
            None if self.common(&self.range.after) == Some(self.range.after.as_str()) => &self.range.after,
            None => return false,
        };
        key.starts_with(last.as_str())
    }

    /// The part of a key up to the delimiter after the prefix.
    fn common<'k>(&self, key: &'k str) -> Option<&'k str> {
        let Range { prefix, delimiter, .. } = self.range;
        let delimiter = delimiter.as_deref().filter(|delimiter| !delimiter.is_empty())?;
        let rest = key.strip_prefix(prefix.as_str())?;
        let end = rest.find(delimiter)? + prefix.len() + delimiter.len();
        key.get(..end)
    }

    fn object(&mut self, at: &OwnedFd, entry: Entry) -> io::Result<()> {
        let Range { prefix, after, most, .. } = self.range;
        let Entry { key, path, .. } = entry;
        if !key.starts_with(prefix.as_str()) || key <= *after || self.collapsed(&key) {
            return Ok(());
        }
        let shown = match self.common(&key) {
            Some(common) => Item::Prefix(common.to_owned()),
            None if self.past => Item::Object(key, Box::default()),
            None => match place::opened(at, &path)? {
                Some((file, false)) => Item::Object(key, Box::new(About::of(&file)?)),
                // It was deleted just now, or its folder took its place and has it.
                _ => match self.bucket.find(&key)? {
                    Some(found) => Item::Object(key, Box::new(found.about)),
                    None => return Ok(()),
                },
            },
        };
        if self.page.items.len() >= *most {
            self.page.more = true;
        } else {
            self.page.items.push(shown);
        }
        Ok(())
    }

    /// What is in a folder. A folder that only continues names is a part of this one.
    fn entries(&self, at: &OwnedFd, base: &str, way: &str, all: &mut Vec<Entry>) -> io::Result<()> {
        let here = if way.is_empty() { "." } else { way };
        let Ok(folder) = openat2(at, here, FOLDER, Mode::empty(), STAY) else { return Ok(()) };
        for found in Dir::read_from(&folder)? {
            let found = found?;
            let Ok(name) = found.file_name().to_str() else { continue };
            let kind = match found.file_type() {
                FileType::Unknown => statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
                kind => kind,
            };
            let path = if way.is_empty() { name.to_owned() } else { format!("{way}/{name}") };
            match (key::piece(name), kind) {
                (Some(Piece::End(text)), FileType::RegularFile) => {
                    all.push(Entry { key: format!("{base}{text}"), path, folder: false });
                }
                (Some(Piece::End(text)), FileType::Directory) => {
                    let inner = if self.past { key::PAST } else { key::OWN };
                    let own = format!("{path}/{inner}");
                    if statat(&folder, format!("{name}/{inner}"), AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                        all.push(Entry { key: format!("{base}{text}"), path: own, folder: false });
                    }
                    all.push(Entry { key: format!("{base}{text}/"), path, folder: true });
                }
                (Some(Piece::More(text)), FileType::Directory) => {
                    self.entries(at, &format!("{base}{text}"), &path, all)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
