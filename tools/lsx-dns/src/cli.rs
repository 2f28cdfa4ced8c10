//! The flags of lsx-dns, and which function each verb is.

mod explain;
mod update;

use crate::model::Counted;
use crate::query::{self, Order};
use crate::{Dns, PROGRAM, boot, dhcp, key, observe, shown};
use clap::{Args, CommandFactory, Parser, Subcommand};
use common::cli::Global;
use common::tool::Tool as _;
use common::verb::{self, ScopeArgs, StackArgs};
use common::{Failure, Failures, Kind};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Names of a stack, answered on its gateways
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
    Shared(Box<verb::Verb<Dns>>),
    /// Show what the server of a stack on this host has answered
    Counts(CountsArgs),
    /// Ask for a name as an instance does, and compare the answer with what the document says
    Query(Box<QueryArgs>),
    /// Change names by an update that is signed with a key, if what has to be there is
    Update(Box<update::UpdateArgs>),
    /// Print the key of a client of `dns.update`, as a file for nsupdate -k
    Key(KeyArgs),
    /// Show the leases of DHCP
    Leases(LeasesArgs),
    /// Let machines boot by the network again, with `dns.boot.once`; without one, show which have booted
    Boot(BootArgs),
    /// Show which lines of the stack file give an answer or hide it, or what DHCP gives a client; asks nobody
    Explain(explain::ExplainArgs),
    /// Print a zone file, for another server of names, as a network sees the zone
    Zone(ZoneArgs),
    /// Print a hosts file for the instances of a network
    Hosts(HostsArgs),
    /// Show what the server of a host is given: program, arguments and files
    Render(RenderArgs),
}

/// Flags of `render`.
#[derive(Debug, Args)]
struct RenderArgs {
    /// The host; default: the first one that serves names
    #[arg(value_name = "HOST")]
    host: Option<String>,
    /// The stack file; default: a document from a pipe, else $LSX_STACK, else ./stack.yaml
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
}

/// Flags of `zone`.
#[derive(Debug, Args)]
struct ZoneArgs {
    /// The zone, such as `internal` or `0.104.10.in-addr.arpa`; default: the domain of the stack
    #[arg(value_name = "ZONE")]
    zone: Option<String>,
    /// The network whose instances see it so; default: the first one with a name server
    #[arg(long, value_name = "NETWORK")]
    from: Option<String>,
    /// The serial number, which has to rise with each change
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    serial: u32,
    /// The stack file; default: a document from a pipe, else $LSX_STACK, else ./stack.yaml
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
}

/// Flags of `hosts`.
#[derive(Debug, Args)]
struct HostsArgs {
    /// The network; default: the first one with a name server
    #[arg(value_name = "NETWORK")]
    network: Option<String>,
    /// The stack file; default: a document from a pipe, else $LSX_STACK, else ./stack.yaml
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
}

