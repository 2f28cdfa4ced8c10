//! What a move needs of the document, where the volume is, and what happens when it fails.

use super::ends::Fleet;
use crate::apply::moved::{Ask, Seen};
use crate::apply::others;
use crate::model::{Facts, Moved, State, Volume};
use crate::plan;
use common::cli::Global;
use common::stack::{Resolved, Stack, hint};
use common::{Failure, Failures, Kind, log};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// What is to become of the volume.
pub(super) struct Aim<'a> {
    pub(super) stack: &'a Stack,
    pub(super) resolved: &'a Resolved,
    pub(super) name: &'a str,
    pub(super) host: &'a str,
    pub(super) file: &'a Path,
    pub(super) set: &'a [String],
}

/// Where it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// The host that it comes from; none if nothing of it is left elsewhere.
    pub(super) from: Option<String>,
    /// The new host has it.
    pub(super) arrived: bool,
    /// When an unfinished copy was begun.
    since: Option<i64>,
    /// By which clock.
    clock: Option<String>,
    /// The name of a move that is under way.
    move_id: Option<String>,
}

/// What hosts have.
pub(super) type Looked = BTreeMap<String, Result<Seen, Failures>>;

/// Whether a volume can be copied from there.
const fn whole_state(volume: &Volume) -> bool {
    matches!(volume.state, State::Ready | State::Unmounted | State::Leaving)
}

fn usage(code: &str, message: String, hint: String) -> Failures {
    Failure::new(Kind::Usage, code, message).hint(hint).into()
}

/// The changes of the document by which the volume and the instances that use it are on the host.
///
/// # Errors
/// Names that are not in the document; instances with several replicas.
pub(super) fn set(
    stack: &Stack,
    resolved: &Resolved,
    name: &str,
    host: &str,
) -> Result<Vec<String>, Failures> {
    if resolved.hosts.iter().all(|one| one.name != host) {
        let hosts = resolved.hosts.iter().map(|one| one.name.as_str());
        let message = format!("stack {} has no host {host}", stack.name);
        return Err(usage("usage.host", message, hint(host, hosts)));
    }
    let volumes: Vec<&str> = resolved.volumes.iter().map(|at| at.name.as_str()).collect();
    if !volumes.contains(&name) {
        let message = format!("store.volumes of stack {} has no {name}", stack.name);
        return Err(usage("usage.name", message, hint(name, volumes)));
    }
    let mut set = Vec::new();
    for (key, instance) in &stack.instances {
        let elsewhere = resolved.instances.iter().any(|at| at.of == *key && at.host != host);
        if !elsewhere || !instance.volumes.contains_key(name) {
            continue;
        }
        if !instance.hosts.is_empty() || instance.count.is_some_and(|count| count > 1) {
            let message = format!("volume {name} is used by {key}, which has several replicas");
            let hint =
                "each host of it has a volume of its own, or one is shared on one host: change the document"
                    .to_owned();
            return Err(usage("usage.name", message, hint));
        }
        set.push(format!("instances.{key}.host={host}"));
    }
    if stack.volume_host(name).is_some_and(|own| own != host) {
        set.push(format!("store.volumes.{name}.host={host}"));
    }
    Ok(set)
}

/// By the changed document it is on this host, and on no other one.
///
/// # Errors
/// If something else of the document keeps it elsewhere.
pub(super) fn arrives(resolved: &Resolved, name: &str, host: &str) -> Result<(), Failures> {
    let other = resolved.volumes.iter().find(|at| at.name == name && at.host != host);
    let here = resolved.volumes.iter().any(|at| at.name == name && at.host == host);
    match other {
        None if here => Ok(()),
        other => {
            let at = other.map_or("no host", |at| at.host.as_str());
            let message = format!("by the document volume {name} would still be on {at}");
            Err(usage(
                "usage.name",
                message,
                format!("write store: {{ volumes: {{ {name}: {{ host: {host} }} }} }}"),
            ))
        }
    }
}

fn away(message: String, hint: &str) -> Failures {
    Failure::new(Kind::Failed, "store.move", message).hint(hint).into()
}

