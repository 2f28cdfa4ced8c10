//! Programs: started with an argument list and never through a shell; the failure has the program's output.

use super::limit;
use crate::failure::{Failure, Kind, ProgramFailure};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// How long to wait while a file that was just written is busy.
const BUSY: Duration = Duration::from_secs(2);

/// A program to run.
#[derive(Debug)]
pub struct Program {
    command: Command,
    argv: Vec<String>,
    most: u64,
    /// Whether its standard output is a file in memory.
    memory: bool,
}

impl Program {
    /// A program by name or path, with a fixed locale so that its messages can be parsed.
    pub fn new(name: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        let mut command = Command::new(name);
        command.env("LC_ALL", "C");
        Program { command, argv: vec![name.to_owned()], most: limit::OUTPUT, memory: false }
    }

    /// A program with an unchanged environment.
    pub fn bare(name: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        let command = Command::new(name);
        Program { command, argv: vec![name.to_owned()], most: limit::OUTPUT, memory: false }
    }

    /// Its standard output is a file in memory, for one that writes word by word: the reader of a pipe would be woken for each.
    #[must_use]
    pub fn in_memory(mut self) -> Self {
        self.memory = true;
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        for arg in args {
            self.argv.push(arg.as_ref().to_string_lossy().into_owned());
            self.command.arg(arg);
        }
        self
    }

    /// Its argument list, its own name first.
    pub fn argv(&self) -> &[String] {
        &self.argv
    }

    /// Whether it is installed, without starting it.
    ///
    /// # Errors
    /// As [`Program::run`] when it cannot be started.
    pub fn there(&self) -> Result<(), Failure> {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
        let found = std::env::split_paths(&path).any(|folder| folder.join(&self.argv[0]).is_file());
        if found { Ok(()) } else { Err(not_started(&self.argv[0], &ErrorKind::NotFound.into())) }
    }

    /// Runs it with `input` on its standard input; returns its standard output.
    ///
    /// # Errors
    /// Kind `Failed` with argv, status and the last 20 lines of its standard error; code `host.limit` when it wrote too much.
    pub fn run(self, input: &[u8]) -> Result<Vec<u8>, Failure> {
        tracing::debug!("runs {}", self.argv.join(" "));
        let (argv, output) = self.output(input)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        let program = ProgramFailure { status: status(output.status), output: tail(said), argv };
        Err(Failure::new(Kind::Failed, "host.program", format!("{} failed", program.argv[0]))
            .program(program))
    }

    /// Adds to its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Removes a variable from its environment.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// It runs as another user, with the group of the same number and no further ones.
    #[must_use]
    pub fn user(mut self, user: u32) -> Self {
        use std::os::unix::process::CommandExt;
        self.command.uid(user).gid(user);
        self
    }

    /// Starts it; the caller waits for it.
    ///
    /// # Errors
    /// Kind `Failed` when it cannot be started.
    pub fn start(mut self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Result<Child, Failure> {
        tracing::debug!("starts {}", self.argv.join(" "));
        self.command.stdin(stdin).stdout(stdout).stderr(stderr);
        spawn(&mut self.command).map_err(|e| not_started(&self.argv[0], &e))
    }

    /// Replaces this process by it, with the same standard streams; returns only when that failed.
    pub fn become_it(mut self) -> Failure {
        use std::os::unix::process::CommandExt;
        not_started(&self.argv[0], &self.command.exec())
    }

    /// Runs it and returns exit code (128 plus the signal that ended it), standard output and standard error, whatever the
    /// result.
    ///
    /// # Errors
    /// Kind `Failed` when it cannot be started, or wrote too much.
    pub fn ended(self, input: &[u8]) -> Result<(i32, Vec<u8>, Vec<u8>), Failure> {
        let (_, output) = self.output(input)?;
        let code = output.status.code().or_else(|| output.status.signal().map(|s| 128 + s)).unwrap_or(-1);
        Ok((code, output.stdout, output.stderr))
    }

    fn output(mut self, input: &[u8]) -> Result<(Vec<String>, Output), Failure> {
        let failed = |e: std::io::Error| Failure::new(Kind::Failed, "host.program", e.to_string());
        let memory = self.memory.then(|| memory(self.most)).transpose().map_err(failed)?;
        let out = memory.as_ref().map(File::try_clone).transpose().map_err(failed)?;
        let out = out.map_or_else(Stdio::piped, Stdio::from);
        self.command.stdin(Stdio::piped()).stdout(out).stderr(Stdio::piped());
        let mut child = spawn(&mut self.command).map_err(|e| not_started(&self.argv[0], &e))?;
        let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (stdout, stderr) = std::thread::scope(|scope| {
            scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input)));
            let said =
                scope.spawn(move || err.map_or(Ok(Vec::new()), |pipe| limit::last(pipe, limit::ERRORS)));
            let stdout = out.map_or(Ok(Some(Vec::new())), |pipe| limit::take(pipe, self.most));
            if !matches!(stdout, Ok(Some(_))) {
                let _ = child.kill();
            }
            (stdout, said.join().unwrap_or_else(|_| Ok(Vec::new())))
        });
        let status = child.wait().map_err(failed)?;
        let stdout = memory.map_or(stdout, |file| written(file, self.most)).map_err(failed)?;
        let stdout =
            stdout.ok_or_else(|| limit::exceeded(&format!("the output of {}", self.argv[0]), self.most))?;
        Ok((self.argv, Output { status, stdout, stderr: stderr.map_err(failed)? }))
    }
}

