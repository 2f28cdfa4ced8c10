//! The flags of lsx-snap, and which function each verb is.

use crate::back::{self, RestoreArgs, SettleArgs, UndoArgs};
use crate::verbs::{self, ListArgs, TakeArgs};
use crate::{PROGRAM, Snap};
use clap::{CommandFactory, Parser, Subcommand};
use common::Failures;
use common::cli::Global;
use common::verb;
use std::process::ExitCode;

/// Snapshots of volumes of a stack, in repositories in restic's format
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, about, long_about = description(), after_long_help = common::manual::ending(AFTER), subcommand_required = true, arg_required_else_help = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(flatten)]
    Shared(Box<verb::Verb<Snap>>),
    /// Save volumes of the stack in their repositories, as they are now
    Take(Box<TakeArgs>),
    /// List the snapshots of the stack in its repositories
    List(Box<ListArgs>),
    /// Bring volumes back as a snapshot has them, in one moment; what they had before is kept beside them
    Restore(Box<RestoreArgs>),
    /// Bring back what volumes had before their last restore
    Undo(Box<UndoArgs>),
    /// Remove what restores keep beside volumes
    Settle(Box<SettleArgs>),
}

/// What the library says of itself at its head.
fn description() -> String {
    common::manual::description(include_str!("lib.rs"))
}

const AFTER: &str = "  stack.*           the stack file is invalid, at the place that is named: 65
  host.instances    lsx-ct cannot say which instances use a volume: 1
  host.volume       something else is where a volume should be mounted: 1
  snap.damaged      a part of a repository is not what it was: 1
  snap.differs      what was restored is not what was saved: 1
  snap.exists       with `restore --to`: something has the name already: 1
  snap.foreign      something that is no repository is at its path: 1
  snap.half         a restore could not be ended: 1
  snap.hostile      a snapshot has names that no file can have, or folders without end: 1
  snap.incomplete   some of a volume is not in its snapshot: 1
  snap.inside       a repository is in a volume that it saves: 65
  snap.key          a key does not open its repository: 1
  snap.lock         a repository cannot be locked, or somebody removed the lock while it was written to: 1
  snap.locked       somebody has a repository for itself, such as `restic prune`, or makes it: 75
  snap.missing      a repository was there, and is not any more: 1, or 2 with `check`
  snap.moved        something else is at the place of a volume than was looked at: 75
  snap.none         there is no snapshot job, or no host has a volume of it: 65 or 1
  snap.nothing      there is no such snapshot, or no restore to undo: 1
  snap.open         with `restore --to`: others than root can enter the folder: 1
  snap.password     a secret is no password of a repository: 65
  snap.path         a snapshot has nothing at a path: 1
  snap.plan.unbuilt  the document has something for snapshots that is not supported yet: 65
  snap.record       the record of runs on a host is damaged: 1
  snap.replaced     another repository is at its path: 1, or 2 with `check`
  snap.repository   a repository cannot be read or written: 1
  snap.room         there is no room for what is to be restored: 1
  snap.run          with `check`: a snapshot job has never run, or its last run failed: 2
  snap.secret       the password of a repository is missing on a host: 1
  snap.stale        a host does not have what the document says of its snapshot jobs: 1
  snap.take         a volume cannot be opened: 1
  snap.unready      instances are not ready with what was restored, so that it was taken back: 1
  snap.unsaved      with `check`: a volume of a snapshot job was never saved in a repository of it: 2
  store.place       there is something where a volume is to be mounted: 1
  store.used        a program that lsx-ct does not stop uses a volume that is to be exchanged: 75

Files:
  /etc/lsx/STACK/snap.json                on each host with a volume: its part of the snapshot jobs
  /etc/lsx/boot.d/60-STACK-snap           on each host with a volume: the entry that is run after a reboot
  /var/lib/lsx/secrets/STACK/snap/        on each host with a volume: the passwords of its repositories
  /var/lib/lsx/snap/STACK/data/runs.json  on each host with a volume: the repositories it has had, and its last runs; `down` keeps it
  /var/lib/lsx/snap/STACK/data/restores.json  on each host with a volume: its restores; `down` keeps it
  .lsx-snap:STACK:VOLUME                  beside a volume on btrfs, while it is saved
  .lsx-restore:STACK:VOLUME:TIME          beside a volume: what it had before a restore; `down` keeps it
  .lsx-begun                              in a repository, while it is made

Examples:
  lsx-store up office.yaml | lsx-ct up | lsx-snap up >/dev/null
  lsx-snap take --stack office.yaml --table
  lsx-snap take db --stack office.yaml
  lsx-snap list db --stack office.yaml --table
  lsx-snap check office.yaml
  lsx-snap restore db --stack office.yaml --table
  lsx-snap undo db --stack office.yaml
  lsx-snap settle --stack office.yaml
  lsx-snap restore 5dd6e3195b --stack office.yaml --path etc/my.cnf --to /root/restored
  restic -r /srv/backup -p key snapshots --tag lsx-stack=office
  restic -r /srv/backup -p key restore latest --tag lsx-volume=db --target /root/restored

See also:
  lsx(7), lsx-store(1), lsx-stack(5), lsx-json(5), restic(1)";

/// Verbs as help shows them.
const GROUPS: common::help::Groups = &[
    ("Verbs for a stack", &["resolve", "plan", "up", "check", "down", "apply", "observe"]),
    ("Verbs for snapshots", &["take", "list", "restore", "undo", "settle"]),
    ("Other verbs", &["schema", "completions", "help"]),
];

/// Runs the tool.
pub fn main() -> ExitCode {
    common::cli::main::<Cli>(PROGRAM, GROUPS, |cli| &cli.global, run)
}

fn run(cli: &Cli) -> Result<(), Failures> {
    match &cli.verb {
        Verb::Shared(verb) => verb::run(&Snap, verb, &cli.global, Cli::command()),
        Verb::Take(args) => verbs::take(args, &cli.global),
        Verb::List(args) => verbs::list(args, &cli.global),
        Verb::Restore(args) => back::restore(args, &cli.global),
        Verb::Undo(args) => back::undo(args, &cli.global),
        Verb::Settle(args) => back::settle(args, &cli.global),
    }
}
