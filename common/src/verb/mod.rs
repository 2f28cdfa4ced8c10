//! The verbs that every tool has: their flags here, one file for each group.

mod apply;
mod check;
mod dependents;
mod here;
pub(crate) mod hint;
mod hold;
mod host;
mod host_set;
mod input;
mod observe;
mod own;
mod plan;
mod report;
mod request;
mod resolve;
mod revert;
mod roll;
mod scope;
mod service;
mod source;
mod tick;
mod transfer;
mod up;
mod waves;

pub use hold::LOCK_WAIT;
pub use host_set::HostSet;
pub use own::{DataArgs, RiskArgs};
pub use plan::{Cast, host_set_of};
pub use resolve::{located, places, read_stack};
pub use scope::ScopeArgs;
pub use source::{StackArgs, usual_stack};
pub use up::part;

use crate::cli::Global;
use crate::failure::Failures;
use crate::offer::Usual;
use crate::stdio::{self, Output};
use crate::tool::{Risk, Tool};
use clap::{Args, Subcommand};
use service::ServiceArgs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// The folder of what tools keep on a host.
const KEPT: &str = "/etc/lsx";

/// The shared verbs of a tool.
#[derive(Debug, Subcommand)]
pub enum Verb<T: Tool> {
    /// Validate a stack and derive every address and name; contacts no host
    Resolve(ResolveArgs),
    /// Show what exists on this host, or on the hosts of a stack; changes nothing
    Observe(ObserveArgs),
    /// Show what `up` would do and why; changes nothing
    Plan(PlanArgs<T>),
    /// Carry out a plan; refused when a host has changed since the plan was made
    Apply(ApplyArgs),
    /// Make the hosts match the stack, then verify that nothing is left to do
    Up(UpArgs<T>),
    /// Remove what this tool created for the stack, and nothing else
    Down(DownArgs<T>),
    /// Find every difference between the stack and the hosts; exit 2 when there is one
    Check(CheckArgs),
    /// Print the JSON Schema of the documents this tool reads and writes
    Schema,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print completions of the last word of a command line
    #[command(hide = true)]
    Names {
        /// The words after the program's name
        #[arg(last = true)]
        words: Vec<String>,
    },
    /// Print the manual page, generated from the flags
    #[command(hide = true)]
    Manual,
    /// Run the jobs of a stack that are due on this host; an entry of /etc/lsx/timer.d runs this each minute
    #[command(hide = true)]
    Tick(TickArgs),
    /// Keep a service running on this host; `up` starts this
    #[command(hide = true)]
    SuperviseService(ServiceArgs),
    /// Be the worker of a service, whose supervisor is on standard input
    #[command(hide = true)]
    ServeService(ServiceArgs),
    /// Serve a run on another machine: requests on standard input, replies on standard output
    #[command(hide = true)]
    Agent,
}

/// What a plan may do.
#[derive(Clone, Debug, Args)]
pub struct ChangeArgs<T: Tool> {
    /// Also remove what the document no longer names
    #[arg(long)]
    pub prune: bool,
    /// Confirm a --prune that removes more than half of the objects of one kind
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub(crate) risks: RiskArgs<T>,
    /// Stop warning about this host, which was removed from the document and has nothing left of the stack; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub forget: Vec<Ipv4Addr>,
}

impl<T: Tool> Default for ChangeArgs<T> {
    fn default() -> Self {
        Self { prune: false, yes: false, risks: RiskArgs::default(), forget: Vec::new() }
    }
}

/// Flags of `resolve`.
#[derive(Debug, Args)]
pub struct ResolveArgs {
    #[command(flatten)]
    pub(crate) stack: StackArgs,
}

/// Flags of `observe`.
#[derive(Debug, Args)]
pub struct ObserveArgs {
    #[command(flatten)]
    pub(crate) stack: StackArgs,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// Flags of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs<T: Tool> {
    #[command(flatten)]
    pub(crate) stack: StackArgs,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    #[command(flatten)]
    pub(crate) change: ChangeArgs<T>,
    /// Plan from observed documents, one per line, without contacting a host
    #[arg(long, value_name = "FILE")]
    pub(crate) observed: Option<PathBuf>,
    /// Exit with status 2 when there is something to do
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// Plan `down` instead of `up`
    #[arg(long)]
    pub(crate) down: bool,
    #[command(flatten)]
    pub(crate) data: DataArgs<T>,
}

