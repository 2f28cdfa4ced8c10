//! The S3 server of a host, and what of the document is not supported yet. Pure.

use super::Keys;
use crate::Store;
use crate::model::{Key, Object, Objects, Right, S3, ServedBucket, State, Volume};
use common::plan::{Definition, Kept, Runs, Step, Want, Warning};
use common::stack::resolved::NetworkAt;
use common::stack::{Bucket, Resolved, S3, S3Driver, Stack};
use common::tool::{Draft, Goal, ObservedOf, PlanInput};
use common::{Failure, Failures, Kind, document};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

/// The region if none is named.
const REGION: &str = "office";

/// What the document says that no server does yet: it must not seem to work.
///
/// # Errors
/// All places.
pub fn able(stack: &Stack) -> Result<(), Failures> {
    let Some(store) = &stack.store else { return Ok(()) };
    let mut failures = Vec::new();
    let mut refuse = |at: String, message: &str, hint: &str| {
        let failure = Failure::new(Kind::Data, "store.plan.objects", message.to_owned());
        failures.push(failure.at(at).hint(hint));
    };
    if let Some(S3 { driver, tls, .. }) = &store.s3 {
        if *driver == S3Driver::External {
            refuse("store.s3.driver".to_owned(), "external S3 servers are not supported yet", "leave it out");
        }
        if tls.is_some() {
            let hint = "leave it out; a load balancer with `tls` before it works";
            refuse("store.s3.tls".to_owned(), "S3 with TLS is not supported yet", hint);
        }
    }
    for (name, bucket) in &store.buckets {
        let Bucket { quota, expire, policy, volume, .. } = bucket;
        let odd = [
            (quota.is_some(), "quota", "quotas of buckets are", "write a size for the volume, on btrfs"),
            (expire.is_some(), "expire", "objects that expire are", "leave it out"),
            (policy.is_some(), "policy", "bucket policies are", "write `allow`"),
        ];
        for (_, key, what, hint) in odd.into_iter().filter(|(said, ..)| *said) {
            refuse(format!("store.buckets.{name}.{key}"), &format!("{what} not supported yet"), hint);
        }
        let volume = volume.as_ref().unwrap_or(name);
        if !store.volumes.contains_key(volume) {
            let message = format!("the volume {volume} is not one of store.volumes");
            refuse(format!("store.buckets.{name}"), &message, "write it there");
        }
    }
    Failures(failures).verdict()
}

/// What a host serves; none if its router is no gateway, or the document has no buckets.
pub fn of(stack: &Stack, resolved: &Resolved, host: &str) -> Option<Objects> {
    let store = stack.store.as_ref().filter(|store| !store.buckets.is_empty())?;
    let s3 = store.s3.as_ref()?;
    let mut services = resolved.services.iter();
    let at =
        services.find(|at| at.host == host && (at.tool.as_str(), at.name.as_str()) == ("store", "s3"))?;
    let here = |network: &&NetworkAt| at.networks.contains(&network.name);
    let networks = resolved.networks.iter().filter(here);
    let listen: BTreeSet<SocketAddrV4> =
        networks.filter_map(|network| Some(SocketAddrV4::new(network.gateway_address?, at.port))).collect();
    let bucket = |(name, bucket): (&String, &Bucket)| {
        let rights = |(user, rights): (&String, &Vec<common::stack::Action>)| {
            (user.clone(), rights.iter().copied().map(Right::from).collect())
        };
        let allow = bucket.allow.iter().map(rights).collect();
        let volume = bucket.volume.clone().unwrap_or_else(|| name.clone());
        (name.clone(), ServedBucket { volume, versioning: bucket.versioning, allow })
    };
    let served = Objects {
        listen: listen.into_iter().collect(),
        region: s3.region.clone().unwrap_or_else(|| REGION.to_owned()),
        users: store.users.iter().map(|(user, known)| (user.clone(), known.key.clone())).collect(),
        buckets: store.buckets.iter().map(bucket).collect(),
    };
    (!served.listen.is_empty()).then_some(served)
}

/// What a host's server serves, the digests of its secrets, and whether all its volumes are there.
pub(super) type Served = (Objects, BTreeMap<String, String>, bool);

