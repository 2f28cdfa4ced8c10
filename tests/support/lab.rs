//! A lab of simulated hosts for tests, created by `scripts/lab`. It is removed when it is dropped, and also when the test
//! dies.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on says why and ends"
)]

use crate::top;
use anyhow::Context as _;
use serde_json::Value;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Time limit of a program in a test; long, since processors are emulated in virtual machines.
const LIMIT: Duration = Duration::from_secs(600);
/// Distinguishes the labs of one process.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Why no lab can be created here.
pub fn missing() -> Option<String> {
    let root = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let root = root.lines().any(|l| l.starts_with("Uid:") && l.split_whitespace().nth(2) == Some("0"));
    (!root).then(|| "labs need root".to_owned())
}

/// The end of a script that lists a host's programs, one per line. They are listed before they are filtered, or the filter
/// would be among them; a process without a command line is about to start or end.
pub const PROGRAMS: &str = "programs=$(ps -eo args=)
echo \"$programs\" | grep -v -e sshd -e 'ps -eo' -e 'sh -ec' -e '^\\[[^ ]*\\]$' | sed 's/^/program: /'
true";

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Exit code; 128 and the number for a signal, as shells say.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    what: String,
}

impl Ran {
    /// It must have ended with 0.
    #[track_caller]
    pub fn ok(self) -> Ran {
        self.exits(0)
    }

    /// It must have ended with this.
    #[track_caller]
    pub fn exits(self, code: i32) -> Ran {
        assert_eq!(
            self.code, code,
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            self.what, self.stdout, self.stderr
        );
        self
    }

    /// Its one document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{}: {e}\n{}\n{}", self.what, self.stdout, self.stderr))
    }

    /// Its documents, one a line.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{}: {e}\n{l}", self.what)))
            .collect()
    }

    /// It must have said this on standard error.
    #[track_caller]
    pub fn says(self, words: &str) -> Ran {
        assert!(self.stderr.contains(words), "{}: {words:?} is not in\n{}", self.what, self.stderr);
        self
    }
}

/// The hosts h1, h2 ...
#[derive(Debug)]
pub struct Lab {
    /// Its name, which is in the arguments of its programs.
    pub name: String,
    tools: Vec<PathBuf>,
    /// A folder of the test.
    pub folder: tempfile::TempDir,
    /// Removes the lab when its standard input ends, also after the test was killed.
    reaper: Child,
    hosts: usize,
}

impl Lab {
    /// Makes hosts; `options` are those of `scripts/lab up`. The tool that [`Lab::net`] runs is `tool`.
    pub fn up(hosts: usize, options: &[&str], tool: &str) -> Lab {
        Lab::with("live", hosts, options, &[tool])
    }

    /// The same with several tools, and another prefix of its name. They are stripped of debug symbols, which are most of a
    /// tool's size, since every host gets a copy.
    pub fn with(name: &str, hosts: usize, options: &[&str], tools: &[&str]) -> Lab {
        let name = format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::Builder::new().prefix("lsx-live-").tempdir().unwrap();
        let tools = tools.iter().map(|tool| stripped(folder.path(), Path::new(tool))).collect();
        let reaper = Command::new("setsid")
            .args(["sh", "-c", "cat; exec \"$0\" down --name \"$1\""])
            .arg(top("scripts/lab"))
            .arg(&name)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start setsid, which removes the lab of a killed test")
            .unwrap();
        let lab = Lab { name, tools, folder, reaper, hosts };
        let mut up = lab.command(&["up", &hosts.to_string()], &[]);
        finish(up.args(options), b"").ok();
        lab
    }

    /// Puts further tools beside the first, the way that one came, and the images of `scripts/images` into `images`.
    ///
    /// # Panics
    /// When the images cannot be made.
    pub fn furnish(&self, tools: &[&Path]) {
        tools.iter().for_each(|tool| _ = stripped(self.folder.path(), tool));
        let mut images = Command::new(top("scripts/images"));
        finish(images.arg(self.folder.path().join("images")), b"").ok();
    }

    /// The names of the hosts.
    pub fn hosts(&self) -> Vec<String> {
        (1..=self.hosts).map(|n| format!("h{n}")).collect()
    }

