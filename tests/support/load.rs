//! A program that exchanges something without a pause and counts what fails, and the test's end of it. For each line that the
//! program is given it says both numbers.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout};
use std::sync::atomic::{AtomicU64, Ordering};

/// What the program counts.
#[derive(Debug, Default)]
pub struct Count {
    done: AtomicU64,
    failed: AtomicU64,
}

impl Count {
    /// Counts one exchange; returns how many of its kind there were before.
    pub fn add(&self, good: bool) -> u64 {
        let number = if good { &self.done } else { &self.failed };
        number.fetch_add(1, Ordering::Relaxed)
    }

    /// Says the numbers, until standard input ends.
    #[expect(clippy::print_stdout, reason = "the test reads it")]
    pub fn tell(&self) {
        println!("ready");
        for _ in std::io::stdin().lines() {
            let told = |number: &AtomicU64| number.load(Ordering::Relaxed);
            println!("{}", json!({"done": told(&self.done), "failed": told(&self.failed)}));
        }
    }
}

/// The program, until it is dropped.
#[derive(Debug)]
pub struct Load(Child, BufReader<ChildStdout>);

impl Load {
    /// Waits until it has said that it is ready.
    pub fn ready(mut child: Child) -> Load {
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut String::new()).unwrap();
        Load(child, out)
    }

    /// How many exchanges there were, and how many failed.
    pub fn count(&mut self) -> (u64, u64) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        (told["done"].as_u64().unwrap(), told["failed"].as_u64().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
