//! A repository in restic's format, by rustic_core: the only file that knows it.

use super::back::{self, Back, Found, Which};
use super::begun::{self, Begun, There};
use super::folder::{Folder, Held};
use super::lock::Lock;
use super::missed::Missed;
use super::seen::{INCOMPLETE, STACK, VOLUME, seen, told};
use super::source::Indexed;
use super::tree::Tree;
use super::{About, Archive, Content, Saved};
use crate::model::Snapshot;
use common::host::file;
use common::{Failure, Kind, document};
use rustic_core::jiff::Timestamp;
use rustic_core::jiff::tz::TimeZone;
use rustic_core::repofile::SnapshotFile;
use rustic_core::{
    BackupOptions, ConfigOptions, Credentials, KeyOptions, OpenStatus, Repository, RepositoryBackends,
    RepositoryOptions, RusticError, SnapshotOptions,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The tag that every snapshot has of who made it.
const VERSION: &str = concat!("lsx-snap=", env!("CARGO_PKG_VERSION"));

/// The most bytes of a configuration.
const CONFIGURATION: u64 = 1 << 16;

/// An open repository.
pub(crate) struct Restic {
    repository: Repository<OpenStatus>,
    path: PathBuf,
}

impl Restic {
    /// Opens the one at a path. If there is none and it was never there (`known`), it is made.
    ///
    /// # Errors
    /// Something else is there, it is gone, or its password is another one.
    pub(crate) fn open(path: &Path, password: &str, known: bool) -> Result<Restic, Failure> {
        let password = Credentials::password(password);
        let repository = match begun::there(path)? {
            There::Other => return Err(foreign(path)),
            There::Nothing if known => {
                let message = format!("the repository is not at {} any more", path.display());
                return Err(Failure::new(Kind::Failed, "snap.missing", message).hint(
                    "is its disk mounted? If it is gone for good, remove /var/lib/lsx/snap/STACK/data/runs.json on this host: a new one is made then",
                ));
            }
            There::Nothing => made(path, &password)?,
            There::Repository => {
                begun::tidy(path);
                let folder = Folder::new(path, None);
                folder.tidy();
                closed(folder)?.open(&password).map_err(|e| told(path, &e))?
            }
        };
        Ok(Restic { repository, path: path.to_owned() })
    }

    /// Once more: each use of the library takes its own. With the key, the password need not be tried again.
    fn again(&self, held: &Held) -> Result<Repository<OpenStatus>, Failure> {
        let folder = Folder::new(&self.path, Some(held.clone()));
        let opened = closed(folder)?.open(&Credentials::Masterkey(self.repository.key()));
        opened.map_err(|e| told(&self.path, &e))
    }

    /// Writes the snapshot that is held.
    fn keep(&self, held: &Held) -> Result<String, Failure> {
        let all = held.all();
        let [one] = &all[..] else {
            let message = format!("{} snapshots were made of one volume", all.len());
            return Err(Failure::new(Kind::Bug, "snap.repository", message));
        };
        Folder::new(&self.path, None).keep(one)?;
        Ok(one.0.to_hex().as_str().to_owned())
    }
}

/// Makes a repository, if no other run does so at this moment.
fn made(path: &Path, password: &Credentials) -> Result<Repository<OpenStatus>, Failure> {
    let begun = Begun::begin(path)?;
    let there = begun.there()?;
    if there == There::Other {
        begun.end()?;
        return Err(foreign(path));
    }
    let folder = Folder::new(path, None);
    folder.tidy();
    let closed = closed(folder)?;
    let repository = if there == There::Nothing {
        closed.init(password, &KeyOptions::default(), &ConfigOptions::default())
    } else {
        closed.open(password)
    };
    let repository = repository.map_err(|e| told(path, &e))?;
    begun.end()?;
    Ok(repository)
}

fn foreign(path: &Path) -> Failure {
    let message = format!("{} is no repository, and is not empty", path.display());
    Failure::new(Kind::Failed, "snap.foreign", message).hint("name an empty folder, or one that is not there")
}

fn closed(folder: Folder) -> Result<Repository<()>, Failure> {
    let path = folder.path.clone();
    let options = RepositoryOptions::default().no_cache(true);
    Repository::new(&options, &RepositoryBackends::new(Arc::new(folder), None)).map_err(|e| told(&path, &e))
}

/// The digest of the configuration of the repository at a path: while it is the same, the repository is the same.
///
/// # Errors
/// If it is not there, or cannot be read.
pub(crate) fn configuration(path: &Path) -> Result<String, Failure> {
    let path = path.join("config");
    let text = file::read_at_most(&path, CONFIGURATION)?;
    text.map(|text| document::digest(&text)).ok_or_else(|| {
        let message = format!("{} is missing", path.display());
        Failure::new(Kind::Failed, "snap.repository", message)
    })
}

impl Archive for Restic {
    fn id(&self) -> String {
        self.repository.config().id.to_hex().as_str().to_owned()
    }

    fn save(&self, content: Content) -> Result<Saved, Failure> {
        let told = |e: Box<RusticError>| told(&self.path, &e);
        let Content { folder, about, at, hidden } = content;
        let name = PathBuf::from(format!("/{}/{}", about.stack, about.volume));
        let at = Timestamp::try_from(at).unwrap_or_default();
        let missed = Arc::new(Missed::default());
        for path in hidden {
            missed.add(format!("{}: something is mounted there", name.join(path).display()));
        }
        let source = Tree::new(folder, &name, at, Arc::clone(&missed));
        let options = BackupOptions::default().no_scan(true).as_path(name.clone());
        let lock = Lock::take(&self.path, &self.repository.key())?;
        let held = Held::default();
        let repository = self.again(&held)?.to_indexed_ids().map_err(told)?;
        crate::heard::begin();
        let draft = draft(&about, at).map_err(told)?;
        let mut saved = repository.archive(&options, &source, draft, &[name]).map_err(told)?;
        let heard = crate::heard::all();
        if missed.all().0 == 0 {
            heard.into_iter().for_each(|line| missed.add(line));
        }
        let all = missed.all();
        if all.0 > 0 {
            // One that looks whole is never written.
            held.all();
            saved.tags.add(INCOMPLETE.to_owned());
            repository.save_snapshots(vec![saved.clone()]).map_err(told)?;
        }
        lock.held()?;
        let id = self.keep(&held)?;
        let summary = saved.summary.clone().unwrap_or_default();
        Ok(Saved {
            id,
            at: saved.time.timestamp().to_string(),
            files: summary.total_files_processed,
            bytes: summary.total_bytes_processed,
            added: summary.data_added_packed,
            missed: all,
        })
    }

    fn find(&self, which: &Which) -> Result<Option<Found>, Failure> {
        let all = self.repository.get_all_snapshots().map_err(|e| told(&self.path, &e))?;
        back::meant(all, which)
    }

    fn back(&self, found: &Found, path: &Path) -> Result<Back, Failure> {
        let lock = Lock::take(&self.path, &self.repository.key())?;
        let repository = self.again(&Held::default())?.to_indexed().map_err(|e| told(&self.path, &e))?;
        Back::new(Indexed { repository, path: self.path.clone() }, found, path, lock)
    }

    fn list(&self, stack: &str) -> Result<Vec<Snapshot>, Failure> {
        let all = self.repository.get_all_snapshots().map_err(|e| told(&self.path, &e))?;
        let mut all: Vec<SnapshotFile> =
            all.into_iter().filter(|one| one.tags.contains(&format!("{STACK}{stack}"))).collect();
        all.sort_by(|a, b| {
            a.time.cmp(&b.time).then_with(|| a.id.to_hex().as_str().cmp(b.id.to_hex().as_str()))
        });
        Ok(all.iter().map(seen).collect())
    }
}

/// A snapshot of a volume as it was at a time.
fn draft(about: &About, at: Timestamp) -> Result<SnapshotFile, Box<RusticError>> {
    let options = SnapshotOptions::default().host(about.host.clone()).time(at.to_zoned(TimeZone::UTC));
    let mut draft = options.to_snapshot()?;
    let own = [format!("{STACK}{}", about.stack), format!("{VOLUME}{}", about.volume), VERSION.to_owned()];
    own.into_iter().chain(about.tags.iter().cloned()).for_each(|tag| draft.tags.add(tag));
    Ok(draft)
}