    fn command(&self, verb: &[&str], argv: &[&str]) -> Command {
        let mut command = Command::new(top("scripts/lab"));
        command.args(verb).args(["--name", &self.name]);
        if !argv.is_empty() {
            command.arg("--").args(argv);
        }
        command
    }

    /// A verb of the lab, as `["kill", "h2"]`.
    #[track_caller]
    pub fn verb(&self, words: &[&str]) -> Ran {
        finish(&mut self.command(words, &[]), b"").ok()
    }

    /// Runs a program on the operator's machine.
    pub fn run(&self, argv: &[&str]) -> Ran {
        finish(&mut self.command(&["run"], argv), b"")
    }

    /// Runs the tool on the operator's machine.
    pub fn net(&self, args: &[&str]) -> Ran {
        finish(&mut self.net_command(args), b"")
    }

    /// The same with something to read.
    pub fn net_with(&self, args: &[&str], stdin: &[u8]) -> Ran {
        finish(&mut self.net_command(args), stdin)
    }

    /// The tool on the operator's machine, not started yet. What is started is the tool itself: it can be killed.
    pub fn net_command(&self, args: &[&str]) -> Command {
        self.tool(0, args)
    }

    /// One of its tools on the operator's machine, not started yet.
    pub fn tool(&self, number: usize, args: &[&str]) -> Command {
        let mut argv = vec![self.tools[number].to_str().unwrap()];
        argv.extend(args);
        self.command(&["run"], &argv)
    }

    /// Runs a program inside a host as root.
    pub fn exec(&self, host: &str, argv: &[&str]) -> Ran {
        finish(&mut self.command(&["exec", host], argv), b"")
    }

    /// The same with something to read.
    pub fn exec_with(&self, host: &str, argv: &[&str], stdin: &[u8]) -> Ran {
        finish(&mut self.command(&["exec", host], argv), stdin)
    }

    /// Runs a shell script inside a host; its first failing command ends it.
    pub fn script(&self, host: &str, text: &str) -> Ran {
        self.exec(host, &["sh", "-ec", text])
    }

    /// What a program inside a host says, which must be one JSON document.
    #[track_caller]
    pub fn json(&self, host: &str, command: &str) -> Value {
        self.exec(host, &command.split_whitespace().collect::<Vec<_>>()).ok().json()
    }

    /// A program inside a host that runs while the test goes on; the end of its standard input should end it.
    pub fn start(&self, host: &str, argv: &[&str]) -> Child {
        begin(&mut self.command(&["exec", host], argv))
    }

    /// The same on the operator's machine.
    pub fn start_here(&self, argv: &[&str]) -> Child {
        begin(&mut self.command(&["run"], argv))
    }

    /// Writes a file into the test's folder and gives its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        crate::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// A copy without debug symbols.
pub fn stripped(folder: &Path, tool: &Path) -> PathBuf {
    let copy = folder.join(tool.file_name().unwrap());
    let strip = Command::new("strip").arg("-o").arg(&copy).arg(tool).status();
    if !strip.is_ok_and(|s| s.success()) {
        let copied = std::fs::copy(tool, &copy);
        copied.with_context(|| format!("cannot copy {} to {}", tool.display(), copy.display())).unwrap();
    }
    copy
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.reaper.stdin.take());
        let _ = self.reaper.wait();
    }
}

fn begin(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

/// Runs a program to its end, or to the limit.
pub fn finish(command: &mut Command, stdin: &[u8]) -> Ran {
    let what = format!("{command:?}");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut input, stdin) = (child.stdin.take().unwrap(), stdin.to_vec());
    std::thread::spawn(move || input.write_all(&stdin));
    wait(child, what)
}

/// Waits for a program that was started with its output piped.
pub fn wait(mut child: Child, what: String) -> Ran {
    let out = child.stdout.take().map(collect);
    let err = child.stderr.take().map(collect);
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > LIMIT {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = |thread: Option<std::thread::JoinHandle<String>>| {
        thread.map(|t| t.join().unwrap()).unwrap_or_default()
    };
    let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
    Ran { code: status.code().unwrap_or(128 + signal), stdout: text(out), stderr: text(err), what }
}

fn collect(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Asks until the answer is yes, at most `seconds`.
pub fn until(seconds: u64, mut yes: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !yes() {
        if start.elapsed() > Duration::from_secs(seconds) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    true
}
