//! The flags of lsx-ct, and which function each verb is.

mod act;
mod compose;
mod copy;
mod elsewhere;
mod exec;
mod hear;
pub mod images;
mod inventory;
mod recipes;
mod targets;
mod terminal;

use crate::image::Store;
use crate::{Ct, PROGRAM, guard, init, oci, parcel, supervise};
use act::{ActArgs, LogsArgs, PartArgs, StopArgs, TopArgs, WaitArgs};
use clap::{CommandFactory, Parser, Subcommand};
use common::cli::Global;
use common::tool::Tool;
use common::{Failures, verb};
use copy::CopyArgs;
use exec::ExecArgs;
use inventory::InventoryArgs;
use recipes::RecipesArgs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Containers on the hosts of a stack, by an OCI runtime, LXD or Incus
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, about, long_about = description(), after_long_help = common::manual::ending(AFTER), subcommand_required = true, arg_required_else_help = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    /// Folder of the image store on this machine; other hosts use /var/lib/lsx/images
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "LSX_STORE",
        hide_env_values = true,
        help_heading = "Everywhere"
    )]
    store: Option<PathBuf>,
    /// OCI runtime for new instances: crun, runc, youki or a path; default: the first that works on the host
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "LSX_RUNTIME",
        hide_env_values = true,
        help_heading = "Everywhere"
    )]
    runtime: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(flatten)]
    Shared(verb::Verb<Ct>),
    /// Create and start instances of a stack, as `up --only` does
    Create(PartArgs),
    /// Remove instances of a stack but keep their data, as `down --only` does
    Destroy(PartArgs),
    /// Start existing instances and wait until they are ready
    Start(ActArgs),
    /// Stop instances; their files are kept
    Stop(StopArgs),
    /// Stop instances and start them again
    Restart(StopArgs),
    /// Plan to move an instance to another host; changes nothing
    Move(elsewhere::MoveArgs),
    /// Plan to move all instances of the stack off a host; changes nothing
    Drain(elsewhere::DrainArgs),
    /// Wait until instances are ready
    Wait(WaitArgs),
    /// Run a program in instances or on hosts
    Exec(ExecArgs),
    /// Copy files and folders into or out of an instance; a file has its former content until all of it is there
    Cp(CopyArgs),
    /// List instances and their state: `observe`, as a table on a terminal
    #[command(visible_alias = "ps", alias = "list")]
    Ls(verb::ObserveArgs),
    /// Show the resource usage of instances, measured for one second; repeats on a terminal
    Top(TopArgs),
    /// Show the logs of instances
    Logs(LogsArgs),
    /// Show which recipes were run and when, and which were never run or have changed since
    Recipes(RecipesArgs),
    /// Print hosts and instances for Ansible, Prometheus or Checkmk; reads only the stack
    Inventory(InventoryArgs),
    /// Print a Compose file as a stack; what cannot be converted is listed with its line
    Import(compose::ImportArgs),
    /// Manage images: pull, push, import, export, list and remove
    #[command(subcommand)]
    Images(images::ImagesVerb),
    /// Supervise one instance until it ends
    #[command(hide = true)]
    Supervise {
        /// Name of the stack
        stack: String,
        /// Name of the instance
        name: String,
        /// For LXD and Incus: start the instance when everything it needs is ready, or only watch the host's disk
        #[arg(long)]
        beside: Option<supervise::state::Beside>,
    },
    /// Test whether an OCI runtime works
    #[command(hide = true)]
    Trial {
        /// The runtime's program
        program: PathBuf,
        /// `users` or `plain`
        kind: String,
    },
    /// Hold a namespace until standard input ends
    #[command(hide = true)]
    Hold {
        /// A network namespace instead of a user namespace
        #[arg(long)]
        net: bool,
    },
    /// Open a terminal in an instance of this host, for `exec -t` on another machine
    #[command(hide = true)]
    Terminal {
        /// The request, encoded as one word
        word: String,
    },
    /// Pack or unpack files in an instance, for `cp`
    #[command(hide = true)]
    Parcel {
        /// `pack`, `unpack` or `place`
        what: String,
        /// Paths
        words: Vec<String>,
    },
    /// Kill programs in instances when the process that started them is killed
    #[command(hide = true)]
    Guard,
    /// Run as the first process of an instance
    #[command(hide = true)]
    Init {
        /// The application's command line, encoded as one word
        #[arg(long)]
        encoded: Option<String>,
        /// Record in /.lsx-exit how the application ended, unless it was stopped by this signal
        #[arg(long)]
        stop: Option<String>,
        /// Numeric user and groups of the application: USER:GROUP[:GROUP,GROUP...]
        #[arg(long = "as")]
        account: Option<String>,
        /// The application's command line
        #[arg(last = true)]
        argv: Vec<String>,
    },
}

/// The comment at the head of `lib.rs`: DESCRIPTION in help and manual.
fn description() -> String {
    common::manual::description(include_str!("lib.rs"))
}

const AFTER: &str = "  ct.plan.engine    a host cannot run the instance's driver: 1
  ct.plan.move      an instance would move to another host without --allow-move: 65
  ct.plan.prune     --prune would remove more than half of the instances without --yes: 65
  ct.plan.stranger  an object of the same name does not belong to this stack: 1
  ct.plan.volume    an instance would write to the volume of a kept one: 65
  ct.exec.quorum    fewer programs succeeded than --quorum requires: 1
  stack.*           the stack file is invalid, at the place that is named: 65

