//! The host's side of `restore`: snapshots are written beside their volumes and compared; only then the instances stop, and the volumes are
//! exchanged. What goes wrong leaves the volumes as they were, or brings them back.

mod beside;
mod outside;
mod record;
mod sought;
mod turn;
mod undo;

pub(crate) use beside::has;
pub(crate) use record::read;
pub(crate) use turn::{end_all, settle};
pub(crate) use undo::{Turn, settled, undo};

use crate::archive::{Back, Room};
use crate::model::{BackAt, Half, Intent, Restored};
use crate::{point, take};
use common::host::volume::instances;
use common::host::{alive, btrfs, file};
use common::tool::Hear;
use common::{Failure, Failures, Kind, log};
use rustix::fs::{fstatvfs, syncfs};
use serde::{Deserialize, Serialize};
use sought::{Sought, sought};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// What a host is asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) stack: String,
    pub(crate) volumes: Vec<Ask>,
    /// Whether what was restored stays also if instances are not ready with it.
    pub(crate) keep: bool,
    /// A folder of the host to restore to, instead of the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
}

/// A volume that comes back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ask {
    pub(crate) volume: String,
    /// How the name of the snapshot begins; none: the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot: Option<String>,
    /// The folder of the snapshot that is the volume, if it is not one of this volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// What of the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    pub(crate) incomplete: bool,
}

/// What it answers: what was done, and what it could not ask.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) volumes: Vec<BackAt>,
    pub(crate) warnings: Vec<Failure>,
}

/// A volume on its way.
struct Work {
    one: Restored,
    back: Back,
    /// The volume's folder when it was looked at.
    looked: (u64, u64),
    told: BackAt,
}

/// Restores, and says meanwhile that the host is at work.
///
/// # Errors
/// Why nothing was changed; or what could not be brought back.
pub(crate) fn restore(order: &Order, event: Hear<'_>) -> Result<Answer, Failures> {
    alive(event, || {
        let Some(intent) = take::intent(&order.stack)? else {
            let message = "this host has no snapshot jobs of the stack";
            return Err(Failure::new(Kind::Failed, "snap.stale", message.to_owned())
                .hint("run `lsx-snap up` first")
                .into());
        };
        match &order.to {
            Some(to) => outside::restore(&intent, order, Path::new(to)),
            None => volumes(&intent, order),
        }
    })
}

fn volumes(intent: &Intent, order: &Order) -> Result<Answer, Failures> {
    let names: BTreeSet<String> = order.volumes.iter().map(|ask| ask.volume.clone()).collect();
    turn::end_all(&intent.stack, Some(&names))?;
    let (mut works, mut answer, mut room) = (Vec::new(), Answer::default(), BTreeMap::new());
    for ask in &order.volumes {
        let (work, warnings) = looked(intent, ask, &mut room)?;
        works.push(work);
        answer.warnings.extend(warnings);
    }
    let stack = &intent.stack;
    let group = works.first().map(|work| work.one.token.clone()).unwrap_or_default();
    works.iter_mut().for_each(|work| work.one.group.clone_from(&group));
    let written = works.iter().try_for_each(|work| written(stack, work)).map_err(Failures::from);
    // A killed run would have left the same.
    let result = written.and_then(|()| exchanged(stack, &mut works, order.keep));
    if let Err(failures) = result {
        let ended = turn::end_all(stack, Some(&names));
        return Err(Failures(failures.0.into_iter().chain(ended.err()).collect()));
    }
    answer.volumes = works.into_iter().map(|work| work.told).collect();
    Ok(answer)
}

/// Finds the volume and its snapshot, and whether there is room; changes nothing.
fn looked(
    intent: &Intent,
    ask: &Ask,
    rooms: &mut BTreeMap<u64, Room>,
) -> Result<(Work, Vec<Failure>), Failures> {
    let volume = point::find(&intent.stack, &ask.volume)?;
    let path = volume.path().to_owned();
    let looked = beside::number(volume.folder()).map_err(|e| file::failure(&path, "look at", &e.into()))?;
    if beside::open(&path).ok().and_then(|own| beside::number(&own).ok()) != Some(looked) {
        let message = format!("volume {} is a mount of its own, which cannot be exchanged", ask.volume);
        return Err(Failure::new(Kind::Failed, "snap.mount", message)
            .hint("`--to DIR` restores it to a folder beside what is there")
            .into());
    }
    let Sought { back, found, repository, failures } = sought(intent, ask)?;
    if !back.is_folder() {
        let message = format!("what snapshot {} has there is no folder", found.snapshot.id);
        return Err(Failure::new(Kind::Usage, "usage.from", message).into());
    }
    let limit = btrfs::quota(&path).and_then(|quota| quota.limit).unwrap_or(u64::MAX);
    let left = match rooms.get(&looked.0) {
        Some(left) => *left,
        None => room(volume.folder(), &path)?,
    };
    let count = back.count(Room { space: left.space.min(limit), ..left })?;
    let files = left.files.map(|files| files.saturating_sub(count.files));
    rooms.insert(looked.0, Room { space: left.space.saturating_sub(count.space), files });
    let token = log::clock().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let beside = path.with_file_name(format!(".lsx-restore:{}:{}:{token:x}", intent.stack, ask.volume));
    let one = Restored {
        volume: ask.volume.clone(),
        path: path.display().to_string(),
        beside: beside.display().to_string(),
        token: format!("{token:x}"),
        snapshot: found.snapshot.id.clone(),
        repository: repository.clone(),
        at: log::now(),
        group: String::new(),
        undone: false,
        half: Some(Half { restored: true, ..Half::default() }),
    };
    let told = BackAt {
        volume: ask.volume.clone(),
        repository,
        snapshot: found.snapshot.id,
        of: Some(found.snapshot.at),
        files: Some(count.files),
        bytes: Some(count.bytes),
        beside: Some(one.beside.clone()),
        ..BackAt::default()
    };
    Ok((Work { one, back, looked, told }, failures))
}

