//! lsx-snap saves volumes of a stack in repositories in restic's format.
//!
//! `up` gives each host its part of the snapshot jobs of `snap.what`, and the passwords of the repositories of `snap.to` that it needs. `take` runs
//! jobs: on each host of their volumes it takes one point in time of each volume, and then saves it. On btrfs that is a snapshot, which exists
//! until it is saved, so that programs go on meanwhile: `consistent` is true. Elsewhere the folder is read as it is, and what programs write
//! meanwhile may be torn: `consistent` is false. Volumes of a job are taken right after each other, which is not one moment for all of them. Instances are
//! not stopped. A host that does not have what the document says of these jobs takes nothing: run `up` first.
//!
//! A repository is a folder on the host of the volumes (`local:/PATH`), which the first `take` makes, if nothing is in it. If it is not there any more, such
//! as when its disk is not mounted, or if another one is there, `take` fails and writes nothing. Its password is the secret `key`, one line of text: keep it
//! elsewhere, too, since nobody reads the repository without it. It is on the hosts in a file that root alone can read, and in no argument, environment or log.
//!
//! Everything is kept that restic keeps: owners, modes, times of change, attributes (up to 1 MiB of a file), ACLs, capabilities, links, devices, pipes,
//! sockets and names of any bytes. Times of access are not kept. Sockets are saved, but restic 0.14 restores none. Holes of sparse files take no space in a
//! repository; restic 0.15 and later makes them again with `restore --sparse`. No link is followed. What is mounted in a volume, is a
//! subvolume of its own in it, lies more than 500 folders deep, or says to be 16 times as large as its disk is not saved: `take` names it, as it does
//! files that it cannot read, and exits with 1. Then the snapshot has the rest, and `list` says that it is incomplete.
//!
//! `check` names jobs that have never run or whose last run failed or was killed, volumes that a repository of their job has never had, and
//! repositories that are gone or have been replaced.
//!
//! `restore` brings volumes back: those of a job, as their last snapshots that have all of them, or one from a snapshot, by the beginning of its name. First it
//! asks whether there is room for all of it beside the volume, on the same file system; what is there already is not used, so that a volume needs twice its space
//! meanwhile. Then each is written beside its volume, as a subvolume with the same limit where it is one, and compared with the snapshot: every part of a file by its
//! SHA-256, read from the disk again, and owners, modes, times, attributes, links and devices. Only then `lsx-ct` stops the instances that use these volumes, all volumes of the host are
//! exchanged (renameat2(2): a volume has all of one content or all of the other), and the instances are started. If they do not get ready, the
//! volumes get back what they had, unless `--keep` is said, and the exit status is 1. A program that lsx-ct does not know, such as the server of buckets, and that uses a volume, is named, and nothing is
//! exchanged (75). Each host restores for itself.
//!
//! What the volume had is kept beside it, in `.lsx-restore:STACK:VOLUME:TIME`. `undo` exchanges it again, with the same stop of instances, and keeps what was restored;
//! a second `undo` goes back by one more restore. `settle` removes what is kept. `observe` shows it, and `down --destroy-data` removes it, too.
//! A restore that is killed, or ends with the power, is ended by the next `restore`, `undo`, `up`, `down` or start of the host: before the exchange the
//! volume stays as it was, after it the restore is finished. Until then `check` names it.
//!
//! `restore --to DIR` writes to a new name in a folder of the volume's host instead, with `--path` one file or folder of the volume; DIR must be one that root alone can enter,
//! since what was saved may be devices and programs of root. Nothing is written over. Snapshots that Debian's restic has made in the repository are restored, too, with
//! `--volume` and `--from`, the folder of the snapshot that is to be the volume. No name or link of a snapshot leads out of the folder that it is written to:
//! a snapshot with names such as `../x` is refused as a whole. Owners are numbers. Holes are made again where a file has zeros.
//!
//! Without lsx a volume is restored by restic(1), as root on the host: `restic -r /PATH snapshots --tag lsx-stack=STACK`, then `restic -r /PATH restore
//! ID --target FOLDER`, which makes FOLDER/STACK/VOLUME. `take` has restic's lock meanwhile, so `restic prune` and
//! `restic check` refuse; that of a run that was killed is removed by the next one, or by `restic unlock`.
//!
//! A run that is killed leaves a repository that is whole: a snapshot is written last, and the next run goes on with the content that is in the repository
//! already. Until then nothing needs that content, so `restic prune` removes it. The snapshot of btrfs that a killed run leaves beside a volume is
//! removed by the next `take`, or by `down`.
//! `down` keeps repositories and what restores keep, and removes the jobs and passwords. `down --destroy-data STACK` removes the records, too; repositories stay.
//!
//! Nothing runs by itself yet: `every`, `at`, `keep`, `check` and `state` are without effect.

