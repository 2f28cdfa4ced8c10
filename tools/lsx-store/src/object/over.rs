//! Uploads that nobody goes on with. An entry that is odd does not keep the others.

use super::place::{FILE, STAY};
use super::upload::ABOUT;
use super::{Bucket, Refused};
use rustix::fs::{Dir, Mode, openat2};
use std::collections::BTreeMap;
use std::time::Duration;

/// For so long nothing must have been added to an upload while this worker saw it: a clock that is set makes none old.
const SEEN: Duration = Duration::from_secs(24 * 3600);

/// Uploads with the time of their last part, in seconds since 1970.
pub(crate) type Times = Vec<(String, i64)>;

/// Those that earlier rounds have seen, with that time, and since when that has not changed, by the clock of the worker.
pub(crate) type Seen = BTreeMap<String, (i64, Duration)>;

/// Uploads to which nothing was added since `before` by the clock of the host, nor for a day by the clock of the worker, which says `now`.
/// Pure.
pub(crate) fn given_up(seen: &mut Seen, list: &[(String, i64)], before: i64, now: Duration) -> Times {
    let (mut still, mut over) = (Seen::new(), Times::new());
    for (id, at) in list {
        let known = seen.get(id).filter(|(time, _)| time == at);
        let since = known.map_or(now, |(_, since)| *since);
        if *at < before && now.saturating_sub(since) >= SEEN {
            over.push((id.clone(), *at));
        }
        still.insert(id.clone(), (*at, since));
    }
    *seen = still;
    over
}

impl Bucket {
    /// All uploads, and the first entry that cannot be read.
    ///
    /// # Errors
    /// Of the file system.
    pub(crate) fn times(&self) -> Result<(Times, Option<Refused>), Refused> {
        let (mut all, mut wrong) = (Times::new(), None);
        for entry in Dir::read_from(&self.uploads)? {
            let id = entry?.file_name().to_string_lossy().into_owned();
            // A part that is added is a change of the folder.
            match self.upload_folder(&id).and_then(|folder| Ok(rustix::fs::fstat(&folder)?.st_mtime)) {
                Ok(at) => all.push((id, at)),
                Err(Refused::NoUpload) => {}
                Err(e) => _ = wrong.get_or_insert(e),
            }
        }
        Ok((all, wrong))
    }

    /// Ends uploads to which nothing was added meanwhile; how many, and the first that cannot be removed.
    pub(crate) fn end_uploads(&self, over: &[(String, i64)]) -> (usize, Option<Refused>) {
        let (mut ended, mut wrong) = (0, None);
        for (id, at) in over {
            let end = || -> Result<bool, Refused> {
                let _lock = self.lock()?;
                let same = rustix::fs::fstat(self.upload_folder(id)?)?.st_mtime == *at;
                if same {
                    self.remove_upload(id)?;
                }
                Ok(same)
            };
            match end() {
                Ok(true) => ended += 1,
                Ok(false) | Err(Refused::NoUpload) => {}
                Err(e) => _ = wrong.get_or_insert(e),
            }
        }
        (ended, wrong)
    }

    /// Removes what is left of uploads whose beginning or removal was killed; called with the lock. Returns the first that cannot be removed.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn sweep_uploads(&self) -> Result<Option<Refused>, Refused> {
        let mut wrong = None;
        for entry in Dir::read_from(&self.uploads)? {
            let id = entry?.file_name().to_string_lossy().into_owned();
            let Ok(folder) = self.upload_folder(&id) else { continue };
            if openat2(&folder, ABOUT, FILE, Mode::empty(), STAY).is_err()
                && let Err(e) = self.remove_upload(&id)
            {
                _ = wrong.get_or_insert(e);
            }
        }
        Ok(wrong)
    }
}