/// Flags of `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The plan; `-` or nothing is standard input
    #[arg(value_name = "PLAN")]
    pub(crate) input: Option<PathBuf>,
    /// When a step fails, undo the steps done on its host; what new instances wrote is lost; lsx-net always does this
    #[arg(long)]
    pub(crate) rollback: bool,
}

/// Flags of `up`.
#[derive(Debug, Args)]
pub struct UpArgs<T: Tool> {
    #[command(flatten)]
    pub(crate) stack: StackArgs,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    #[command(flatten)]
    pub(crate) change: ChangeArgs<T>,
    /// When a step fails, undo the steps done on its host; what new instances wrote is lost; lsx-net always does this
    #[arg(long)]
    pub(crate) rollback: bool,
    /// Write the report to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Used by the boot entry: restore this machine, HOST in its stack, from the file STACK that it kept
    #[arg(long = "self", value_name = "HOST", conflicts_with_all = ["only", "offline", "prune", "lock"])]
    pub(crate) myself: Option<String>,
}

/// Flags of `down`.
#[derive(Debug, Args)]
pub struct DownArgs<T: Tool> {
    #[command(flatten)]
    pub(crate) stack: StackArgs,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// Remove the stack NAME from this host, without its document
    #[arg(long = "stack", value_name = "NAME", conflicts_with = "input")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) data: DataArgs<T>,
    /// Write the report to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

/// Flags of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub(crate) stack: StackArgs,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// Flags of `tick`.
#[derive(Debug, Args)]
pub struct TickArgs {
    /// What this host kept of the stack
    #[arg(value_name = "FILE")]
    pub(crate) kept: PathBuf,
    /// The name of this host in the stack
    #[arg(long = "self", value_name = "HOST")]
    pub(crate) myself: String,
}

/// The plan of a document that is changed through `stack.set`, and allows the moves that follow from it.
///
/// # Errors
/// As `plan`.
pub fn plan_moved<T: Tool>(
    tool: &T,
    stack: StackArgs,
    scope: ScopeArgs,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    let change = ChangeArgs { risks: [Risk::Move].into(), ..ChangeArgs::default() };
    let data = DataArgs::default();
    let args = PlanArgs { stack, scope, change, observed: None, exit_code: false, down: false, data };
    plan::run(tool, &args, global, output)
}

/// The verb `observe` under another name.
///
/// # Errors
/// As `observe`.
pub fn observe<T: Tool>(
    tool: &T,
    args: &ObserveArgs,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    observe::run(tool, args, global, output)
}

/// Runs a shared verb of a tool.
///
/// # Errors
/// All failures; they decide the exit code.
pub fn run<T: Tool>(
    tool: &T,
    verb: &Verb<T>,
    global: &Global,
    command: clap::Command,
) -> Result<(), Failures> {
    let output = global.output(T::TABLES);
    match verb {
        Verb::Resolve(args) => resolve::run(args, &output),
        Verb::Observe(args) => observe::run(tool, args, global, &output),
        Verb::Plan(args) => plan::run(tool, args, global, &output),
        Verb::Apply(args) => apply::run(tool, args, global, &output),
        Verb::Up(args) => up::up(tool, args, global, &output),
        Verb::Down(args) => up::down(tool, args, global, &output),
        Verb::Check(args) => here::check(tool, args, global, &output),
        Verb::Schema => resolve::schema(tool, &output),
        Verb::Completions { shell } => crate::cli::completions(*shell, command),
        Verb::Names { words } => {
            let names = crate::offer::names(
                &command,
                T::NAME,
                words,
                &Usual { stack: usual_stack(), kept: KEPT.into() },
            );
            let lines: String = names.into_iter().map(|name| name + "\n").collect();
            Ok(stdio::write(lines.as_bytes())?)
        }
        Verb::Manual => crate::cli::manual(command),
        Verb::Tick(args) => tick::run(tool, args),
        Verb::SuperviseService(args) => service::supervise(tool, args),
        Verb::ServeService(args) => service::serve(tool, args),
        Verb::Agent => host::agent(tool).map_err(Failures::from),
    }
}
