//! Hosts: one that cannot be reached is reported while the others continue; an offline one is skipped.

use crate::{file, pair, scratch};
use lsx_tests::{Run, Tool, tools_and_smallest};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A verb on two hosts that no connection reaches.
fn unreachable(tool: &Tool, folder: &TempDir, args: &[&str]) -> Run {
    let config = file(folder, "ssh_config", "Host *\n  ProxyCommand /bin/false\n");
    tool.run(args).env("LSX_SSH_CONFIG", config)
}

#[test]
fn hosts_that_cannot_be_reached_fail_by_name() {
    let folder = scratch();
    for tool in tools_and_smallest() {
        for verb in ["up", "down", "plan"] {
            let ended = unreachable(&tool, &folder, &[verb, &pair()]).end().refused(69);
            for host in ["h1", "h2"] {
                assert!(ended.stderr.contains(&format!("{}: {host}: ", tool.name)), "{}", ended.stderr);
            }
        }
        // An unreachable host is one short line; ssh's own messages are shown with -v.
        let ended = unreachable(&tool, &folder, &["observe", &pair()]).end().refused(69);
        assert!(ended.stderr.contains("  because ") && !ended.stderr.contains("`ssh "), "{}", ended.stderr);
        let ended = unreachable(&tool, &folder, &["observe", "-v", &pair()]).end().refused(69);
        assert!(ended.stderr.contains("`ssh "), "{}", ended.stderr);
        let ended = unreachable(&tool, &folder, &["check", &pair()]).end().with(69);
        assert_eq!(ended.document()["ok"], false);
    }
}

#[test]
fn a_failure_of_a_host_is_in_the_report_and_in_the_story() {
    for tool in tools_and_smallest() {
        let folder = scratch();
        let path = folder.path().join("report.json");
        let name = path.display().to_string();
        let args = ["up", &pair(), "--log", "json", "--offline", "h2", "--report", &name];
        let ended = unreachable(&tool, &folder, &args).end().refused(69);
        let failure = ended.events().last().unwrap()["failure"].clone();
        assert_eq!((&failure["host"], &failure["kind"]), (&json!("h1"), &json!("unreachable")));
        assert_eq!(failure["retry"], true);
        assert!(failure["causes"][0].is_string(), "{failure}");
        let report: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(report["schema"], format!("lsx.{}.report/1", tool.word()));
        assert_eq!(report["ok"], false);
        let [one, two] = [&report["hosts"][0], &report["hosts"][1]];
        assert_eq!((&one["host"], &one["ok"], &one["exit"]), (&json!("h1"), &json!(false), &json!(69)));
        assert_eq!(*two, json!({"host": "h2", "ok": true, "exit": 0, "changed": 0, "skipped": true}));
    }
}

#[test]
fn an_offline_host_is_left_alone_and_said_so() {
    let text = std::fs::read_to_string(pair())
        .unwrap()
        .replace("root@198.18.0.11 }", "x@198.18.0.11, offline: true }");
    for tool in tools_and_smallest() {
        let ended = tool.run(["up", "--offline", "h2"]).input(text.as_str()).end().with(0);
        for host in ["h1", "h2"] {
            assert!(ended.stderr.contains(&format!("{host} is offline")), "{}", ended.stderr);
        }
    }
}

/// In little memory, so that a request which is not bounded ends the tool.
#[test]
fn what_is_no_request_is_refused_in_little_memory() {
    const LITTLE: &str = "ulimit -v 800000; exec \"$0\" agent";
    let endless = || std::fs::File::open("/dev/zero").unwrap();
    let many = format!("[{}0]\n{{\"op\":\"no\"}}\n", "0,".repeat(33_000_000));
    let deep = format!("{}\n", "{\"a\":".repeat(500_000));
    for tool in tools_and_smallest() {
        let agent = || Run::new("sh".as_ref()).args(["-c", LITTLE]).args([&tool.path]);
        let replies = |ended: &lsx_tests::Ended, words: &str| {
            let replies = ended.documents();
            assert!(replies[0]["hello"].is_object(), "{}", ended.stdout);
            assert!(replies[1]["failures"][0]["message"].as_str().unwrap().contains(words), "{replies:?}");
            assert!(ended.stderr.contains(words) && ended.stderr.contains("hint:"), "{}", ended.stderr);
            replies.len()
        };
        assert_eq!(replies(&agent().stdin(endless()).end().with(65), "exceeds the limit of 64 MiB"), 2);
        assert_eq!(replies(&agent().input(many.as_str()).end().with(65), "too many values"), 3);
        assert_eq!(replies(&agent().input(deep.as_str()).end().with(65), "not JSON"), 2);
    }
}
