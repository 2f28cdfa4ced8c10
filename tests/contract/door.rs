//! `scripts/lsx` with the tools, and the default stack.

use crate::terminal::{End, on_terminal};
use crate::{AWAY, file, pair, scratch};
use lsx_tests::{Run, Tool, tools, top};
use serde_json::{Value, json};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// `lsx` with these programs as tools, and no other.
fn lsx<S: AsRef<std::ffi::OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> Run {
    let path = format!("{}:/usr/bin:/bin", folder.display());
    Run::new(&top("scripts/lsx")).args(args).env("PATH", path).env("CARGO_TARGET_DIR", folder)
}

/// The tools as cargo built them.
pub(crate) fn built() -> std::path::PathBuf {
    tools()[0].path.parent().unwrap().to_owned()
}

/// Tools that record their arguments, and exit as told.
fn recorders(folder: &Path, ends: &[(&str, i32)]) {
    for (name, code) in ends {
        let path = folder.join(name);
        let told =
            "*--help*) case \"$*\" in *--odd*) echo \"unexpected argument\" >&2; exit 64 ;; esac; exit 0 ;;";
        let write = format!("echo \"$0 $*\" >>{}/calls; echo '{{\"by\": \"{name}\"}}'", folder.display());
        let text = format!("#!/bin/sh\ncase \"$*\" in {told} esac\n{write}\nexit {code}\n");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    std::fs::write(folder.join("stack.yaml"), "stack: pair\n").unwrap();
}

/// The tools and verbs called, in order.
fn calls(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("calls")).unwrap_or_default();
    let words = |line: &str| line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
    text.lines().map(|line| words(line).join(" ").rsplit('/').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn up_and_down_go_through_all_tools_and_say_so() {
    for verb in ["up", "down"] {
        let ended = lsx(&built(), [verb]).args(AWAY).args([pair()]).end().with(0);
        let status = &ended.document()["status"];
        assert_eq!((&status["net"]["ok"], &status["ct"]["ok"]), (&json!(true), &json!(true)), "{status}");
        let yaml = std::fs::read_to_string(pair()).unwrap();
        let piped = lsx(&built(), [verb]).args(AWAY).args(["--base", "."]).input(yaml).end().with(0);
        assert_eq!(piped.document()["status"], *status);
    }
}

#[test]
fn down_goes_backwards_and_a_failure_ends_it_with_its_own_code() {
    let folder = scratch();
    recorders(folder.path(), &[("lsx-net", 0), ("lsx-ct", 0)]);
    let _ = lsx(folder.path(), ["up"]).within(folder.path()).end().with(0);
    let _ = lsx(folder.path(), ["down"]).within(folder.path()).end().with(0);
    assert_eq!(calls(folder.path()), ["lsx-net up", "lsx-ct up", "lsx-ct down", "lsx-net down"]);
    let folder = scratch();
    recorders(folder.path(), &[("lsx-net", 69), ("lsx-ct", 0)]);
    let _ = lsx(folder.path(), ["up"]).within(folder.path()).end().refused(69);
    assert_eq!(calls(folder.path()), ["lsx-net up"], "the second was asked after the first had failed");
}

/// At 3 a.m. on a host: what is here, and how to remove a stack from it.
#[test]
fn on_a_host_without_the_file_this_host_is_meant() {
    let (folder, empty) = (scratch(), scratch());
    recorders(folder.path(), &[("lsx-net", 0), ("lsx-ct", 0)]);
    // A pipe that stays open, as ssh gives one.
    let (reader, _writer) = std::io::pipe().unwrap();
    let status = lsx(folder.path(), ["status"]).within(empty.path()).stdin(OwnedFd::from(reader));
    let _ = status.end().with(0);
    let down = |args: &[&str]| lsx(folder.path(), ["down"]).args(args).within(empty.path()).end();
    assert_eq!(down(&["--stack=office"]).with(0).documents().len(), 2);
    assert_eq!(calls(folder.path()), ["lsx-net observe", "lsx-ct observe", "lsx-ct down", "lsx-net down"]);
    let told = std::fs::read_to_string(folder.path().join("calls")).unwrap();
    assert!(told.ends_with("lsx-net down --stack=office\n") && !told.contains("--base"), "{told}");
    let ended = down(&["--stack=office", "stack.yaml"]).refused(64);
    assert!(ended.stderr.contains("this host"), "{}", ended.stderr);
}

#[test]
fn the_scripts_of_the_original_are_lines_over_it() {
    let up = ["lsx-net up", "lsx-ct up"];
    let anew = ["lsx-ct down", "lsx-net down", "lsx-net up", "lsx-ct up"];
    for (script, wanted) in [
        ("start", &anew[..]),
        ("restart", &anew),
        ("start-no-stop", &up),
        ("stop", &anew[..2]),
        ("restore", &["lsx-snap restore"]),
        ("deploy-to-production", &[]),
    ] {
        let folder = scratch();
        let tools = [("lsx-net", 0), ("lsx-ct", 0), ("lsx-snap", 0)];
        recorders(folder.path(), if script == "restore" { &tools } else { &tools[..2] });
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let job = ["db"].into_iter().filter(|_| script == "restore");
        let args = ["stack.yaml"].into_iter().chain(job);
        let run = Run::new(&top("scripts").join(script)).args(args).within(folder.path());
        let ended = run.env("PATH", path).env("CARGO_TARGET_DIR", folder.path()).end();
        assert_eq!(calls(folder.path()), wanted, "{script}: {}", ended.stderr);
        let _ = ended.with(if wanted.is_empty() { 69 } else { 0 });
    }
}

#[test]
fn plan_and_check_ask_every_tool_and_a_failure_counts_for_more() {
    let documents = lsx(&built(), ["plan"]).args(AWAY).args([pair()]).end().with(0).documents();
    let schemas: Vec<&Value> = documents.iter().map(|d| &d["schema"]).collect();
    assert_eq!(
        schemas,
        [
            "lsx.net.plan/1",
            "lsx.store.plan/1",
            "lsx.pki.plan/1",
            "lsx.dns.plan/1",
            "lsx.ct.plan/1",
            "lsx.snap.plan/1"
        ]
    );
    for (net, ct, code) in [(2, 0, 2), (0, 2, 2), (2, 69, 69), (69, 2, 69), (1, 2, 1), (0, 0, 0)] {
        let folder = scratch();
        recorders(folder.path(), &[("lsx-net", net), ("lsx-ct", ct)]);
        let _ = lsx(folder.path(), ["check"]).within(folder.path()).end().with(code);
        assert_eq!(calls(folder.path()), ["lsx-net check", "lsx-ct check"]);
    }
}

#[test]
fn a_flag_goes_to_the_tools_that_have_it() {
    let plan =
        lsx(&built(), ["plan", "--runtime", "crun"]).args(AWAY).args([pair()]).end().with(0).documents();
    assert_eq!(plan[4]["data"]["runtime"], "crun", "{}", plan[4]);
    let plan =
        lsx(&built(), ["plan", "--set", "stack=twin"]).args(AWAY).args([pair()]).end().with(0).documents();
    assert!(plan.len() == 6 && plan.iter().all(|one| one["stack"] == "twin"), "{plan:?}");
    for flags in
        [&["--renumber"][..], &["--allow-move", "--allow-overlap"], &["--down", "--destroy-data", "pair"]]
    {
        let plan = lsx(&built(), ["plan"]).args(flags).args(AWAY).args([pair()]).end().with(0).documents();
        assert_eq!(plan.len(), 6, "{flags:?}: {plan:?}");
    }
    let ended = lsx(&built(), ["up", "--odd", &pair()]).end().refused(64);
    assert!(ended.stderr.contains("--odd") && ended.stderr.contains("hint:"), "{}", ended.stderr);
}

#[test]
fn other_verbs_go_to_the_tool_that_has_them() {
    for (args, wanted) in [
        (&["probe", "--help"][..], "lsx-net probe"),
        (&["exec", "--help"], "lsx-ct exec"),
        (&["net", "plan", "--help"], "lsx-net plan"),
        (&["ct", "plan", "--help"], "lsx-ct plan"),
    ] {
        let help = lsx(&built(), args).end().with(0).stdout;
        assert!(help.contains(&format!("Usage: {wanted}")), "{args:?}: {help}");
    }
    let ended = lsx(&built(), ["nonsense"]).end().refused(64);
    assert!(ended.stderr.contains("nonsense"), "{}", ended.stderr);
}

#[test]
fn without_tools_or_a_stack_it_says_so() {
    let folder = scratch();
    let ended = lsx(folder.path(), ["up", &pair()]).end().refused(69);
    assert!(ended.stderr.contains("no tool"), "{}", ended.stderr);
    let _ = lsx(&built(), ["up", "gone.yaml"]).end().refused(66);
    let _ = lsx(&built(), ["up"]).within(folder.path()).end().refused(66);
    let (ended, _) = on_terminal(lsx(&built(), ["up"]).within(folder.path()), End::Input);
    let _ = ended.refused(64);
    let _ = lsx(&built(), ["up", "a.yaml", "b.yaml"]).end().refused(64);
    let _ = lsx(&built(), ["--help"]).end().with(0);
    let script = lsx(&built(), ["completions", "bash"]).end().with(0).stdout;
    assert!(script.contains(" exec ") && script.contains(" probe "), "{script}");
    let _ = Run::new(Path::new("bash")).args(["-n", &file(&folder, "completions", &script)]).end().with(0);
}

/// The name of the stack that a verb used.
fn taken(run: Run) -> Value {
    run.end().with(0).document()["stack"].clone()
}

#[test]
fn the_usual_stack_is_taken_when_none_is_named_and_none_can_come() {
    let folder = scratch();
    let text = std::fs::read_to_string(pair()).unwrap();
    let named = |name: &str| text.replacen("stack: pair", &format!("stack: {name}"), 1);
    file(&folder, "stack.yaml", &named("here"));
    let other = file(&folder, "other.yaml", &named("other"));
    for tool in tools() {
        let run = |args: &[&str]| tool.run(args).within(folder.path());
        let nothing = || run(&["resolve"]); // standard input is /dev/null, as under cron
        assert_eq!(taken(nothing()), "here");
        assert_eq!(taken(nothing().env("LSX_STACK", &other)), "other");
        assert_eq!(taken(run(&["resolve", "stack.yaml"]).env("LSX_STACK", &other)), "here");
        let (ended, _) = on_terminal(nothing(), End::Input);
        assert_eq!(ended.with(0).document()["stack"], "here");
        let _ = nothing().env("LSX_STACK", "").end().refused(66);
        let _ = nothing().env("LSX_STACK", "gone.yaml").end().refused(66);
        // A pipe takes precedence, even an empty one: then the tool before has failed, and no other stack is used instead.
        assert_eq!(taken(nothing().input(named("piped")).env("LSX_STACK", &other)), "piped");
        let _ = nothing().input("").env("LSX_STACK", &other).end().refused(66);
        let _ = run(&["up"]).input("").end().refused(66);
        observes(&tool, folder.path());
    }
}

/// `observe` uses the hosts of the default stack, and does not read a pipe.
fn observes(tool: &Tool, folder: &Path) {
    let (reader, _writer) = std::io::pipe().unwrap();
    let run = tool.run(["observe"]).args(AWAY).within(folder).stdin(OwnedFd::from(reader));
    assert_eq!(run.end().with(0).stdout, "");
    let _ = tool.run(["observe", "--set", "stack=NO"]).args(AWAY).within(folder).end().refused(65);
}
