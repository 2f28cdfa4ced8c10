//! lsx-store keeps the volumes of a stack on their hosts, and serves buckets in them by S3.
//!
//! A volume of `store.volumes` is a folder in `store.root`, or in the folder of its host in `store.pools`; by default in
//! /var/lib/lsx/volumes/STACK. Every other tool finds it at /var/lib/lsx/volumes/STACK/VOLUME: if it is elsewhere, it is mounted
//! there. `lsx-ct` mounts it in instances from there, and fills a new one from the image of the first instance that uses it.
//! Volumes that instances use and that `store.volumes` does not name are made by lsx-ct alone.
//!
//! A volume is never removed because the document does not name it any more, nor by `down`, which only unmounts it. `down
//! --destroy-data STACK` removes all volumes of the stack, with `--only store.NAME` one. A volume carries a mark that only root can
//! set, and lsx-store has a record of it: so a folder that is not the volume is never used, mounted or removed, and a volume that
//! is gone, such as when its disk is not mounted, is not made again without its content. Instances that use it do not start then.
//! A volume that lsx-ct has made before is taken over with its content. `down --destroy-data` of a volume that is not there says so and
//! forgets it; what is in its place stays.
//!
//! Numbers in `owner` are set when the document changes; names are those of an image, and lsx-ct sets them. No link may lead to
//! `store.root`, and only root may change it and the folders above it. Users of the host can read files in it as far as their modes
//! say so, and run programs there: unless there is a reason for it, its mode should be 0700, which it has if lsx-store makes it.
//!
//! On btrfs a volume is a subvolume, whose size is enforced: writers get "Disk quota exceeded". Another size is set while it is in use;
//! one that is too small for what is there is refused. The first size switches on the quotas of the file system, which stay on.
//! Users of an instance of the driver oci cannot make subvolumes in it, whose content would count to no size; `check` finds those that others
//! have made, such as users of LXD or Incus. `down --destroy-data` moves a subvolume to `.lsx-removed` beside it, read-only; `btrfs subvolume delete` frees its space.
//! Elsewhere a volume is a folder, and its size is not enforced; `check` finds disks and volumes that are nearly full, and `usage` shows what is used
//! and left, of volumes and of the disks below them. What a folder uses is known to no file system: `usage --count` reads all of it. Of each disk 5 % (at most
//! 1 GiB) stay free: instances that write are stopped then.
//!
//! `volume move` copies a volume to another host while its instance uses it, stops the instance, copies what has changed since, compares all of it, and
//! starts the instance on the new host, as `lsx up` would by the changed document. What was changed in use is compared by its content. If anything fails before all
//! of it has arrived, or a signal comes, the volume stays, and what ran is started again. A run that was killed is finished by the same command; or `up` gives the
//! volume back, starts what was stopped, and removes the unfinished copy. What has moved is removed where it was; a subvolume of btrfs stays there in
//! `.lsx-removed`. Until an `up` by a document that has it on the new host, a document that has it on the old one is refused, even if the new host is not asked.
//! Other programs that use the volume must be stopped first. Buckets move only with their server. The stop takes longer if the image is not on the new host yet.
//!
//! The buckets of `store.buckets` are served on `store.s3.host`, in its router at the gateways of `store.s3.networks`, as
//! http://GATEWAY:PORT/BUCKET/KEY. A bucket is a folder with its name in its volume, an object a plain file in it that anybody may read
//! who sees the volume: `photos/2026/a.jpg` in bucket `web` is VOLUME/web/photos/2026/a.jpg. Names that files cannot have are escaped: `%` and
//! control characters as `%25`, `..` as `%2E.`, an empty part as `%e`; the object `a` is `a/%o` while there are objects `a/...`. Parts longer than 240 bytes
//! go on in folders whose names end with `%+`. What is known of an object is an attribute of its file (`user.lsx.object`), which `rsync -X` and
//! `cp -a` keep. A plain file that another program puts there is an object, too; its ETag is no MD5. Links are no objects.
//!
//! A user of `store.users` has its name as access key; `lsx-store key` prints both keys. Requests are signed by Signature Version 4, in headers or in URLs that
//! are valid for at most a week; the region may be any
//! in lower case (s3cmd needs `bucket_location = office`). Who may do what is said by `allow` of a bucket: get, put, list, delete.
//! Served are objects with ranges, conditions, copies, tags, uploads in parts, versions, and lists of all kinds; all else, such as policies, is answered with NotImplemented. Buckets are
//! made by the document alone. An object is on the disk before its request is answered, replaced in one moment, and verified when it is read
//! whole: if it is not what was written, the connection ends before its last bytes. With a full disk the answer is InsufficientStorage (507).
//! An upload in parts to which nothing was added for a week is removed; `observe` shows how many there are. A client that sends or takes nothing for a
//! minute is disconnected.
//! Requests are not encrypted: a load balancer with `tls` does that.
//!
//! With `versioning: true` what is replaced or deleted stays as an earlier version, which clients list and get by its name. Without that key the users that have all four permissions
//! may turn versions on, and suspend them, as clients do; and only they may delete a version for good. So who may put and delete alone cannot take away what was
//! there before. Earlier versions are in `.lsx-s3/versions` of the bucket, and count to its volume; nothing removes them by itself.
//!
//! `put get ls rm mb rb sign` speak to any server of S3. Without `--endpoint` it is that of the stack, with the key of the first user that the bucket
//! allows it; buckets of a stack are reached from its networks alone, unless a load balancer leads there. With an endpoint the key is that
//! of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else of AWS_PROFILE (`default`) in AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials);
//! with `--as` it is the one of the stack. A file larger than 16 MiB is sent in parts, of which one is in memory. `get`
//! gives a file its name, and its owner alone the right to read it, when all bytes are there and their checksum is the server's, if it names one
//! (`verified`). A `put` that fails or is interrupted removes its upload. Redirections are not followed. A request to a busy server is sent three times.
//!
//! `check` asks the server from an instance of each network that reaches it: requests without a signature and with a forged one must be refused.
//! From an instance on the host of the server, which has the keys, each bucket is listed, read and written with the keys of users that may. What it writes is a part of an upload that it gives up: it is on the
//! disk, in the bucket's own volume, and no client lists it.

