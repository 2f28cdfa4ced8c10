//! Generates the manual page of a tool from its flags, so that help and manual agree.

use clap::{Arg, ArgAction, Command};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A flag that at least this many verbs have is described once.
const SHARED: usize = 2;

/// The leading `//!` lines of a tool's `lib.rs`: the DESCRIPTION in help and manual.
pub fn description(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let paragraphs = lines.collect::<Vec<_>>().join("\n");
    let joined = paragraphs.split("\n\n").map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "));
    joined.collect::<Vec<_>>().join("\n\n")
}

/// The text after the flags in a tool's help: the exit status, which all tools share (lsx(7)), and the tool's own text.
pub fn ending(own: &str) -> String {
    format!("{EXIT}\n{CODES}{own}")
}

const EXIT: &str = "\
Exit status:
  0   success, or nothing to do
  1   failure; standard error says why
  2   differences found by check or plan --exit-code
  64  usage error: wrong flags or arguments
  65  the document is malformed or invalid
  66  no input document
  69  a host or service cannot be reached
  70  a bug of lsx
  75  temporary failure, try again: another run holds the lock, or the plan is stale
  77  permission denied
";

/// Failure codes that a script may want to distinguish; those of the tool follow.
const CODES: &str = "\
Failure codes:
  usage             wrong flags; usage.* is more specific: 64
  document.empty    the input is empty, as after a failed program in a pipe: 66
  document.missing  no such file: 66
  document.schema   not the document that is expected here, or one of a newer lsx: 65
  fleet.unreachable  a host cannot be reached: 69
  fleet.hostkey     the host key is unknown or has changed: 69
  fleet.login       the host refuses the login: 77
  fleet.sudo        the login may not use sudo without a password: 77
  fleet.deadline    a host took longer than --deadline: 69 before it was reached, 1 after
  host.locked       another run holds the lock: 75
  plan.stale        the host has changed since the plan was made: 75
  plan.differs      plan --exit-code found something to do: 2
  plan.unverified   all steps are done, but the host still differs: 1
";

/// The page in the format of man(7): NAME, SYNOPSIS, DESCRIPTION, VERBS, OPTIONS, and the sections of the tool's
/// `after_long_help`: a line that ends with a colon is a heading, indented lines below it are its text.
pub(crate) fn page(mut command: Command) -> String {
    command.build();
    let name = command.get_name().to_owned();
    let version = command.get_version().unwrap_or_default();
    let mut page = format!(".TH {} 1 \"\" \"lsx {}\" lsx\n", escape(&name.to_uppercase()), escape(version));
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, ".SH NAME\n{} \\- {}\n", escape(&name), escape(&about));
    let _ = write!(
        page,
        ".SH SYNOPSIS\n.B {}\n.I VERB\n[\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...\n",
        escape(&name)
    );
    page += ".SH DESCRIPTION\n";
    prose(&command.get_long_about().map_or(about, ToString::to_string), &mut page);
    let shown = |c: &&Command| !c.is_hide_set() && c.get_name() != "help";
    let verbs: Vec<&Command> = command.get_subcommands().filter(shown).collect();
    let all: Vec<&Command> = verbs
        .iter()
        .flat_map(|verb| std::iter::once(*verb).chain(verb.get_subcommands().filter(shown)))
        .collect();
    let shared = shared(&all);
    page += ".SH VERBS\n";
    for verb in &verbs {
        section(&name, verb.get_name(), verb, &shared, &mut page);
        let inner = verb.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help");
        for inner in inner {
            let path = format!("{} {}", verb.get_name(), inner.get_name());
            section(&name, &path, inner, &shared, &mut page);
        }
    }
    page += ".SH OPTIONS\nUsed by several verbs; the synopsis of each verb lists its own:\n";
    shared.values().for_each(|arg| option(arg, &mut page));
    page += ".PP\nGlobal options:\n";
    command.get_arguments().filter(|arg| !arg.is_hide_set()).for_each(|arg| option(arg, &mut page));
    after(&command.get_after_long_help().map(ToString::to_string).unwrap_or_default(), &mut page);
    page
}

/// One verb: its synopsis, what it does, and the flags that are not described under OPTIONS.
fn section(tool: &str, path: &str, verb: &Command, shared: &Shared<'_>, page: &mut String) {
    let _ = write!(page, ".SS {0}\n\\fB{1} {0}\\fR", escape(path), escape(tool));
    for arg in own(verb) {
        let dots = if many(arg) { "..." } else { "" };
        let (open, close) = if arg.is_required_set() { ("", "") } else { ("[", "]") };
        let _ = write!(page, " {open}{}{close}{dots}", usage(arg));
    }
    page.push_str("\n.PP\n");
    prose(&verb.get_long_about().or(verb.get_about()).map(ToString::to_string).unwrap_or_default(), page);
    own(verb).filter(|arg| !shared.contains_key(&key(arg))).for_each(|arg| option(arg, page));
}

