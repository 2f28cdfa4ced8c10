//! Running parts of an instance, found without records: by control groups, supervisors, and mounts in its folders. Records
//! are in /run, and may be lost while everything continues to run.

use super::disk::{self, InstanceFolders};
use super::groups;
use super::prepare;
use crate::driver::Found;
use crate::model::{Condition, Instance, State};
use crate::net;
use crate::supervise::state;
use common::host::service::unit;
use common::host::{process, wait};
use common::stack::resolved::NicAt;
use common::{Failure, Kind, mountinfo};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long to wait for killed processes to end.
const KILLED: Duration = Duration::from_secs(10);
/// How long to wait for the kernel to remove a network namespace, and when nothing else can remove the interfaces.
const UNPLUG: Duration = Duration::from_secs(2);
const UNKNOWN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(5);

/// A running supervisor.
pub(super) struct Supervisor {
    process: i32,
    stack: String,
    name: String,
    /// For an instance of LXD or Incus.
    beside: bool,
}

/// A snapshot of the processes of this host.
pub(super) struct Supervisors(Vec<Supervisor>);

impl Supervisors {
    pub(super) fn now() -> Supervisors {
        Supervisors(supervisors().into_iter().filter(|one| !one.beside).collect())
    }

    /// All instances of which something runs, as stack and name.
    pub(super) fn named(&self) -> BTreeSet<(String, String)> {
        groups::all()
            .into_iter()
            .chain(self.0.iter().map(|one| (one.stack.clone(), one.name.clone())))
            .collect()
    }

    /// Its processes, including its supervisors.
    pub(super) fn of(&self, stack: &str, name: &str) -> BTreeSet<i32> {
        let own = self.0.iter().filter(|one| one.stack == stack && one.name == name);
        groups::processes(stack, name).into_iter().chain(own.map(|one| one.process)).collect()
    }
}

/// An instance, from disk, records and this snapshot.
pub(super) fn found(look: &Supervisors, stack: String, name: String) -> Found {
    let place = InstanceFolders::new(&stack, &name);
    let written = if name.starts_with(disk::ASIDE) { Ok(None) } else { place.instance() };
    let damaged = written.is_err().then(|| place.definition());
    let instance = written.unwrap_or_else(|_| disk::kept(&stack, &name));
    let mut condition = state::read(&stack, &name);
    // One that has ended releases its lock a moment before its supervisor exits, which may take a while on a busy host.
    let ended = || {
        let own = state::said(&stack, &name).map(|said| said.supervisor);
        groups::processes(&stack, &name).into_iter().all(|process| Some(process) == own)
    };
    // In any other state it has a supervisor.
    let alone = match condition.state {
        State::Exited => !ended() && !state::alive(&stack, &name),
        State::Stopped => !state::alive(&stack, &name),
        _ => false,
    };
    if alone && !look.of(&stack, &name).is_empty() {
        let why = "it runs without its supervisor or its records; `lsx-ct up` restarts it".to_owned();
        condition = Condition { state: State::Stopped, pid: None, why: Some(why), ..condition };
    }
    // A damaged record is reported by the supervisor, which uses it.
    let recipes = prepare::done(&place).unwrap_or_default();
    Found { condition, instance, damaged, stack, name, snapshots: Vec::new(), recipes }
}

fn of(stack: &str, name: &str) -> BTreeSet<i32> {
    Supervisors::now().of(stack, name)
}

/// Ends everything: the supervisor first, which would otherwise restart it.
///
/// # Errors
/// What still runs.
pub(super) fn end(stack: &str, name: &str) -> Result<(), Failure> {
    if !of(stack, name).is_empty() {
        unit::end(&state::service(stack, name).unit);
        let own = |one: &Supervisor| one.stack == stack && one.name == name && !one.beside;
        let killed = |process: i32| _ = kill(Pid::from_raw(process), Signal::SIGKILL);
        supervisors().iter().filter(|one| own(one)).for_each(|one| killed(one.process));
        groups::freeze(stack, name, false); // a frozen process does not react to signals
        let gone = wait::until(KILLED, LOOK, || {
            groups::processes(stack, name).into_iter().for_each(killed);
            of(stack, name).is_empty()
        });
        if !gone {
            let left: Vec<String> = of(stack, name).iter().map(ToString::to_string).collect();
            let message = format!("processes of {name} cannot be killed: {}", left.join(" "));
            return Err(Failure::new(Kind::Failed, "ct.oci.strays", message)
                .hint("a process that waits for a disk or server ends when that answers; then run the same command again"));
        }
    }
    unmount(&InstanceFolders::new(stack, name));
    Ok(())
}

/// Ends the processes beside an instance of LXD or Incus, with or without records. It is not called by one of them.
pub(crate) fn end_beside(stack: &str, name: &str) {
    let own = nix::unistd::getpid().as_raw();
    let all = supervisors().into_iter().filter(|one| one.beside && one.stack == stack && one.name == name);
    all.filter(|one| one.process != own)
        .for_each(|one| _ = kill(Pid::from_raw(one.process), Signal::SIGKILL));
}

/// Waits until the host's ends of its interfaces are gone, since a following removal of the network must not find them. The
/// kernel removes a network namespace after its last process has ended, on a busy host seconds later, and not at all while
/// somebody else's process is in it: then lsx-net removes them, if it is known which.
pub(super) fn unplug(stack: &str, name: &str, instance: Option<&Instance>) {
    let mark = format!("lsx:{stack}:{name}.");
    let Some(instance) = instance else {
        wait::until(UNKNOWN, LOOK, || !marked(&mark));
        return;
    };
    let gone = |nic: &NicAt| !Path::new("/sys/class/net").join(&nic.link).exists();
    if !wait::until(UNPLUG, LOOK, || instance.nics.iter().all(gone)) {
        // What is left, lsx-net's own `down` names.
        let _ = net::detach(stack, instance, std::process::id());
    }
}

/// Whether an interface of this host has a mark that begins so.
fn marked(begin: &str) -> bool {
    let links = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let alias = |link: DirEntry| std::fs::read_to_string(link.path().join("ifalias")).unwrap_or_default();
    links.map(alias).any(|alias| alias.starts_with(begin))
}

/// Unmounts what is mounted in its folders on the host: removing the folders would otherwise remove the mounted files.
fn unmount(place: &InstanceFolders) {
    let text = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let points = mountinfo::mounts(&text).into_iter().map(|mount| mount.at);
    let mut own: Vec<PathBuf> =
        points.filter(|p| p.starts_with(&place.run) || p.starts_with(&place.disk)).collect();
    own.sort();
    own.iter().rev().for_each(|point| _ = umount2(point, MntFlags::MNT_DETACH));
}

/// The supervisors of lsx-ct that run.
fn supervisors() -> Vec<Supervisor> {
    process::by_line(process::of_root, |process, words| {
        let (program, stack, name, beside) = match *words {
            [program, "supervise", stack, name] => (program, stack, name, false),
            [program, "supervise", stack, name, "--beside", _] => (program, stack, name, true),
            _ => return None,
        };
        let ours = program.rsplit('/').next() == Some(crate::PROGRAM);
        let (stack, name) = (stack.to_owned(), name.to_owned());
        ours.then_some(Supervisor { process, stack, name, beside })
    })
}
