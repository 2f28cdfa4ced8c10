//! The common entry point of every tool: flags, help, exit codes, panics.

use crate::failure::{Failure, Failures, Kind};
use crate::help::{self, Groups};
use crate::stdio::{self, Output};
use crate::table::Columns;
use crate::{complete, log, signal};
use clap::error::ErrorKind;
use clap::{Args, Command, Parser};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Flags of every verb.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Write the result to FILE; a file with the same content is left untouched
    #[arg(short, long, global = true, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print a table instead of JSON
    #[arg(long, global = true)]
    table: bool,
    /// Log format on standard error
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub log: log::Format,
    /// Print only warnings and failures on standard error
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print more details; -vv prints even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Identity file (from age-keygen) that decrypts secrets encrypted by age
    #[arg(long, global = true, value_name = "FILE", env = "LSX_AGE_IDENTITY", hide_env_values = true)]
    age_identity: Option<PathBuf>,
    /// File whose first line is the passphrase that decrypts secrets encrypted by age
    #[arg(long, global = true, value_name = "FILE", env = "LSX_AGE_PASSPHRASE", hide_env_values = true)]
    age_passphrase: Option<PathBuf>,
    /// ssh configuration file
    #[arg(long, global = true, value_name = "FILE", env = "LSX_SSH_CONFIG", hide_env_values = true)]
    pub ssh_config: Option<PathBuf>,
    /// Time limit of each host for the whole verb, such as 90s or 5m; while data is copied, counted from the last progress
    #[arg(long, global = true, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub deadline: Duration,
    /// Folder with tools for hosts of another architecture, such as DIR/aarch64/lsx-net
    #[arg(long, global = true, value_name = "DIR", env = "LSX_TOOLS", hide_env_values = true)]
    pub tools: Option<PathBuf>,
    /// Tests only: every host's process is killed before its nth change
    #[cfg(debug_assertions)]
    #[arg(long, global = true, hide = true, value_name = "N")]
    failpoint: Option<String>,
}

impl Global {
    /// The number of the change before which a host's process is killed; always absent in a release build.
    pub fn failpoint(&self) -> Option<&str> {
        #[cfg(debug_assertions)]
        return self.failpoint.as_deref();
        #[cfg(not(debug_assertions))]
        None
    }

    /// Where a verb writes its documents.
    pub fn output(&self, tables: &'static [Columns]) -> Output {
        Output { path: self.output.clone(), table: self.table, fresh: false, tables }
    }
}

/// Parses a duration: `300ms`, `30s`, `5m`, `1h`.
///
/// # Errors
/// A message that says what is wrong.
pub fn duration(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|e| format!("{e}; write 30s, 5m or 1h"))?;
    if time.is_zero() { Err("the time must not be zero".to_owned()) } else { Ok(time) }
}

/// Runs a tool: parses flags, starts logging, and turns failures into the exit code.
pub fn main<C: Parser>(
    program: &'static str,
    groups: Groups,
    global: impl Fn(&C) -> &Global,
    run: impl FnOnce(&C) -> Result<(), Failures>,
) -> ExitCode {
    panics(program);
    let matches = help::dressed(C::command(), groups).try_get_matches();
    let cli = match matches.and_then(|matches| C::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return usage(program, &error),
    };
    let flags = global(&cli);
    log::begin(program, flags.log, flags.quiet, flags.verbose);
    crate::secret::unlock_with(flags.age_identity.clone(), flags.age_passphrase.clone());
    let result = run(&cli).map_err(|mut failures| {
        crate::verb::hint::remote(&mut failures);
        failures
    });
    crate::live::end();
    let code = result.as_ref().err().map_or(0, Failures::exit);
    if let Err(failures) = &result {
        log::failures(failures);
    }
    signal::raise_again();
    ExitCode::from(code)
}

/// clap exits with 2 on a usage error, which means "differs" here; so it is mapped to 64 (EX_USAGE of sysexits.h).
fn usage(program: &'static str, error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = stdio::write(error.render().to_string().as_bytes());
            ExitCode::SUCCESS
        }
        kind => {
            log::begin(program, wanted_format(std::env::args_os()), false, 0);
            let failure = match kind {
                ErrorKind::MissingSubcommand => Failure::new(Kind::Usage, "usage.verb", "no verb given")
                    .hint(format!("{program} --help lists the verbs")),
                ErrorKind::InvalidSubcommand if asks_what_is_there() => misused(&error.render().to_string())
                    .hint(format!("{program} observe --table lists what exists")),
                _ => misused(&error.render().to_string()),
            };
            log::failures(&failure.into());
            ExitCode::from(Kind::Usage.exit())
        }
    }
}

/// Whether the user typed a verb that lists things in other programs.
fn asks_what_is_there() -> bool {
    let words = ["ls", "ps", "list", "status", "show", "get"];
    std::env::args()
        .skip(1)
        .find(|arg| !arg.starts_with('-'))
        .is_some_and(|verb| words.contains(&verb.as_str()))
}

/// clap's text as one line and a hint: its first paragraph is the message, the others are the hint.
fn misused(text: &str) -> Failure {
    let joined = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut parts = text.split("\n\n").map(joined).filter(|part| !part.is_empty());
    let message = parts.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    let hint = parts.find_map(|p| p.strip_prefix("tip: ").or(p.strip_prefix("Usage: ")).map(str::to_owned));
    let failure = Failure::new(Kind::Usage, "usage", message);
    failure.hint(hint.map_or("see --help".to_owned(), |hint| format!("{hint}; see --help")))
}

/// The log format, looked up by hand because the flags could not be parsed.
fn wanted_format(args: impl Iterator<Item = OsString>) -> log::Format {
    let args: Vec<OsString> = args.take_while(|arg| arg != "--").collect();
    let json = |pair: &[OsString]| pair[0] == "--log" && pair[1] == "json";
    if args.windows(2).any(json) || args.iter().any(|arg| arg == "--log=json") {
        log::Format::Json
    } else {
        log::Format::Text
    }
}

/// A panic is a bug of lsx: it is reported like any failure, and exits with 70 instead of Rust's 101.
fn panics(program: &'static str) {
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
        let what = info.payload().downcast_ref::<&str>().copied();
        let what = what.or_else(|| info.payload().downcast_ref::<String>().map(String::as_str));
        let what = what.unwrap_or("no message");
        log::begin(program, log::Format::Text, false, 0);
        let failure = Failure::new(Kind::Bug, "bug.panic", format!("a bug: {what}"))
            .because(format!("panic at {place}"));
        log::failures(&failure.hint("please report it with the command and the document").into());
        #[expect(clippy::exit, reason = "a panic must exit with 70, not 101")]
        std::process::exit(i32::from(Kind::Bug.exit()));
    }));
}

/// Prints completions for a shell.
///
/// # Errors
/// When standard output cannot be written.
pub fn completions(shell: clap_complete::Shell, command: Command) -> Result<(), Failures> {
    Ok(stdio::write(complete::script(shell, command).as_bytes())?)
}

/// Prints the manual page.
///
/// # Errors
/// When standard output cannot be written.
pub fn manual(command: Command) -> Result<(), Failures> {
    Ok(stdio::write(crate::manual::page(command).as_bytes())?)
}
