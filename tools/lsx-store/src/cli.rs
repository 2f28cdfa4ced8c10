//! The flags of lsx-store, and which function each verb is.

use crate::usage::{self, UsageArgs};
use crate::{PROGRAM, Store, key, moves, remote};
use clap::{Args, CommandFactory, Parser, Subcommand};
use common::Failures;
use common::cli::Global;
use common::tool::Tool as _;
use common::verb::{self, StackArgs};
use std::path::PathBuf;
use std::process::ExitCode;

/// Volumes and buckets of a stack on its hosts
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
    Shared(Box<verb::Verb<Store>>),
    /// Move volumes to other hosts
    #[command(subcommand)]
    Volume(moves::VolumeVerb),
    /// Show what volumes and the disks below them use and have left; `observe --table` lists the volumes
    Usage(Box<UsageArgs>),
    #[command(flatten)]
    Remote(remote::Verb),
    /// Print the access key and the secret key of a user, as a file of credentials
    Key(KeyArgs),
}

/// Flags of `key`.
#[derive(Debug, Args)]
struct KeyArgs {
    /// A user of `store.users`
    name: String,
    /// The stack file; default: a document from a pipe, else $LSX_STACK, else ./stack.yaml
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
}

/// What the library says of itself at its head.
fn description() -> String {
    common::manual::description(include_str!("lib.rs"))
}

const AFTER: &str =
    "  host.instances    lsx-ct cannot say which instances use a volume: 1
  host.volume       something else is where a volume should be mounted: 1
  stack.*           the stack file is invalid, at the place that is named: 65
  host.service      a server does not start, with the last lines of its log: 1
  store.bucket      with `check`: a bucket cannot be used as its users may: 2
  store.count       with `usage --count`: a volume cannot be counted: 1
  store.file        what is to be replaced is no plain file: 1
  store.foreign     there is something else where a volume would be: 1
  store.full        with `check`: a volume or its disk is nearly full: 2
  store.interrupted a signal came during `put`, and its upload is given up: 128 and the signal's number
  store.key         a secret is no key of a user of buckets: 65
  store.move        a volume cannot be moved, and stays where it is: 1
  store.moved       a volume has moved, but its instances do not run on the new host yet: 1
  store.place       there is something where a volume is to be mounted: 1
  store.plan.*      a volume is not what or where the document says, or its driver is not supported: 65
  store.plan.objects  the document has something for buckets that is not supported yet: 65
  store.request     a server of S3 refuses: 1, or 77 for want of rights, 75 if it is busy; cannot be reached: 69
  store.room        the disk of the new host has no room for a volume: 1
  store.root        others than root can change the folder of volumes, or a link leads to it: 1
  store.serve       a server cannot serve; this is in its log: 1
  store.server      with `check`: the S3 server does not answer, or answers what it must refuse: 2
  store.subvolumes  with `check`: there are subvolumes in a volume, whose content does not count to its size: 2
  store.sum         an object has other bytes than were sent, or than its server says: 1
  store.used        a program that lsx-ct does not stop uses a volume that is to move: 75

Files:
  /etc/lsx/STACK/store.json               on each host with a volume: desired state, restored after a reboot
  /etc/lsx/boot.d/20-STACK-store          on each host with a volume: restores it after a reboot
  /var/lib/lsx/store/STACK/VOLUME.json    on each host with a volume: what it is, and where; kept with the volume
  /var/lib/lsx/secrets/STACK/store/       on the host of the S3 server: the keys of its users
  /run/lsx/STACK/store/                   on the host of the S3 server: its definition, state and socket
  /var/lib/lsx/volumes/STACK/VOLUME       where every tool finds a volume

Examples:
  lsx-net up office.yaml | lsx-store up | lsx-ct up
  lsx-store plan office.yaml --table
  lsx-store check office.yaml --table
  lsx-store observe --table
  lsx-store usage office.yaml --count --table
  lsx-store volume move db h2 --stack office.yaml
  lsx-store key web --stack office.yaml >credentials
  lsx-store put site.tar photos/2026/ --stack office.yaml
  tar -c site | lsx-store put - photos/site.tar
  lsx-store get photos/site.tar - | tar -x
  lsx-store ls photos/2026/ --table
  AWS_PROFILE=backup lsx-store ls --endpoint https://s3.example.org --region eu-1
  lsx-store sign photos/site.tar --expires 1d
  lsx-store down office.yaml
  lsx-store down office.yaml --only store.db --destroy-data office

See also:
  lsx(7), lsx-ct(1), lsx-stack(5), lsx-json(5)";

/// Verbs as help shows them.
const GROUPS: common::help::Groups = &[
    ("Verbs for a stack", &["resolve", "plan", "up", "check", "down", "apply", "observe"]),
    ("Verbs for volumes", &["usage", "volume"]),
    ("Verbs for buckets", &["ls", "put", "get", "rm", "mb", "rb", "sign", "key"]),
    ("Other verbs", &["schema", "completions", "help"]),
];

/// Runs the tool.
pub fn main() -> ExitCode {
    common::cli::main::<Cli>(PROGRAM, GROUPS, |cli| &cli.global, run)
}

fn run(cli: &Cli) -> Result<(), Failures> {
    match &cli.verb {
        Verb::Shared(verb) => verb::run(&Store, verb, &cli.global, Cli::command()),
        Verb::Volume(moves::VolumeVerb::Move(args)) => moves::run(args, &cli.global),
        Verb::Usage(args) => usage::run(args, &cli.global),
        Verb::Remote(verb) => remote::run(verb, &cli.global.output(Store::TABLES)),
        Verb::Key(args) => {
            let stack = StackArgs { input: args.stack.clone(), ..StackArgs::default() };
            let text = key::of(&args.name, &verb::read_stack(&stack)?.0, &stack)?;
            Ok(cli.global.output(Store::TABLES).text(&text)?)
        }
    }
}
