//! Observes this host: its volumes, what they use, and its disks. Reads only.

use crate::apply::{folder, record};
use crate::model::{BucketSeen, Facts, Objects, Own, ServedBucket, State, Usage, Volume, disks_of};
use crate::plan::{haves, key};
use crate::{Store, model, object};
use common::host::Program;
use common::host::kept::{self, Keeper};
use common::host::volume;
use common::tool::{Observation, Tool as _};
use common::{Failure, fleet};
use std::path::Path;

/// Reads the objects of one stack, or of all.
///
/// # Errors
/// Kind `Denied` without root.
pub(crate) fn observe(stack: Option<&str>) -> Result<Observation<model::Object, Facts>, Failure> {
    common::host::root()?;
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let own = |place: &Path| place.starts_with(volume::ROOT) && place != Path::new(volume::ROOT);
    let program = fleet::installed_path(Store::SET);
    let mut facts = Facts { program, disks: disks_of(&table, &own), ..Facts::default() };
    if Program::new("btrfs").there().is_ok() {
        facts.programs.insert("btrfs".to_owned());
    }
    let (mut objects, mut warnings) = (Vec::new(), Vec::new());
    for name in stack.map_or_else(kept::found::<Store>, |stack| [stack.to_owned()].into()) {
        let found = Keeper::of::<Store>(&name).observe()?;
        warnings.extend(found.warnings.clone());
        let (volumes, damaged) = record::all(&name)?;
        warnings.extend(damaged);
        let volumes: Vec<Volume> =
            volumes.into_iter().map(|kept| folder::seen(&name, kept)).collect::<Result<_, _>>()?;
        let here = || volumes.iter().filter(|volume| volume.state != State::Moved);
        facts.usage.extend(here().filter_map(|volume| usage(&name, volume)));
        let served = found.intent.as_ref().and_then(|intent| intent.objects.as_ref());
        facts.buckets.extend(served.into_iter().flat_map(|objects| buckets(&name, objects, &volumes)));
        if stack.is_some() {
            facts.unkept = record::names(&Path::new(volume::ROOT).join(&name));
            here().for_each(|volume| _ = facts.unkept.remove(&volume.name));
        }
        objects.extend(haves(volumes, found.objects(key)));
    }
    Ok((objects, facts, warnings))
}

/// The buckets of a stack, with their folders.
fn buckets(stack: &str, objects: &Objects, volumes: &[Volume]) -> Vec<BucketSeen> {
    let seen = |(name, bucket): (&String, &ServedBucket)| {
        let of = volumes.iter().find(|volume| volume.name == bucket.volume);
        let root = of.map_or_else(|| volume::place(stack, &bucket.volume), |of| of.path.clone().into());
        let path = root.join(name);
        let state = match of.map_or(State::Missing, |of| of.state) {
            State::Ready => match path.symlink_metadata() {
                Ok(there) if there.is_dir() => State::Ready,
                Ok(_) => State::Foreign,
                Err(_) => State::Missing,
            },
            other => other,
        };
        let waiting =
            Some(&path).filter(|_| state == State::Ready).and_then(|path| object::waiting(path).ok());
        let oldest = waiting.and_then(|(_, oldest)| oldest);
        BucketSeen {
            uploads: waiting.map(|(number, _)| number).filter(|number| *number > 0),
            oldest_at: oldest.map(common::log::at),
            stack: stack.to_owned(),
            bucket: name.clone(),
            volume: bucket.volume.clone(),
            path: path.display().to_string(),
            state,
        }
    };
    objects.buckets.iter().map(seen).collect()
}

/// What the volumes of a stack use, or of all.
///
/// # Errors
/// Kind `Denied` without root.
pub(crate) fn usage_of(stack: Option<&str>) -> Result<Vec<Usage>, Failure> {
    common::host::root()?;
    let mut all = Vec::new();
    for stack in stack.map_or_else(kept::found::<Store>, |stack| [stack.to_owned()].into()) {
        for kept in record::all(&stack)?.0 {
            let volume = folder::seen(&stack, kept)?;
            all.extend(
                Some(&volume)
                    .filter(|volume| matches!(volume.state, State::Ready | State::Unmounted))
                    .and_then(|volume| usage(&stack, volume)),
            );
        }
    }
    Ok(all)
}

/// What a volume uses; none if it is not there.
fn usage(stack: &str, volume: &Volume) -> Option<Usage> {
    let disk = rustix::fs::statvfs(&volume.path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    // A file system that makes inodes as it needs them says that it has none.
    let files = |number: u64| Some(number).filter(|_| disk.f_files > 0);
    Some(Usage {
        stack: stack.to_owned(),
        volume: volume.name.clone(),
        driver: volume.driver,
        path: volume.path.clone(),
        used_bytes: folder::used(volume),
        size_bytes: volume.size_bytes,
        subvolumes: folder::divided(volume),
        enforced: volume.size_bytes.is_some() && volume.driver.enforces(),
        used_inodes: None,
        free_bytes: bytes(disk.f_bavail),
        disk_bytes: bytes(disk.f_blocks),
        reserve_bytes: reserve(bytes(disk.f_blocks)),
        free_inodes: files(disk.f_favail),
        disk_inodes: files(disk.f_files),
    })
}

/// The bytes of a disk that instances leave free: 5 %, at most 1 GiB.
pub(crate) fn reserve(size: u64) -> u64 {
    (size / 20).min(1 << 30)
}

/// A volume as an object.
pub(crate) const fn volume_of(object: &model::Object) -> Option<&Volume> {
    match object {
        model::Object::Own(Own::Volume(volume)) => Some(volume),
        model::Object::Kept(_) => None,
    }
}
