//! Converts Compose files with the program, and compares the stack and the warnings byte for byte.

use super::tool;
use lsx_tests::{blessing, entries};
use std::path::Path;

#[test]
fn every_compose_file_becomes_the_stack_beside_it() {
    let folders: Vec<_> =
        entries("tests/fixtures/compose").into_iter().filter(|path| path.is_dir()).collect();
    assert!(folders.len() > 11, "{folders:?}");
    for folder in folders {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let code = if name.starts_with("no-") { 65 } else { 0 };
        let ended = tool().run(["import"]).within(&folder).end().with(code);
        expect(&folder.join("stack.yaml"), &ended.stdout);
        let told = if code == 0 { "warnings.txt" } else { "error.txt" };
        expect(&folder.join(told), &ended.stderr);
        if code == 0 {
            // The output is a valid stack.
            let _ = tool().run(["resolve", "stack.yaml"]).within(&folder).end().with(0);
        }
    }
}

#[track_caller]
fn expect(path: &Path, text: &str) {
    if !blessing() {
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), text, "{}", path.display());
    } else if !text.is_empty() {
        std::fs::write(path, text).unwrap();
    }
}
