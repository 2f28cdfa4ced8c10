//! Golden folders: a stack, what was observed, and the plan or the refusal that must come of it, byte for byte.
//!
//! `LSX_BLESS=1` writes what came; look at `git diff` before you believe it.

use crate::{Case, cases, drift, tool};
use lsx_tests::blessing;
use serde_json::Value;

fn write(case: &Case, name: &str, text: &str) {
    let path = case.folder.join(name);
    match text {
        "" if path.exists() => std::fs::remove_file(path).unwrap(),
        "" => {}
        text => std::fs::write(path, text).unwrap(),
    }
}

/// Runs the case: the plan, indented, and what was said with the exit code.
fn come(case: &Case) -> (String, String) {
    let args = ["plan", &case.stack, "--observed", "observed.json"];
    let ended = tool().run(args).args(case.args()).within(&case.folder).end();
    assert_ne!(ended.code(), 70, "{}: {}", case.name, ended.stderr);
    if ended.code() == 0 {
        let plan: Value = ended.document();
        (serde_json::to_string_pretty(&plan).unwrap() + "\n", ended.stderr)
    } else {
        (String::new(), format!("{}exit {}\n", ended.stderr, ended.code()))
    }
}

#[test]
fn every_case_gives_what_it_gave() {
    let mut wrong = Vec::new();
    for case in cases() {
        if std::env::var_os("LSX_BLESS").is_some_and(|how| how == "observed") {
            drift::remade(&case).into_iter().for_each(|made| write(&case, "observed.json", &made));
        }
        let (plan, said) = come(&case);
        if plan.is_empty() != case.name.starts_with("no-") {
            wrong.push(format!("{}: a refusal is called no-\n{said}", case.name));
        }
        let error = if plan.is_empty() { said.as_str() } else { "" };
        for (name, came) in [("plan.json", plan.as_str()), ("error.txt", error)] {
            let wanted = case.read(name).unwrap_or_default();
            if wanted == came {
                continue;
            }
            if blessing() {
                write(&case, name, came);
            } else {
                wrong.push(format!("{}/{name}: {}", case.name, first_difference(&wanted, came)));
            }
        }
    }
    assert!(wrong.is_empty(), "LSX_BLESS=1 takes these over:\n{}", wrong.join("\n"));
}

fn first_difference(wanted: &str, came: &str) -> String {
    let (mut wanted, mut came) = (wanted.lines(), came.lines());
    for line in 1.. {
        let (a, b) = (wanted.next(), came.next());
        if a != b || a.is_none() {
            return format!(
                "line {line}\n  wanted {}\n  came   {}",
                a.unwrap_or("nothing"),
                b.unwrap_or("nothing")
            );
        }
    }
    String::new()
}

#[test]
fn the_cases_cover_what_a_plan_can_say() {
    if blessing() {
        return; // The folders are being written.
    }
    let all: String = cases()
        .iter()
        .filter_map(|c| Some(c.read("plan.json")? + &c.read("error.txt").unwrap_or_default()))
        .collect();
    for kind in [
        "routing",
        "router",
        "world",
        "bridge",
        "tunnel",
        "leg",
        "forwarding",
        "route",
        "firewall",
        "accept",
        "intent",
        "boot",
    ] {
        for verb in ["create", "change", "remove"] {
            let never = [("routing", "change"), ("forwarding", "remove")];
            let told = all.contains(&format!("\"{kind}.{verb}:"));
            assert!(told || never.contains(&(kind, verb)), "no case has a step {kind}.{verb}");
        }
    }
    assert!(all.contains("\"remnant.remove:"));
    let refused: String = cases().iter().filter_map(|c| c.read("error.txt")).collect();
    for words in [
        "still attached",
        "would change from",
        "--prune would remove",
        "VNI",
        "carries the tunnels",
        "overlaps the route",
        "taken by a program",
        "taken by stack",
        "lsx did not make it",
        "cannot do what the stack needs",
        "does not make Open vSwitch",
        "does not make GRE",
        "networks of this type",
        "hint:",
    ] {
        assert!(refused.contains(words), "no case is refused with: {words}");
    }
}
