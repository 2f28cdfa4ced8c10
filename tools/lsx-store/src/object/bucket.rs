//! One bucket: its objects are found, put and deleted. Changes hold a lock, also against another server that is about to end.

use super::draft::{self, Draft, Written};
use super::version::{Deleted, Versions};
use super::{About, Refused, key, place};
use common::log;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

/// What is lsx's own in the folder of a bucket. No key has this name.
const OWN: &str = ".lsx-s3";
const LOCK: &str = "lock";
const DRAFTS: &str = "new";
const UPLOADS: &str = "uploads";
const PAST: &str = "versions";
/// Where the uploads of a bucket are in its folder.
pub(super) const UPLOADS_AT: &str = ".lsx-s3/uploads";

/// A bucket.
pub(crate) struct Bucket {
    pub(super) folder: OwnedFd,
    pub(super) own: OwnedFd,
    pub(super) drafts: OwnedFd,
    pub(super) uploads: OwnedFd,
    /// Versions that are not the newest.
    pub(super) past: OwnedFd,
}

/// An object that was found.
pub(crate) struct Found {
    pub(crate) file: File,
    pub(crate) about: About,
}

/// What must be so for an object to be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Anything.
    #[default]
    None,
    /// There is no such object.
    New,
    /// The object is there, with this ETag.
    Is(String),
    /// The object is there.
    There,
}

impl Condition {
    /// Whether it holds for what is there.
    pub(super) fn holds(&self, there: Option<&Found>) -> Result<(), Refused> {
        match (there, self) {
            (_, Condition::None) | (None, Condition::New) | (Some(_), Condition::There) => Ok(()),
            (Some(found), Condition::Is(etag)) if found.about.etag == *etag => Ok(()),
            (None, _) => Err(Refused::Missing),
            (Some(_), _) => Err(Refused::Condition),
        }
    }
}

impl Bucket {
    /// In a folder, which may be empty.
    ///
    /// # Errors
    /// Of the file system; one that does not tell upper from lower case.
    pub(crate) fn open(folder: OwnedFd) -> io::Result<Bucket> {
        // It was opened for the server, which may only look up names by it.
        let own = place::made(&folder, OWN)?;
        if place::folder(&folder, &OWN.to_uppercase()).is_ok() {
            return Err(io::Error::other("the file system does not tell upper from lower case"));
        }
        let (drafts, uploads) = (place::made(&own, DRAFTS)?, place::made(&own, UPLOADS)?);
        let past = place::made(&own, PAST)?;
        let bucket = Bucket { folder, own, drafts, uploads, past };
        let lock = bucket.lock()?;
        draft::sweep(&bucket.drafts)?;
        if let Some(e) = bucket.sweep_uploads().map_err(io::Error::other)? {
            log::warning(&format!("what is left of an upload cannot be removed: {e}"));
        }
        drop(lock);
        Ok(bucket)
    }

    /// Holds the lock until it is dropped.
    pub(super) fn lock(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.own, LOCK, flags, Mode::from_raw_mode(0o600))?;
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                other => return Ok(other.map(|()| file.into())?),
            }
        }
    }

    /// When it was made, in seconds since 1970.
    pub(crate) fn made(&self) -> i64 {
        rustix::fs::statat(&self.own, LOCK, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .map_or(0, |stat| stat.st_mtime)
    }

    /// The object of a key.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn find(&self, key: &str) -> io::Result<Option<Found>> {
        let Some(file) = place::file(&self.folder, &key::names(key))? else { return Ok(None) };
        let about = About::of(&file)?;
        Ok(Some(Found { file, about }))
    }

    /// A new object, which has no name yet.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn draft(&self) -> io::Result<Draft> {
        Draft::new(&self.drafts)
    }

    /// Gives an object its key. It is on the disk when this returns.
    ///
    /// # Errors
    /// A condition that does not hold; of the file system.
    pub(crate) fn put(
        &self,
        written: &Written,
        key: &str,
        about: &mut About,
        condition: &Condition,
    ) -> Result<(), Refused> {
        let mut put = || -> Result<(), Refused> {
            let versions = self.versions()?;
            versions.stamp(about, 0)?;
            written.settle(about)?;
            let lock = self.lock()?;
            self.holds(key, condition)?;
            let folder = match self.versions()? {
                Versions::Off => {
                    let (folder, name) = place::room(&self.folder, &self.drafts, &key::names(key))?;
                    written.name(&self.drafts, &folder, &name)?;
                    folder
                }
                now => {
                    let newest = self.newest(key)?;
                    if now != versions || about.turn <= Some(newest) {
                        now.stamp(about, newest)?;
                        written.settle(about)?;
                    }
                    self.succeed(written, key, now)?
                }
            };
            drop(lock);
            Ok(rustix::fs::fsync(&folder)?)
        };
        put().inspect_err(|_| written.drop(&self.drafts))
    }

    /// Whether a condition holds; called with the lock.
    fn holds(&self, key: &str, condition: &Condition) -> Result<(), Refused> {
        if *condition == Condition::None {
            return Ok(());
        }
        condition.holds(self.find(key)?.as_ref())
    }

    /// Gives an object, or a version of it, other tags. They are on the disk when this returns.
    ///
    /// # Errors
    /// There is no such object; tags that have no room; of the file system.
    pub(crate) fn tag(
        &self,
        key: &str,
        version: Option<&str>,
        tags: BTreeMap<String, String>,
    ) -> Result<(), Refused> {
        let _lock = self.lock()?;
        let Found { file, about } = self.wanted(key, version)?;
        About { tags, ..about }.keep(&file)?;
        Ok(file.sync_all()?)
    }

    /// Removes the object of a key. In a bucket with versions it becomes an earlier version.
    ///
    /// # Errors
    /// A condition that does not hold; of the file system.
    pub(crate) fn delete(&self, key: &str, condition: &Condition) -> Result<Deleted, Refused> {
        let _lock = self.lock()?;
        self.holds(key, condition)?;
        match self.versions()? {
            Versions::Off => {
                place::remove(&self.folder, &key::names(key))?;
                Ok(Deleted::default())
            }
            now => self.mark(key, now),
        }
    }
}
