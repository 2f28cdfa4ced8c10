//! A plan in readable form: a line for each entry of the document that changes, and totals.

use super::fields::fields;
use super::{Object, Plan, Step};
use crate::failure::{Failure, Kind};
use crate::{people, printable};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What happens to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// It is created.
    Add,
    /// It is changed.
    Change,
    /// It moves from one host to another.
    Move,
    /// It is removed.
    Remove,
    /// It is kept, although the document does not name it.
    Keep,
}

impl Mark {
    /// The sign, its colour (SGR), and the words for planned and completed changes.
    const fn say(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Mark::Add => ("+", "32", "to add", "added"),
            Mark::Change => ("~", "33", "to change", "changed"),
            Mark::Move => (">", "36", "to move", "moved"),
            Mark::Remove => ("-", "31", "to remove", "removed"),
            Mark::Keep => ("=", "2", "kept", "kept"),
        }
    }
}

/// A line of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The host; empty for a move.
    pub host: String,
    /// What happens.
    pub mark: Mark,
    /// The entry, by its name for people.
    pub name: String,
    /// The fields that change.
    pub text: String,
}

/// The failure of a step that was not begun because another one has failed, by their ids, such as `instance.create:web`.
pub(super) fn not_begun(step: &str, failed: &str) -> Failure {
    let ((what, name), (_, other)) =
        (step.split_once(':').unwrap_or((step, step)), failed.split_once(':').unwrap_or((failed, failed)));
    let done = match what.rsplit_once('.').map_or("", |(_, verb)| verb) {
        "create" => "started",
        "remove" => "removed",
        _ => "changed",
    };
    Failure::new(Kind::Failed, "plan.needs", format!("{name} was not {done}: {other} failed"))
}

/// How a plan is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    /// Show internal steps, too.
    pub verbose: bool,
    /// Use colours.
    pub colour: bool,
    /// The plan has been applied.
    pub done: bool,
    /// It is a plan of `down`, to which `--prune` and `--destroy-data` do not apply.
    pub down: bool,
}

/// The whole text: lines, then totals.
pub fn show<O: Object, D>(plan: &Plan<O, D>, view: View) -> String {
    let lines = merged(lines(plan, view));
    let name = lines.iter().map(|(line, _)| line.name.chars().count()).max().unwrap_or(0).min(28);
    let mut text: String = lines.iter().map(|(line, hosts)| one(line, hosts, name, view)).collect();
    text.push_str(&sum(plan, view));
    text.push('\n');
    text
}

/// `2 to add, 1 to change, 1 kept (--prune removes it)`, or that there is nothing to do.
pub fn sum<O: Object, D>(plan: &Plan<O, D>, view: View) -> String {
    let mut count: BTreeMap<Mark, usize> = BTreeMap::new();
    lines(plan, View { verbose: false, ..view })
        .iter()
        .for_each(|line| *count.entry(line.mark).or_default() += 1);
    let words = |(mark, n): (&Mark, &usize)| {
        let (_, _, before, after) = mark.say();
        let way = match (mark, view.down) {
            (Mark::Keep, true) => " (--destroy-data removes it)",
            (Mark::Keep, false) => " (--prune removes it)",
            _ => "",
        };
        let way = if *n > 1 { way.replace(" it)", " them)") } else { way.to_owned() };
        format!("{n} {}{way}", if view.done { after } else { before })
    };
    let own = plan.steps.iter().filter(|step| called(step).is_none()).count();
    let told = count.keys().any(|mark| *mark != Mark::Keep);
    let mut parts: Vec<String> = count.iter().map(words).collect();
    if !told && own > 0 {
        let steps = if own == 1 { "step" } else { "steps" };
        parts.insert(0, format!("{own} internal {steps} (-v shows them)"));
    } else if !told {
        parts.insert(0, "nothing to do".to_owned());
    }
    parts.join(", ")
}

fn one(line: &Line, hosts: &str, name: usize, view: View) -> String {
    let (sign, colour, ..) = line.mark.say();
    let paint =
        |text: &str| if view.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() };
    let place = if hosts.is_empty() { String::new() } else { format!("({hosts})") };
    let most = 76_usize.saturating_sub(name).max(20);
    let mut text = people::wrap(&line.text, most);
    match text.last_mut() {
        Some(last) if last.chars().count() + 2 + place.chars().count() <= most => {
            *last = format!("{last}  {place}").trim().to_owned();
        }
        _ => text.extend(people::wrap(&place, most)),
    }
    let first = text.remove(0);
    let head = format!("{}{}", line.name, " ".repeat(name.saturating_sub(line.name.chars().count())));
    let mut shown = format!("{} {}", paint(sign), format!("{head}  {first}").trim_end());
    for more in text {
        shown.push_str(&format!("\n{}{more}", " ".repeat(name + 4)));
    }
    shown + "\n"
}

/// Merges lines of the same entry on several hosts.
fn merged(lines: Vec<Line>) -> Vec<(Line, String)> {
    let mut all: Vec<(Line, String)> = Vec::new();
    for line in lines {
        let same = |(other, _): &&mut (Line, String)| {
            (other.mark, &other.name, &other.text) == (line.mark, &line.name, &line.text)
        };
        match all.iter_mut().find(same) {
            Some((_, hosts)) => *hosts = format!("{hosts} {}", line.host),
            None => all.push((line.clone(), line.host)),
        }
    }
    all
}

