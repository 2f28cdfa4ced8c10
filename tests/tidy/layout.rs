//! Where files belong: the top level, the packages, the modules of a tool, the fixtures.

use crate::{files, none, rust, tools};
use lsx_tests::{entries, top};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The top level is fixed: the product's own folders, and what cargo and others expect there.
const TOP: [&str; 18] = [
    "Cargo.toml",
    "tools",
    "common",
    "scripts",
    "man",
    "tests",
    "README.md",
    "Makefile",
    "Cargo.lock",
    "LICENSE",
    ".ci",
    ".cargo",
    ".clippy.toml",
    ".rustfmt.toml",
    ".gitignore",
    ".git",
    "target",
    ".gitattributes",
];

/// The modules of a tool, as a file or a folder. A tool of which the engine changes every object has no `apply`.
const DOORS: [&str; 7] = ["main", "lib", "cli", "model", "observe", "plan", "apply"];

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn the_top_level_is_fixed() {
    let strange: Vec<String> =
        entries("").iter().map(|p| name(p)).filter(|n| !TOP.contains(&n.as_str())).collect();
    none("nothing else stands at the top", &strange);
}

#[test]
fn every_tool_has_the_same_doors() {
    for tool in tools() {
        let library = std::fs::read_to_string(top(&format!("tools/{tool}/src/lib.rs"))).unwrap();
        let own = !library.contains("type Object = Kept;");
        for door in DOORS.into_iter().filter(|door| own || *door != "apply") {
            let path = |end: &str| top(&format!("tools/{tool}/src/{door}{end}"));
            assert!(path(".rs").is_file() || path("/mod.rs").is_file(), "tools/{tool} has no {door}");
        }
        let manifest = std::fs::read_to_string(top(&format!("tools/{tool}/Cargo.toml"))).unwrap();
        assert!(
            manifest.contains(&format!("name = \"{tool}\"")),
            "folder, package and binary of {tool} differ"
        );
        assert!(tool.starts_with("lsx-"), "{tool}");
    }
    let vague: Vec<String> = rust()
        .iter()
        .filter(|f| ["util.rs", "utils.rs", "helper.rs", "helpers.rs", "misc.rs"].contains(&f.name()))
        .map(|f| f.path.clone())
        .collect();
    none("a file is called by what it is", &vague);
}

/// Otherwise both build it, and all that needs it, the tools included: some minutes more.
#[test]
fn build_and_test_need_dependencies_with_the_same_features() {
    let needed = |edges: &str| -> BTreeSet<String> {
        let args =
            "tree --workspace --offline --prefix none --format {p}[{f}] --edges".split(' ').chain([edges]);
        let ran = Command::new(env!("CARGO")).args(args).current_dir(top("")).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let text = String::from_utf8(ran.stdout).unwrap();
        text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
    };
    let (build, test) = (needed("normal,build"), needed("normal,build,dev"));
    assert!(build.len() > 50, "{build:?}");
    let found: Vec<String> = build.difference(&test).cloned().collect();
    none("name in tests/Cargo.toml what only tests need, with its features, for the sake of", &found);
}

#[test]
fn manifests_take_everything_from_the_workspace() {
    let mut found = Vec::new();
    for file in files().iter().filter(|f| f.name() == "Cargo.toml" && f.path != "Cargo.toml") {
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            if !file.text.contains(&format!("{key}.workspace = true")) {
                found.push(format!("{}: {key} is not the workspace's", file.path));
            }
        }
        if !file.text.contains("[lints]\nworkspace = true") && !file.text.contains("lints.workspace = true") {
            found.push(format!("{}: the lints are not the workspace's", file.path));
        }
        let mut dependencies = false;
        for line in file.text.lines() {
            if line.starts_with('[') {
                dependencies = line.contains("dependencies");
            } else if dependencies && !line.is_empty() && !line.contains("workspace = true") {
                found.push(format!("{}: {line}", file.path));
            }
        }
    }
    none("versions stand once, in the workspace", &found);
}

#[test]
fn every_package_is_used_by_somebody() {
    let workspace = std::fs::read_to_string(top("Cargo.toml")).unwrap();
    let list = workspace.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let manifests: String = files()
        .iter()
        .filter(|f| f.name() == "Cargo.toml" && f.path != "Cargo.toml")
        .map(|f| f.text.as_str())
        .collect();
    let names = list.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.trim());
    let unused: Vec<String> = names
        .filter(|n| {
            !manifests.contains(&format!("\n{n}.workspace"))
                && !manifests.contains(&format!("\n{n} = {{ workspace"))
        })
        .map(str::to_owned)
        .collect();
    none("in the workspace's list and nowhere else", &unused);
}

