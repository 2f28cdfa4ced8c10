//! Rules for texts: first sentences, leftovers, paths of machines, shell scripts.

use crate::{File, files, none, rust};
use lsx_tests::{Run, top};
use std::path::Path;

#[test]
fn every_rust_file_opens_with_a_sentence() {
    let opens = |file: &File| file.text.starts_with("//! ") && file.text.lines().next().unwrap().len() > 12;
    let found: Vec<String> = rust().iter().filter(|f| !opens(f)).map(|f| f.path.clone()).collect();
    none("the first line is `//! ` and says what the file is for", &found);
}

#[test]
fn nothing_is_left_over() {
    let words = ["TODO", "FIXME", "dbg!(", "<<<<<<<", ">>>>>>>", "\t\n", " \n"].map(str::to_owned);
    let mut found = Vec::new();
    for file in files().iter().filter(|f| !f.within("tests/tidy") && !f.within("tests/fixtures")) {
        for word in &words {
            let lines =
                file.text.match_indices(word.as_str()).map(|(at, _)| file.text[..at].lines().count().max(1));
            found.extend(lines.map(|line| format!("{}:{line}: {word:?}", file.path)));
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            found.push(format!("{}: no newline at the end", file.path));
        }
    }
    none("no leftovers", &found);
}

/// A path of one machine would only work there.
#[test]
fn no_machine_is_named() {
    let words = [concat!("/", "work/"), "/Users/", "C:\\", "/home/"];
    let known = [("scripts/lab.d/host", "/home/%s")]; // the logins of throwaway hosts
    let mut found = Vec::new();
    for file in files().iter().filter(|f| !f.within("tests/tidy")) {
        for (i, line) in file.text.lines().enumerate() {
            let excused = known.iter().any(|(path, part)| file.path == *path && line.contains(part));
            if !excused && words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", file.path, i + 1, line.trim()));
            }
        }
    }
    none("no path of a machine", &found);
}

#[test]
fn packages_come_from_the_public_registry() {
    let lock = std::fs::read_to_string(top("Cargo.lock")).unwrap();
    let public = concat!("source = \"registry+https://github.com/rust-lang/crates", ".io-index\"");
    let others: Vec<String> =
        lock.lines().filter(|l| l.starts_with("source = ") && *l != public).map(str::to_owned).collect();
    none("Cargo.lock names another registry", &others);
    let config = std::fs::read_to_string(top(".cargo/config.toml")).unwrap();
    for word in ["[source", "[registr", "proxy", "http"] {
        assert!(!config.contains(word), ".cargo/config.toml names a registry: {word}");
    }
}

fn scripts() -> Vec<File> {
    let shell = |f: &File| {
        f.text
            .lines()
            .next()
            .is_some_and(|l| l.starts_with("#!") && (l.ends_with("sh") || l.ends_with("bash")))
    };
    let parts = |f: &File| f.path.ends_with(".bash") || f.path.ends_with(".sh");
    files().into_iter().filter(|f| (shell(f) || parts(f)) && !f.within("tests/fixtures")).collect()
}

#[test]
fn shell_scripts_are_strict_and_say_what_they_do() {
    let mut found = Vec::new();
    for script in scripts() {
        let second = script.text.lines().find(|l| !l.starts_with("#!")).unwrap_or_default();
        if !second.starts_with("# ") || second.starts_with("# shellcheck") {
            found.push(format!("{}: the line below the first says nothing", script.path));
        }
        if script.text.starts_with("#!/usr/bin/env bash") && !script.text.contains("set -euo pipefail") {
            found.push(format!("{}: no set -euo pipefail", script.path));
        }
        let shell = if script.text.starts_with("#!/bin/sh") { "sh" } else { "bash" };
        let read = Run::new(Path::new(shell)).args(["-n", &script.path]).within(&top("")).end();
        if read.code() != 0 {
            found.push(format!("{}: {}", script.path, read.stderr));
        }
    }
    none("scripts", &found);
}

#[test]
fn shellcheck_finds_nothing() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|folder| folder.join("shellcheck").is_file()) {
        eprintln!("SKIPPED: shellcheck is not here");
        return;
    }
    let paths: Vec<String> =
        scripts().into_iter().filter(|s| s.text.starts_with("#!")).map(|s| s.path).collect();
    let args = ["-x", "-P", "SCRIPTDIR", "-P", "scripts/lab.d"];
    let ended = Run::new(Path::new("shellcheck")).args(args).args(&paths).within(&top("")).end();
    assert!(ended.code() == 0, "{}{}", ended.stdout, ended.stderr);
}
