//! A program that exchanges something without a pause and counts what fails, and the test's end of it. For each line that the
//! program is given it says both numbers.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the program counts.
#[derive(Debug, Default)]
pub struct Count {
    done: AtomicU64,
    /// How often each failure came.
    failed: Mutex<BTreeMap<String, u64>>,
}

impl Count {
    /// Counts an exchange that succeeded.
    pub fn good(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one that failed, by how.
    ///
    /// # Panics
    /// When another client has.
    pub fn bad(&self, how: String) {
        *self.failed.lock().unwrap().entry(how).or_default() += 1;
    }

    /// Says the numbers, until standard input ends.
    ///
    /// # Panics
    /// When a client has.
    #[expect(clippy::print_stdout, reason = "the test reads it")]
    pub fn tell(&self) {
        println!("ready");
        for _ in std::io::stdin().lines() {
            let failed = self.failed.lock().unwrap().clone();
            println!("{}", json!({"done": self.done.load(Ordering::Relaxed), "failed": failed}));
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

    /// How many exchanges succeeded.
    pub fn done(&mut self) -> u64 {
        self.told()["done"].as_u64().unwrap()
    }

    /// Ends when an exchange has failed; returns how many there were.
    #[track_caller]
    pub fn all_good(&mut self, when: &str) -> u64 {
        let told = self.told();
        assert_eq!(told["failed"], json!({}), "{when}, beside {} that succeeded", told["done"]);
        told["done"].as_u64().unwrap()
    }

    fn told(&mut self) -> Value {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
