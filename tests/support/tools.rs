//! The tools of the workspace, as named and built by cargo.

use crate::{Run, top};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A built tool.
#[derive(Clone, Debug)]
pub struct Tool {
    /// The program: `lsx-net`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl Tool {
    /// Runs it.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        Run::new(&self.path).args(args)
    }

    /// Its name in schema names: `net`.
    pub fn word(&self) -> &str {
        self.name.strip_prefix("lsx-").unwrap_or(&self.name)
    }
}

/// Every tool: the programs of the packages below `tools/`.
///
/// # Panics
/// If one is not built, or is older than its sources.
pub fn tools() -> Vec<Tool> {
    programs("/tools/")
}

/// The tools, and the smallest one, which only tests use.
///
/// # Panics
/// As [`tools`].
pub fn tools_and_smallest() -> Vec<Tool> {
    [tools(), programs("/tests/support/")].concat()
}

/// The programs of the packages below a folder of the workspace.
fn programs(below: &str) -> Vec<Tool> {
    let metadata = Run::new(Path::new(env!("CARGO")))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .within(&top(""))
        .end()
        .with(0)
        .document();
    let folder = std::env::current_exe().unwrap();
    let folder = folder.ancestors().nth(2).unwrap();
    let root = metadata["workspace_root"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let there = |p: &&Value| p["manifest_path"].as_str().unwrap().starts_with(&format!("{root}{below}"));
    let targets = packages.iter().filter(there).flat_map(|p| p["targets"].as_array().unwrap());
    let programs = targets.filter(|t| t["kind"] == serde_json::json!(["bin"]));
    let names = programs.filter_map(|t| t["name"].as_str()).filter(|name| name.starts_with("lsx-"));
    let tools: Vec<Tool> = names.map(|name| built(folder, name)).collect();
    assert!(!tools.is_empty(), "no tool in {}", Value::from(packages.len()));
    tools
}

fn built(folder: &Path, name: &str) -> Tool {
    let path = folder.join(name);
    let made = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    let Some(when) = made(&path) else {
        panic!("{} is missing; run: cargo build --workspace", path.display());
    };
    let sources = std::fs::read_to_string(folder.join(format!("{name}.d"))).unwrap_or_default();
    let sources = sources.split_once(": ").map_or("", |(_, all)| all);
    let newer = |source: &&str| made(Path::new(source)).is_some_and(|at: SystemTime| at > when);
    if let Some(source) = sources.split_whitespace().find(newer) {
        panic!("{name} is older than {source}; run: cargo build --workspace");
    }
    Tool { name: name.to_owned(), path }
}
