//! Logging on standard error: lines for people, or NDJSON.

use crate::failure::{Failure, Failures};
use crate::{live, printable};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// The log format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug)]
struct Settings {
    tool: &'static str,
    format: Format,
    quiet: bool,
    colour: bool,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();
static SEQUENCE: AtomicU64 = AtomicU64::new(0);

/// Sets up logging, once, before anything is printed. `verbose` 1 shows tracing's info level, 2 and more debug.
pub fn begin(tool: &'static str, format: Format, quiet: bool, verbose: u8) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    if format == Format::Text && !quiet {
        live::begin();
    }
    if SETTINGS.set(Settings { tool, format, quiet, colour }).is_ok() && verbose > 0 {
        let level = if verbose > 1 { tracing::Level::DEBUG } else { tracing::Level::INFO };
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Story(level)));
    }
}

/// A log line in JSON.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Event {
    /// Version of this format.
    v: u8,
    /// Time, RFC 3339 in UTC.
    at: String,
    /// Number of the line in this run, from 1.
    seq: u64,
    /// The host; empty if it is about none.
    host: String,
    /// The program.
    tool: &'static str,
    #[serde(flatten)]
    what: What,
}

/// What happened.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
struct What {
    /// The step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// `do` and `undo` of a step, when it has ended; `note`; `warning`; `failure`, always last. `wait` of a step is only
    /// shown on a terminal.
    phase: String,
    /// Whether the step succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ok: Option<bool>,
    /// The reason for the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Its duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    /// Text of a note or a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Logs a step of a host. Text shows what was done; JSON has the whole event.
pub fn event(host: &str, event: Value) {
    let Some(settings) = SETTINGS.get() else { return };
    let what: What = serde_json::from_value(event).unwrap_or_default();
    if what.phase == "wait" {
        return waits(host, &what);
    }
    live::clear(&live_name(host, &what));
    if settings.format == Format::Json {
        let (seq, host) = (SEQUENCE.fetch_add(1, Ordering::Relaxed) + 1, host.to_owned());
        let event = json!(Event { v: 1, at: now(), seq, host, tool: settings.tool, what });
        return say(&printable::json(&event.to_string()));
    }
    let failed = what.ok == Some(false);
    if settings.quiet && !failed {
        return;
    }
    let (step, why) = (what.step.unwrap_or_default(), what.why.unwrap_or_default());
    let undo = if what.phase == "undo" { "undo " } else { "" };
    let (mark, paint) = if failed { ("failed", "31") } else { ("ok", "32") };
    let [host, step, why] = [host, &step, &why].map(printable::line);
    say(&format!("{host}  {}  {undo}{step}  {why}", colour(settings, mark, paint)));
}

fn live_name(host: &str, what: &What) -> String {
    format!("{host} {}", what.step.as_deref().unwrap_or_default())
}

/// Shows what a step waits for as a live line; it is not logged.
fn waits(host: &str, what: &What) {
    let step = what.step.as_deref().unwrap_or_default();
    let name = step.split_once(':').map_or(step, |(_, name)| name);
    let text = format!("{name} ({host}): {}", what.message.as_deref().unwrap_or_default());
    live::set(&live_name(host, what), &text);
}

/// Prints a sentence for people; with JSON an event of phase `note`.
pub fn note(message: &str) {
    let Some(settings) = SETTINGS.get() else { return };
    match settings.format {
        Format::Json => event("", json!({"phase": "note", "message": message})),
        Format::Text if settings.quiet => {}
        Format::Text => say(&format!("{}: {}", settings.tool, printable::message(message))),
    }
}

/// Prints a warning.
pub fn warning(message: &str) {
    let Some(settings) = SETTINGS.get() else { return };
    match settings.format {
        Format::Json => event("", json!({"phase": "warning", "message": message})),
        Format::Text => {
            let message = printable::message(message);
            say(&format!("{}: {} {message}", settings.tool, colour(settings, "warning:", "33")));
        }
    }
}

/// Prints all failures, at the end.
pub fn failures(failures: &Failures) {
    live::end();
    failures.0.iter().for_each(failure);
}

fn failure(failure: &Failure) {
    let tool = SETTINGS.get().map_or("lsx", |s| s.tool);
    match SETTINGS.get().map(|s| s.format) {
        Some(Format::Json) => {
            let host = failure.host.as_deref().unwrap_or_default();
            event(host, json!({"phase": "failure", "ok": false, "failure": failure}));
        }
        _ => say(&format!("{tool}: {}", printable::message(&failure.to_string()))),
    }
}

fn colour(settings: &Settings, text: &str, code: &str) -> String {
    if settings.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// The caller has made the text printable. A write error is ignored.
fn say(line: &str) {
    if live::above(line) {
        return;
    }
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The current time.
#[expect(
    clippy::disallowed_methods,
    reason = "the one clock: of events, tables, timers, images and certificates"
)]
pub fn clock() -> SystemTime {
    SystemTime::now()
}

/// The current time: RFC 3339, UTC, milliseconds.
pub fn now() -> String {
    humantime::format_rfc3339_millis(clock()).to_string()
}

/// The time since `at` (RFC 3339); none when it is invalid or in the future.
pub fn since(at: &str) -> Option<std::time::Duration> {
    let at = humantime::parse_rfc3339_weak(at).ok()?;
    clock().duration_since(at).ok()
}

/// The time that long ago, in the format of [`now`].
pub fn ago(time: std::time::Duration) -> String {
    let then = clock().checked_sub(time).unwrap_or(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_millis(then.max(SystemTime::UNIX_EPOCH)).to_string()
}

/// So many seconds after the beginning of 1970: RFC 3339, UTC. Times after the year 9999 are its end.
pub fn at(seconds: u64) -> String {
    let then = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds.min(253_402_300_799));
    humantime::format_rfc3339_seconds(then).to_string()
}

/// An RFC 3339 time in UTC, in the format of [`now`].
pub fn time(text: &str) -> Option<String> {
    humantime::parse_rfc3339_weak(text).ok().map(|time| humantime::format_rfc3339_millis(time).to_string())
}

/// Forwards tracing's messages, for `-v`.
struct Story(tracing::Level);

impl<S: tracing::Subscriber> Layer<S> for Story {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() > self.0 {
            return;
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        note(&message.0);
    }
}

struct Message(String);

impl tracing::field::Visit for Message {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        use std::fmt::Write as _;
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
