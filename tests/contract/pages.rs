//! Help, version, completions and manual of a tool.

use crate::{listed, scratch};
use lsx_tests::{Run, tools, tools_and_smallest};
use std::path::Path;

#[test]
fn help_is_an_answer() {
    for tool in tools_and_smallest() {
        for flag in ["--help", "-h", "help"] {
            let ended = tool.run([flag]).end().with(0);
            assert!(ended.stderr.is_empty() && ended.stdout.len() > 300, "{}", ended.line);
        }
        let help = tool.run(["--help"]).end().stdout;
        for part in [
            "Usage:",
            "Verbs for a stack:",
            "Other verbs:",
            "Exit status:",
            "Examples:",
            "--log",
            "--output",
            "--table",
        ] {
            assert!(help.contains(part), "{} --help lacks {part}", tool.name);
        }
        let examples = help.split_once("Examples:").unwrap().1;
        assert!(examples.lines().filter(|l| l.trim().starts_with(&tool.name)).count() >= 3, "{examples}");
    }
}

/// What people type who come from other tools.
#[test]
fn verbs_that_list_exist_or_lead_to_observe() {
    for tool in tools() {
        for verb in ["ls", "ps", "list"] {
            let ended = tool.run([verb, &crate::pair()]).args(crate::AWAY).end();
            match (tool.word(), verb) {
                ("ct", _) => drop(ended.with(0)),
                // It lists what is in buckets, and a file is none.
                ("store", "ls") => drop(ended.refused(64)),
                // It lists snapshots of a volume, and no stack is named.
                ("snap", "list") => drop(ended.refused(66)),
                _ => assert!(ended.refused(64).stderr.contains("observe --table"), "{} {verb}", tool.name),
            }
        }
    }
}

#[test]
fn every_verb_of_images_has_its_page() {
    for tool in tools().iter().filter(|tool| tool.word() == "ct") {
        let page = tool.run(["manual"]).end().with(0).stdout;
        for verb in ["pull", "push", "import", "ls", "rm", "gc", "export"] {
            assert!(page.contains(&format!("\n.SS images {verb}\n")), "images {verb}");
        }
    }
}

#[test]
fn every_verb_has_help() {
    for tool in tools_and_smallest() {
        for verb in listed(&tool).iter().filter(|v| *v != "help") {
            let ended = tool.run([verb, "--help"]).end().with(0);
            assert!(ended.stdout.contains(&format!("Usage: {} {verb}", tool.name)), "{}", ended.stdout);
            assert!(ended.stdout.lines().next().is_some_and(|l| l.len() > 10), "{verb} says nothing");
            assert!(ended.stderr.is_empty());
            // Global options are only in the tool's own help.
            assert!(!ended.stdout.contains("--ssh-config") && ended.stdout.contains("Global options:"));
            assert_eq!(tool.run(["help", verb]).end().with(0).stdout, ended.stdout);
        }
    }
}

#[test]
fn the_version_is_that_of_the_workspace() {
    for tool in tools_and_smallest() {
        let ended = tool.run(["--version"]).end().with(0);
        assert_eq!(ended.stdout, format!("{} {}\n", tool.name, env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn completions_are_scripts_that_their_shells_read() {
    let folder = scratch();
    for tool in tools_and_smallest() {
        for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
            let script = tool.run(["completions", shell]).end().with(0).stdout;
            let path = crate::file(&folder, shell, &script);
            for verb in listed(&tool) {
                assert!(script.contains(&verb), "{shell} does not complete {verb}");
            }
            if installed(shell) {
                let _ = Run::new(Path::new(shell)).args([check, &path]).end().with(0);
            } else {
                skipped(&format!("{shell} is not here to read its completions"));
            }
        }
    }
}

#[test]
fn the_manual_is_a_page_with_every_verb() {
    for tool in tools_and_smallest() {
        let page = tool.run(["manual"]).end().with(0).stdout;
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "VERBS", "OPTIONS", "EXIT STATUS", "EXAMPLES"] {
            assert!(page.contains(&format!("\n.SH {section}\n")), "{}.1 lacks {section}", tool.name);
        }
        for verb in listed(&tool).iter().filter(|v| *v != "help") {
            assert!(page.contains(&format!("\n.SS {verb}\n")), "{}.1 lacks {verb}", tool.name);
        }
        let options = page.split("\n.SH OPTIONS\n").nth(1).unwrap().split("\n.SH ").next().unwrap();
        let mut flags: Vec<&str> = options.lines().filter(|line| line.starts_with("\\fB\\-")).collect();
        let all = flags.len();
        flags.sort_unstable();
        flags.dedup();
        assert!(all > 10 && flags.len() == all, "{}.1 describes an option twice: {flags:?}", tool.name);
        if !installed("mandoc") {
            skipped("mandoc is not here to judge the manual");
            continue;
        }
        let judged = Run::new(Path::new("mandoc")).args(["-T", "lint", "-W", "error"]).input(page).end();
        assert!(judged.code() == 0, "{}", judged.stdout);
    }
}

pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[expect(clippy::print_stderr, reason = "what was not tried is said aloud")]
pub(crate) fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}