use common::host::service::worker::Worker;
use common::plan::Have;
use common::table::Columns;
use common::tool::{
    Change, Checked, Draft, Each, Hear, Observation, ObservedOf, PlanInput, PlanOf, Source, Tool,
};
use common::transfer::Needs;
use common::{Failure, Failures, Kind};
use model::{Facts, Intent, Object, Shared, State};
use schemars::{Schema, schema_for};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

mod apply;
mod carry;
mod check;
pub mod cli;
mod client;
mod count;
mod key;
pub mod model;
mod moves;
mod object;
mod observe;
pub mod plan;
mod remote;
mod secrets;
mod serve;
mod usage;

/// The program's name.
pub const PROGRAM: &str = "lsx-store";

/// The tool.
#[derive(Clone, Copy, Debug)]
pub struct Store;

impl Tool for Store {
    const NAME: &'static str = "store";
    const PROGRAM: &'static str = PROGRAM;
    const SET: &'static [&'static str] = &[PROGRAM];
    const TABLES: &'static [Columns] = &[
        (
            "store.observed",
            "objects",
            &["host", "key", "object.driver", "object.path", "object.size_bytes", "object.state"],
        ),
        ("store.done", "", &["verb", "bucket", "key", "file", "bytes", "verified"]),
        ("store.moved", "", &["volume", "from", "to", "passes", "sent_bytes", "stopped_ms", "instances"]),
        ("store.list", "rows", &["name", "bytes", "at", "etag"]),
        ("store.report", "hosts", &["host", "ok", "changed", "skipped"]),
        (
            "store.check",
            "rows",
            &[
                "host",
                "volume",
                "driver",
                "path",
                "used_bytes",
                "size_bytes",
                "enforced",
                "free_bytes",
                "from",
                "server",
                "bucket",
                "asked",
                "answered",
                "why",
            ],
        ),
        (
            "store.usage",
            "volumes",
            &[
                "host",
                "stack",
                "volume",
                "driver",
                "used_bytes",
                "used_inodes=INODES",
                "size_bytes",
                "enforced",
                "free_bytes",
                "reserve_bytes",
                "disk_bytes",
                "free_inodes=FREE INODES",
            ],
        ),
    ];
    const ORDER: u8 = 20;
    type Object = Object;
    type Facts = Facts;
    type Gathered = plan::Keys;
    type Data = Shared;
    type Intent = Intent;

    fn observe(&self, stack: Option<&str>) -> Result<Observation<Object, Facts>, Failure> {
        observe::observe(stack)
    }

    fn base(&self, objects: &[Have<Object>], seen: &Facts) -> String {
        plan::base(objects, seen)
    }

    fn gather(&self, from: &Source<'_>) -> Result<Self::Gathered, Failures> {
        secrets::gather(from)
    }

    fn needs<'p>(&self, plan: &'p PlanOf<Self>, object: &'p Object) -> Needs<'p> {
        secrets::needs(&plan.data, object)
    }

    fn serve(&self, worker: Worker) -> Result<(), Failure> {
        serve::work(worker)
    }

    fn plan(
        &self,
        input: &PlanInput<Self::Gathered>,
        observed: &BTreeMap<String, ObservedOf<Self>>,
    ) -> Result<Draft<Self>, Failures> {
        plan::plan(input, observed)
    }

    fn unable(&self, plan: &PlanOf<Self>, each: Each<'_>) -> BTreeMap<String, Failures> {
        let mut hosts: BTreeMap<String, apply::able::Order> = BTreeMap::new();
        for step in &plan.steps {
            let wanted = step.after.as_ref().and_then(observe::volume_of);
            if let Some(volume) = wanted.filter(|volume| volume.state == State::Ready) {
                let order = hosts.entry(step.host.clone()).or_default();
                order.stack.clone_from(&plan.stack);
                order.volumes.push(volume.clone());
            }
        }
        let asked =
            hosts.into_iter().filter_map(|(host, order)| Some((host, serde_json::to_value(order).ok()?)));
        let asked: BTreeMap<String, Value> = asked.collect();
        let answers = if asked.is_empty() { BTreeMap::new() } else { each("able", asked) };
        answers.into_iter().filter_map(|(host, answer)| Some((host, answer.err()?))).collect()
    }

    fn intent_key(intent: &Intent) -> String {
        plan::key(intent)
    }

    fn changer(&self, plan: Arc<PlanOf<Self>>) -> Change<Object> {
        let changer = apply::Changer::new(plan);
        Box::new(move |before, after| {
            let own = |object: Option<&Object>| object.and_then(observe::volume_of).cloned();
            changer.change(own(before).as_ref(), own(after).as_ref())
        })
    }

    fn call(&self, name: &str, input: Value, cancel: &AtomicBool, hear: Hear<'_>) -> Result<Value, Failures> {
        match name {
            "able" => apply::able::answer(input),
            "buckets" => check::asked(input),
            "move" => common::host::alive(hear, || apply::moved::answer(input)),
            "usage" => usage::answer(&input, cancel),
            _ => Err(Failure::new(Kind::Bug, "store.call", format!("no call {name}")).into()),
        }
    }

    fn schemas(&self) -> Vec<(&'static str, Schema)> {
        vec![
            ("done", schema_for!(model::Done)),
            ("list", schema_for!(model::List)),
            ("moved", schema_for!(model::Moved)),
            ("usage", schema_for!(model::Used)),
        ]
    }

    fn check(&self, input: &PlanInput<Self::Gathered>, each: Each<'_>) -> Result<Checked, Failures> {
        Ok(check::check(input, each))
    }
}
