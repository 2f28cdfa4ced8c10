//! No circle between files: what a file needs does not need the file again. A circle can only be read, tested and moved as
//! a whole.
//!
//! An import, or a path in the code, is a need. `mod` is none; a name that a file only hands on (`pub use`) is needed from
//! where it is defined; and what a file takes from a module above its own is none, since that holds what they share.
//! Methods are not followed.

mod graph;
mod names;
mod tokens;

use crate::{files, tools};
use graph::{Crate, Needs};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[test]
fn files_need_no_circle() {
    let files = files();
    let mut folders = vec!["common/src".to_owned(), "common/stack/src".to_owned()];
    folders.extend(tools().iter().map(|tool| format!("tools/{tool}/src")));
    let mut found = Vec::new();
    for folder in folders {
        let needs = Crate::new(&folder, &files).needs();
        assert!(!needs.is_empty(), "{folder} has no files");
        found.extend(circles(&needs));
    }
    crate::none("files that need each other in a circle (A -> B: what A takes from B)", &found);
}

/// The groups of files that all reach each other, with the needs that tie them.
fn circles(needs: &BTreeMap<String, Needs>) -> Vec<String> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        needs.keys().map(|file| (file.as_str(), reached(needs, file))).collect();
    let mut all: Vec<BTreeSet<&str>> = Vec::new();
    for file in reach.keys().filter(|file| reach[*file].contains(*file)) {
        if !all.iter().any(|circle| circle.contains(file)) {
            all.push(reach[file].iter().filter(|other| reach[*other].contains(file)).copied().collect());
        }
    }
    all.iter().map(|circle| shown(needs, circle)).collect()
}

fn reached<'n>(needs: &'n BTreeMap<String, Needs>, from: &str) -> BTreeSet<&'n str> {
    let mut seen = BTreeSet::new();
    let mut next: VecDeque<&str> = needs[from].keys().map(String::as_str).collect();
    while let Some(file) = next.pop_front() {
        if seen.insert(file) {
            next.extend(needs[file].keys().map(String::as_str));
        }
    }
    seen
}

/// The circle, file by file.
fn shown(needs: &BTreeMap<String, Needs>, circle: &BTreeSet<&str>) -> String {
    let mut lines = vec![format!("{} files:", circle.len())];
    for file in circle {
        for (other, names) in needs[*file].iter().filter(|(other, _)| circle.contains(other.as_str())) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            lines.push(format!("    {file} -> {other}: {}", names.join(", ")));
        }
    }
    lines.join("\n")
}

/// The circles of a crate of these files.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let file =
        |(name, text): &(&str, &str)| crate::File { path: format!("a/src/{name}"), text: (*text).to_owned() };
    let files: Vec<crate::File> = files.iter().map(file).collect();
    circles(&Crate::new("a/src", &files).needs())
}

#[test]
fn a_circle_is_named_file_by_file() {
    let one = "use crate::two::second;\npub fn first() { second() }";
    let two = "pub fn second() { crate::three::third::<u8>() }";
    let three = "use super::one;\npub fn third<T>() { one::first() }";
    let circle = found(&[
        ("lib.rs", "mod one;\nmod two;\nmod three;"),
        ("one.rs", one),
        ("two.rs", two),
        ("three.rs", three),
    ]);
    assert_eq!(
        circle,
        [
            "3 files:\n    a/src/one.rs -> a/src/two.rs: second\n    a/src/three.rs -> a/src/one.rs: first\n    a/src/two.rs -> a/src/three.rs: third"
        ]
    );
}

#[test]
fn a_name_is_needed_from_where_it_is_defined() {
    let top = "pub mod door;\npub mod user;";
    let door = "mod inside;\npub use inside::{Thing as Handed, inside};\npub fn open() {}";
    let user = "use crate::door::Handed;\npub struct Used(Handed);\npub fn used() { let _ = \"crate::door::open\"; }";
    let inside = |body: &str| {
        found(&[("lib.rs", top), ("door/mod.rs", door), ("door/inside.rs", body), ("user.rs", user)])
    };
    // The parent hands the name on, and its child may use what the parent has.
    assert_eq!(inside("pub struct Thing;\nfn f() { super::open() }\n// crate::user::used()"), [""; 0]);
    assert_eq!(
        inside("pub struct Thing;\n#[cfg(test)]\nmod tests { fn f() { crate::user::used() } }"),
        [""; 0]
    );
    let circle =
        inside("use crate::user::*;\npub struct Thing;\nfn f() -> &'static str { used(); r#\"{\"# }");
    assert_eq!(
        circle,
        [
            "2 files:\n    a/src/door/inside.rs -> a/src/user.rs: used\n    a/src/user.rs -> a/src/door/inside.rs: Handed"
        ]
    );
}

#[test]
fn a_parent_that_uses_its_child_needs_it() {
    let parent = "mod child;\npub use child::made;\npub fn make() { made() }";
    let other = "pub fn other() { crate::parent::make() }";
    let circle = |child: &str| {
        found(&[
            ("lib.rs", "mod parent;\nmod other;"),
            ("parent.rs", parent),
            ("parent/child.rs", child),
            ("other.rs", other),
        ])
    };
    assert_eq!(circle("pub fn made() { super::make() }"), [""; 0]);
    let lines = circle("pub fn made() { crate::other::other() }")[0].lines().count();
    assert_eq!(lines, 4, "parent, child and other");
}