/// The files that may be in a golden case, and those that must: an input and its output.
#[test]
fn every_fixture_is_whole_and_used() {
    let mut found = Vec::new();
    let sources: String = rust().iter().map(|f| f.text.as_str()).collect();
    for kind in entries("tests/fixtures") {
        let kind_name = name(&kind);
        let run = [format!("tests/fixtures/{kind_name}"), format!("cases(\"{kind_name}\")")];
        if !run.iter().any(|words| sources.contains(words)) {
            found.push(format!("tests/fixtures/{kind_name}: no test names it"));
        }
        for case in entries(&format!("tests/fixtures/{kind_name}")).into_iter().filter(|case| case.is_dir()) {
            let case = format!("tests/fixtures/{kind_name}/{}", name(&case));
            let inside: Vec<String> = entries(&case).iter().map(|p| name(p)).collect();
            let any = |names: &[&str]| names.iter().any(|n| inside.iter().any(|i| i == n));
            // What lies beside a Compose file is named in it.
            let compose = std::fs::read_to_string(top(&case).join("compose.yaml")).unwrap_or_default();
            let whole = match kind_name.as_str() {
                "compose" => any(&["compose.yaml"]) && any(&["stack.yaml", "error.txt"]),
                _ => {
                    any(&["stack.yaml", "stack.json", "stack.path"])
                        && any(&["error.txt", "resolved.json", "plan.json"])
                }
            };
            if !whole {
                found.push(format!("{case}: not whole: {inside:?}"));
            }
            let known = [
                "stack.yaml",
                "stack.json",
                "stack.path",
                "options.json",
                "warnings.json",
                "error.txt",
                "resolved.json",
                "observed.json",
                "plan.json",
                "args",
                "was.yaml",
                "drift.json",
                "expected-hosts.txt",
                "compose.yaml",
                "warnings.txt",
                "seed",
            ];
            found.extend(
                inside
                    .iter()
                    .filter(|i| !known.contains(&i.as_str()) && !compose.contains(i.as_str()))
                    .map(|i| format!("{case}/{i}: read by nobody")),
            );
        }
    }
    none("fixtures", &found);
}

#[test]
fn every_example_is_executed_by_a_test() {
    let tests: String = files()
        .iter()
        .filter(|f| f.within("tests") || f.within("common/tests"))
        .map(|f| f.text.as_str())
        .collect();
    let unused: Vec<String> = entries("scripts/stacks")
        .iter()
        .map(|p| format!("scripts/stacks/{}", name(p)))
        .filter(|p| !tests.contains(p.as_str()))
        .collect();
    none("examples that no test runs", &unused);
}

/// A test `soak_...` as scripts/soak names it: package and target of cargo, and its path there.
fn soaked(file: &crate::File, line: &str) -> Option<String> {
    let name = line.trim_start().strip_prefix("fn soak_")?.split('(').next()?;
    let (at, path) = file.path.strip_suffix(".rs")?.split_once('/')?;
    let (package, target, path) = match at {
        "common" => ("lsx-common", "--lib".to_owned(), path.strip_prefix("src/")?),
        "tools" => {
            let (package, path) = path.split_once("/src/")?;
            (package, "--lib".to_owned(), path)
        }
        _ => {
            let (target, path) = path.split_once('/')?;
            let package = if target == "stack" { "common" } else { target };
            return Some(format!("lsx-{package} --test={target} {}::soak_{name}", path.replace('/', "::")));
        }
    };
    let inside = if line.starts_with(' ') { "::tests" } else { "" };
    let path = path.trim_end_matches("/mod").replace('/', "::");
    Some(format!("{package} {target} {path}{inside}::soak_{name}"))
}

#[test]
fn scripts_soak_knows_every_parser() {
    let of = |file: &crate::File| -> Vec<String> {
        file.text.lines().filter_map(|line| soaked(file, line)).collect()
    };
    let tests: BTreeSet<String> = rust().iter().flat_map(of).collect();
    let script = std::fs::read_to_string(top("scripts/soak")).unwrap();
    let rows = script.split("PARSERS='").nth(1).unwrap().split('\'').next().unwrap();
    let words = |row: &str| row.split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
    let listed: BTreeSet<String> = rows.lines().filter(|row| !row.is_empty()).map(words).collect();
    assert!(tests.len() > 30, "{tests:?}");
    let differ: Vec<String> = tests.symmetric_difference(&listed).cloned().collect();
    none("tests `soak_...` and the list of scripts/soak differ", &differ);
}