/// The flags of a verb without the global ones; positional arguments come last.
fn own(verb: &Command) -> impl Iterator<Item = &Arg> {
    let mine = |arg: &&Arg| !arg.is_global_set() && !arg.is_hide_set() && arg.get_id() != "help";
    let flags = verb.get_arguments().filter(|arg| !arg.is_positional());
    flags.chain(verb.get_arguments().filter(|arg| arg.is_positional())).filter(mine)
}

/// Flags by name, help and default: two verbs may use one name for different things.
type Shared<'a> = BTreeMap<(&'a str, String), &'a Arg>;

fn key(arg: &Arg) -> (&str, String) {
    let defaults: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
    (arg.get_id().as_str(), format!("{}{}", help(arg), defaults.join(" ")))
}

fn shared<'a>(verbs: &[&'a Command]) -> Shared<'a> {
    let all = || verbs.iter().flat_map(|verb| own(verb));
    let often = |arg: &&Arg| all().filter(|other| key(other) == key(arg)).count() >= SHARED;
    all().filter(often).map(|arg| (key(arg), arg)).collect()
}

fn many(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append | ArgAction::Count)
}

/// A flag as it is written: `--set KEY=VALUE`.
fn usage(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default().iter().map(|n| format!("\\fI{}\\fR", escape(n)));
    let takes = arg.is_positional() || arg.get_action().takes_values();
    let value = if takes { names.collect::<Vec<_>>().join(" ") } else { String::new() };
    let short = arg.get_short().map(|c| format!("\\fB\\-{c}\\fR"));
    let long = arg.get_long().map(|l| format!("\\fB\\-\\-{}\\fR", escape(l)));
    let flags = [short, long].into_iter().flatten().collect::<Vec<_>>().join(", ");
    [flags, value].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn help(arg: &Arg) -> String {
    arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default()
}

fn option(arg: &Arg, page: &mut String) {
    let _ = write!(page, ".TP\n{}\n{}", usage(arg), line(&help(arg)));
    let values = arg.get_possible_values();
    if !values.is_empty() && arg.get_action().takes_values() {
        let words: Vec<String> = values.iter().map(|v| format!("\\fB{}\\fR", escape(v.get_name()))).collect();
        let _ = write!(page, ": {}", words.join(", "));
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        let _ = write!(page, "; default: {}", escape(&defaults.join(" ")));
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(page, "; environment: {}", escape(&variable.to_string_lossy()));
    }
    page.push('\n');
}

/// Paragraphs, with empty lines between them.
fn prose(text: &str, page: &mut String) {
    let paragraphs: Vec<String> = text.split("\n\n").map(line).collect();
    page.push_str(&paragraphs.join("\n.PP\n"));
    page.push('\n');
}

/// The sections after the flags. A row of two columns becomes a tagged paragraph, anything else is printed unchanged.
fn after(text: &str, page: &mut String) {
    let mut literal = false;
    for row in text.lines().filter(|row| !row.trim().is_empty()) {
        let heading = row.strip_suffix(':').filter(|_| !row.starts_with(' '));
        let columns = row.trim().split_once("  ").filter(|(term, _)| !term.starts_with("lsx"));
        let wanted = heading.is_none() && columns.is_none();
        if literal != wanted {
            page.push_str(if wanted { ".nf\n" } else { ".fi\n" });
            literal = wanted;
        }
        match (heading, columns) {
            (Some(heading), _) => {
                let _ = writeln!(page, ".SH {}", escape(&heading.to_uppercase()));
            }
            (None, Some((term, rest))) => {
                let _ = write!(page, ".TP\n\\fB{}\\fR\n{}\n", escape(term), line(rest));
            }
            (None, None) => {
                let _ = writeln!(page, "{}", escape(row.trim_start()));
            }
        }
    }
    if literal {
        page.push_str(".fi\n");
    }
}

/// One line of running text.
fn line(text: &str) -> String {
    escape(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Escapes text for roff: backslashes, dashes, and a leading dot or quote.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page() {
        let verb = || {
            Command::new("up")
                .about("Makes it so")
                .arg(Arg::new("set").long("set").value_name("KEY=VALUE").help("Sets"))
        };
        let more = ["down", "plan"].map(|name| verb().name(name));
        let all = Command::new("lsx-x")
            .version("1")
            .about("Does x")
            .subcommands(more)
            .subcommand(verb())
            .subcommand_required(true);
        let page = page(all.after_long_help("Files:\n  /etc/x  settings\n\nExamples:\n  lsx-x up -"));
        for part in [
            "lsx\\-x \\- Does x\n",
            ".SS up\n\\fBlsx\\-x up\\fR [\\fB\\-\\-set\\fR \\fIKEY=VALUE\\fR]\n.PP\nMakes it so\n",
            ".SH FILES\n.TP\n\\fB/etc/x\\fR\nsettings\n",
            ".SH EXAMPLES\n.nf\nlsx\\-x up \\-\n.fi\n",
        ] {
            assert!(page.contains(part), "{part:?} is not in\n{page}");
        }
        assert_eq!(page.matches("Sets").count(), 1);
    }

    #[test]
    fn a_description_is_the_head_of_the_source() {
        assert_eq!(description("//! One\n//! two.\n//!\n//! Three.\n\nuse x;\n//! no"), "One two.\n\nThree.");
    }
}
