//! The flags of lsx-ct, and which function each verb is.

mod act;
mod copy;
mod elsewhere;
mod exec;
mod hear;
pub mod images;
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
use recipes::RecipesArgs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Containers on every host of a stack, with no daemon or on LXD or Incus
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, about, long_about = description(), after_long_help = common::manual::ending(AFTER), subcommand_required = true, arg_required_else_help = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    /// Folder of the image store on this machine; hosts have theirs in /var/lib/lsx/images
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "LSX_STORE",
        hide_env_values = true,
        help_heading = "Everywhere"
    )]
    store: Option<PathBuf>,
    /// The OCI runtime of new instances: crun, runc, youki, or a path; absent: the first that works on a host
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
    Shared(verb::Verb),
    /// Make and start some instances of a stack: `up --only`
    Create(PartArgs),
    /// Remove some instances of a stack, whose data stays: `down --only`
    Destroy(PartArgs),
    /// Start instances that are there, and wait until they are ready
    Start(ActArgs),
    /// Stop instances; they stay, with all that was written into them
    Stop(StopArgs),
    /// Stop instances and start them again
    Restart(StopArgs),
    /// Plan that an instance runs on another host; changes nothing
    Move(elsewhere::MoveArgs),
    /// Plan that a host runs nothing of the stack; changes nothing
    Drain(elsewhere::DrainArgs),
    /// Wait until instances are ready
    Wait(WaitArgs),
    /// Run a program in instances, or on hosts; one result each
    Exec(ExecArgs),
    /// Copy files and folders into an instance and out of it
    Cp(CopyArgs),
    /// List instances, and how they fare: `observe` as a table where a person looks
    #[command(visible_alias = "ps", alias = "list")]
    Ls(verb::ObserveArgs),
    /// Show what instances use, measured for one second; again and again on a terminal
    Top(TopArgs),
    /// Show what instances wrote
    Logs(LogsArgs),
    /// Show which recipes ran, when, and which are not run or changed since
    Recipes(RecipesArgs),
    /// Images: pull and push, import and export, list and collect
    #[command(subcommand)]
    Images(images::ImagesVerb),
    /// Look after one instance until it ends
    #[command(hide = true)]
    Supervise {
        /// Its stack
        stack: String,
        /// Its name
        name: String,
        /// An engine runs it: wait for its needs, start it, and go
        #[arg(long)]
        beside: bool,
    },
    /// Run something with an OCI runtime
    #[command(hide = true)]
    Trial {
        /// Its program
        program: PathBuf,
        /// `users` or `plain`
        kind: String,
    },
    /// Hold a namespace until standard input ends
    #[command(hide = true)]
    Hold {
        /// Of networks, not of users
        #[arg(long)]
        net: bool,
    },
    /// Give a person on another machine a terminal in an instance of this host
    #[command(hide = true)]
    Terminal {
        /// What, in one word
        word: String,
    },
    /// Pack or unpack what `cp` copies, in an instance
    #[command(hide = true)]
    Parcel {
        /// `pack`, `unpack` or `place`
        what: String,
        /// Paths
        words: Vec<String>,
    },
    /// End programs in instances when whoever runs them is killed
    #[command(hide = true)]
    Guard,
    /// Be the first process of an instance
    #[command(hide = true)]
    Init {
        /// The application as one word, for who cannot pass on blanks
        #[arg(long)]
        encoded: Option<String>,
        /// Note in /.lsx-exit how the application ended, unless this signal came, which stops it
        #[arg(long)]
        stop: Option<String>,
        /// Who it runs as, by number: USER:GROUP[:GROUP,GROUP...]
        #[arg(long = "as")]
        account: Option<String>,
        /// The application
        #[arg(last = true)]
        argv: Vec<String>,
    },
}

/// What the library says of itself at its head.
fn description() -> String {
    common::manual::description(include_str!("lib.rs"))
}

const AFTER: &str = "  ct.plan.engine    a host cannot run the driver: 1
  ct.plan.move      an instance would move; --allow-move confirms it: 65
  ct.plan.prune     --prune would remove more than half; --yes confirms it: 65
  ct.plan.stranger  something of the same name is not of this stack: 1
  ct.exec.quorum    fewer programs ended well than were wanted: 1
  stack.*           the stack file breaks a rule, at the place that is named: 65

Files:
  /etc/lsx/STACK/ct.json             on each host: what is wanted there, to come back after a reboot
  /etc/lsx/boot.d/50-STACK-ct        on each host: what brings it back
  /var/lib/lsx/images/               images, shared by all stacks
  /var/lib/lsx/ct/STACK/INSTANCE/    what an instance wrote, its log, its range of ids
  /var/lib/lsx/lxd/init, /var/lib/lsx/incus/init
                                     first process of applications in LXD, in Incus
  /var/lib/lsx/volumes/STACK/VOLUME  data that outlives instances
  /run/lsx/ct/STACK/INSTANCE/        what only this boot knows: state.json, the bundle

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
  lsx-ct cp db:/var/lib/dump .
  lsx-ct down office.yaml

See also:
  lsx(7), lsx-stack(5), lsx-json(5), lsx-net(1)";

/// Verbs as help shows them.
const GROUPS: common::help::Groups = &[
    (
        "Commands for a stack",
        &["resolve", "plan", "up", "check", "down", "apply", "observe", "create", "destroy"],
    ),
    ("Commands for instances", &["start", "stop", "restart", "wait", "exec", "logs", "top", "recipes"]),
    ("Commands for images", &["images"]),
    ("Other commands", &["schema", "completions", "help"]),
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
    // Lives as long as the process; a tool is copied about freely.
    let runtime: Option<&'static str> = cli.runtime.clone().map(|name| &*name.leak());
    let tool = Ct { store: Box::leak(store.into_boxed_path()) as &'static Path, runtime };
    let output = cli.global.output(Ct::TABLES);
    match &cli.verb {
        Verb::Shared(verb) => verb::run(tool, verb, &cli.global, Cli::command()),
        Verb::Create(args) => act::part(tool, false, args, &cli.global, &output),
        Verb::Destroy(args) => act::part(tool, true, args, &cli.global, &output),
        Verb::Ls(args) => verb::observe(tool, args, &cli.global, &output.people()),
        Verb::Move(args) => elsewhere::one(tool, args, &cli.global, &output),
        Verb::Drain(args) => elsewhere::all(tool, args, &cli.global, &output),
        Verb::Top(args) => act::top(tool, args, &cli.global, &output),
        Verb::Start(args) => act::act(tool, "start", &args.into(), &cli.global, &output),
        Verb::Stop(args) => act::act(tool, "stop", &args.into(), &cli.global, &output),
        Verb::Restart(args) => act::act(tool, "restart", &args.into(), &cli.global, &output),
        Verb::Wait(args) => act::act(tool, "wait", &args.into(), &cli.global, &output),
        Verb::Exec(args) => exec::exec(tool, args, &cli.global, &output),
        Verb::Cp(args) => copy::copy(tool, args, &cli.global),
        Verb::Parcel { what, words } => Ok(parcel::run(what, words)?),
        Verb::Logs(args) => act::logs(tool, args, &cli.global, &output),
        Verb::Recipes(args) => recipes::recipes(tool, args, &cli.global, &output.people()),
        Verb::Images(verb) => images::run(verb, tool.store, &output),
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