/// Where the volume is.
///
/// # Errors
/// On no host, or on several.
pub(super) fn found(seen: &Looked, name: &str, to: &str) -> Result<Found, Failures> {
    let of = |seen: &Seen| seen.volumes.iter().find(|volume| volume.name == name).cloned();
    let all: BTreeMap<&str, Volume> = seen
        .iter()
        .filter_map(|(host, seen)| Some((host.as_str(), seen.as_ref().ok().and_then(of)?)))
        .collect();
    if let Some(Err(failures)) = seen.get(to) {
        return Err(failures.clone());
    }
    let here = all.get(to);
    let others: Vec<(&&str, &Volume)> =
        all.iter().filter(|(host, volume)| **host != to && whole_state(volume)).collect();
    let lost = all
        .iter()
        .find(|(host, volume)| **host != to && volume.state != State::Arriving && !whole_state(volume));
    match (others.as_slice(), lost, here) {
        ([], _, Some(here)) if here.whole() => Ok(Found { arrived: true, ..Found::default() }),
        ([(host, volume)], lost, here) if lost.is_none() || here.is_some_and(Volume::whole) => {
            leads(host, volume, here, to)
        }
        ([], Some((host, _)), _) => Err(away(
            format!("volume {name} is not at its place on {host}"),
            "`lsx-store observe` shows where it should be",
        )),
        ([], None, Some(Volume { state: State::Leaving, peer: Some(peer), .. })) => Err(away(
            format!("volume {name} is on {to} still, and is about to move to {peer}"),
            "`lsx-store up` with the document by which it is there keeps it there",
        )),
        ([], None, _) => {
            let unknown: Vec<Failure> = seen
                .values()
                .filter_map(|seen| seen.as_ref().err())
                .flat_map(|failures| failures.0.clone())
                .collect();
            if unknown.is_empty() {
                Err(away(format!("no host has volume {name}"), "`lsx-store up` makes it"))
            } else {
                Err(Failures(unknown))
            }
        }
        _ => Err(away(format!("several hosts have a volume {name}"), "`lsx-store observe` shows them")),
    }
}

/// The one host that it comes from. It has arrived only if what the new host has is of the same move.
fn leads(host: &str, volume: &Volume, here: Option<&Volume>, to: &str) -> Result<Found, Failures> {
    let name = &volume.name;
    let peer = volume.peer.as_deref().filter(|peer| volume.state == State::Leaving && *peer != to);
    if let Some(peer) = peer {
        return Err(away(
            format!("volume {name} is about to move from {host} to {peer}"),
            &format!("run `lsx-store volume move {name} {peer}` first, which ends that"),
        ));
    }
    let whole = here.filter(|here| here.whole());
    let same = |here: &Volume| here.move_id.is_some() && here.move_id == volume.move_id;
    if whole.is_some_and(|here| volume.state != State::Leaving || !same(here)) {
        return Err(away(
            format!("{to} and {host} both have a volume {name}"),
            "look at both of them; the wrong one is removed by `down --only` and `--destroy-data` with the other host `--offline`",
        ));
    }
    // A copy that was cut off goes on.
    let copy = here.filter(|here| here.peer.as_deref() == Some(host)).cloned();
    let move_id = whole.or(copy.as_ref()).and_then(|here| here.move_id.clone());
    let (since, clock) = copy.map(|copy| (copy.since, copy.clock)).unwrap_or_default();
    Ok(Found { from: Some(host.to_owned()), arrived: whole.is_some(), since, clock, move_id })
}