use common::plan::Have;
use common::table::Columns;
use common::tool::{
    Change, Checked, Draft, Each, Hear, Observation, ObservedOf, PlanInput, PlanOf, Source, Tool,
};
use common::transfer::Needs;
use common::{Failure, Failures, Kind, fleet};
use model::{Facts, Intent, Object, Shared};
use schemars::{Schema, schema_for};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

mod apply;
mod archive;
mod back;
mod check;
pub mod cli;
mod heard;
mod listed;
pub mod model;
mod observe;
pub mod plan;
mod point;
mod record;
mod restore;
mod secrets;
mod take;
mod verbs;

/// The program's name.
pub const PROGRAM: &str = "lsx-snap";

/// The tool.
#[derive(Clone, Copy, Debug)]
pub struct Snap;

impl Tool for Snap {
    const NAME: &'static str = "snap";
    const PROGRAM: &'static str = PROGRAM;
    const SET: &'static [&'static str] = &[PROGRAM];
    const TABLES: &'static [Columns] = &[
        ("snap.observed", "jobs", &["stack", "name", "volumes", "to", "last.at", "last.ok"]),
        (
            "snap.taken",
            "snapshots",
            &[
                "host",
                "job",
                "volume",
                "repository",
                "id",
                "consistent",
                "complete",
                "files",
                "bytes",
                "added_bytes=ADDED",
            ],
        ),
        (
            "snap.list",
            "snapshots",
            &["host", "repository", "id", "at", "of", "volume", "consistent", "incomplete", "bytes"],
        ),
        (
            "snap.back",
            "volumes",
            &["host", "volume", "snapshot", "of", "files", "bytes", "to", "beside", "instances"],
        ),
        ("snap.report", "hosts", &["host", "ok", "changed", "skipped"]),
        ("snap.check", "rows", &["host", "job", "last", "ok"]),
    ];
    const ORDER: u8 = 60;
    const SERVICES: bool = false;
    type Object = Object;
    type Facts = Facts;
    type Gathered = plan::Keys;
    type Data = Shared;
    type Intent = Intent;

    fn observe(&self, stack: Option<&str>) -> Result<Observation<Object, Facts>, Failure> {
        observe::observe(stack)
    }

    fn base(&self, objects: &[Have<Object>], _: &Facts) -> String {
        plan::base(objects)
    }

    fn gather(&self, from: &Source<'_>) -> Result<Self::Gathered, Failures> {
        secrets::gather(from)
    }

    fn needs<'p>(&self, plan: &'p PlanOf<Self>, object: &'p Object) -> Needs<'p> {
        secrets::needs(&plan.data, object)
    }

    fn plan(
        &self,
        input: &PlanInput<Self::Gathered>,
        observed: &BTreeMap<String, ObservedOf<Self>>,
    ) -> Result<Draft<Self>, Failures> {
        plan::plan(input, observed)
    }

    fn intent_key(intent: &Intent) -> String {
        plan::key(intent)
    }

    fn changer(&self, plan: Arc<PlanOf<Self>>) -> Change<Object> {
        Box::new(move |before, after| apply::change(&plan.stack, before, after))
    }

    fn call(&self, name: &str, input: Value, _: &AtomicBool, event: Hear<'_>) -> Result<Value, Failures> {
        match name {
            "take" => Ok(json!(take::take(&fleet::shape(input)?, event)?)),
            "list" => Ok(json!(listed::list(&fleet::shape(input)?)?)),
            "restore" => Ok(json!(restore::restore(&fleet::shape(input)?, event)?)),
            "undo" => Ok(json!(restore::undo(&fleet::shape(input)?, event)?)),
            "settle" => Ok(json!(restore::settled(&fleet::shape(input)?)?)),
            "last" => Ok(json!(check::last(&input)?)),
            _ => Err(Failure::new(Kind::Bug, "snap.call", format!("no call {name}")).into()),
        }
    }

    fn schemas(&self) -> Vec<(&'static str, Schema)> {
        vec![
            ("back", schema_for!(model::Back)),
            ("list", schema_for!(model::List)),
            ("taken", schema_for!(model::Taken)),
        ]
    }

    fn check(&self, input: &PlanInput<Self::Gathered>, each: Each<'_>) -> Result<Checked, Failures> {
        Ok(check::check(input, each))
    }
}
