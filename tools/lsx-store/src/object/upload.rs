//! Uploads in parts: each is a folder with its parts, until they are one object.

use super::draft::{Draft, Written};
use super::place::{self, random};
use super::{About, Bucket, Condition, Refused};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use s3s::crypto::{Checksum as _, Md5};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

/// What is known of an upload, in its folder.
pub(super) const ABOUT: &str = "about";
const LONG: u64 = 64 * 1024;
/// Each part but the last one has so many bytes at least.
const LEAST: u64 = 5 * 1024 * 1024;
/// What is copied at a time.
const PIECE: usize = 256 * 1024;

/// An upload that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upload {
    #[serde(skip)]
    pub(crate) id: String,
    pub(crate) key: String,
    /// Who has begun it.
    pub(crate) user: String,
    /// Headers and metadata of the object.
    pub(crate) about: About,
    /// When it was begun, in seconds since 1970.
    #[serde(skip)]
    pub(crate) began: i64,
}

/// A part that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) number: u16,
    pub(crate) about: About,
}

impl Bucket {
    /// Begins an upload; returns its name.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn begin(&self, upload: &Upload) -> Result<String, Refused> {
        let id = random()?;
        // What is to be known of the object must have room on its file.
        let mut about = upload.about.clone();
        self.draft()?.done().settle(&mut about)?;
        // With the lock, so that another server does not take it for a leftover.
        let _lock = self.lock()?;
        let folder = place::made(&self.uploads, &id)?;
        let text = serde_json::to_vec(upload).map_err(io::Error::other)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = File::from(openat(&folder, "about.new", flags, Mode::from_raw_mode(0o600))?);
        file.write_all(&text)?;
        file.sync_all()?;
        rustix::fs::renameat(&folder, "about.new", &folder, ABOUT)?;
        rustix::fs::fsync(&folder)?;
        Ok(id)
    }

    pub(super) fn upload_folder(&self, id: &str) -> Result<OwnedFd, Refused> {
        let good =
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        match place::folder(&self.uploads, if good { id } else { return Err(Refused::NoUpload) }) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(Refused::NoUpload),
            other => Ok(other?),
        }
    }

    /// An upload of a key, by its name.
    ///
    /// # Errors
    /// If there is none; of the file system.
    pub(crate) fn upload(&self, id: &str, key: &str) -> Result<Upload, Refused> {
        self.upload_at(id)?.filter(|upload| upload.key == key).ok_or(Refused::NoUpload)
    }

    fn upload_at(&self, id: &str) -> Result<Option<Upload>, Refused> {
        let folder = self.upload_folder(id)?;
        let Some((file, false)) = place::opened(&folder, ABOUT)? else { return Ok(None) };
        let began = rustix::fs::fstat(&file)?.st_mtime;
        let mut text = Vec::new();
        file.take(LONG).read_to_end(&mut text)?;
        let read = serde_json::from_slice::<Upload>(&text).ok();
        Ok(read.map(|upload| Upload { id: id.to_owned(), began, ..upload }))
    }

    /// The first uploads that have begun, by key and name, of those that `asked` wants. There may be many: no more are held than are
    /// returned.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn uploads(
        &self,
        most: usize,
        asked: impl Fn(&Upload) -> bool,
    ) -> Result<Vec<Upload>, Refused> {
        let mut first = BTreeMap::new();
        for entry in Dir::read_from(&self.uploads)? {
            let entry = entry?;
            match self.upload_at(&entry.file_name().to_string_lossy()) {
                Ok(Some(upload)) if asked(&upload) => {
                    first.insert((upload.key.clone(), upload.id.clone()), upload);
                    if first.len() > most {
                        first.pop_last();
                    }
                }
                Ok(_) | Err(Refused::NoUpload) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(first.into_values().collect())
    }

    /// Adds a part; one with the same number is replaced.
    ///
    /// # Errors
    /// If there is no such upload; of the file system.
    pub(crate) fn put_part(
        &self,
        id: &str,
        number: u16,
        written: &Written,
        about: &mut About,
    ) -> Result<(), Refused> {
        let mut put = || -> Result<(), Refused> {
            let folder = self.upload_folder(id)?;
            written.settle(about)?;
            let lock = self.lock()?;
            match written.name(&self.drafts, &folder, &number.to_string()) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Refused::NoUpload),
                other => other?,
            }
            drop(lock);
            Ok(rustix::fs::fsync(&folder)?)
        };
        put().inspect_err(|_| written.drop(&self.drafts))
    }

    /// The first parts of an upload after a number, in order.
    ///
    /// # Errors
    /// If there is no such upload; of the file system.
    pub(crate) fn parts(&self, id: &str, after: i32, most: usize) -> Result<Vec<Part>, Refused> {
        let folder = self.upload_folder(id)?;
        let mut numbers = BTreeSet::new();
        for entry in Dir::read_from(&folder)? {
            let number = entry?.file_name().to_string_lossy().parse::<u16>();
            numbers.extend(number.ok().filter(|number| i32::from(*number) > after));
        }
        let mut all = Vec::new();
        for number in numbers {
            if all.len() == most {
                break;
            }
            if let Some((file, false)) = place::opened(&folder, &number.to_string())? {
                all.push(Part { number, about: About::of(&file)? });
            }
        }
        Ok(all)
    }

    /// Makes one object of the parts that are named with their ETags. The upload is gone then.
    ///
    /// # Errors
    /// Parts that are missing or not in order; a condition that does not hold; of the file system.
    pub(crate) fn complete(
        &self,
        upload: &Upload,
        parts: &[(u16, Option<String>)],
        condition: &Condition,
    ) -> Result<About, Refused> {
        if parts.is_empty() || parts.windows(2).any(|two| two[0].0 >= two[1].0) {
            return Err(Refused::Order);
        }
        let folder = self.upload_folder(&upload.id)?;
        let mut draft = self.draft()?;
        let mut all = Md5::new();
        for (n, (number, etag)) in parts.iter().enumerate() {
            let about = self.append(&folder, *number, &mut draft)?;
            if etag.as_ref().is_some_and(|etag| *etag != about.etag) {
                return Err(Refused::Part);
            }
            if about.size < LEAST && n + 1 < parts.len() {
                return Err(Refused::Small);
            }
            all.update(&bytes(&about.etag).ok_or(Refused::Rotten)?);
        }
        let written = draft.done();
        let mut about = About {
            etag: format!("{}-{}", hex(&all.finalize()), parts.len()),
            crc: Some(written.crc),
            parts: u32::try_from(parts.len()).ok(),
            ..upload.about.clone()
        };
        self.put(&written, &upload.key, &mut about, condition)?;
        self.abort(&upload.id)?;
        Ok(about)
    }

    /// Adds a part to an object.
    fn append(&self, folder: &OwnedFd, number: u16, draft: &mut Draft) -> Result<About, Refused> {
        let Some((mut file, false)) = place::opened(folder, &number.to_string())? else {
            return Err(Refused::Part);
        };
        let about = About::of(&file)?;
        let mut sum = s3s::crypto::Crc64Nvme::new();
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece)? {
                0 => break,
                n => {
                    sum.update(&piece[..n]);
                    draft.write(&piece[..n])?;
                }
            }
        }
        if about.crc != Some(u64::from_be_bytes(sum.finalize())) {
            return Err(Refused::Rotten);
        }
        Ok(about)
    }

    /// Removes an upload with its parts.
    ///
    /// # Errors
    /// If there is none; of the file system.
    pub(crate) fn abort(&self, id: &str) -> Result<(), Refused> {
        let _lock = self.lock()?;
        self.remove_upload(id)
    }

    /// With the lock.
    pub(super) fn remove_upload(&self, id: &str) -> Result<(), Refused> {
        let folder = self.upload_folder(id)?;
        // First what says that there is an upload: killed then, only nameless parts are left, which nothing lists.
        for first in [true, false] {
            for entry in Dir::read_from(&folder)? {
                let entry = entry?;
                let name = entry.file_name();
                let dots = [c".", c".."].contains(&name);
                if !dots && (!first || name == c"about") {
                    unlinkat(&folder, name, AtFlags::empty())?;
                }
            }
        }
        match unlinkat(&self.uploads, id, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(rustix::fs::fsync(&self.uploads)?),
            Err(e) => Err(e.into()),
        }
    }
}

/// Bytes as text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 32).map(u128::to_be_bytes)
}
