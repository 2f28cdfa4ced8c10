//! Runs a program to its end, with a time limit, and keeps its output.

use serde_json::Value;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time limit of a program in a test.
const DEADLINE: Duration = Duration::from_secs(90);

/// The image store of the tests, in the folder that cargo builds in.
fn store() -> std::path::PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.ancestors().nth(2).unwrap_or(Path::new("/tmp")).join("test-images")
}

/// A program about to run. Its standard input is empty unless said otherwise.
#[derive(Debug)]
pub struct Run {
    command: Command,
    input: Option<Vec<u8>>,
}

impl Run {
    /// A program without environment variables that could change its output.
    pub fn new(program: &Path) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("LSX_STORE", store());
        for name in ["NO_COLOR", "LSX_SSH_CONFIG", "LSX_STACK", "LSX_TOOLS", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        Run { command, input: None }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in a folder.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives it a standard input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self.command.stdin(Stdio::piped());
        self
    }

    /// Gives it this as its standard input, as it is.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Gives it this as its standard output, as it is.
    #[must_use]
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// Gives it this as its standard error, as it is.
    #[must_use]
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.command.stderr(stderr);
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started or does not end in time.
    pub fn end(mut self) -> Ended {
        let line = format!("{:?}", self.command);
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("cannot start {line}: {e}"));
        drop(self.command); // Its ends of pipes go, so that a reader of ours sees the end.
        let input = self.input.take();
        let stdin = child.stdin.take();
        let feeder = std::thread::spawn(move || {
            if let (Some(mut pipe), Some(input)) = (stdin, input) {
                let _ = pipe.write_all(&input);
            }
        });
        let (stdout, stderr) = (listen(child.stdout.take()), listen(child.stderr.take()));
        let status = wait(&mut child, &line);
        feeder.join().unwrap();
        Ended { line, status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
    }
}

fn listen(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8(bytes).unwrap()
    })
}

fn wait(child: &mut Child, line: &str) -> ExitStatus {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            panic!("{line} did not end in {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The command, for messages.
    pub line: String,
    status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ended {
    /// Its exit code; -1 when a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// The signal that ended it.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// It ended with this code.
    ///
    /// # Panics
    /// With all its output, if it did not.
    #[must_use]
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert!(
            self.status.code() == Some(code),
            "{} ended with {}, not {code}\nstdout: {}\nstderr: {}",
            self.line,
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }

    /// It exited with this code and without standard output.
    ///
    /// # Panics
    /// With all its output, if it did not.
    #[must_use]
    #[track_caller]
    pub fn refused(self, code: i32) -> Self {
        let ended = self.with(code);
        assert!(ended.stdout.is_empty(), "{} failed and wrote to stdout: {}", ended.line, ended.stdout);
        ended
    }

    /// Its documents, one a line.
    ///
    /// # Panics
    /// When a line is not JSON.
    #[track_caller]
    pub fn documents(&self) -> Vec<Value> {
        let one = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", self.line));
        self.stdout.lines().map(one).collect()
    }

    /// Its one document.
    ///
    /// # Panics
    /// If there is another number of them.
    #[track_caller]
    pub fn document(&self) -> Value {
        let mut documents = self.documents();
        assert_eq!(documents.len(), 1, "{}: {}{}", self.line, self.stdout, self.stderr);
        documents.remove(0)
    }

    /// The objects that `--log json` wrote.
    ///
    /// # Panics
    /// When a line is not JSON.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let one = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", self.line));
        self.stderr.lines().map(one).collect()
    }
}