pub(super) fn served(
    input: &PlanInput<Keys>,
    (host, seen): (&str, &ObservedOf<Store>),
    volumes: &[Volume],
    draft: &mut Draft<Store>,
) -> Result<Option<Served>, Failures> {
    let (objects, secrets) = match &input.goal {
        Goal::Up(stack, resolved) => {
            let Some(objects) = of(stack, resolved, host) else { return Ok(None) };
            let secrets = secrets(&objects, &input.gathered);
            let alone = objects.buckets.iter().filter(|(_, bucket)| bucket.allow.is_empty());
            draft.warnings.extend(alone.map(|(name, _)| Warning {
                code: "store.bucket".to_owned(),
                message: format!("nobody may use bucket {name}: write `allow` for it"),
            }));
            (objects, secrets)
        }
        Goal::Boot(kept) => {
            let intent = super::boot::kept_intent(kept)?;
            let Some(objects) = intent.objects else { return Ok(None) };
            (objects, intent.secrets)
        }
        Goal::Down => return stays(input, host, seen).map(|()| None),
    };
    let there = |name: &str| volumes.iter().any(|one| one.name == name && one.state == State::Ready);
    let lost = objects.buckets.iter().find(|(_, bucket)| !there(&bucket.volume));
    if let (Goal::Up(..), Some((name, bucket)), true) = (&input.goal, lost, selected(input)) {
        let message = format!("no bucket is served: volume {} of {name} is not there", bucket.volume);
        let failure = Failure::new(Kind::Data, "store.plan.missing", message).on(host);
        let hint = format!("name it, too: --only store.{name},store.{}; or leave --only out", bucket.volume);
        return Err(failure.at(format!("store.buckets.{name}")).hint(hint).into());
    }
    draft.warnings.extend(lost.map(|(name, bucket)| Warning {
        code: "store.bucket".to_owned(),
        message: format!("{host}: no bucket is served: volume {} of {name} is not there", bucket.volume),
    }));
    let ready = lost.is_none();
    Ok(Some((objects, secrets, ready)))
}

pub(super) fn services(
    input: &PlanInput<Keys>,
    served: Option<Served>,
    draft: &mut Draft<Store>,
) -> Result<BTreeMap<String, Definition>, Failure> {
    let Some((objects, secrets, _)) = served else { return Ok(BTreeMap::new()) };
    let definition = definition(&objects, &secrets)?;
    let of = |(name, digest): (&String, &String)| {
        let kept = || Key { digest: digest.clone(), place: None };
        (name.clone(), input.gathered.get(name).cloned().unwrap_or_else(kept))
    };
    let keys: Keys = secrets.iter().map(of).collect();
    draft.data.keys.insert(document::digest_of(&definition)?, keys);
    Ok(BTreeMap::from([(S3.to_owned(), definition)]))
}

/// Whether the server is selected.
pub(super) fn selected(input: &PlanInput<Keys>) -> bool {
    let named = match &input.goal {
        Goal::Up(stack, _) => {
            stack.store.iter().any(|store| store.buckets.keys().any(|name| input.only.stored(name)))
        }
        _ => false,
    };
    named || input.only.stored("")
}

pub(super) fn service(object: Option<&Object>) -> bool {
    matches!(object, Some(Object::Kept(Kept::Service { .. })))
}

/// The server begins after its volumes.
pub(super) fn after(mut want: Want<Object>, volumes: &[String]) -> Want<Object> {
    if service(Some(&want.object)) {
        want.needs.extend(volumes.iter().cloned());
    }
    want
}

/// Volumes are not unmounted before the server has let go of them.
pub(super) fn first(steps: &mut [Step<Object>]) {
    let ends = format!("service.remove:{S3}");
    if steps.iter().all(|step| step.id != ends) {
        return;
    }
    for step in steps.iter_mut().filter(|step| step.id.starts_with("volume.") && !step.needs.contains(&ends))
    {
        step.needs.push(ends.clone());
    }
}

/// A part of the stack is not removed under the server.
///
/// # Errors
/// If only some volumes are to be removed from a host with a server.
pub(super) fn stays(input: &PlanInput<Keys>, host: &str, seen: &ObservedOf<Store>) -> Result<(), Failures> {
    let serves = seen.objects.iter().any(|have| matches!(&have.object, Object::Kept(Kept::Service { .. })));
    let some = super::there(seen).keys().any(|name| input.only.stored(name));
    if !serves || !some || input.only.stored("") {
        return Ok(());
    }
    let message = "the S3 server of this host uses its volumes".to_owned();
    let failure = Failure::new(Kind::Data, "store.plan.objects", message).on(host);
    Err(failure
        .hint("remove its buckets from the document, then `lsx-store up`; or `down` without --only")
        .into())
}

/// The digests of the secrets that it needs.
pub(super) fn secrets(objects: &Objects, gathered: &Keys) -> BTreeMap<String, String> {
    let named = objects.users.values();
    named.filter_map(|name| Some((name.clone(), gathered.get(name)?.digest.clone()))).collect()
}

/// The server: in the router, and without root.
///
/// # Errors
/// None that a configuration gives.
pub fn definition(objects: &Objects, secrets: &BTreeMap<String, String>) -> Result<Definition, Failure> {
    let config = serde_json::to_value(objects)
        .map_err(|e| Failure::new(Kind::Bug, "store.plan.contents", e.to_string()))?;
    let (listen, folders) = (objects.listen.clone(), objects.folders());
    let runs = Runs::Server { listen, config };
    let secrets = secrets.clone();
    Ok(Definition { router: true, unprivileged: true, secrets, folders, ..Definition::of(runs) })
}