/// Flags of `query`.
#[derive(Debug, Args)]
struct QueryArgs {
    /// The name; of an address its reverse name
    name: String,
    /// The type of records: A, SRV, PTR, ...; default: A, of an address PTR
    #[arg(value_name = "TYPE")]
    kind: Option<String>,
    /// The instance that asks, or a network, of which the first instance asks; default: the first instance with a name server
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
    /// Ask by TCP
    #[arg(long)]
    tcp: bool,
    /// The stack file; default: a document from a pipe, else $LSX_STACK, else ./stack.yaml
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Flags of `key`.
#[derive(Debug, Args)]
struct KeyArgs {
    /// The client; `transfer`: the servers of `dns.transfer`
    name: String,
    /// The stack file; default: a document from a pipe, else $LSX_STACK, else ./stack.yaml
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
}

/// Flags of `leases`.
#[derive(Debug, Args)]
struct LeasesArgs {
    #[command(flatten)]
    stack: StackArgs,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Flags of `boot`.
#[derive(Debug, Args)]
struct BootArgs {
    /// Hardware addresses, or names of `dns.dhcp.*.reserve`
    #[arg(value_name = "MACHINE")]
    machines: Vec<String>,
    /// The stack file; default: a document from a pipe, else $LSX_STACK, else ./stack.yaml
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Flags of `counts`.
#[derive(Debug, Args)]
struct CountsArgs {
    /// Name of the stack
    #[arg(value_name = "NAME")]
    stack: String,
    /// Print text for Prometheus, such as for the textfile collector of its node exporter
    #[arg(long, conflicts_with = "table")]
    prometheus: bool,
}

/// What the library says of itself at its head.
fn description() -> String {
    common::manual::description(include_str!("lib.rs"))
}

const AFTER: &str =
    "  dns.booted        dns.boot.once is not in the document: 64; the journal of boots cannot be written: 1, or is not read yet: 75
  dns.bootfile      with `check`: an instance gets no boot file: 2
  dns.changes       a document is not the changes of an update: 65
  dns.key           a secret or a file is no key for signed updates: 65
  dns.lease         no network has DHCP, or with `check`: its server offers no address, or there is another one: 1, 2
  dns.metadata      with `check`: an instance is not told who it is, or something else: 2
  dns.metadata.*    a file of metadata is missing, or there are too many: 65
  dns.plan.boot     a volume on another host than the DHCP server: 65
  dns.plan.driver   the driver cannot do what the document says, at the place that is named: 65
  dns.plan.update   servers on several hosts have no common key, or names of clients would be lost: 65
  dns.query         a name is answered otherwise than the document says: 2; nobody answers: 1
  dns.serve         a server cannot serve; this is in its log: 1
  dns.update        a server refuses an update: 77, has not what has to be there: 2, cannot write: 75, does not answer: 69, or else: 1
  host.service      a service does not start, with the last lines of its log: 1
  stack.*           the stack file is invalid, at the place that is named: 65

Files:
  /etc/lsx/STACK/dns.json            on each host with a server: desired state, restored after a reboot
  /etc/lsx/boot.d/40-STACK-dns       on each host with a server: restores it after a reboot
  /run/lsx/STACK/dns/                on each host with a server: its definition, state and socket
  /var/lib/lsx/dns/STACK/            on each host with a server: its log, and the journal of updates
  /var/lib/lsx/secrets/STACK/dns/    on each host with a server: the keys of clients, and the files that instances are told
  /var/lib/lsx/dns/STACK/data/       on each host with a DHCP server: leases, and who has booted; down keeps them, unless --destroy-data is given

Examples:
  lsx-net up office.yaml | lsx-dns up
  lsx-dns plan office.yaml --table
  lsx-dns check office.yaml --table
  lsx-dns observe --table
  lsx-dns query web.production.internal --from storage --stack office.yaml --table
  lsx-dns explain db.storage.internal --from production --stack office.yaml --table
  lsx-dns explain 02:00:5e:00:53:01 --from production --stack office.yaml --table
  lsx-dns zone internal --from production --stack office.yaml -o internal.zone
  lsx-dns hosts production --stack office.yaml
  lsx-dns render h1 --stack office.yaml
  lsx-dns leases office.yaml --table
  lsx-dns boot 02:00:5e:00:53:01 --stack office.yaml --table
  lsx-dns counts office --prometheus
  lsx-dns update --client desk --stack office.yaml 'add printer.internal 300 A 10.104.0.9'
  lsx-dns update --key site.key --server 192.0.2.53 'unless new.example.org' 'add new.example.org A 192.0.2.7'
  lsx-dns key certbot --stack office.yaml >certbot.key
  lsx-dns down office.yaml

See also:
  lsx(7), lsx-net(1), lsx-stack(5), lsx-json(5)";

/// Verbs as help shows them.
const GROUPS: common::help::Groups = &[
    (
        "Verbs for a stack",
        &[
            "resolve", "plan", "up", "check", "query", "leases", "explain", "zone", "hosts", "render",
            "update", "key", "boot", "down", "apply", "observe",
        ],
    ),
    ("Verbs for a server", &["counts"]),
    ("Other verbs", &["schema", "completions", "help"]),
];

/// Runs the tool.
pub fn main() -> ExitCode {
    common::cli::main::<Cli>(PROGRAM, GROUPS, |cli| &cli.global, run)
}

fn run(cli: &Cli) -> Result<(), Failures> {
    match &cli.verb {
        Verb::Shared(verb) => verb::run(&Dns, verb, &cli.global, Cli::command()),
        Verb::Query(args) => query(args, &cli.global),
        Verb::Explain(args) => explain::run(args, &cli.global),
        Verb::Update(args) => update::run(args, &cli.global),
        Verb::Zone(args) => {
            let (zone, from) = (args.zone.as_deref(), args.from.as_deref());
            let text = shown::zone(&named(args.stack.as_ref()), zone, from, args.serial)?;
            Ok(cli.global.output(Dns::TABLES).text(&text)?)
        }
        Verb::Hosts(args) => {
            let text = shown::hosts(&named(args.stack.as_ref()), args.network.as_deref())?;
            Ok(cli.global.output(Dns::TABLES).text(&text)?)
        }
        Verb::Render(args) => {
            let rendered = shown::render(&named(args.stack.as_ref()), args.host.as_deref())?;
            Ok(cli.global.output(Dns::TABLES).emit(&[rendered])?)
        }
        Verb::Leases(args) => leases(args, &cli.global),
        Verb::Boot(args) => {
            let stack = named(args.stack.as_ref());
            let machines = boot::asked(&args.machines, &stack, &args.scope, &cli.global)?;
            Ok(cli.global.output(Dns::TABLES).emit(&[&machines])?)
        }
        Verb::Counts(args) => counts(args, &cli.global),
        Verb::Key(args) => {
            let stack = StackArgs { input: args.stack.clone(), ..StackArgs::default() };
            let key = key::of(&args.name, &verb::read_stack(&stack)?.0, &stack)?;
            Ok(cli.global.output(Dns::TABLES).text(&key.text())?)
        }
    }
}

fn leases(args: &LeasesArgs, global: &Global) -> Result<(), Failures> {
    let leases = dhcp::asked(&args.stack, &args.scope, global)?;
    Ok(global.output(Dns::TABLES).emit(&[&leases])?)
}

fn counts(args: &CountsArgs, global: &Global) -> Result<(), Failures> {
    let counted = Counted::new(&args.stack, observe::counts(&args.stack)?);
    let output = global.output(Dns::TABLES);
    let shown = if args.prometheus { output.text(&counted.prometheus()) } else { output.emit(&[counted]) };
    Ok(shown?)
}

/// The flags of verbs that only name the stack's file.
fn named(file: Option<&PathBuf>) -> StackArgs {
    StackArgs { input: file.cloned(), ..StackArgs::default() }
}

/// The type that is asked for if none is named.
fn usual<'a>(name: &str, kind: Option<&'a str>) -> &'a str {
    kind.unwrap_or(if name.parse::<Ipv4Addr>().is_ok() { "PTR" } else { "A" })
}

fn query(args: &QueryArgs, global: &Global) -> Result<(), Failures> {
    let order = Order {
        name: &args.name,
        kind: usual(&args.name, args.kind.as_deref()),
        from: args.from.as_deref(),
        tcp: args.tcp,
    };
    let stack = named(args.stack.as_ref());
    let queried = query::run(&order, &stack, &args.scope, global)?;
    global.output(Dns::TABLES).emit(&[&queried])?;
    if queried.same != Some(false) {
        return Ok(());
    }
    let message = format!("{} gets another answer for {} than the document says", queried.from, queried.name);
    Err(Failure::new(Kind::Differs, "dns.query", message).hint("run `lsx-dns up`, then look again").into())
}
