//! Versions of objects. The newest is where its key says; earlier ones, and what says that an object was deleted, are in a folder of their own,
//! named by their versions. Files only change places by renaming, so that one that is killed leaves each version whole.

use super::bucket::{Bucket, Condition, Found};
use super::draft::Written;
use super::key::{self, PAST};
use super::place::{self, FOLDER, STAY};
use super::version::{Deleted, NULL, Versions, named, turn_of, valid};
use super::{About, Refused};
use rustix::fs::{Dir, Mode, RenameFlags, XattrFlags, fgetxattr, fsetxattr, fsync, openat2, renameat_with};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;

/// Attribute of lsx's own folder in a bucket: whether it has versions.
const STATE: &str = "user.lsx.versions";

/// A version that is not the newest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Past {
    pub(super) turn: u64,
    pub(super) name: String,
}

/// Where a version is among the earlier ones.
fn names(key: &str, version: &str) -> Vec<String> {
    let mut names = key::names(key);
    names.extend([PAST.to_owned(), version.to_owned()]);
    names
}

impl Bucket {
    /// Whether it has versions.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn versions(&self) -> io::Result<Versions> {
        let mut value = [0; 16];
        match fgetxattr(&self.own, STATE, &mut value) {
            Ok(length) if &value[..length] == b"enabled" => Ok(Versions::Enabled),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(Versions::Off),
            // What nobody knows keeps what is there.
            Ok(_) | Err(Errno::RANGE) => Ok(Versions::Suspended),
            Err(e) => Err(e.into()),
        }
    }

    /// Turns versions on, or off for new objects.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn set_versions(&self, enabled: bool) -> io::Result<()> {
        let _lock = self.lock()?;
        let word: &[u8] = if enabled { b"enabled" } else { b"suspended" };
        fsetxattr(&self.own, STATE, word, XattrFlags::empty())?;
        Ok(fsync(&self.own)?)
    }

    /// An object, or a version of it.
    ///
    /// # Errors
    /// There is none; of the file system.
    pub(crate) fn wanted(&self, key: &str, version: Option<&str>) -> Result<Found, Refused> {
        let Some(version) = version else {
            return match self.find(key)? {
                Some(found) => Ok(found),
                None => Err(self.absent(key)?),
            };
        };
        if !valid(version) {
            return Err(Refused::NoVersion);
        }
        // It may change its place meanwhile.
        for _ in 0..2 {
            let newest = self.find(key)?.filter(|found| named(&found.about) == version);
            match newest.map_or_else(|| self.past(key, version), |found| Ok(Some(found)))? {
                Some(found) if found.about.marker => return Err(Refused::Marker(version.to_owned())),
                Some(found) => return Ok(found),
                None => {}
            }
        }
        Err(Refused::NoVersion)
    }

    /// Why there is no object.
    fn absent(&self, key: &str) -> io::Result<Refused> {
        let found = self.last(key)?.map_or(Ok(None), |past| self.past(key, &past.name))?;
        let marker = found.filter(|found| found.about.marker);
        Ok(marker.map_or(Refused::Missing, |found| Refused::Deleted(named(&found.about).to_owned())))
    }

    /// An earlier version.
    pub(super) fn past(&self, key: &str, version: &str) -> io::Result<Option<Found>> {
        let Some(file) = place::file(&self.past, &names(key, version))? else { return Ok(None) };
        let about = About::of(&file)?;
        // Another name is that of an object whose writer was killed.
        Ok((named(&about) == version).then_some(Found { file, about }))
    }

    /// Earlier versions, the newest first.
    pub(super) fn pasts(&self, key: &str) -> io::Result<Vec<Past>> {
        let mut all = Vec::new();
        self.each_past(key, |past| all.push(past))?;
        all.sort_by(|a, b| b.cmp(a));
        Ok(all)
    }

    /// The newest of them. There may be many: one is held.
    fn last(&self, key: &str) -> io::Result<Option<Past>> {
        let mut last = None;
        self.each_past(key, |past| last = last.take().max(Some(past)))?;
        Ok(last)
    }

    fn each_past(&self, key: &str, mut each: impl FnMut(Past)) -> io::Result<()> {
        let way = [key::names(key).join("/"), PAST.to_owned()].join("/");
        let folder = match openat2(&self.past, way, FOLDER, Mode::empty(), STAY) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(()),
            other => other?,
        };
        for entry in Dir::read_from(&folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !valid(&name) {
                continue;
            }
            let turn = match turn_of(&name) {
                Some(turn) => turn,
                None => self.past(key, &name)?.and_then(|found| found.about.turn).unwrap_or_default(),
            };
            each(Past { turn, name });
        }
        Ok(())
    }

    /// The turn of the newest version; 0 if there is none.
    pub(super) fn newest(&self, key: &str) -> io::Result<u64> {
        match self.find(key)?.and_then(|found| found.about.turn) {
            Some(turn) => Ok(turn),
            None => Ok(self.last(key)?.map_or(0, |past| past.turn)),
        }
    }

    /// Gives a new object its key; the one before becomes an earlier version. Returns the folder that is to be on the disk. Called with the lock.
    pub(super) fn succeed(&self, written: &Written, key: &str, now: Versions) -> Result<OwnedFd, Refused> {
        let (folder, name) = place::room(&self.folder, &self.drafts, &key::names(key))?;
        let old = self.find(key)?.filter(|old| now == Versions::Enabled || old.about.version.is_some());
        match old {
            // Both change their places in one moment.
            Some(old) => {
                let (past, aside) = self.aside(key, &old)?;
                written.name(&self.drafts, &past, &aside)?;
                renameat_with(&past, &aside, &folder, &name, RenameFlags::EXCHANGE)?;
                fsync(&past)?;
            }
            None => written.name(&self.drafts, &folder, &name)?,
        }
        if now == Versions::Suspended {
            fsync(&folder)?;
            place::remove(&self.past, &names(key, NULL))?;
        }
        Ok(folder)
    }

    /// Where the newest version goes. A file that somebody else has put there takes the place of no version: it gets a name of its own.
    fn aside(&self, key: &str, old: &Found) -> Result<(OwnedFd, String), Refused> {
        let mut about = old.about.clone();
        if about.turn.is_none() && self.past(key, NULL)?.is_some() {
            Versions::Enabled.stamp(&mut about, self.newest(key)?)?;
            about.keep(&old.file)?;
            old.file.sync_all()?;
        }
        Ok(place::room(&self.past, &self.drafts, &names(key, named(&about)))?)
    }

    /// Writes that an object was deleted; it becomes an earlier version. Called with the lock.
    pub(super) fn mark(&self, key: &str, now: Versions) -> Result<Deleted, Refused> {
        let mut about = About { marker: true, ..About::default() };
        now.stamp(&mut about, self.newest(key)?)?;
        let written = self.draft()?.done();
        let version = named(&about).to_owned();
        let write = |about: &mut About| -> Result<(), Refused> {
            written.settle(about)?;
            let (past, name) = place::room(&self.past, &self.drafts, &names(key, &version))?;
            written.name(&self.drafts, &past, &name)?;
            Ok(fsync(&past)?)
        };
        write(&mut about).inspect_err(|_| written.drop(&self.drafts))?;
        match self.find(key)? {
            None => {}
            Some(old) if now == Versions::Suspended && old.about.version.is_none() => {
                place::remove(&self.folder, &key::names(key))?;
            }
            Some(old) => {
                let (folder, name) = place::room(&self.folder, &self.drafts, &key::names(key))?;
                let (past, aside) = self.aside(key, &old)?;
                rustix::fs::renameat(&folder, &name, &past, &aside)?;
                fsync(&past)?;
                fsync(&folder)?;
                place::prune(&self.folder, &folders(key, &name))?;
            }
        }
        Ok(Deleted { marker: true, version: Some(version) })
    }

    /// Removes one version for good; the one before becomes the object again.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn delete_version(
        &self,
        key: &str,
        version: &str,
        condition: &Condition,
    ) -> Result<Deleted, Refused> {
        if !valid(version) {
            return Err(Refused::NoVersion);
        }
        let _lock = self.lock()?;
        let newest = self.find(key)?;
        let own = newest.as_ref().filter(|found| named(&found.about) == version);
        let past = if own.is_some() { None } else { self.past(key, version)? };
        if let Some(there) = own.or(past.as_ref()) {
            condition.holds(Some(there))?;
        }
        let marker = past.as_ref().is_some_and(|found| found.about.marker);
        let mut rest = self.pasts(key)?.into_iter().map(|past| past.name).peekable();
        // Of an object that is there, what says that it was deleted was never finished.
        let opens =
            own.is_some() || (marker && newest.is_none() && rest.peek().is_some_and(|n| n == version));
        if opens {
            let mut next = None;
            for name in rest.filter(|name| name != version) {
                next = self.past(key, &name)?;
                let ahead = |found: &Found| {
                    found.about.marker && own.is_some_and(|own| found.about.turn > own.about.turn)
                };
                if next.as_ref().is_some_and(|found| !ahead(found)) {
                    break;
                }
                next = None;
            }
            match next.filter(|found| !found.about.marker) {
                Some(next) => self.promote(key, named(&next.about))?,
                None if own.is_some() => _ = place::remove(&self.folder, &key::names(key))?,
                None => {}
            }
        }
        place::remove(&self.past, &names(key, version))?;
        Ok(Deleted { marker, version: Some(version.to_owned()) })
    }

    /// Makes an earlier version the object; whatever has its place is gone. Called with the lock.
    fn promote(&self, key: &str, version: &str) -> io::Result<()> {
        let (folder, name) = place::room(&self.folder, &self.drafts, &key::names(key))?;
        let (past, aside) = place::room(&self.past, &self.drafts, &names(key, version))?;
        rustix::fs::renameat(&past, &aside, &folder, &name)?;
        fsync(&folder)?;
        fsync(&past)?;
        let names = names(key, version);
        place::prune(&self.past, &names[..names.len() - 1])
    }
}

/// The folders of an object, whose file has this name.
fn folders(key: &str, file: &str) -> Vec<String> {
    let mut names = key::names(key);
    if file != key::OWN {
        names.pop();
    }
    names
}

#[cfg(test)]
mod tests;
