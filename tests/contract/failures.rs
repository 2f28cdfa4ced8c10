//! Failures: one line with the place, then causes and a hint; and the exit code.

use crate::{READING, STACK_VERBS, VERBS, file, pair, plan_of, scratch};
use lsx_tests::{Ended, Tool, tools_and_smallest};
use serde_json::Value;

/// One line that begins with the tool's name; all following lines are indented.
fn shaped(tool: &Tool, ended: &Ended) {
    let mut lines = ended.stderr.lines();
    let first = lines.next().unwrap_or_default();
    let said = first.strip_prefix(&format!("{}: ", tool.name)).unwrap_or_default();
    assert!(said.len() > 5, "{}: {}", ended.line, ended.stderr);
    assert!(lines.all(|line| line.starts_with("  ")), "{}: {}", ended.line, ended.stderr);
}

/// The same failure as JSON: the last line, and no line that is not JSON.
fn told(ended: &Ended) -> Value {
    let failure = ended.events().last().unwrap_or(&Value::Null)["failure"].clone();
    assert!(failure.is_object(), "{}: {}", ended.line, ended.stderr);
    let known = ["code", "kind", "message", "at", "host", "hint", "causes", "program", "retry"];
    assert!(failure.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{failure}");
    for key in ["code", "kind", "message"] {
        assert!(failure[key].as_str().is_some_and(|text| !text.is_empty()), "{failure}");
    }
    assert!(failure["retry"].is_boolean(), "{failure}");
    failure
}

#[test]
fn wrong_usage_is_64_and_one_clear_line() {
    for tool in tools_and_smallest() {
        let mut wrong = vec![vec![], vec!["--bogus"], vec!["bogus"], vec!["--log", "xml", "resolve"]];
        wrong.extend([vec!["completions"], vec!["completions", "sh"], vec!["resolve", "a", "b"]]);
        wrong.extend([vec!["resolve", "--deadline", "0s"], vec!["resolve", "--deadline", "soon"]]);
        wrong.extend([vec!["resolve", "--output"], vec!["down", "x.yaml", "--stack", "x"]]);
        wrong.extend(VERBS.map(|verb| vec![verb, "--bogus"]));
        for args in wrong {
            let ended = tool.run(&args).end().refused(64);
            shaped(&tool, &ended);
            assert!(ended.stderr.contains("--help") && !ended.stderr.contains("agent"), "{}", ended.stderr);
            let failure = told(&tool.run(["--log", "json"]).args(&args).end().refused(64));
            assert_eq!(failure["kind"], "usage", "{failure}");
        }
        let failure = told(&tool.run(["plan", "--log=json", "--bogus"]).end().refused(64));
        assert!(failure["message"].as_str().unwrap().contains("--bogus"), "{failure}");
    }
}

#[test]
fn a_malformed_document_is_65_with_its_place() {
    for tool in tools_and_smallest() {
        let folder = scratch();
        let yaml = file(&folder, "bad.yaml", "stack: pair\nhosts: { h1: [\n");
        let json = file(&folder, "bad.json", "{\"stack\": \"pair\",\n \"hosts\": ]}\n");
        for verb in STACK_VERBS {
            for path in [&yaml, &json] {
                let ended = tool.run([verb, path]).end().refused(65);
                shaped(&tool, &ended);
                placed(&ended, path, 2);
            }
        }
        let plan = file(&folder, "plan.json", "{\"schema\": \"x\",\n  nonsense}\n");
        placed(&tool.run(["apply", &plan]).end().refused(65), &plan, 2);
        let [_, stack, flag, observed] = plan_of(&tool);
        let lines = std::fs::read_to_string(observed).unwrap();
        let bad = file(
            &folder,
            "observed.json",
            &format!("{}\n{{\"schema\": nonsense}}\n", lines.lines().next().unwrap()),
        );
        placed(&tool.run(["plan", &stack, &flag, &bad]).end().refused(65), &bad, 2);
    }
}

/// `FILE:LINE:COLUMN: `, the line itself, and a caret below it.
fn placed(ended: &Ended, path: &str, line: usize) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(ended.stderr.contains(&format!(": {path}:{line}:")), "{}", ended.stderr);
    let shown = ended.stderr.lines().find(|l| l.trim_start().starts_with(&format!("{line} | ")));
    assert!(shown.is_some_and(|l| l.ends_with(text.lines().nth(line - 1).unwrap())), "{}", ended.stderr);
    assert!(ended.stderr.lines().any(|l| l.trim_end().ends_with('^')), "{}", ended.stderr);
}