/// The name of a step's object for people, and the part of it that the step is about.
fn called<O: Object>(step: &Step<O>) -> Option<(String, &'static str)> {
    if let (Some(before), Some(after)) = (&step.before, &step.after)
        && before.minor(after)
    {
        return None;
    }
    step.after.as_ref().or(step.before.as_ref())?.called()
}

fn lines<O: Object, D>(plan: &Plan<O, D>, view: View) -> Vec<Line> {
    let mut groups: Vec<(&str, String, Vec<&Step<O>>)> = Vec::new();
    let mut own = Vec::new();
    for step in &plan.steps {
        match called(step) {
            None => own.push(step),
            Some((name, _)) => match groups.iter_mut().find(|(h, n, _)| *h == step.host && *n == name) {
                Some((.., steps)) => steps.push(step),
                None => groups.push((&step.host, name, vec![step])),
            },
        }
    }
    let mut all: Vec<Line> = groups.iter().map(|(host, name, steps)| group(host, name, steps)).collect();
    moves(&mut all);
    all.extend(plan.told.iter().cloned());
    if view.verbose {
        all.extend(own.into_iter().map(bookkeeping));
    }
    all.extend(plan.kept.iter().map(|kept| keep(kept, view.down)));
    for line in &mut all {
        line.name = printable::line(&line.name).into_owned();
        line.text = printable::line(&line.text).into_owned();
    }
    all
}

/// The steps of one entry on one host.
fn group<O: Object>(host: &str, name: &str, steps: &[&Step<O>]) -> Line {
    let whole = |step: &&&Step<O>| called(step).is_some_and(|(_, part)| part.is_empty());
    let mark = match steps.iter().find(whole).map(|step| (step.before.is_some(), step.after.is_some())) {
        Some((false, _)) => Mark::Add,
        Some((true, false)) => Mark::Remove,
        _ => Mark::Change,
    };
    let mut texts: Vec<String> = Vec::new();
    for step in steps {
        let part = called(step).map_or("", |(_, part)| part);
        let text = match (&step.before, &step.after) {
            (Some(before), Some(after)) => changed(part, before, after),
            (None, Some(after)) => [part, &after.brief()].join(" ").trim().to_owned(),
            (Some(_), None) if mark == Mark::Change => format!("{part} is removed"),
            _ => String::new(),
        };
        let runs = (!step.runs.is_empty()).then(|| format!("runs {}", step.runs.join(", ")));
        for text in Some(text).into_iter().chain(runs) {
            if !text.is_empty() && !texts.contains(&text) {
                texts.push(text);
            }
        }
    }
    let missing = mark == Mark::Change && steps.iter().all(|step| step.before.is_none());
    let text = texts.join(", ");
    let text = if missing { format!("{text} is created again") } else { text };
    Line { host: host.to_owned(), mark, name: name.to_owned(), text }
}

fn changed<O: Object>(part: &str, before: &O, after: &O) -> String {
    let value = |object: &O| json!(object);
    let mut texts = fields(&value(before), &value(after), &|path| before.hides(path));
    if texts.len() > 4 {
        let more = texts.split_off(4).len();
        texts.push(format!("and {more} more"));
    }
    let text = format!("{part} {}", texts.join(", ")).trim().to_owned();
    match before.means(after) {
        Some(means) => format!("{text}: {means}"),
        None => text,
    }
}

/// Turns a removal on one host and a creation on another into a move.
fn moves(lines: &mut Vec<Line>) {
    let removed: BTreeSet<(String, String)> = lines
        .iter()
        .filter(|line| line.mark == Mark::Remove && !line.name.contains(' '))
        .map(|line| (line.name.clone(), line.host.clone()))
        .collect();
    for (name, from) in removed {
        let Some(add) = lines.iter_mut().find(|line| line.mark == Mark::Add && line.name == name) else {
            continue;
        };
        let text = format!("{from} -> {}", add.host);
        *add = Line { host: String::new(), mark: Mark::Move, name: name.clone(), text };
        lines.retain(|line| !(line.mark == Mark::Remove && line.name == name && line.host == from));
    }
}

fn bookkeeping<O: Object>(step: &Step<O>) -> Line {
    let mark = match (&step.before, &step.after) {
        (None, _) => Mark::Add,
        (_, None) => Mark::Remove,
        _ => Mark::Change,
    };
    Line { host: step.host.clone(), mark, name: step.id.clone(), text: reason(&step.why).to_owned() }
}

/// Why a step is needed, without digests, which say nothing to people.
pub(crate) fn reason(why: &str) -> &str {
    let digest = |word: &str| {
        let word = word.trim_end_matches("...");
        word.len() > 32 && word.bytes().all(|b| b.is_ascii_hexdigit())
    };
    if why.split([' ', ',']).any(digest) { "differs from the document" } else { why }
}

/// `h1: instance web`.
fn keep(kept: &str, down: bool) -> Line {
    let (host, what) = kept.split_once(": ").unwrap_or(("", kept));
    let name = what.strip_prefix("instance ").unwrap_or(what).to_owned();
    let text = if down { "is data and is kept" } else { "is not in the document and is kept" }.to_owned();
    Line { host: host.to_owned(), mark: Mark::Keep, name, text }
}
