//! Shared by the tests: the repository's top folder, the tools and a way to run them, a deterministic random generator.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test stops at the first surprise")]

pub mod golden;
pub mod groups;
pub mod image;
pub mod lab;
pub mod load;
pub mod machine;
mod mutate;
mod run;
mod soak;
mod stacks;
mod tools;

pub use mutate::Corpus;
pub use run::{Ended, Run};
pub use soak::{soak, soak_parsed};
pub use stacks::{Stacks, saved_plans};
pub use tools::{Tool, tools, tools_and_smallest};

use anyhow::Context as _;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A path from the repository's top folder: that of the test's working directory, if it can be found. The one at compile
/// time may be another, if a target folder was copied, and a test would read and bless other files.
pub fn top(path: &str) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let root = here.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    let compiled = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    root.map_or_else(compiled, PathBuf::from).join(path)
}

/// The text of a file of a test.
///
/// # Errors
/// With its path.
pub fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a file of a test.
///
/// # Errors
/// With its path.
pub fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The addresses and names of LStacker's own example, which it wrote them into every container's /etc/hosts; sorted.
pub fn lstackers_hosts() -> Vec<(String, String)> {
    let text = read(&top("tests/fixtures/stack/lstacker/expected-hosts.txt")).unwrap();
    let pair = |line: &str| {
        let (address, name) = line.split_once('\t').unwrap();
        (address.to_owned(), name.to_owned())
    };
    let mut all: Vec<_> = text.lines().map(pair).collect();
    all.sort();
    all
}

/// Whether to replace the expected output by the actual one (`LSX_BLESS=1`). Review `git diff` afterwards.
pub fn blessing() -> bool {
    std::env::var_os("LSX_BLESS").is_some_and(|v| !v.is_empty())
}

/// The entries of a folder, by name.
pub fn entries(folder: &str) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        std::fs::read_dir(top(folder)).into_iter().flatten().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

/// A small generator of numbers (xorshift64); the seed makes every run the same.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    /// JSON with the keys of every map in another order.
    pub fn reordered(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                for i in (1..entries.len()).rev() {
                    entries.swap(i, self.below(i + 1));
                }
                entries.into_iter().map(|(k, v)| (k.clone(), self.reordered(v))).collect()
            }
            Value::Array(items) => items.iter().map(|item| self.reordered(item)).collect(),
            other => other.clone(),
        }
    }

    /// Bytes with up to three damages: half of them in the first bytes, where messages have their head.
    pub fn damaged(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.below(4) {
            let end = if self.below(2) == 0 { bytes.len().min(13) } else { bytes.len() };
            match self.below(5) {
                0 => bytes.truncate(self.below(bytes.len() + 1)),
                1 => bytes.insert(self.below(end + 1), [0, 1, 0x3f, 0xc0, 0xff][self.below(5)]),
                2 => bytes.extend_from_within(..end),
                _ if end > 0 => bytes[self.below(end)] ^= 1 << self.below(8),
                _ => {}
            }
        }
        bytes
    }

    /// A text with one to four errors: bytes removed, doubled or flipped, or a significant word inserted.
    pub fn broken(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(12)).min(bytes.len());
            let word = WORDS[self.below(WORDS.len())].bytes();
            match self.below(5) {
                0 => drop(bytes.drain(at..end)),
                1 => drop(bytes.splice(at..end, word)),
                2 => drop(bytes.splice(at..at, word)),
                3 => {
                    let from = self.below(bytes.len() + 1);
                    let copy = bytes[from..(from + 40).min(bytes.len())].to_vec();
                    drop(bytes.splice(at..at, copy));
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A document with one value changed: to another type or a limit of its range, or removed.
    pub fn changed(&mut self, value: &Value) -> Value {
        let mut changed = value.clone();
        let mut at = &mut changed;
        while self.below(6) > 0 {
            let n = match at {
                Value::Object(map) => map.len(),
                Value::Array(items) => items.len(),
                _ => 0,
            };
            if n == 0 {
                break;
            }
            let i = self.below(n);
            at = match at {
                Value::Object(map) => map.values_mut().nth(i).unwrap(),
                Value::Array(items) => &mut items[i],
                _ => unreachable!("a leaf has no entries"),
            };
        }
        match (self.below(8), &mut *at) {
            (0 | 1, Value::Object(map)) if !map.is_empty() => {
                let key = map.keys().nth(self.below(map.len())).unwrap().clone();
                map.shift_remove(&key);
            }
            (0 | 1, Value::Array(items)) if !items.is_empty() => {
                items.remove(self.below(items.len()));
            }
            (2, Value::Array(items)) if !items.is_empty() => {
                let twice = items[self.below(items.len())].clone();
                items.push(twice);
            }
            _ => *at = serde_json::from_str(VALUES[self.below(VALUES.len())]).unwrap(),
        }
        changed
    }
}

const WORDS: [&str; 41] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    ",",
    "- ",
    "\n",
    "\t",
    "\"",
    "'",
    "&a ",
    "*a",
    "<<: ",
    "!t ",
    "| \n",
    "#",
    "---\n",
    "\\u0000",
    "\u{feff}",
    "é",
    "\0",
    "0",
    "-1",
    "4294967296",
    "0.0.0.0/0",
    "null",
    "world",
    "*",
    "10.1.0.0/30",
    "1e999",
    "\n  ",
    "> ",
    "%",
    "\\",
    "😀",
    "255.255.255.255/32",
    "/",
    "~",
    "count: 9999, ",
];

const VALUES: [&str; 24] = [
    "null",
    "true",
    "0",
    "-1",
    "1",
    "65535",
    "65536",
    "4294967295",
    "18446744073709551615",
    "1e300",
    "\"\"",
    "\"x\"",
    "\"*\"",
    "\"10.0.0.0/8\"",
    "\"0.0.0.0\"",
    "\"255.255.255.255/32\"",
    "\"world\"",
    "\"h1\"",
    "\"lan\"",
    "\"lsx-x\"",
    "\"\\u0000\"",
    "\"é\"",
    "[]",
    "{}",
];
