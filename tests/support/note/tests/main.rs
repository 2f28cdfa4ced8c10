//! The plans of the smallest tool, byte for byte.

use lsx_tests::{Tool, golden};

#[test]
fn every_case_gives_what_it_gave() {
    let tool = Tool { name: "lsx-note".to_owned(), path: env!("CARGO_BIN_EXE_lsx-note").into() };
    assert!(!golden::cases("note").is_empty());
    golden::run(&tool, |_| None);
}
