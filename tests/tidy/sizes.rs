//! Sizes: files have at most 300 lines, exceptions at most 500. Functions are checked by clippy: `too_many_lines`, at 60.

use crate::{files, none};

const SMELL: usize = 300;
const END: usize = 500;

/// Exceptions, and their maximum length. The list only shrinks: a number is lowered with its file.
const LONG: [(&str, usize); 0] = [];

#[test]
fn files_are_short() {
    let mut found = Vec::new();
    for file in files() {
        let script = file.text.starts_with("#!") && !file.within("tests/fixtures");
        if !file.path.ends_with(".rs") && !script {
            continue;
        }
        let lines = file.text.lines().count();
        let allowed = LONG.iter().find(|(path, _)| *path == file.path).map(|(_, most)| *most);
        match allowed {
            None if lines > SMELL => found.push(format!("{}: {lines} lines", file.path)),
            Some(most) if lines > most.min(END) => {
                found.push(format!("{}: {lines} lines, {most} allowed", file.path))
            }
            Some(_) if lines <= SMELL => {
                found.push(format!("{}: {lines} lines; take it off the list", file.path))
            }
            Some(most) if lines + 40 < most => {
                found.push(format!("{}: {lines} lines; lower its {most}", file.path))
            }
            _ => {}
        }
    }
    let gone = LONG.iter().filter(|(path, _)| !lsx_tests::top(path).is_file());
    found.extend(gone.map(|(path, _)| format!("{path} is no more; take it off the list")));
    none("a file has its page", &found);
}

#[test]
fn clippy_measures_functions() {
    let settings = std::fs::read_to_string(lsx_tests::top(".clippy.toml")).unwrap();
    assert!(settings.contains("too-many-lines-threshold = 60"), "{settings}");
    let manifest = std::fs::read_to_string(lsx_tests::top("Cargo.toml")).unwrap();
    for lint in [
        "too_many_lines",
        "unwrap_used",
        "expect_used",
        "print_stdout",
        "disallowed_methods",
        "exit",
        "missing_docs",
        "unreachable_pub",
    ] {
        assert!(manifest.contains(&format!("{lint} = \"warn\"")), "the workspace does not ask for {lint}");
    }
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

#[test]
fn a_main_only_hands_over() {
    for tool in crate::tools() {
        let main = std::fs::read_to_string(lsx_tests::top(&format!("tools/{tool}/src/main.rs"))).unwrap();
        assert!(main.lines().count() < 15, "tools/{tool}/src/main.rs does more than hand over");
    }
}