/// What may be written on a file system, with what instances leave free.
fn room(folder: &OwnedFd, path: &Path) -> Result<Room, Failure> {
    let disk = fstatvfs(folder).map_err(|e| file::failure(path, "look at", &e.into()))?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    let reserve = (bytes(disk.f_blocks) / 20).min(1 << 30);
    let files = Some(disk.f_favail).filter(|_| disk.f_files > 0);
    Ok(Room { space: bytes(disk.f_bavail).saturating_sub(reserve), files })
}

/// Writes beside the volume, and compares that with the snapshot.
fn written(stack: &str, work: &Work) -> Result<(), Failure> {
    record::put(stack, &work.one)?;
    let folder = beside::make(&work.one)?;
    work.back.fill(&folder)?;
    syncfs(&folder).map_err(|e| file::failure(Path::new(&work.one.beside), "write", &e.into()))?;
    work.back.same(&folder)?;
    beside::mark(&folder, &work.one)
}

/// Stops what uses the volumes, exchanges them, and starts it again. If it is not ready then, all is brought back.
fn exchanged(stack: &str, works: &mut [Work], keep: bool) -> Result<(), Failures> {
    let mut all = BTreeSet::new();
    for work in works.iter_mut() {
        let running = instances::running(stack, &work.one.volume)?;
        all.extend(running.iter().cloned());
        work.told.instances = running.iter().cloned().collect();
        let stopped = running.into_iter().collect();
        work.one.half = Some(Half { restored: true, drop: false, stopped });
        record::put(stack, &work.one)?;
    }
    let turned = || -> Result<(), Failure> {
        instances::act(stack, &["stop"], &all)?;
        works.iter().try_for_each(|work| turn::turn(stack, &work.one, Some(work.looked)))
    };
    let (run, turned) = match turned() {
        Ok(()) => (start(stack, &all), true),
        failed => (failed, false),
    };
    match run {
        Err(failure) if !(keep && turned) => Err(brought_back(stack, works, &all, failure)),
        run => {
            works.iter().try_for_each(|work| turn::done(stack, &work.one))?;
            Ok(run.map_err(|failure| {
                failure.hint("the volumes have what was restored; `undo` brings back what they had")
            })?)
        }
    }
}

/// Starts instances; lsx-ct says when they are ready.
fn start(stack: &str, names: &BTreeSet<String>) -> Result<(), Failure> {
    instances::act(stack, &["start"], names).map_err(|why| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let message = format!("with what was brought back, {} is not ready", names.join(", "));
        Failure::new(Kind::Failed, "snap.unready", message).because(why.to_string())
    })
}

fn brought_back(stack: &str, works: &mut [Work], all: &BTreeSet<String>, failure: Failure) -> Failures {
    let mut back = || -> Result<(), Failure> {
        for work in works.iter_mut() {
            let stopped = work.told.instances.clone();
            work.one.half = Some(Half { restored: false, drop: true, stopped });
            record::put(stack, &work.one)?;
        }
        instances::act(stack, &["stop"], all)?;
        works.iter().try_for_each(|work| turn::turn(stack, &work.one, None))?;
        instances::act(stack, &["start"], all)?;
        works.iter().try_for_each(|work| turn::done(stack, &work.one))
    };
    match back() {
        Ok(()) => failure.hint("the volumes have what they had before, and their instances run").into(),
        Err(more) => {
            let half = Failure::new(Kind::Failed, "snap.half", "the volumes are not back yet".to_owned());
            Failures(vec![
                failure,
                half.because(more.to_string()).hint("run `lsx-snap up`, which brings them back"),
            ])
        }
    }
}
