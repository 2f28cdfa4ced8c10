//! Programs on a host by the system's `ssh`: one master per host, reused by the next run, and sessions through it.

use super::address::Address;
use super::control::Control;
use super::ended::{Ended, Stderr};
use super::knock::{self, AnswerLimit};
use super::progress::Progress;
use super::{Shared, verdict};
use crate::host::limit::{self, NOISE};
use crate::host::program::tail;
use crate::{Failure, Kind, failure::ProgramFailure};
use std::io::Seek;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

/// How long the first packets of a connection may be unanswered: three packets, or two if the host was recently unreachable. A
/// login may take longer, and so may a connection through a proxy.
const ANSWER: AnswerLimit = AnswerLimit { time: Duration::from_secs(4), repeated: 2 };
const ANSWER_AGAIN: AnswerLimit = AnswerLimit { time: Duration::from_millis(1500), repeated: 1 };
/// The pause before a second attempt within this time.
const PAUSE: Duration = Duration::from_millis(250);

/// A program that runs on a host.
pub(super) type Running = openssh::Child<Arc<openssh::Session>>;

/// How long a master of an earlier run may take to open a session. It needs one round trip; if it takes longer, its
/// connection is dead (the host was restarted or moved) and a new one is made.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Joins arguments for the host's login shell. Nothing is quoted: an argument that would need quoting is refused.
pub(super) fn words(args: &[&str]) -> Result<String, Failure> {
    let good = |c: char| c.is_ascii_alphanumeric() || "/._=-".contains(c);
    match args.iter().find(|arg| arg.is_empty() || !arg.chars().all(good)) {
        None => Ok(args.join(" ")),
        Some(arg) => {
            let message = format!("{arg:?} cannot be an argument on a host: only letters, digits and /._=-");
            Err(Failure::new(Kind::Bug, "fleet.argument", message))
        }
    }
}

/// The exit code of a program on a host; the crate has its own error for 127.
pub(super) fn code(status: Result<ExitStatus, openssh::Error>) -> Option<i32> {
    match status {
        Ok(status) => status.code(),
        Err(openssh::Error::Remote(_)) => Some(127),
        Err(_) => None,
    }
}

/// One host by SSH.
pub(super) struct Ssh {
    pub(super) address: Address,
    pub(super) key: Option<PathBuf>,
    pub(super) control: Control,
    pub(super) progress: Progress,
}

impl Ssh {
    /// Starts a program there, with pipes. Uses a running master, else starts one.
    pub(super) async fn spawn(&self, shared: &Shared, args: &[&str]) -> Result<Running, Failure> {
        let command = words(args)?;
        let before = self.control.inode();
        if before.is_some()
            && let Some(child) = self.attach(&command).await
        {
            return Ok(child);
        }
        let _permit = shared.permits.acquire().await;
        let lock = self.control.lock().await?;
        // Another run may have made a new one while this one waited.
        let now = self.control.inode();
        if now.is_some()
            && now != before
            && let Some(child) = self.attach(&command).await
        {
            return Ok(child);
        }
        if now.is_some() {
            self.stop().await;
            self.control.clear();
        }
        self.start(shared).await?;
        drop(lock);
        match tokio::time::timeout(shared.options.connect_timeout, self.open(&command)).await {
            Ok(Ok(child)) => Ok(child),
            Ok(Err(error)) => Err(verdict::unreachable(&self.address).because(chain(&error))),
            Err(_) => Err(verdict::unreachable(&self.address).because("the host does not open a session")),
        }
    }

    /// Runs a short program to its end with an input, reading while it writes.
    pub(super) async fn run(
        &self,
        shared: &Shared,
        args: &[&str],
        input: &[u8],
    ) -> Result<(Ended, String), Failure> {
        let mut child = self.spawn(shared, args).await?;
        let (stdin, stdout, stderr) = (child.stdin().take(), child.stdout().take(), child.stderr().take());
        let said = stderr.map(Stderr::of).unwrap_or_default();
        let write = async {
            if let Some(mut stdin) = stdin {
                // If the program ends early, its exit code says why.
                let _ = self.progress.write(&mut stdin, input).await;
            }
        };
        let read = async {
            let mut text = Vec::new();
            if let Some(stdout) = stdout {
                let _ = stdout.take(NOISE).read_to_end(&mut text).await;
            }
            String::from_utf8_lossy(&text).into_owned()
        };
        let ((), text) = tokio::join!(write, read);
        let code = code(child.wait().await);
        Ok((Ended { code, lines: said.lines().await }, text))
    }

    /// Tells a master to accept no new session; it ends with its last one.
    pub(super) async fn stop(&self) {
        let session = openssh::Session::resume_mux(self.control.socket.clone().into_boxed_path(), None);
        let _ = tokio::time::timeout(Duration::from_secs(1), session.close()).await;
    }

    /// The `ssh` argument list for a terminal there, through the running master.
    pub(super) fn terminal(&self, shared: &Shared, args: &[&str]) -> Result<Vec<String>, Failure> {
        let mut argv = vec!["ssh".to_owned()];
        argv.extend(self.arguments(shared, &["-tt"]));
        argv.push(words(args)?);
        Ok(argv)
    }

    async fn attach(&self, command: &str) -> Option<Running> {
        tokio::time::timeout(TIMEOUT, self.open(command)).await.ok()?.ok()
    }

