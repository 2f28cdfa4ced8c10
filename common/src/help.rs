//! The help text: verbs in groups, and global options only once.

use clap::Command;
use std::fmt::Write as _;

/// Headings, and the verbs below each. A verb in no group belongs to the second, the tool's own verbs.
pub type Groups = &'static [(&'static str, &'static [&'static str])];

/// The command as its help shows it. Verbs are hidden from clap's own list, which has no groups.
pub(crate) fn dressed(mut command: Command, groups: Groups) -> Command {
    command.build();
    let name = command.get_name().to_owned();
    let usage = format!("{name} [OPTION]... VERB [ARGUMENT]...");
    let list = list(&command, groups);
    let hint = format!("Global options: {name} --help");
    // clap's own template, with our list of verbs.
    let template =
        format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}{{all-args}}{{after-help}}");
    command = command.override_usage(usage).help_template(template);
    command.mut_subcommands(|verb| plain(verb, &hint).hide(true))
}

/// A verb without the global options.
fn plain(verb: Command, hint: &str) -> Command {
    let verb = verb.mut_args(|arg| {
        let global = arg.is_global_set();
        if global { arg.hide(true) } else { arg }
    });
    verb.after_help(hint.to_owned()).mut_subcommands(|inner| plain(inner, hint))
}

fn list(command: &Command, groups: Groups) -> String {
    let verbs: Vec<&Command> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
    let width = verbs.iter().map(|verb| verb.get_name().len()).max().unwrap_or_default();
    let group = |verb: &Command| {
        let known = groups.iter().position(|(_, names)| names.contains(&verb.get_name()));
        known.unwrap_or(1.min(groups.len().saturating_sub(1)))
    };
    let mut list = String::new();
    for (i, (heading, names)) in groups.iter().enumerate() {
        let mut below: Vec<&&Command> = verbs.iter().filter(|verb| group(verb) == i).collect();
        let place =
            |verb: &Command| names.iter().position(|name| *name == verb.get_name()).unwrap_or(usize::MAX);
        below.sort_by_key(|verb| place(verb));
        if below.is_empty() {
            continue;
        }
        let _ = writeln!(list, "{heading}:");
        for verb in below {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(list, "  {:width$}  {about}", verb.get_name());
        }
        list.push('\n');
    }
    list.replace('{', "(").replace('}', ")")
}