#[test]
fn a_broken_rule_is_65_with_its_place_and_a_hint() {
    let text = std::fs::read_to_string(pair()).unwrap().replace("10.110.0.0/24", "10.110.0.9/24");
    for tool in tools_and_smallest() {
        for verb in STACK_VERBS {
            let ended = tool.run([verb]).input(text.as_str()).end().refused(65);
            assert!(ended.stderr.starts_with(&format!("{}: -:10:", tool.name)), "{}", ended.stderr);
            assert!(ended.stderr.contains("networks.lan: ") && ended.stderr.contains("  hint: "));
            let failure = told(&tool.run([verb, "--log", "json"]).input(text.as_str()).end().refused(65));
            let at = &failure["at"];
            assert_eq!((&at["line"], &at["path"]), (&10.into(), &"networks.lan".into()), "{failure}");
            assert!(failure["code"].as_str().unwrap().starts_with("stack."), "{failure}");
        }
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let text = "stack: t\nhosts: { h: 300.0.0.1 }\nnetworks: { n: { cidr: 10.0.0.0/99, vni: -1 }, m: {} }\nbogus: 1\n";
    for tool in tools_and_smallest() {
        let ended = tool.run(["up"]).input(text).end().refused(65);
        let failures = ended.stderr.lines().filter(|l| l.starts_with(&tool.name)).count();
        assert!(failures >= 4, "{}", ended.stderr);
        let events = tool.run(["up", "--log", "json"]).input(text).end().refused(65).events();
        assert_eq!(events.iter().filter(|e| e["failure"].is_object()).count(), failures);
    }
}

#[test]
fn a_missing_document_is_66() {
    for tool in tools_and_smallest() {
        for verb in READING {
            shaped(&tool, &tool.run([verb, "/nowhere/stack.yaml"]).end().refused(66));
            let failure = told(&tool.run([verb, "--log", "json"]).end().refused(66));
            assert_eq!(failure["kind"], "empty", "{failure}");
        }
    }
}

#[test]
fn no_check_at_all_is_a_failure() {
    for tool in tools_and_smallest() {
        let away = ["check", &pair(), "--offline", "h1", "--offline", "h2"];
        let ended = tool.run(away).end().with(1);
        assert_eq!(ended.document()["ok"], false);
        assert!(ended.stderr.contains("no check"), "{}", ended.stderr);
    }
}

#[test]
fn a_host_that_is_not_there_is_a_wrong_flag() {
    for tool in tools_and_smallest() {
        for flag in ["--offline", "--local"] {
            let ended = tool.run(["plan", &pair(), flag, "h9"]).end().refused(64);
            assert!(ended.stderr.contains("no host h9") && ended.stderr.contains("`h1`"), "{}", ended.stderr);
        }
        let ended = tool.run(["plan", &pair(), "--only", "networks.lna"]).end();
        assert!([64, 65].contains(&ended.code()) && ended.stderr.contains("lan"), "{}", ended.stderr);
    }
}

#[test]
fn a_file_that_cannot_be_written_fails_by_name() {
    for tool in tools_and_smallest() {
        let ended = tool.run(["resolve", &pair(), "-o", "/proc/lsx/out.json"]).end().refused(64);
        assert!(ended.stdout.is_empty() && ended.stderr.contains("no folder /proc/lsx"), "{}", ended.stderr);
        let ended = tool.run(["resolve", &pair(), "-o", "/proc/lsx.json"]).end();
        assert!([1, 77].contains(&ended.code()), "{}: {}", ended.code(), ended.stderr);
        assert!(ended.stdout.is_empty() && ended.stderr.contains("/proc/lsx.json"), "{}", ended.stderr);
    }
}
