//! The verb `exec`: a program in instances or on hosts, and what it wrote.

use super::act::{Hear, OnArgs, ask};
use super::hear::Teller;
use super::targets::{hosts, targets};
use super::terminal;
use crate::Ct;
use crate::act::{Order, Ran};
use crate::driver::Exec;
use clap::Args;
use common::cli::Global;
use common::stdio::{self, Output};
use common::{Failure, Failures, Kind};
use std::time::Duration;

/// How much longer than a program a host may take.
const MORE: Duration = Duration::from_secs(60);

/// Flags of `exec`.
#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    /// Without --on and --hosts: the instance; then the program and its arguments, best behind --
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
    #[command(flatten)]
    of: OnArgs,
    /// Instances by name or pattern, as 'web*'; may be given several times
    #[arg(long, value_name = "PATTERN")]
    on: Vec<String>,
    /// On the hosts themselves
    #[arg(long, conflicts_with = "on")]
    hosts: bool,
    /// A terminal in one instance, also from another machine with --stack: lsx-ct exec -it NAME, then a program or /bin/sh
    #[arg(short, long, conflicts_with_all = ["on", "hosts"])]
    tty: bool,
    /// Only what is written, while it is, without JSON and without a limit; of several instances with their names in front
    #[arg(long)]
    plain: bool,
    /// With --plain on a terminal: control characters as they were written, such as colours
    #[arg(long, requires = "plain")]
    raw: bool,
    /// Standard input goes to the program; to each of them, when there are several
    #[arg(short, long)]
    interactive: bool,
    /// How many at once on a host
    #[arg(long, value_name = "N", default_value_t = 16)]
    max_parallel: usize,
    /// After this a program is killed, as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = common::cli::duration)]
    timeout: Option<Duration>,
    /// How many must succeed for exit 0; absent: all
    #[arg(long, value_name = "N")]
    quorum: Option<usize>,
    /// User or user:group, by name or number; absent: the instance's own, in LXD and Incus root
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Environment, as NAME=VALUE
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Folder it starts in
    #[arg(short, long, value_name = "PATH")]
    workdir: Option<String>,
}

pub(super) fn exec(tool: Ct, args: &ExecArgs, global: &Global, output: &Output) -> Result<(), Failures> {
    let env = args.env.iter().filter_map(|e| e.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
    let mut exec = Exec {
        argv: args.words.clone(),
        env: env.collect(),
        user: args.user.clone(),
        workdir: args.workdir.clone(),
        input: Vec::new(),
        deadline: args.timeout,
    };
    if args.tty {
        return terminal::open(tool, &args.of, exec, global);
    }
    if args.interactive {
        // Any bytes, or none: this is no document.
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut exec.input)
            .map_err(|e| Failure::new(Kind::Failed, "ct.exec.input", e.to_string()))?;
    }
    let mut patterns = args.on.clone();
    if patterns.is_empty() && !args.hosts {
        if exec.argv.len() < 2 {
            return Err(no_target());
        }
        patterns.push(exec.argv.remove(0));
        exec.argv = exec.argv.into_iter().skip_while(|word| word == "--").collect();
    }
    // A program has the time that --timeout gives it; a host has some more.
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
    let ran: Vec<Ran> = ask(&mut place, "exec", targets, order, |r: &mut Ran, host| r.host = host, hear)?;
    let (all, well) = (ran.len(), ran.iter().filter(|r| r.ok).count());
    match (args.plain, output.on_terminal() && !output.table) {
        (true, _) => teller.end(&ran)?,
        (_, true) => plainly(&ran)?,
        _ => output.emit(&ran)?,
    }
    let wanted = args.quorum.unwrap_or(all);
    if well >= wanted && all > 0 {
        return Ok(());
    }
    let message = format!("{well} of {all} ended well, {wanted} were wanted");
    Err(Failure::new(Kind::Failed, "ct.exec.quorum", message).into())
}

/// What programs wrote, for a person who looks: of several with the name of each in front.
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

pub(super) fn no_target() -> Failures {
    Failure::new(Kind::Usage, "usage.on", "exec needs to know where")
        .hint("an instance and a program, as: exec db date; --on 'web*' for several, --hosts for hosts, -t NAME for a terminal")
        .into()
}
