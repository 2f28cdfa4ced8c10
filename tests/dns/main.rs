//! lsx-dns without hosts: golden cases with the program, and answers with the library.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test stops at the first surprise")]

mod answers;
mod drivers;
mod golden;
mod health;
mod laws;
mod leased;
mod lstacker;
mod ports;
mod query;
mod shown;
mod soak;
mod wrong;

use common::stack::{ReadOptions, Resolved, Stack, read, resolve};
use lsx_dns::model::Config;
use lsx_tests::Tool;
use std::path::PathBuf;

fn tool() -> Tool {
    Tool { name: lsx_dns::PROGRAM.to_owned(), path: PathBuf::from(env!("CARGO_BIN_EXE_lsx-dns")) }
}

#[test]
fn a_service_that_is_not_there_is_refused() {
    let root = nix::unistd::geteuid().is_root();
    for name in ["nobody", "../nobody", ""] {
        let code = if root { 1 } else { 77 };
        for words in [&["supervise-service", name, "names"][..], &["counts", name]] {
            let ended = tool().run(words).end().refused(code);
            assert!(ended.stderr.contains("hint:"), "{}", ended.stderr);
        }
        let ended = tool().run(["serve-service", name, "names"]).end().refused(64);
        assert!(ended.stderr.contains("not the socket of a supervisor"), "{}", ended.stderr);
    }
    let _ = tool().run(["supervise-service"]).end().refused(64);
}

fn resolved(text: &str) -> (Stack, Resolved) {
    let (stack, _) = read(text, "stack.yaml", &ReadOptions::default()).unwrap_or_else(|f| panic!("{f}"));
    let resolved = resolve(&stack).unwrap_or_else(|f| panic!("{f}"));
    (stack, resolved)
}

/// The configuration of a host's server.
fn config(text: &str, host: &str) -> Config {
    let (stack, resolved) = resolved(text);
    lsx_dns::plan::config(&stack, &resolved, host, &["192.0.2.53".parse().unwrap()]).unwrap()
}
