//! Verbs: the same in every tool.

use crate::{PAIR, STACK_VERBS, VERBS, file, listed, pair, plan_of, planned, scratch};
use lsx_tests::{tools_and_smallest, top};
use serde_json::{Value, json};

#[test]
fn every_tool_has_the_shared_verbs() {
    for tool in tools_and_smallest() {
        let listed = listed(&tool);
        for verb in VERBS {
            assert!(listed.iter().any(|l| l == verb), "{} lacks {verb}: {listed:?}", tool.name);
        }
        for hidden in ["agent", "manual", "tick", "supervise-service", "serve-service"] {
            assert!(!listed.iter().any(|l| l == hidden), "{} shows {hidden}", tool.name);
        }
    }
}

/// The entry of a timer runs it each minute: nothing is printed but why it could not be done.
#[test]
fn a_tick_without_what_the_host_kept_does_nothing_and_says_why() {
    let folder = scratch();
    for tool in tools_and_smallest() {
        let missing = folder.path().join("kept.json");
        let missing = missing.to_str().unwrap();
        let ended = tool.run(["tick", "--quiet", "--self", "h1", missing]).end();
        assert!(
            [66, 77].contains(&ended.code()) && ended.stdout.is_empty(),
            "{}: {}",
            tool.name,
            ended.stderr
        );
        let other = file(&folder, "other.json", r#"{"schema":"lsx.other.intent/1","stack":"office"}"#);
        let ended = tool.run(["tick", "--quiet", "--self", "h1", &other]).end();
        assert!(
            [65, 77].contains(&ended.code()) && ended.stdout.is_empty(),
            "{}: {}",
            tool.name,
            ended.stderr
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{} wrote a file", tool.name);
    }
}

#[test]
fn resolve_gives_the_stack_with_what_follows_from_it_and_touches_nothing() {
    let folder = scratch();
    std::fs::copy(top(PAIR), folder.path().join("stack.yaml")).unwrap();
    for tool in tools_and_smallest() {
        let ended = tool.run(["resolve", "stack.yaml"]).within(folder.path()).end().with(0);
        assert_eq!(ended.document()["resolved"]["stack"], "pair");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{} wrote a file", tool.name);
    }
}

#[test]
fn all_tools_resolve_to_the_same_bytes() {
    let all: Vec<String> =
        tools_and_smallest().iter().map(|t| t.run(["resolve", &pair()]).end().with(0).stdout).collect();
    assert!(all.windows(2).all(|two| two[0] == two[1]));
}

#[test]
fn plan_twice_gives_the_same_bytes() {
    for tool in tools_and_smallest() {
        let one = tool.run(plan_of(&tool)).end().with(0);
        assert_eq!(one.stdout, tool.run(plan_of(&tool)).end().with(0).stdout);
        let steps = one.document()["steps"].clone();
        assert!(steps.as_array().is_some_and(|s| !s.is_empty()), "{}: a plan without steps", tool.name);
    }
}

#[test]
fn plan_says_by_its_exit_code_whether_there_is_something_to_do() {
    for tool in tools_and_smallest() {
        let ended = tool.run(plan_of(&tool)).args(["--exit-code"]).end().with(2);
        assert!(ended.document()["steps"][0]["why"].is_string());
        let all_away = ["plan", &pair(), "--offline", "h1", "--offline", "h2", "--exit-code"];
        let nothing = tool.run(all_away).end().with(0).document();
        assert_eq!(nothing["skipped"], json!(["h1", "h2"]));
    }
}

#[test]
fn a_step_says_where_why_and_what() {
    for tool in tools_and_smallest() {
        let plan = tool.run(plan_of(&tool)).end().with(0).document();
        let hosts: Vec<&Value> = plan["hosts"].as_array().unwrap().iter().map(|h| &h["name"]).collect();
        let ids: Vec<&Value> = plan["steps"].as_array().unwrap().iter().map(|s| &s["id"]).collect();
        for step in plan["steps"].as_array().unwrap() {
            assert!(step["id"].as_str().is_some_and(|id| id.contains('.')), "{step}");
            assert!(hosts.contains(&&step["host"]), "{step}");
            assert!(step["why"].as_str().is_some_and(|why| !why.is_empty()), "{step}");
            assert!(step["before"].is_object() || step["after"].is_object(), "{step}");
            let needs = step["needs"].as_array().into_iter().flatten();
            needs.for_each(|need| assert!(ids.contains(&need), "{} needs {need}", step["id"]));
        }
        assert!(plan["hosts"].as_array().unwrap().iter().all(|h| h["base"].is_string()));
    }
}

#[test]
fn plan_takes_only_what_was_observed_of_this_stack() {
    for tool in tools_and_smallest() {
        let [plan, stack, observed, path] = plan_of(&tool);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let folder = scratch();
        let one = file(&folder, "one", &text.lines().skip(1).map(|l| format!("{l}\n")).collect::<String>());
        let ended = tool.run([&plan, &stack, &observed, &one]).end();
        assert!(ended.code() == 65 || ended.code() == 66, "a host without a document: {}", ended.stderr);
        let twice = file(&folder, "twice", &format!("{text}{first}\n"));
        let _ = tool.run([&plan, &stack, &observed, &twice]).end().refused(65);
        first["stack"] = "another".into();
        let rest: String = text.lines().skip(1).map(|l| format!("{l}\n")).collect();
        let foreign = file(&folder, "foreign", &format!("{first}\n{rest}"));
        let ended = tool.run([&plan, &stack, &observed, &foreign]).end().refused(65);
        assert!(ended.stderr.contains("another"), "{}", ended.stderr);
        let indented: String = text
            .lines()
            .map(|l| serde_json::to_string_pretty(&serde_json::from_str::<Value>(l).unwrap()).unwrap())
            .collect();
        let indented = file(&folder, "indented", &indented);
        let ended = tool.run([&plan, &stack, &observed, &indented]).end().with(0);
        assert_eq!(ended.stdout, tool.run(plan_of(&tool)).end().stdout);
    }
}

#[test]
fn a_failed_tool_ends_the_pipe_quietly() {
    for tool in tools_and_smallest() {
        for verb in STACK_VERBS {
            let ended = tool.run([verb]).input("").end().refused(66);
            assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        }
    }
}

#[test]
fn up_and_down_hand_the_stack_on() {
    for tool in tools_and_smallest() {
        for verb in ["up", "down"] {
            let away = [verb, &pair(), "--offline", "h1", "--offline", "h2"];
            let document = tool.run(away).end().with(0).document();
            let status = &document["status"][tool.word()];
            assert_eq!(*status, json!({"ok": true, "changed": 0, "hosts": ["h1", "h2"]}));
            let again = tool.run(["resolve"]).input(document.to_string()).end().with(0).document();
            assert_eq!(again["resolved"], document["resolved"]);
            assert_eq!(again["stack"], "pair");
            // The next tools leave these hosts alone, too: they are not asked again, and nothing is tried by ssh.
            for next in tools_and_smallest() {
                let ended = next.run([verb]).input(document.to_string()).end().with(0);
                for host in ["h1", "h2"] {
                    assert!(ended.stderr.contains(&format!("{host} is offline")), "{}", ended.stderr);
                }
            }
        }
    }
}

#[test]
fn destroying_data_takes_the_name_twice() {
    for tool in tools_and_smallest().iter().filter(|tool| tool.word() != "net") {
        let ended = tool.run(["down", &pair(), "--destroy-data", "pear"]).end().refused(64);
        assert!(ended.stderr.contains("pair"), "{}", ended.stderr);
    }
}

/// Flags that only some tools have, and the tools that have them.
const OWN: [(&str, &[&str], &[&str]); 4] = [
    ("--renumber", &["plan", "up"], &["net"]),
    ("--allow-overlap", &["plan", "up"], &["net"]),
    ("--allow-move", &["plan", "up"], &["net", "ct"]),
    ("--destroy-data", &["plan", "down"], &["ct", "dns", "note", "pki", "snap", "store"]),
];

/// A flag that would do nothing is refused, and neither help nor manual nor completions have it.
#[test]
fn a_tool_refuses_the_flags_of_others() {
    for tool in tools_and_smallest() {
        let manual = tool.run(["manual"]).end().with(0).stdout.replace('\\', "");
        let completions = tool.run(["completions", "bash"]).end().with(0).stdout;
        for (flag, verbs, tools) in OWN {
            let has = tools.contains(&tool.word());
            let told = [manual.contains(flag), completions.contains(flag)];
            assert_eq!(told, [has; 2], "{} {flag}: manual, completions", tool.name);
            for verb in verbs {
                let help = tool.run([verb, "--help"]).end().with(0).stdout;
                assert_eq!(help.contains(flag), has, "{} {verb} {flag}: help", tool.name);
                if !has {
                    let ended = tool.run([verb, flag, &pair()]).end().refused(64);
                    assert!(
                        ended.stderr.contains(&format!("unexpected argument '{flag}'")),
                        "{}",
                        ended.stderr
                    );
                }
            }
        }
    }
}

#[test]
fn apply_takes_a_plan_and_nothing_else() {
    for tool in tools_and_smallest() {
        let case = planned(&tool);
        let resolved = tool.run(["resolve", &pair()]).end().stdout;
        let ended = tool.run(["apply"]).input(resolved).end().refused(65);
        assert!(ended.stderr.contains(&format!("lsx.{}.plan/1", tool.word())), "{}", ended.stderr);
        let observed = case.join("observed.json").display().to_string();
        let _ = tool.run(["apply", &observed]).end().refused(65);
    }
}