    async fn open(&self, command: &str) -> Result<Running, openssh::Error> {
        let session = openssh::Session::resume_mux(self.control.socket.clone().into_boxed_path(), None);
        let mut command = Arc::new(session).arc_raw_command(command);
        command
            .stdin(openssh::Stdio::piped())
            .stdout(openssh::Stdio::piped())
            .stderr(openssh::Stdio::piped());
        command.spawn().await
    }

    /// Starts the master: `ssh` goes to the background by itself once the login is done and the socket listens, and ends by
    /// itself when it was idle for the limit, independent of this process.
    async fn start(&self, shared: &Shared) -> Result<(), Failure> {
        let answer = if self.control.away() { ANSWER_AGAIN } else { ANSWER };
        let begin = Instant::now();
        match self.log_in(shared, answer).await {
            // The kernel may refuse a connection because of packets that were lost before the host came back.
            Err(failure) if failure == verdict::silent(&self.address) && begin.elapsed() < answer.time => {
                tokio::time::sleep(PAUSE).await;
                self.log_in(shared, answer).await
            }
            done => done,
        }
    }

    async fn log_in(&self, shared: &Shared, answer: AnswerLimit) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::new(Kind::Failed, "fleet.ssh", "cannot run ssh").because(e);
        // A file, not a pipe: a proxy that ssh leaves in the background would hold the pipe open.
        let mut log = tempfile::tempfile().map_err(failed)?;
        let args = self.arguments(shared, &["-M", "-N", "-f"]);
        let mut command = tokio::process::Command::new("ssh");
        command.args(&args).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log.try_clone().map_err(failed)?).process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|e| failed(e).hint("install the OpenSSH client"))?;
        // ssh's own timeout covers the connection, not a server that stops answering later.
        let limit = shared.options.connect_timeout + Duration::from_secs(2);
        let silent = knock::unanswered(child.id(), answer);
        let status = tokio::select! {
            status = child.wait() => status.map_err(failed)?,
            () = silent => {
                self.control.answers(false);
                return Err(verdict::silent(&self.address));
            }
            () = tokio::time::sleep(limit) => {
                return Err(verdict::unreachable(&self.address).because("the ssh login timed out"));
            }
        };
        if status.success() {
            self.control.answers(true);
            return Ok(());
        }
        let said = log.rewind().and_then(|()| limit::last(log, NOISE)).unwrap_or_default();
        let ended = Ended { code: status.code(), lines: tail(&said) };
        let argv: Vec<String> = std::iter::once("ssh".to_owned()).chain(args).collect();
        tracing::info!("`{}` ended with {}", argv.join(" "), ended.status());
        let failure = verdict::login(&self.address, &ended.text());
        // An unreachable host is reported in one short line; ssh's own messages are shown with -v.
        if failure.code == "fleet.unreachable" {
            tracing::info!("{}", ended.text());
            self.control.answers(failure != verdict::silent(&self.address));
            // A proxy that ends at once may leave ssh no time for a message.
            let mute = ended.text().trim().is_empty();
            return Err(if mute {
                failure.because(format!("ssh ended with {}", ended.status()))
            } else {
                failure
            });
        }
        let program = ProgramFailure { argv, status: ended.status(), output: ended.lines.clone() };
        Err(failure.program(program))
    }

    /// Public keys only, host keys verified: batch mode refuses what ssh would ask about, and `StrictHostKeyChecking` is
    /// left to the user's configuration, whose default then refuses an unknown or changed key.
    fn arguments(&self, shared: &Shared, first: &[&str]) -> Vec<String> {
        let options = &shared.options;
        let mut args: Vec<String> =
            first.iter().chain(&["-x", "-a", "-S"]).map(|a| (*a).to_owned()).collect();
        args.push(self.control.socket.display().to_string());
        if let Some(config) = &options.ssh_config {
            args.extend(["-F".into(), config.display().to_string()]);
        }
        let settings = [
            "BatchMode=yes".to_owned(),
            "PasswordAuthentication=no".into(),
            "KbdInteractiveAuthentication=no".into(),
            "ClearAllForwardings=yes".into(),
            "PermitLocalCommand=no".into(),
            "RemoteCommand=none".into(),
            "LogLevel=ERROR".into(),
            "ServerAliveInterval=15".into(),
            "ServerAliveCountMax=3".into(),
            format!("ConnectTimeout={}", options.connect_timeout.as_secs().max(1)),
            format!("ControlPersist={}", options.persist.as_secs().max(1)),
        ];
        args.extend(settings.into_iter().flat_map(|setting| ["-o".to_owned(), setting]));
        if let Some(key) = &self.key {
            args.extend([
                "-i".to_owned(),
                key.display().to_string(),
                "-o".into(),
                "IdentitiesOnly=yes".into(),
            ]);
        }
        args.extend(self.address.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
        args.extend(self.address.user.iter().flat_map(|user| ["-l".to_owned(), user.clone()]));
        args.extend(["--".to_owned(), self.address.host.clone()]);
        args
    }
}

/// An error with its sources in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_a_shell_would_read_are_refused() {
        assert_eq!(
            words(&["dd", "of=/var/lib/lsx/bin/x", "bs=65536"]).unwrap(),
            "dd of=/var/lib/lsx/bin/x bs=65536"
        );
        for bad in ["", "a b", "a;b", "$x", "~", "*", "a'b", "a\nb", "é"] {
            assert_eq!(words(&["echo", bad]).unwrap_err().code, "fleet.argument", "{bad}");
        }
    }
}