/// A file in memory that takes `most` bytes and one more.
fn memory(most: u64) -> std::io::Result<File> {
    let file = File::from(memfd_create("output", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.set_len(most.saturating_add(1))?;
    fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK)?;
    Ok(file)
}

/// What a program wrote into it, up to where it stopped; none if that is more than `most` bytes.
fn written(mut file: File, most: u64) -> std::io::Result<Option<Vec<u8>>> {
    let length = file.stream_position()?;
    file.rewind()?;
    limit::take(file.take(length), most)
}

/// Starts it, and retries while its file is busy: a program that another thread was starting at the same time holds the
/// file open for writing until its own exec (execve(2), ETXTBSY).
fn spawn(command: &mut Command) -> std::io::Result<Child> {
    let mut child = command.spawn();
    super::wait::until(BUSY, Duration::from_millis(5), || {
        if child.as_ref().is_err_and(|e| e.kind() == ErrorKind::ExecutableFileBusy) {
            child = command.spawn();
        }
        !child.as_ref().is_err_and(|e| e.kind() == ErrorKind::ExecutableFileBusy)
    });
    child
}

fn not_started(name: &str, error: &std::io::Error) -> Failure {
    let failure = Failure::new(Kind::Failed, "host.program", format!("cannot start {name}: {error}"));
    match error.kind() {
        ErrorKind::NotFound => failure.hint(format!("install {name} on this host")),
        _ => failure,
    }
}

fn status(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => "no status".to_owned(),
    }
}

/// The last 20 lines of a program's output.
pub fn tail(said: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(20)).map(|line| limit::text(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_never_ends_its_output_is_killed() {
        let failure = Program { most: 100_000, ..Program::new("yes") }.run(b"").unwrap_err();
        assert_eq!(failure.code, "host.limit");
        assert_eq!(failure.message, "the output of yes exceeds the limit of 100000 bytes");
    }

    #[test]
    fn both_streams_are_read_while_the_input_is_written() {
        let input = vec![b'x'; 1 << 20];
        let (code, out, err) = Program::new("tee").args(["/dev/stderr"]).ended(&input).unwrap();
        assert_eq!((code, out.len(), err.len()), (0, 1 << 20, 1 << 20));
    }

    #[test]
    fn output_in_memory_is_that_of_a_pipe_and_has_its_limit() {
        let program = || Program::new("printf").args(["%s\n", "a", "b"]);
        assert_eq!(program().in_memory().run(b"").unwrap(), program().run(b"").unwrap());
        assert_eq!(Program::new("true").in_memory().run(b"").unwrap(), b"");
        let of = |length: &str| Program {
            most: 100_000,
            ..Program::new("head").args(["-c", length, "/dev/zero"])
        };
        assert_eq!(of("100000").in_memory().run(b"").unwrap().len(), 100_000);
        assert!(of("100001").in_memory().run(b"").is_err_and(|failure| failure.code == "host.limit"));
        assert!(of("1000000").in_memory().run(b"").is_err());
    }
}
