//! README is correct: its `console` blocks are run in a lab, line by line, and must print what they show.
//!
//! The first `yaml` block is `first.yaml`. A line that begins with `$ ` is a command; it exits 0 unless it says `# exit N`. The
//! lines below it are what it prints, `...` standing for any lines; blanks count once. 192.0.2.0/24 (RFC 5737) becomes the
//! lab's network.

use lsx_tests::lab::{self, Lab};
use lsx_tests::{tools, top};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// A command of a console block.
#[derive(Debug)]
struct Command {
    line: String,
    exit: i32,
    answer: Vec<String>,
}

#[test]
fn every_command_does_what_it_shows() {
    let text = fs::read_to_string(top("README.md")).unwrap().replace("192.0.2.", "198.18.0.");
    let commands: Vec<Command> = blocks(&text, "console").iter().flat_map(|block| commands(block)).collect();
    assert!(commands.len() >= 10, "README has lost its commands: {commands:#?}");
    if let Some(why) = lab::missing() {
        return eprintln!("SKIPPED: readme: {why}");
    }
    let tools = tools();
    let lab = Lab::up(2, &[], tools[0].path.to_str().unwrap());
    let folder = lab.folder.path();
    lab.furnish(&tools.iter().map(|tool| tool.path.as_path()).collect::<Vec<_>>());
    furnish(folder, &blocks(&text, "yaml")[0]);
    for command in &commands {
        run(&lab, folder, command);
    }
    // What `install --hosts` installs there; README does not show it.
    for path in [
        "/usr/local/bin/lsx",
        "/usr/local/share/man/man1/lsx-ct.1",
        "/usr/local/share/man/man5/lsx-stack.5",
        "/usr/local/share/bash-completion/completions/lsx",
    ] {
        let _ = lab.exec("h1", &["test", "-s", path]).ok();
    }
    let _ = lab.exec("h1", &["/usr/local/bin/lsx", "--version"]).ok();
}

/// A folder with the stack, the scripts, and `ssh` and the tools on PATH.
fn furnish(folder: &Path, stack: &str) {
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    for tool in tools() {
        fs::rename(folder.join(&tool.name), bin.join(&tool.name)).unwrap();
    }
    symlink(top("scripts/lsx"), bin.join("lsx")).unwrap();
    fs::write(folder.join("first.yaml"), stack).unwrap();
    fs::write(bin.join("ssh"), "#!/bin/sh\nexec /usr/bin/ssh -F \"$LSX_SSH_CONFIG\" \"$@\"\n").unwrap();
    fs::set_permissions(bin.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink(top("scripts"), folder.join("scripts")).unwrap();
}

#[track_caller]
fn run(lab: &Lab, folder: &Path, command: &Command) {
    let folder = folder.display();
    let script = format!(
        "cd {folder}; export PATH={folder}/bin:$PATH CARGO_TARGET_DIR={folder}/none LSX_STORE={folder}/store; exec 2>&1; set -o pipefail\n{}\n",
        command.line
    );
    let ran = lab.run(&["bash", "-c", &script]);
    let said: Vec<String> = ran.stdout.lines().map(plain).collect();
    assert_eq!(ran.code, command.exit, "$ {}\n{}", command.line, ran.stdout);
    assert!(
        answers(&command.answer, &said),
        "$ {}\n--- README\n{}\n--- here\n{}",
        command.line,
        command.answer.join("\n"),
        said.join("\n")
    );
}

/// Blanks count once.
fn plain(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether lines match; `...` is any number of them.
fn answers(shown: &[String], said: &[String]) -> bool {
    match shown.split_first() {
        None => said.is_empty(),
        Some((first, rest)) if first == "..." => (0..=said.len()).any(|n| answers(rest, &said[n..])),
        Some((first, rest)) => {
            said.split_first().is_some_and(|(one, more)| one == first && answers(rest, more))
        }
    }
}

/// The texts of all blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("\n```{language}\n");
    text.split(&fence)
        .skip(1)
        .filter_map(|rest| rest.split_once("\n```"))
        .map(|(b, _)| b.to_owned())
        .collect()
}

fn commands(block: &str) -> Vec<Command> {
    let mut all: Vec<Command> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(line), _) => {
                let exit = line.split_once("# exit ").map_or("0", |(_, rest)| rest);
                let exit = exit.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
                all.push(Command { line: line.to_owned(), exit, answer: Vec::new() });
            }
            (None, Some(command)) => command.answer.push(plain(line)),
            (None, None) => panic!("a console block begins with output: {line}"),
        }
    }
    all
}

#[test]
fn dots_stand_for_any_lines() {
    let lines = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert!(answers(&lines("a ... c"), &lines("a b b c")) && answers(&lines("..."), &[]));
    assert!(
        !answers(&lines("a"), &lines("a b"))
            && !answers(&[], &lines("a"))
            && !answers(&lines("a ... d"), &lines("a b c"))
    );
}
