//! Streams: stdout has the result, stderr the log.

use crate::terminal::{End, on_terminal};
use crate::{AWAY, PAIR, READING, STACK_VERBS, file, pair, plan_of, scratch};
use lsx_tests::{Run, tools, tools_and_smallest, top};
use serde_json::Value;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

const SIGPIPE: i32 = 13;

#[test]
fn a_stack_comes_as_yaml_or_json_by_file_or_by_pipe() {
    let yaml = std::fs::read_to_string(top(PAIR)).unwrap();
    for tool in tools_and_smallest() {
        let resolved = tool.run(["resolve", &pair()]).end().with(0).stdout;
        for text in [&yaml, &resolved] {
            assert_eq!(tool.run(["resolve"]).input(text.as_str()).end().with(0).stdout, resolved);
            assert_eq!(tool.run(["resolve", "-"]).input(text.as_str()).end().with(0).stdout, resolved);
        }
        let indented = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&resolved).unwrap());
        assert_eq!(tool.run(["resolve"]).input(indented.unwrap()).end().with(0).stdout, resolved);
    }
}

#[test]
fn a_terminal_is_no_document() {
    for tool in tools_and_smallest() {
        for verb in READING {
            let (ended, _) = on_terminal(tool.run([verb]), End::Input);
            let ended = ended.refused(64);
            assert!(ended.stderr.contains("hint:"), "{}", ended.stderr);
        }
    }
}

#[test]
fn what_needs_no_input_never_reads_it() {
    for tool in tools_and_smallest() {
        for args in
            [&["schema"][..], &["completions", "bash"], &["manual"], &["--help"], &["resolve", &pair()]]
        {
            let (reader, _writer) = std::io::pipe().unwrap();
            let _ = tool.run(args).stdin(OwnedFd::from(reader)).end().with(0);
        }
    }
}

#[test]
fn piped_documents_are_one_line_each() {
    for tool in tools_and_smallest() {
        let runs = [tool.run(["schema"]), tool.run(["resolve", &pair()]), tool.run(plan_of(&tool))];
        for ended in runs.map(|run| run.end().with(0)) {
            assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.line);
            assert!(
                ended.stdout.ends_with('\n') && ended.stderr.is_empty(),
                "{}: {}",
                ended.line,
                ended.stderr
            );
        }
    }
}

#[test]
fn a_terminal_gets_the_same_indented() {
    for tool in tools_and_smallest() {
        let piped = tool.run(["resolve", &pair()]).end().document();
        let (ended, shown) = on_terminal(tool.run(["resolve", &pair()]), End::Output);
        let _ = ended.with(0);
        assert!(shown.starts_with("{\n  \"schema\""), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), piped);
    }
}

#[test]
fn a_plan_is_for_people_as_a_table_and_on_a_terminal() {
    for tool in tools_and_smallest() {
        let case = top(&format!("tests/fixtures/{}/up", tool.word()));
        let path = |name: &str| case.join(name).display().to_string();
        let args = ["plan".to_owned(), path("stack.yaml"), "--observed".to_owned(), path("observed.json")];
        let plan = || tool.run(&args);
        let table = plan().args(["--table"]).end().with(0).stdout;
        let (lines, sum) = table.trim_end().rsplit_once('\n').unwrap();
        assert!(sum.ends_with("to add") || sum.contains("to add, "), "{table}");
        assert!(lines.lines().all(|line| line.starts_with(['+', '~', '-', '>', ' '])), "{table}");
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(!table.contains("intent") && !table.contains('\x1b'), "{table}");
        let all = plan().args(["--table", "-v"]).end().with(0).stdout;
        assert!(all.contains("intent.") && all.lines().count() > table.lines().count(), "{all}");
        let (_, plain) = on_terminal(plan().env("NO_COLOR", "1"), End::Output);
        assert_eq!(plain, table);
        let (_, coloured) = on_terminal(plan(), End::Output);
        assert!(coloured.contains("\x1b[32m+"), "{coloured}");
    }
}

#[test]
fn up_and_down_tell_what_they_did_when_a_table_is_asked_for() {
    for tool in tools_and_smallest() {
        for verb in ["up", "down"] {
            let ended = tool.run([verb, &pair(), "--table"]).args(AWAY).end().with(0);
            assert_eq!(ended.stdout, "nothing to do\n");
        }
    }
}

/// `lsx status --only networks.lan` asks lsx-ct, too, which has nothing of it.
#[test]
fn a_table_without_rows_has_no_headings() {
    for tool in tools() {
        for flag in ["--log=text", "-q"] {
            let ended = tool.run(["observe", &pair(), "--table", flag]).args(AWAY).end().with(0);
            assert_eq!(ended.stdout, "");
            assert_eq!(ended.stderr.contains("nothing to show"), flag != "-q", "{}", ended.stderr);
        }
    }
}

/// Each picture replaces the one before, at most one a second, until it is interrupted.
#[test]
fn top_is_repeated_on_a_terminal() {
    for tool in tools().iter().filter(|tool| tool.word() == "ct") {
        let top = || {
            let run = Run::new("timeout".as_ref()).args(["-s", "INT", "4"]).args([&tool.path]);
            run.args(["top", "--stack", &pair()]).args(AWAY)
        };
        let (ended, shown) = on_terminal(top(), End::Output);
        let _ = ended.with(124);
        let pictures = shown.matches("\x1b[H\x1b[J").count();
        assert!((2..=5).contains(&pictures), "{pictures} pictures: {shown:?}");
        let (ended, shown) = on_terminal(top().args(["--once"]), End::Output);
        let _ = ended.with(0);
        assert!(!shown.contains("\x1b[H"), "{shown:?}");
        assert!(!top().args(["--once"]).end().with(0).stdout.contains('\x1b'));
    }
}

