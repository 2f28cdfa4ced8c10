//! Rules for the source, checked on the tree itself.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test stops at the first surprise")]

mod circles;
mod code;
mod codes;
mod layout;
mod sizes;
mod text;

use lsx_tests::top;
use std::path::{Path, PathBuf};

/// A file of the tree: its path from the top, and its text.
struct File {
    path: String,
    text: String,
}

impl File {
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn within(&self, folder: &str) -> bool {
        self.path.starts_with(&format!("{folder}/"))
    }

    /// Its code: no comments, nothing below `#[cfg(test)]` in front of a module with a body.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        let lines = self.text[..end].lines().enumerate();
        lines.map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default()))
    }

    /// Whether it is built only for tests.
    fn tests(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }
}

/// Every text file of the tree that a person wrote.
fn files() -> Vec<File> {
    let mut all = Vec::new();
    walk(&top(""), &mut all);
    all.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).ok()?;
        Some(File { path: path.strip_prefix(top("")).unwrap().display().to_string(), text })
    };
    let files: Vec<File> = all.into_iter().filter_map(read).collect();
    assert!(files.len() > 100, "only {} files", files.len());
    files
}

fn walk(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != ".git" && name != "target" {
            walk(&path, all);
        } else if path.is_file() && name != ".git" {
            all.push(path);
        }
    }
}

/// The Rust files.
fn rust() -> Vec<File> {
    files().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

/// The packages of the tools: their folders below `tools/`.
fn tools() -> Vec<String> {
    let folders = lsx_tests::entries("tools").into_iter().filter(|path| path.is_dir());
    folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

/// The list must be empty; otherwise its whole content is reported.
#[track_caller]
fn none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}
