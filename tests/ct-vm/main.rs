//! lsx-ct on Debian's own kernel with control groups v2 only and v1 only, with each runtime of Debian. `scripts/vm` creates
//! the virtual machines; both run at the same time.
//!
//! This program is also what runs in them (`inside`). `cargo test -p lsx-ct --test ct-vm -- WORD` runs the cases whose name has
//! the word.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program is the tests and what they run in the machine"
)]

mod clock;
mod host;
mod limits;
mod net;
mod room;

use host::Host;
use lsx_tests::groups::tried;
use lsx_tests::lab;
use std::io::{BufRead, BufReader};
use std::panic::catch_unwind;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// One property, named as a sentence.
pub(crate) type Case = (&'static str, fn(&Host));

/// A virtual machine: how its control groups are mounted, the modules its kernel lacks, and its cases, which run in order
/// with one runtime after the other.
struct Machine {
    cgroups: &'static str,
    without: &'static str,
    groups: &'static [(&'static str, &'static [&'static [Case]])],
}

const MACHINES: [Machine; 2] = [
    Machine {
        cgroups: "v2",
        without: "vxlan",
        groups: &[
            ("runc", &[limits::CASES, room::CASES, clock::CASES, limits::LATER, limits::END]),
            ("crun", &[limits::CASES, limits::END, net::WITHOUT]),
        ],
    },
    Machine {
        cgroups: "v1",
        without: "",
        groups: &[
            ("runc", &[limits::CASES, room::CASES, limits::END]),
            ("crun", &[limits::CASES, limits::END, net::WITH]),
        ],
    },
];

impl Machine {
    fn cases(&self) -> impl Iterator<Item = (&'static str, String, &'static Case)> {
        let all = self
            .groups
            .iter()
            .flat_map(|(runtime, cases)| cases.iter().copied().flatten().map(move |case| (*runtime, case)));
        all.map(|(runtime, case)| (runtime, format!("{}::{runtime}::{}", self.cgroups, case.0), case))
    }

    fn wanted(&self, words: &[String]) -> Vec<(&'static str, String, &'static Case)> {
        let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
        self.cases().filter(|(_, name, _)| wanted(name)).collect()
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|a| a == "inside") {
        return inside(&args[1], Path::new(&args[2]), &args[3..]);
    }
    let words: Vec<String> = args.iter().filter(|a| !a.starts_with('-')).cloned().collect();
    let names = || MACHINES.iter().flat_map(|m| m.wanted(&words)).map(|(_, name, _)| name);
    if args.iter().any(|a| a == "--list") {
        names().for_each(|name| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if let Some(why) = lab::missing().or_else(missing) {
        names().for_each(|name| eprintln!("SKIPPED: ct-vm {name}: {why}"));
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    let folder = host::furnished();
    let passed: Vec<String> = std::thread::scope(|scope| {
        let machines = MACHINES.each_ref().map(|m| scope.spawn(|| boot(m, folder.path(), &words)));
        machines.into_iter().flat_map(|machine| machine.join().unwrap()).collect()
    });
    let failed: Vec<String> = names().filter(|name| !passed.contains(name)).collect();
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    let (passed, took) = (passed.len(), start.elapsed());
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored; finished in {took:.0?}",
        failed.len()
    );
    failed.iter().for_each(|name| println!("FAILED {name}"));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Why there is no virtual machine here.
fn missing() -> Option<String> {
    let lacks = lab::finish(Command::new(lsx_tests::top("scripts/vm")).arg("--check"), b"");
    (lacks.code != 0)
        .then(|| format!("not here: {}; scripts/setup --tests", lacks.stdout.trim().replace('\n', ", ")))
}

/// Runs a machine to its end; the names of the cases that passed there.
fn boot(machine: &Machine, folder: &Path, words: &[String]) -> Vec<String> {
    if machine.wanted(words).is_empty() {
        return Vec::new();
    }
    let mut vm = Command::new(lsx_tests::top("scripts/vm"));
    vm.args(["--limit", "5400", "--cgroups", machine.cgroups, "--without", machine.without, "--"]);
    vm.arg(std::env::current_exe().unwrap()).args(["inside", machine.cgroups]).arg(folder).args(words);
    let mut vm = vm.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut passed = Vec::new();
    for line in BufReader::new(vm.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let name = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ok"));
        passed.extend(name.map(|(name, _)| name.to_owned()));
        println!("{line}");
    }
    let ended = vm.wait().unwrap();
    println!("machine {} ended: {ended}", machine.cgroups);
    passed
}

/// In the machine: all cases, one after the other.
fn inside(cgroups: &str, folder: &Path, words: &[String]) -> ExitCode {
    let machine = MACHINES.iter().find(|m| m.cgroups == cgroups).unwrap();
    let wanted = machine.wanted(words);
    let mut failed = 0;
    for (runtime, _) in machine.groups {
        let cases = || wanted.iter().filter(|(of, ..)| of == runtime);
        if cases().count() == 0 {
            continue;
        }
        let needed = cases().any(|(.., (name, _))| limits::uses_the_stack(name));
        let Ok(host) = catch_unwind(|| Host::up(cgroups, runtime, folder, needed)) else {
            failed += cases().count();
            cases().for_each(|(_, name, _)| println!("test {name} ... FAILED: no host"));
            continue;
        };
        for (_, name, (_, body)) in cases() {
            failed += usize::from(!tried(name, || body(&host)));
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
