//! Live tests: cases in groups; the cases of a group share something and run in order, three groups run at the same time.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it reports as `cargo test` does")]

use crate::lab;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

/// Groups that run at the same time: more than CI has processors, since a case waits for half of its time.
const LANES: usize = 3;
/// Characters of a failure that its line in the summary has.
const REASON: usize = 1500;

/// One property, named as a sentence.
pub type Case<S> = (&'static str, fn(&S));

/// Cases that share something, such as a lab.
pub struct Group<S: 'static> {
    /// Prefix of the cases' names, before `::`.
    pub name: &'static str,
    /// Makes what they share.
    pub share: fn() -> S,
    /// In order.
    pub cases: &'static [&'static [Case<S>]],
}

impl<S> Group<S> {
    fn cases(&self) -> impl Iterator<Item = &Case<S>> {
        self.cases.iter().copied().flatten()
    }

    fn names(&self) -> impl Iterator<Item = String> {
        self.cases().map(|(case, _)| format!("{}::{case}", self.name))
    }
}

/// The results.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
}

/// Runs the groups as `cargo test` expects: words choose cases, `--list` lists them. The longest group comes first.
pub fn main<S>(target: &str, groups: &[Group<S>]) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|w| name.contains(w.as_str()));
    let all = groups.iter().flat_map(Group::names);
    if args.iter().any(|a| a == "--list") {
        all.for_each(|name| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if let Some(why) = lab::missing() {
        all.for_each(|name| eprintln!("SKIPPED: {target} {name}: {why}"));
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    let (queue, tally) = (Mutex::new(groups.iter()), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(group) = { queue.lock().unwrap().next() } {
                    run(group, &wanted, &tally);
                }
            });
        }
    });
    let Tally { passed, failed } = tally.into_inner().unwrap();
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    let took = start.elapsed();
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored; finished in {took:.0?}",
        failed.len()
    );
    failed.iter().for_each(|name| println!("FAILED {name}"));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run<S>(group: &Group<S>, wanted: &dyn Fn(&str) -> bool, tally: &Mutex<Tally>) {
    let cases: Vec<_> = group.names().zip(group.cases()).filter(|(name, _)| wanted(name)).collect();
    if cases.is_empty() {
        return;
    }
    let shared = match catch_unwind(group.share) {
        Ok(shared) => shared,
        Err(panic) => {
            println!("test {}::lab ... FAILED: {}", group.name, reason(&*panic));
            tally.lock().unwrap().failed.push(format!("{}: no lab", group.name));
            return;
        }
    };
    for (name, (_, body)) in cases {
        let ok = tried(&name, || body(&shared));
        let mut tally = tally.lock().unwrap();
        if ok {
            tally.passed += 1;
        } else {
            tally.failed.push(name);
        }
    }
}

/// Runs a case and prints its result, with the reason: who reads the summary of a CI run has nothing else.
pub fn tried(name: &str, body: impl FnOnce()) -> bool {
    let start = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(body));
    let took = start.elapsed();
    match &ended {
        Ok(()) => println!("test {name} ... ok ({took:.1?})"),
        Err(panic) => println!("test {name} ... FAILED ({took:.1?}): {}", reason(&**panic)),
    }
    ended.is_ok()
}

/// The message of a panic in one line, cut.
fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