Files:
  /etc/lsx/STACK/ct.json             on each host: desired state, restored after a reboot
  /etc/lsx/boot.d/50-STACK-ct        on each host: restores it after a reboot
  /var/lib/lsx/images/               images, shared by all stacks
  /var/lib/lsx/ct/STACK/INSTANCE/    writable layer, log and user-id range of an instance
  /var/lib/lsx/DRIVER/init           first process of applications in LXD and Incus; DRIVER is lxd or incus
  /var/lib/lsx/volumes/STACK/VOLUME  data of a volume, kept when instances are removed
  /run/lsx/ct/STACK/INSTANCE/        run-time state: state.json, the OCI bundle

Examples:
  lsx-net up office.yaml | lsx-ct up > office.json
  lsx-ct plan office.yaml --table
  lsx-ct observe --table
  lsx-ct exec db date
  lsx-ct exec --stack office.yaml --on 'web*' -- nginx -t
  lsx-ct move web h2 --stack office.yaml
  lsx-ct exec -it db
  lsx-ct logs db --plain -n 20
  lsx-ct recipes --stack office.yaml --check
  lsx-ct inventory office.yaml --format ansible -o office.inventory.json
  lsx-ct cp db:/var/lib/dump .
  lsx-ct import compose.yaml > stack.yaml
  lsx-ct down office.yaml

See also:
  lsx(7), lsx-stack(5), lsx-json(5), lsx-net(1)";

/// Verbs as help shows them.
const GROUPS: common::help::Groups = &[
    (
        "Verbs for a stack",
        &["resolve", "plan", "up", "check", "down", "apply", "observe", "create", "destroy", "inventory"],
    ),
    ("Verbs for instances", &["start", "stop", "restart", "wait", "exec", "logs", "top", "recipes"]),
    ("Verbs for images", &["images"]),
    ("Other verbs", &["import", "schema", "completions", "help"]),
];

/// Runs the tool.
pub fn main() -> ExitCode {
    if let Some(code) = application() {
        return code;
    }
    common::cli::main::<Cli>(PROGRAM, GROUPS, |cli| &cli.global, run)
}

/// `init` ends as the application does, whatever code that is.
fn application() -> Option<ExitCode> {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() != Some("init") {
        return None;
    }
    match Cli::try_parse().ok()?.verb {
        Verb::Init { encoded, stop, account, argv } => Some(ExitCode::from(
            init::run(stop.as_deref(), account.as_deref(), &init::argv(encoded.as_deref(), &argv))
                .unwrap_or_else(|failure| {
                    common::log::begin(PROGRAM, common::log::Format::Text, false, 0);
                    let code = init::code(&failure);
                    common::log::failures(&failure.into());
                    code
                }),
        )),
        _ => None,
    }
}

fn run(cli: &Cli) -> Result<(), Failures> {
    let store = cli.store.clone().unwrap_or_else(Store::default_root);
    let tool = Ct { store, runtime: cli.runtime.clone() };
    let output = cli.global.output(Ct::TABLES);
    match &cli.verb {
        Verb::Shared(verb) => verb::run(&tool, verb, &cli.global, Cli::command()),
        Verb::Create(args) => act::part(&tool, false, args, &cli.global, &output),
        Verb::Destroy(args) => act::part(&tool, true, args, &cli.global, &output),
        Verb::Ls(args) => verb::observe(&tool, args, &cli.global, &output.people()),
        Verb::Move(args) => elsewhere::one(&tool, args, &cli.global, &output),
        Verb::Drain(args) => elsewhere::all(&tool, args, &cli.global, &output),
        Verb::Top(args) => act::top(&tool, args, &cli.global, &output),
        Verb::Start(args) => act::run(&tool, "start", &args.into(), &cli.global, &output),
        Verb::Stop(args) => act::run(&tool, "stop", &args.into(), &cli.global, &output),
        Verb::Restart(args) => act::run(&tool, "restart", &args.into(), &cli.global, &output),
        Verb::Wait(args) => act::run(&tool, "wait", &args.into(), &cli.global, &output),
        Verb::Exec(args) => exec::exec(&tool, args, &cli.global, &output),
        Verb::Cp(args) => copy::copy(&tool, args, &cli.global),
        Verb::Parcel { what, words } => Ok(parcel::run(what, words)?),
        Verb::Logs(args) => act::logs(&tool, args, &cli.global, &output),
        Verb::Recipes(args) => recipes::recipes(&tool, args, &cli.global, &output.people()),
        Verb::Inventory(args) => inventory::run(args, &output),
        Verb::Import(args) => compose::import(args, &output),
        Verb::Images(verb) => images::run(verb, &tool.store, &output),
        Verb::Supervise { stack, name, beside } => Ok(supervise::run(stack, name, *beside)?),
        Verb::Trial { program, kind } => Ok(oci::trial::run(program, kind == "users")?),
        Verb::Hold { net } => Ok(oci::users::hold(*net)?),
        Verb::Terminal { word } => Ok(terminal::from_word(word)?),
        Verb::Guard => Ok(guard::run()?),
        Verb::Init { encoded, stop, account, argv } => {
            Ok(init::run(stop.as_deref(), account.as_deref(), &init::argv(encoded.as_deref(), argv))
                .map(|_| ())?)
        }
    }
}
