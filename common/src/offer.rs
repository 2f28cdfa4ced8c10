//! Names for completions of a command line: of the stack, or without one of what is on this host.

mod here;

use crate::stack::{self, ReadOptions, Stack};
use crate::stdio;
use clap::{Arg, Command};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Verbs of `lsx` that have another name in the tools.
const OTHERWISE: (&str, &str) = ("status", "observe");

/// Where names come from when the command line does not say it.
#[derive(Clone, Debug)]
pub struct Usual {
    /// The default stack.
    pub stack: Option<PathBuf>,
    /// The folder of what tools keep on this host.
    pub kept: PathBuf,
}

/// Completions of the last of `words`, which follow the program's name. `tool` is the word for this program in `lsx`.
pub fn names(command: &Command, tool: &str, words: &[String], usual: &Usual) -> Vec<String> {
    let Some((current, before)) = words.split_last() else { return Vec::new() };
    let Some(asked) = asked(command, tool, before) else { return Vec::new() };
    let colon = |names: Vec<String>| names.into_iter().map(|name| format!("{name}:")).collect();
    let found = match (asked.kind, asked.file.as_ref().or(usual.stack.as_ref())) {
        (NameKind::Stacks, _) => here::stacks(&usual.kept),
        (kind, Some(file)) => {
            let Some(stack) = read(file) else { return Vec::new() };
            match kind {
                NameKind::Hosts => known(&stack, "hosts"),
                NameKind::Instances => known(&stack, "instances"),
                NameKind::Places => colon(known(&stack, "instances")),
                NameKind::Parts => parts(&stack, current),
                NameKind::Stacks => Vec::new(),
            }
        }
        (NameKind::Instances, None) if asked.here => here::instances(&usual.kept),
        (NameKind::Places, None) if asked.here => colon(here::instances(&usual.kept)),
        (_, None) => Vec::new(),
    };
    found.into_iter().filter(|name| name.starts_with(current.as_str())).collect()
}

/// The kind of names at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameKind {
    Hosts,
    Instances,
    /// An instance, and a path in it.
    Places,
    /// Parts for `--only`.
    Parts,
    /// Stacks of this host.
    Stacks,
}

#[derive(Debug)]
struct Asked {
    kind: NameKind,
    file: Option<PathBuf>,
    /// Whether the verb works on this host without a stack.
    here: bool,
}

/// The kind of the next name, and its stack.
fn asked(command: &Command, tool: &str, before: &[String]) -> Option<Asked> {
    let mut words = before.iter().map(String::as_str).peekable();
    let mut file = words.next_if_eq(&"-f").and_then(|_| words.next()).map(PathBuf::from);
    let _ = words.next_if_eq(&tool);
    let word = words.by_ref().find(|word| !word.starts_with('-'))?;
    let word = if word == OTHERWISE.0 { OTHERWISE.1 } else { word };
    let verb = command.find_subcommand(word)?;
    let positionals: Vec<&Arg> = verb.get_positionals().collect();
    let (mut waits, mut place, mut given) = (None, 0, BTreeSet::new());
    for word in words {
        if let Some(flag) = waits.take() {
            if named(flag, "FILE") && flag.get_id() == "stack" {
                file = Some(word.into());
            }
            continue;
        }
        let Some(rest) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
            if positionals.get(place).is_some_and(|arg| named(arg, "STACK")) {
                file = Some(word.into());
            }
            place += 1;
            continue;
        };
        let flag = flag(command, verb, rest)?; // none for --, too: later words belong to a program
        given.insert(flag.get_id().as_str());
        waits = Some(flag).filter(|flag| flag.get_action().takes_values() && !word.contains('='));
    }
    let kind = match waits {
        Some(flag) => of_flag(flag),
        None => of_place(verb, &positionals, place, &given),
    };
    let has = |id: &str| verb.get_arguments().any(|arg| arg.get_id() == id);
    Some(Asked { kind: kind?, file, here: has("stack") && has("only") })
}

/// The flag of a word without its first dash.
fn flag<'a>(command: &'a Command, verb: &'a Command, rest: &str) -> Option<&'a Arg> {
    let name = rest.strip_prefix('-').map(|long| long.split('=').next().unwrap_or(long));
    let is = |arg: &&Arg| match name {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short() == rest.chars().last(),
    };
    verb.get_arguments().chain(command.get_arguments()).find(is)
}

fn of_flag(flag: &Arg) -> Option<NameKind> {
    match flag.get_id().as_str() {
        _ if named(flag, "HOST") => Some(NameKind::Hosts),
        _ if named(flag, "PARTS") => Some(NameKind::Parts),
        _ if named(flag, "NAME") && flag.get_long() == Some("stack") => Some(NameKind::Stacks),
        "on" | "instance" => Some(NameKind::Instances),
        _ => None,
    }
}

fn of_place(verb: &Command, positionals: &[&Arg], place: usize, given: &BTreeSet<&str>) -> Option<NameKind> {
    // The last argument may be repeated, except words of a program.
    let program = verb.get_name() == "exec";
    let arg = positionals.get(place).or(positionals.last().filter(|_| !program))?;
    let again =
        place < positionals.len() || arg.get_action().takes_values() && arg.get_num_args()?.max_values() > 1;
    let named = |what| named(arg, what);
    match () {
        () if !again => None,
        () if program => (!given.contains("on") && !given.contains("hosts")).then_some(NameKind::Instances),
        () if named("NAME") => Some(NameKind::Instances),
        () if named("HOST") => Some(NameKind::Hosts),
        () if named("FROM") || named("TO") => Some(NameKind::Places),
        () => None,
    }
}

fn named(arg: &Arg, name: &str) -> bool {
    arg.get_value_names().is_some_and(|names| names.iter().any(|one| one == name))
}

/// No failure for an unreadable stack: the user is typing.
fn read(path: &Path) -> Option<Stack> {
    let (text, name) = stdio::read(Some(path).filter(|path| path.is_file())).ok()?;
    stack::read(&text, &name, &ReadOptions::default()).ok().map(|(stack, _)| stack)
}

fn known(stack: &Stack, section: &str) -> Vec<String> {
    stack::known(stack, section).into_iter().collect()
}

/// `networks.test`, after the text before the last comma.
fn parts(stack: &Stack, current: &str) -> Vec<String> {
    let first = current.rsplit_once(',').map(|(first, _)| format!("{first},")).unwrap_or_default();
    let section = |section: &'static str| {
        let first = first.clone();
        known(stack, section).into_iter().map(move |name| format!("{first}{section}.{name}"))
    };
    ["hosts", "instances", "networks"].into_iter().flat_map(section).collect()
}

#[cfg(test)]
mod tests;
