//! Runs a program in an instance. The server records its output, which is then fetched: no second protocol is needed and
//! nothing is lost; a program with standard input is run by the server's own client.

use super::Lxd;
use super::client::{OPERATION, Refused};
use super::marked::{MARK, kill_beside};
use crate::accounts::Alone;
use crate::driver::{Caller, Exec, Ran};
use crate::guard;
use crate::model::engine_name;
use crate::oci::session::ExecSession;
use common::host::Program;
use common::{Failure, Kind};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Distinguishes the runs of this process.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// The default time limit of a program.
const LONG: Duration = Duration::from_secs(365 * 86_400);
/// Interval of checks whether the caller still exists.
const GONE: Duration = Duration::from_millis(1500);
/// The exit code past the time limit, as of timeout(1).
const LATE: i32 = 124;

/// The mark of a new run.
fn mark(what: &str) -> String {
    format!("{}/{}/{what}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed))
}

impl Lxd {
    pub(super) fn run(&self, stack: &str, name: &str, exec: &Exec) -> Result<Ran, Failure> {
        self.run_for("", stack, name, exec)
    }

    /// The same for a purpose, to find leftovers of an earlier run.
    pub(super) fn run_for(&self, what: &str, stack: &str, name: &str, exec: &Exec) -> Result<Ran, Failure> {
        self.run_marked(&mark(what), stack, name, exec, &|| false)
    }

    /// The same with this mark, until the caller has ended.
    fn run_marked(
        &self,
        run: &str,
        stack: &str,
        name: &str,
        exec: &Exec,
        gone: &(dyn Fn() -> bool + Sync),
    ) -> Result<Ran, Failure> {
        let held = self.running(stack, name)?;
        if !exec.input.is_empty() {
            return self.feed(stack, name, exec, run, gone);
        }
        let path = format!("/1.0/instances/{}/exec", held.name);
        let operation = self.client.begin(&path, &self.order(&held.name, name, exec, run)?)?;
        let end = Instant::now() + exec.deadline.unwrap_or(LONG);
        let outcome = loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.client.wait("exec", &operation, left.min(GONE)) {
                Err(Refused::Late(_)) if !gone() && left > GONE => {}
                outcome => break outcome,
            }
        };
        match outcome {
            Ok(ended) => self.collect(&held.name, &ended),
            Err(Refused::Late(_)) => {
                self.end(stack, name, &|mark| mark == run)?;
                let ended = match self.client.wait("exec", &operation, GONE) {
                    // Killed, but a frozen process only ends when it continues.
                    Err(Refused::Late(_)) if self.owned(stack, name)?.frozen() => {
                        return Ok(Ran { code: LATE, ..Ran::default() });
                    }
                    Err(Refused::Late(_)) => self.client.wait("exec", &operation, OPERATION)?,
                    ended => ended?,
                };
                Ok(Ran { code: LATE, ..self.collect(&held.name, &ended)? })
            }
            Err(Refused::Status(_, _, why)) => {
                let id = operation.rsplit('/').next().unwrap_or_default();
                for stream in ["stdout", "stderr"] {
                    self.forget(&held.name, &format!("exec_{id}.{stream}"))?;
                }
                let program = exec.argv.first().map_or("", String::as_str);
                Err(Failure::new(Kind::Failed, "ct.lxd.exec", format!("cannot start {program} in {name}"))
                    .because(why))
            }
            Err(refused) => Err(refused.into()),
        }
    }

    /// Removes the recordings of a run that did not start: Incus and newer LXD have a folder for them.
    fn forget(&self, engine: &str, log: &str) -> Result<(), Failure> {
        for folder in ["logs/exec-output", "logs"] {
            match self.gone(&format!("/1.0/instances/{engine}/{folder}/{log}")) {
                Err(refused) if !refused.says("not valid") => return Err(refused.into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn order(&self, engine: &str, name: &str, exec: &Exec, run: &str) -> Result<Value, Failure> {
        let mut env: BTreeMap<&str, &str> = exec.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        env.insert(MARK, run);
        let mut order = json!({
            "command": exec.argv,
            "environment": env,
            "cwd": exec.workdir.as_deref().unwrap_or("/"),
            "interactive": false,
            "record-output": true,
            "wait-for-websocket": false,
        });
        if let Some(user) = &exec.user {
            let account = self.account(&self.accounts(engine)?, name, (user, Alone::Root))?;
            (order["user"], order["group"]) = (account.user.into(), account.group.into());
            if !account.home.is_empty() && order["environment"]["HOME"].is_null() {
                order["environment"]["HOME"] = account.home.into();
            }
        }
        Ok(order)
    }

    /// The exit code and output; the server's copy is removed.
    fn collect(&self, engine: &str, ended: &Value) -> Result<Ran, Failure> {
        let mut ran = Ran {
            code: ended["return"].as_i64().and_then(|c| i32::try_from(c).ok()).ok_or_else(|| {
                Failure::new(
                    Kind::Failed,
                    "ct.lxd.exec",
                    format!("the exit status of the program in {engine} is not known"),
                )
            })?,
            ..Ran::default()
        };
        for (stream, into) in [("1", &mut ran.stdout), ("2", &mut ran.stderr)] {
            let Some(log) = ended["output"][stream].as_str() else { continue };
            *into = self.client.bytes(log)?.unwrap_or_default();
            self.gone(log)?;
        }
        Ok(ran)
    }

    /// Kills processes of a purpose that an earlier, killed run of lsx-ct left: the server does not end them.
    pub(super) fn end_others(&self, what: &str, stack: &str, name: &str) -> Result<(), Failure> {
        let own = std::process::id().to_string();
        self.end(stack, name, &|mark| {
            let mut parts = mark.splitn(3, '/');
            parts.next() != Some(&own) && parts.nth(1) == Some(what)
        })
    }

    /// Kills all processes with such a mark.
    fn end(&self, stack: &str, name: &str, ends: &dyn Fn(&str) -> bool) -> Result<(), Failure> {
        if let Some(init) = self.pid(&engine_name(stack, name))? {
            kill_beside(init, ends);
        }
        Ok(())
    }

    /// Runs a program for a caller: it ends with the caller, also if that is killed.
    pub(super) fn run_caller(
        &self,
        stack: &str,
        name: &str,
        exec: &Exec,
        caller: Caller<'_>,
    ) -> Result<Ran, Failure> {
        let client = || Program::new(self.client.program()).there().is_ok();
        let run = mark("");
        let _guard = self.pid(&engine_name(stack, name))?.map(|init| guard::Marked::over(init, &run));
        match caller.hears {
            Some(_) if client() => self.stream(&run, stack, name, exec, caller),
            _ => self.run_marked(&run, stack, name, exec, &|| caller.gone()),
        }
    }

    /// A program with standard input is run by the server's own client, since that needs four websockets.
    fn feed(
        &self,
        stack: &str,
        name: &str,
        exec: &Exec,
        run: &str,
        gone: &(dyn Fn() -> bool + Sync),
    ) -> Result<Ran, Failure> {
        let mut marked = exec.clone();
        marked.env.push((MARK.to_owned(), run.to_owned()));
        let argv = self.client_argv(stack, name, &marked, "-T")?;
        let program = Program::new(&argv[0]).args(&argv[1..]);
        let (done, waits) = channel::<()>();
        let late = &AtomicBool::new(false);
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                let end = Instant::now() + exec.deadline.unwrap_or(LONG);
                loop {
                    let left = end.saturating_duration_since(Instant::now());
                    match waits.recv_timeout(left.min(GONE)) {
                        Err(RecvTimeoutError::Timeout) if !gone() && left > GONE => {}
                        Err(RecvTimeoutError::Timeout) => break,
                        _ => return,
                    }
                }
                late.store(true, Ordering::Relaxed);
                let _ = self.end(stack, name, &|mark| mark == run);
            });
            let output = program.ended(&exec.input);
            drop(done);
            output
        });
        let (code, stdout, stderr) = output?;
        let code = if late.load(Ordering::Relaxed) { LATE } else { code };
        Ok(Ran { code, stdout, stderr, ..Ran::default() })
    }

    /// Runs a program with the server's own client, which passes output on as it is written.
    fn stream(
        &self,
        run: &str,
        stack: &str,
        name: &str,
        exec: &Exec,
        caller: Caller<'_>,
    ) -> Result<Ran, Failure> {
        let mut marked = exec.clone();
        marked.env.push((MARK.to_owned(), run.to_owned()));
        let argv = self.client_argv(stack, name, &marked, "-T")?;
        let program = Program::new(&argv[0]).args(&argv[1..]);
        let (input, deadline) = (&exec.input, exec.deadline);
        let ran =
            ExecSession { program, input, deadline, pid_file: None, process: None, hears: None, owner: None }
                .run_for(caller)?;
        if ran.code == LATE {
            self.end(stack, name, &|mark| mark == run)?;
        }
        Ok(ran)
    }

    pub(super) fn terminal(&self, stack: &str, name: &str, exec: &Exec) -> Result<Vec<String>, Failure> {
        let mut argv = self.client_argv(stack, name, exec, "-t")?;
        if exec.argv.is_empty() {
            argv.push("/bin/sh".to_owned());
        }
        Ok(argv)
    }

    /// The client's argument list, always for this host: the user may have another default server.
    fn client_argv(
        &self,
        stack: &str,
        name: &str,
        exec: &Exec,
        terminal: &str,
    ) -> Result<Vec<String>, Failure> {
        let held = self.running(stack, name)?;
        let client = self.client.program();
        Program::new(client).there()?;
        let mut argv: Vec<String> =
            [client, "--force-local", "exec", terminal, &held.name].map(str::to_owned).into();
        for (key, value) in &exec.env {
            argv.extend(["--env".to_owned(), format!("{key}={value}")]);
        }
        argv.extend(["--cwd".to_owned(), exec.workdir.clone().unwrap_or_else(|| "/".to_owned())]);
        if let Some(user) = &exec.user {
            let (user, group) = self.owner(&self.accounts(&held.name)?, name, (user, Alone::Root))?;
            argv.extend(["--user".to_owned(), user.to_string(), "--group".to_owned(), group.to_string()]);
        }
        argv.push("--".to_owned());
        argv.extend(exec.argv.iter().cloned());
        Ok(argv)
    }
}
