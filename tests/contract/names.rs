//! Completions of names of a stack, tested with the shells themselves.

use crate::door::built;
use crate::pages::{installed, skipped};
use crate::{file, pair, scratch};
use lsx_tests::{Run, tools, tools_and_smallest, top};
use std::path::Path;

/// The completions of a shell for the last word of a line, by a program's own completion script.
fn completed(shell: &str, folder: &Path, program: &str, line: &str) -> Vec<String> {
    let words = line.replace('\'', "");
    let script = folder.join(format!("{program}.{shell}")).display().to_string();
    let text = match shell {
        "bash" => format!(
            "set -f; source {script}; IFS=' ' read -ra COMP_WORDS <<<'{words}'; [[ '{words}' == *' ' ]] && COMP_WORDS+=('')
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); ask=$(complete -p {program} | sed 's/.*-F \\([^ ]*\\).*/\\1/')
             compopt() {{ :; }}; \"$ask\" {program} '' ''; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        ),
        "zsh" => format!(
            "compdef() {{ :; }}; compadd() {{ print -rl -- $names }}; _arguments() {{ :; }}; _files() {{ :; }}
             source {script}; words=({words}); [[ '{words}' == *' ' ]] && words+=(''); CURRENT=$#words; _{program}"
        ),
        _ => format!("source {script}; complete -C '{words}' | cut -f1"),
    };
    let flags: &[&str] = match shell {
        "bash" => &["--norc", "-c"],
        "zsh" => &["-f", "-c"],
        _ => &["--no-config", "-c"],
    };
    let path = format!("{}:{}:/usr/bin:/bin", folder.display(), built().display());
    let run = Run::new(Path::new(shell)).args(flags).args([&text]).within(folder).env("PATH", path);
    let said = run.env("CARGO_TARGET_DIR", folder).env("HOME", folder).end();
    let mut found: Vec<String> = said.stdout.lines().map(str::to_owned).filter(|l| !l.is_empty()).collect();
    found.sort();
    found
}

#[test]
fn shells_complete_names_of_the_stack() {
    let folder = scratch();
    let path = folder.path();
    std::fs::copy(pair(), path.join("stack.yaml")).unwrap();
    std::os::unix::fs::symlink(top("scripts/lsx"), path.join("lsx")).unwrap();
    let mut programs = vec![("lsx".to_owned(), Run::new(&path.join("lsx")))];
    programs.extend(tools().into_iter().map(|tool| (tool.name.clone(), Run::new(&tool.path))));
    let shells: Vec<&str> = ["bash", "zsh", "fish"].into_iter().filter(|shell| installed(shell)).collect();
    if shells.len() < 3 {
        skipped("a shell is not here to complete names");
    }
    for (program, _) in &programs {
        for shell in &shells {
            let run =
                if program == "lsx" { Run::new(&path.join("lsx")) } else { Run::new(&built().join(program)) };
            let env = format!("{}:/usr/bin:/bin", built().display());
            let script = run.env("PATH", env).args(["completions", shell]).end().with(0).stdout;
            file(&folder, &format!("{program}.{shell}"), &script);
            let asked = |line: &str| completed(shell, path, program, &format!("{program} {line}"));
            assert_eq!(asked("plan --offline "), ["h1", "h2"], "{program} {shell}");
            assert_eq!(asked("plan --only hosts.h1,hosts."), ["hosts.h1,hosts.h1", "hosts.h1,hosts.h2"]);
            assert!(asked("plan --only networks.").iter().all(|name| name.starts_with("networks.")));
            if ["lsx", "lsx-ct"].contains(&program.as_str()) {
                let instances = asked("restart ");
                assert!(
                    instances.contains(&"ping".to_owned()) && !instances.contains(&"h1".to_owned()),
                    "{shell}: {instances:?}"
                );
                assert_eq!(asked("drain "), ["h1", "h2"], "{program} {shell}");
            }
            // The user is typing: an unreadable stack gives no names and no messages.
            std::fs::write(path.join("broken.yaml"), "stack: [").unwrap();
            let none = asked("plan broken.yaml --offline ");
            assert!(!none.contains(&"h1".to_owned()), "{program} {shell}: {none:?}");
        }
    }
}

#[test]
fn names_are_silent_when_there_are_none() {
    let folder = scratch();
    let broken = file(&folder, "stack.yaml", "stack: [");
    for tool in tools_and_smallest() {
        for args in [
            &["names"][..],
            &["names", "--", ""],
            &["names", "--", "plan", "--only", ""],
            &["names", "--", "x", "y"],
        ] {
            let ended = tool.run(args).within(folder.path()).end().with(0);
            assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""), "{broken}");
        }
    }
}

#[test]
fn what_narrows_a_verb_must_be_there_and_about_a_stack() {
    let folder = scratch();
    for tool in tools_and_smallest() {
        for verb in ["observe", "plan", "up", "down", "check"] {
            for only in ["instances.nope", "networks.nope", "hosts.nope", "nope", "nope.web"] {
                let ended = tool.run([verb, "--only", only]).args([pair()]).end().refused(64);
                assert!(ended.stderr.contains("--only"), "{}", ended.stderr);
            }
        }
        for flag in [["--only", "hosts.h1"], ["--offline", "h1"], ["--local", "h1"]] {
            let ended = tool.run(["observe"]).args(flag).within(folder.path()).end().refused(64);
            assert!(ended.stderr.contains(flag[0]) && ended.stderr.contains("stack"), "{}", ended.stderr);
        }
    }
    for verb in [
        &["top"][..],
        &["ls"],
        &["start", "ping"],
        &["logs", "ping"],
        &["exec", "ping", "true"],
        &["wait", "ping"],
    ] {
        for tool in tools().iter().filter(|tool| tool.word() == "ct") {
            let stack = if verb[0] == "ls" { vec![pair()] } else { vec!["--stack".to_owned(), pair()] };
            let run = tool.run([verb[0]]).args(["--only", "instances.nope"]).args(stack).args(&verb[1..]);
            let ended = run.end().refused(64);
            assert!(ended.stderr.contains("--only instances.nope"), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_narrowed_observation_is_no_base_for_a_plan() {
    let folder = scratch();
    for tool in tools_and_smallest() {
        let case = crate::planned(&tool);
        let text = std::fs::read_to_string(case.join("observed.json")).unwrap();
        let narrowed = text.replace("\"schema\":", "\"only\":\"hosts.h1\",\"schema\":");
        assert_ne!(text, narrowed);
        let path = file(&folder, "observed.json", &narrowed);
        let stack = case.join("stack.yaml").display().to_string();
        let ended = tool.run(["plan", "--observed", &path, &stack]).end().refused(65);
        assert!(ended.stderr.contains("--only"), "{}", ended.stderr);
    }
}

#[test]
fn flags_after_the_instance_are_not_taken_for_a_program() {
    for tool in tools().iter().filter(|tool| tool.word() == "ct") {
        for line in ["exec db --plain -- true", "exec -it db --stack office.yaml"] {
            let ended = tool.run(line.split(' ')).end().refused(64);
            assert!(ended.stderr.contains("flags come before the instance"), "{line}: {}", ended.stderr);
        }
    }
}
