//! A name that does not exist is exit 64 in every verb, with the same words: what has no such name, and a hint with the names
//! that there are.

use crate::{file, listed, pair, scratch};
use lsx_tests::{Ended, Tool, tools, tools_and_smallest};

/// Verbs that take no name, besides flags that [`crate::names`] tests.
const NAMELESS: [&str; 14] = [
    "resolve",
    "observe",
    "plan",
    "apply",
    "up",
    "down",
    "check",
    "schema",
    "completions",
    "help",
    "inventory",
    "import",
    "ls",
    "probe",
];

/// The verbs with an unknown name, as typed.
const LINES: [&str; 25] = [
    "start nope",
    "stop nope",
    "restart nope",
    "wait nope",
    "logs nope",
    "logs ping nope",
    "top nope",
    "recipes nope",
    "exec nope true",
    "exec --on nope -- true",
    "exec --on nope* -- true",
    "exec -it nope",
    "cp nope:/etc/hosts .",
    "cp /etc/hosts nope:/tmp",
    "create nope",
    "destroy nope",
    "move nope h1",
    "move ping nope",
    "drain nope",
    "drain h1 --to nope",
    "images rm nope",
    "images export nope nope.tar",
    "images push nope localhost/nope",
    "start ping --only instances.nope",
    "start ping --offline nope",
];

#[track_caller]
fn unknown(ended: &Ended) {
    assert!(
        ended.stderr.contains("nope") && ended.stderr.contains("no "),
        "{}: {}",
        ended.line,
        ended.stderr
    );
    let hint = ended.stderr.lines().any(|line| {
        ["  hint: known: ", "  hint: did you mean `", "  hint: there is none"]
            .iter()
            .any(|h| line.starts_with(h))
    });
    assert!(hint, "{}: {}", ended.line, ended.stderr);
}

#[test]
fn an_unknown_name_is_wrong_usage_in_every_verb() {
    let (folder, empty) = (scratch(), scratch());
    std::fs::copy(pair(), folder.path().join("stack.yaml")).unwrap();
    for tool in tools().iter().filter(|tool| tool.word() == "ct") {
        for verb in listed(tool).iter().filter(|verb| !NAMELESS.contains(&verb.as_str())) {
            let tried = LINES.iter().any(|line| line.split(' ').next() == Some(verb));
            assert!(tried, "no line tries an unknown name with {verb}");
        }
        for line in LINES {
            let ended = tool.run(line.split(' ')).within(folder.path()).end().refused(64);
            unknown(&ended);
        }
        // On a host without a stack, where this user may look.
        for line in LINES.iter().take(12) {
            let ended = tool.run(line.split(' ')).within(empty.path()).end();
            assert!(ended.stdout.is_empty() && [64, 77].contains(&ended.code()), "{line}: {}", ended.stderr);
            if ended.code() == 64 {
                unknown(&ended);
            }
        }
    }
}

/// `attach` takes the resolved stack.
#[test]
fn an_unknown_instance_has_no_interfaces() {
    let folder = scratch();
    for tool in tools().iter().filter(|tool| tool.word() == "net") {
        let resolved = file(&folder, "pair.json", &tool.run(["resolve", &pair()]).end().with(0).stdout);
        for verb in ["attach", "detach"] {
            unknown(&tool.run([verb, "--instance", "nope", &resolved]).end().refused(64));
            // The document that people write has no addresses yet.
            let ended = tool.run([verb, "--instance", "ping", &pair()]).end().refused(65);
            assert!(ended.stderr.contains("lsx-net resolve"), "{}", ended.stderr);
        }
    }
}

#[test]
fn an_unknown_host_is_named_with_those_there_are() {
    for tool in tools_and_smallest() {
        for verb in ["observe", "plan", "up", "down", "check"] {
            for flag in ["--offline", "--local"] {
                unknown(&tool.run([verb, &pair(), flag, "nope"]).end().refused(64));
            }
        }
    }
}

/// Without root, running instances would seem stopped and missing.
#[test]
fn a_user_who_may_not_look_is_told_so() {
    let folder = scratch();
    let open = |path: &std::path::Path| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    };
    open(folder.path());
    for tool in tools_and_smallest() {
        let copy = folder.path().join(&tool.name);
        std::fs::copy(&tool.path, &copy).unwrap();
        open(&copy);
        let lines: &[&str] = match tool.word() {
            "ct" => &[
                "observe",
                "ls",
                "top",
                "logs db",
                "exec db true",
                "restart db",
                "recipes",
                "exec --hosts true",
            ],
            _ => &["observe"],
        };
        for line in lines {
            let ended = as_nobody(&tool, &copy, line);
            assert!(
                ended.stderr.contains("only root") && ended.stderr.contains("sudo"),
                "{line}: {}",
                ended.stderr
            );
        }
    }
}

/// This user, if it is not root.
fn as_nobody(tool: &Tool, copy: &std::path::Path, line: &str) -> Ended {
    let folder = copy.parent().unwrap();
    let run = match nix::unistd::geteuid().is_root() {
        true => lsx_tests::Run::new("setpriv".as_ref())
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .args([copy]),
        false => tool.run([""; 0]),
    };
    run.args(line.split(' ')).within(folder).end().refused(77)
}
