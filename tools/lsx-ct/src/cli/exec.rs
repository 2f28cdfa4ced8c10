//! The verb `exec`: runs a program in instances or on hosts, and prints its output.

use super::act::{Hear, ask};
use super::hear::Teller;
use super::targets::{OnArgs, hosts, no_target, program, targets};
use super::terminal;
use crate::Ct;
use crate::act::{Order, Ran};
use crate::driver::Exec;
use clap::Args;
use common::cli::Global;
use common::stdio::{self, Output};
use common::{Failure, Failures, Kind, log};
use std::time::Duration;

/// Added to a program's time limit for the host.
const MORE: Duration = Duration::from_secs(60);

/// Flags of `exec`.
#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    /// The instance (unless --on or --hosts is given), then the program and its arguments, preferably after --
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
    #[command(flatten)]
    of: OnArgs,
    /// Instances by name or pattern, such as 'web*'; may be repeated
    #[arg(long, value_name = "PATTERN")]
    on: Vec<String>,
    /// Run on the hosts themselves
    #[arg(long, conflicts_with = "on")]
    hosts: bool,
    /// Open a terminal in one instance, also on a remote host: lsx-ct exec -it NAME [PROGRAM]; default: /bin/sh
    #[arg(short, long, conflicts_with_all = ["on", "hosts"])]
    tty: bool,
    /// Print output as it is written, without JSON and size limit; with several instances, lines start with the name
    #[arg(long)]
    plain: bool,
    /// With --plain on a terminal: do not escape control characters, such as colours
    #[arg(long, requires = "plain")]
    raw: bool,
    /// Pass standard input to the program; to each of them when there are several
    #[arg(short, long)]
    interactive: bool,
    /// Number of programs run at the same time on each host
    #[arg(long, value_name = "N", default_value_t = 16)]
    max_parallel: usize,
    /// Kill the program after this time, such as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = common::cli::duration)]
    timeout: Option<Duration>,
    /// Number of programs that must succeed for exit status 0; default: all
    #[arg(long, value_name = "N")]
    quorum: Option<usize>,
    /// User or user:group, by name or number; default: the instance's user, with LXD and Incus root
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Set an environment variable; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Working directory
    #[arg(short, long, value_name = "PATH")]
    workdir: Option<String>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

pub(super) fn exec(tool: &Ct, args: &ExecArgs, global: &Global, output: &Output) -> Result<(), Failures> {
    let mut exec = Exec {
        argv: args.words.clone(),
        env: args.env.to_vec(),
        user: args.user.clone(),
        workdir: args.workdir.clone(),
        input: Vec::new(),
        deadline: args.timeout,
    };
    if args.tty {
        return terminal::open(tool, &args.of, exec, global);
    }
    if args.interactive {
        // Standard input is passed on unchanged; it is not a document.
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut exec.input)
            .map_err(|e| Failure::new(Kind::Failed, "ct.exec.input", e.to_string()))?;
    }
    let mut patterns = args.on.clone();
    if patterns.is_empty() && !args.hosts {
        if exec.argv.len() < 2 {
            return Err(no_target());
        }
        patterns.push(exec.argv.remove(0));
        exec.argv = program(exec.argv)?;
    }
    // The program is limited by --timeout; the host gets some more time.
    let mut global = global.clone();
    let own = args.timeout.map_or(Duration::MAX, |timeout| timeout.saturating_add(MORE));
    global.deadline = global.deadline.max(own);
    let (mut place, targets) = match args.hosts {
        true => hosts(tool, &args.of, &global)?,
        false => targets(tool, &args.of, &patterns, &global)?,
    };
    let order = |targets| Order {
        exec: exec.clone(),
        parallel: args.max_parallel,
        hear: args.plain,
        ..Order::to(targets)
    };
    let teller = Teller::new(&targets, args.raw);
    let hear = |host: &str, event| teller.piece(host, event);
    let hear: Option<Hear<'_>> = args.plain.then_some(&hear);
    let (ran, failed) = ask(&mut place, "exec", targets, order, |r: &mut Ran, host| r.host = host, hear);
    let (all, well) = (ran.len(), ran.iter().filter(|r| r.ok).count());
    match (args.plain, output.on_terminal() && !output.table) {
        (true, _) => teller.end(&ran)?,
        (_, true) => plainly(&ran)?,
        _ => output.emit(&ran)?,
    }
    let wanted = args.quorum.unwrap_or(all);
    verdict(well, all, wanted, args.quorum.is_some(), failed)
}

/// With --quorum, a host that does not answer counts as one whose programs failed.
fn verdict(
    well: usize,
    all: usize,
    wanted: usize,
    quorum: bool,
    mut failed: Failures,
) -> Result<(), Failures> {
    let enough = well >= wanted && all > 0;
    if enough && quorum {
        failed.0.iter().for_each(|failure| log::warning(&failure.to_string()));
        return Ok(());
    }
    if !enough && (all > 0 || failed.0.is_empty()) {
        let message = match all {
            0 => "nothing was run: no selected instance is on a host that takes part".to_owned(),
            _ => format!("{well} of {all} succeeded, {wanted} required"),
        };
        failed.0.push(Failure::new(Kind::Failed, "ct.exec.quorum", message));
    }
    failed.verdict()
}

/// The output of programs on a terminal; with several, each line starts with the name.
fn plainly(ran: &[Ran]) -> Result<(), Failure> {
    let name = |ran: &Ran| if ran.instance.is_empty() { ran.host.clone() } else { ran.instance.clone() };
    let width = ran.iter().map(|ran| name(ran).chars().count()).max().unwrap_or(0);
    for one in ran {
        let text = [one.stdout.as_str(), one.stderr.as_str()].concat();
        let text = match ran {
            [_] => text,
            _ => text.lines().map(|line| format!("{:width$}  {line}\n", name(one))).collect(),
        };
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        stdio::program(format!("{text}{end}").as_bytes(), false)?;
    }
    Ok(())
}
