//! The contract of lsx(7), for every tool of the workspace. The modules follow its sections.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test stops at the first surprise")]

mod controls;
mod documents;
mod door;
mod failures;
mod hosts;
mod names;
mod pages;
mod streams;
mod terminal;
mod unknown;
mod verbs;

use lsx_tests::{Tool, entries, tools, top};
use std::path::PathBuf;
use std::sync::Once;
use tempfile::TempDir;

/// Two hosts, one network, no secrets: every tool can plan it.
const PAIR: &str = "scripts/stacks/two-hosts.yaml";

/// The verbs of every tool.
const VERBS: [&str; 9] =
    ["resolve", "observe", "plan", "apply", "up", "down", "check", "schema", "completions"];

/// The verbs that read a stack.
const STACK_VERBS: [&str; 5] = ["resolve", "plan", "up", "down", "check"];

/// The verbs that read a document of any kind.
const READING: [&str; 6] = ["resolve", "plan", "apply", "up", "down", "check"];

/// Both hosts are offline.
const AWAY: [&str; 4] = ["--offline", "h1", "--offline", "h2"];

fn pair() -> String {
    static IMAGE: Once = Once::new();
    IMAGE.call_once(image);
    top(PAIR).display().to_string()
}

/// The image that the pair names, in the store of the tests.
fn image() {
    let archive = format!("tar:{}", top("tests/fixtures/ct/image.tar").display());
    let args = ["images", "import", &archive, "--name", "busybox"];
    tools().iter().filter(|tool| tool.word() == "ct").for_each(|tool| drop(tool.run(args).end().with(0)));
}

fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A file in a folder that is removed with the test.
fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The folder of a golden case of the tool that has a plan.
fn planned(tool: &Tool) -> PathBuf {
    let folder = format!("tests/fixtures/{}", tool.word());
    let case = entries(&folder).into_iter().find(|case| case.join("plan.json").is_file());
    case.unwrap_or_else(|| panic!("{} has no case with a plan in {folder}", tool.name))
}

/// The arguments that plan that case.
fn plan_of(tool: &Tool) -> [String; 4] {
    let case = planned(tool);
    let path = |name: &str| case.join(name).display().to_string();
    ["plan".to_owned(), path("stack.yaml"), "--observed".to_owned(), path("observed.json")]
}

/// All verbs that `--help` lists.
fn listed(tool: &Tool) -> Vec<String> {
    let help = tool.run(["--help"]).end().with(0).stdout;
    let groups = help.split("\n\n").filter(|part| {
        let heading = part.trim_start().lines().next().unwrap_or_default();
        heading.ends_with(':') && heading.contains("erbs")
    });
    let lines = groups.flat_map(str::lines);
    let verbs = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    verbs.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}