#[test]
fn an_output_file_is_written_whole_and_left_alone_when_equal() {
    for tool in tools_and_smallest() {
        let folder = scratch();
        let path = folder.path().join("deep/out.json");
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        let name = path.display().to_string();
        let seen =
            || path.metadata().map(|m| (m.ino(), m.mtime(), m.mtime_nsec(), m.mode() & 0o777)).unwrap();
        let ended = tool.run(["resolve", &pair(), "-o", &name]).end().refused(0);
        assert!(ended.stderr.is_empty());
        let (first, bytes) = (seen(), std::fs::read(&path).unwrap());
        assert_eq!(bytes, tool.run(["resolve", &pair()]).end().stdout.into_bytes());
        let _ = tool.run(["resolve", &pair(), "--output", &name]).end().refused(0);
        assert_eq!(seen(), first, "equal bytes were written again");
        let _ = tool.run(["resolve", &pair(), "--set", "domain=other", "-o", &name]).end().refused(0);
        assert_ne!(seen().0, first.0, "not replaced by rename");
        assert_eq!(first.3, 0o644);
        let kept = std::fs::read(&path).unwrap();
        let _ = tool.run(["resolve", &pair(), "--set", "stack=NO", "-o", &name]).end().refused(65);
        assert_eq!(std::fs::read(&path).unwrap(), kept, "a failure touched the file");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "a leftover");
    }
}

#[test]
fn a_filter_whose_reader_has_gone_dies_of_it() {
    for tool in tools_and_smallest() {
        let plan = plan_of(&tool).to_vec();
        let resolve = vec!["resolve".to_owned(), pair()];
        let words = |all: &[&str]| all.iter().map(|w| (*w).to_owned()).collect();
        for args in [words(&["schema"]), words(&["--help"]), words(&["manual"]), plan, resolve] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let ended = tool.run(&args).stdout(OwnedFd::from(writer)).end();
            assert_eq!(ended.signal(), Some(SIGPIPE), "{} {}", ended.line, ended.stderr);
            assert!(ended.stderr.is_empty(), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_changing_verb_finishes_before_it_misses_its_reader() {
    for tool in tools_and_smallest() {
        let folder = scratch();
        let report = folder.path().join("report.json");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let away = ["up", &pair(), "--offline", "h1", "--offline", "h2", "--report"];
        let _ = tool.run(away).args([&report]).stdout(OwnedFd::from(writer)).end();
        assert!(report.exists(), "no report");
    }
}

/// A document with a warning: its `resolved` was derived for a stack of another name.
fn renamed(tool: &lsx_tests::Tool) -> String {
    let mut document = tool.run(["resolve", &pair()]).end().document();
    document["stack"] = "twin".into();
    document.to_string()
}

#[test]
fn colour_is_for_terminals_and_for_those_who_like_it() {
    for tool in tools_and_smallest() {
        let warned = || tool.run(["resolve"]).input(renamed(&tool));
        let piped = warned().end().with(0);
        assert!(piped.stderr.contains("warning:") && !piped.stderr.contains('\x1b'), "{}", piped.stderr);
        let (_, shown) = on_terminal(warned(), End::Story);
        assert!(shown.contains("\x1b["), "{shown}");
        let (_, plain) = on_terminal(warned().env("NO_COLOR", "1"), End::Story);
        assert_eq!(plain, piped.stderr);
    }
}

#[test]
fn the_story_is_ndjson_when_asked() {
    for tool in tools_and_smallest() {
        let ended = tool.run(["resolve", "--log", "json"]).input(renamed(&tool)).end().with(0);
        let away = ["up", &pair(), "--offline", "h1", "--offline", "h2", "--log", "json"];
        for events in [ended.events(), tool.run(away).end().with(0).events()] {
            assert!(!events.is_empty());
            for (i, event) in events.iter().enumerate() {
                assert_eq!((&event["v"], &event["seq"]), (&1.into(), &(i + 1).into()), "{event}");
                assert_eq!(event["tool"], tool.name.as_str(), "{event}");
                assert!(event["host"].is_string() && event["phase"].is_string(), "{event}");
                let at = event["at"].as_str().unwrap();
                assert!(at.len() == 24 && at.ends_with('Z') && at.contains('T'), "{at}");
            }
        }
    }
}

#[test]
fn quiet_says_nothing_but_warnings_and_failures() {
    for tool in tools_and_smallest() {
        let away = ["up", &pair(), "--offline", "h1", "--offline", "h2", "--quiet"];
        assert_eq!(tool.run(away).end().with(0).stderr, "");
        let ended = tool.run(["resolve", "-q"]).input(renamed(&tool)).end().with(0);
        assert!(ended.stderr.contains("warning:"));
        assert!(!tool.run(["resolve", "-q"]).end().refused(66).stderr.is_empty());
    }
}

#[test]
fn an_empty_file_is_no_document_either() {
    for tool in tools_and_smallest() {
        let folder = scratch();
        for text in ["", "\n\n  \n"] {
            let path = file(&folder, "empty", text);
            for verb in STACK_VERBS {
                let _ = tool.run([verb, path.as_str()]).end().refused(66);
                let _ = tool.run([verb]).input(text).end().refused(66);
            }
        }
    }
}