impl Aim<'_> {
    /// The volume as it will be.
    ///
    /// # Errors
    /// A driver that the host does not have.
    pub(super) fn volume(&self, facts: Option<&Facts>, found: &Found) -> Result<Volume, Failures> {
        let none = Facts::default();
        let all =
            plan::wanted(self.stack, self.resolved, self.host, facts.unwrap_or(&none), &BTreeMap::new())?;
        let volume = all.into_iter().find(|volume| volume.name == self.name);
        let volume = volume.ok_or_else(|| {
            Failure::new(Kind::Bug, "store.move", format!("{} has no volume {}", self.host, self.name))
        })?;
        let Found { from: peer, since, clock, move_id, .. } = found.clone();
        Ok(Volume { peer, since, clock, move_id, ..volume })
    }

    /// Networks, volumes and the instances that use it, by the changed document.
    ///
    /// # Errors
    /// Those of the tools.
    pub(super) fn start(&self, global: &Global) -> Result<(), Failures> {
        let uses = self.stack.instances.iter().filter(|(_, one)| one.volumes.contains_key(self.name));
        let keys: Vec<String> = uses.map(|(key, _)| format!("instances.{key}")).collect();
        let only = |parts: String| vec!["--only".to_owned(), parts];
        self.tool("lsx-net", Vec::new(), global)?;
        self.tool("lsx-store", only(format!("store.{}", self.name)), global)?;
        if !keys.is_empty() {
            self.tool("lsx-ct", [only(keys.join(",")), vec!["--allow-move".to_owned()]].concat(), global)?;
        }
        Ok(())
    }

    fn tool(&self, name: &str, more: Vec<String>, global: &Global) -> Result<(), Failures> {
        let mut args: Vec<OsString> = vec!["--quiet".into()];
        let paths = [("--ssh-config", &global.ssh_config), ("--tools", &global.tools)];
        for (flag, path) in paths.into_iter().filter_map(|(flag, path)| Some((flag, path.as_ref()?))) {
            args.extend([flag.into(), path.into()]);
        }
        args.extend(["up".into(), self.file.into()]);
        args.extend(more.into_iter().map(OsString::from));
        args.extend(self.set.iter().flat_map(|set| ["--set".into(), set.into()]));
        Ok(others::run(name, &args)?)
    }

    /// The volume has moved, but not all of what follows is done.
    pub(super) fn told(&self, failures: Failures) -> Failures {
        let flags: String = self.set.iter().map(|set| format!(" --set {set}")).collect();
        let message = format!(
            "volume {} has moved to {}, but its instances do not run there yet",
            self.name, self.host
        );
        let failure = Failure::new(Kind::Failed, "store.moved", message);
        let failure = failures.0.into_iter().fold(failure, |failure, why| failure.because(why.to_string()));
        failure.hint(format!("run: lsx up {}{flags} --allow-move", self.file.display())).into()
    }
}

/// The volume stays, and its instances go on, unless the copy may be the volume already.
pub(super) fn undone(fleet: &mut Fleet, moved: &Moved, mut failures: Failures) -> Failures {
    let (stack, name) = fleet.named();
    if fleet.switching {
        let seen = fleet.target::<Seen>(&Ask::Look { stack: stack.clone() });
        let copy = seen.ok().and_then(|seen| seen.volumes.into_iter().find(|volume| volume.name == name));
        if copy.is_none_or(|copy| copy.state != State::Arriving) {
            let message = format!(
                "nobody knows whether volume {name} has arrived on {}; its instances are stopped",
                fleet.to
            );
            let failure = Failure::new(Kind::Failed, "store.move", message)
                .hint("run this again when that host is back");
            failures.0.push(failure);
            return failures;
        }
    }
    let stay = fleet.source::<Value>(&Ask::Stay { stack: stack.clone(), name: name.clone() });
    let instances = moved.instances.clone();
    let run = fleet.source::<Value>(&Ask::Run { stack, name: name.clone(), instances });
    match stay.and(run) {
        Ok(_) if moved.instances.is_empty() => log::note(&format!("volume {name} stays where it was")),
        Ok(_) => {
            let started = moved.instances.join(", ");
            log::note(&format!("volume {name} stays where it was; started again: {started}"));
        }
        Err(more) => {
            failures.0.extend(more.0);
            let message = format!("volume {name} does not stay yet, or instances that use it are stopped");
            let hint = "`lsx-store up` gives it back, and starts what the move has stopped";
            failures.0.push(Failure::new(Kind::Failed, "store.move", message).hint(hint));
        }
    }
    failures
}
