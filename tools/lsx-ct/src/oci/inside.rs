//! Programs in an instance that runs: started by the runtime, with an end to every wait. What a program leaves running behind it
//! may hold its output for ever, so the output is what came until shortly after its own end.

use super::disk::Place;
use super::runtime::Runtime;
use crate::accounts::Account;
use crate::driver::{Exec, Ran};
use common::host::{Program, file, wait};
use common::{Failure, Kind};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long output may come after the end of a program.
const REST: Duration = Duration::from_millis(100);
/// The exit code past the deadline, as of timeout(1).
const LATE: i32 = 124;
/// How often one looks whether a program has ended, at first and at most.
const LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// A program that shall run in a container, or that is the runtime's way to do so.
pub(crate) struct Inside<'a> {
    /// What is started on this host.
    pub(crate) program: Program,
    /// Its standard input.
    pub(crate) input: &'a [u8],
    /// After this it is killed.
    pub(crate) deadline: Option<Duration>,
    /// Where the runtime writes the number of the process inside; absent for any other program.
    pub(crate) pid_file: Option<&'a Path>,
    /// Where the runtime reads what it is.
    pub(crate) process: Option<PathBuf>,
}

impl<'a> Inside<'a> {
    /// Something in the container `id`, started by its supervisor or by anybody else.
    ///
    /// # Errors
    /// Those of [`process`].
    pub(crate) fn new(
        runtime: &Runtime,
        place: &Place,
        id: &str,
        (exec, user): (&'a Exec, Option<&Account>),
        pid_file: &'a Path,
    ) -> Result<Self, Failure> {
        let process = process(place, exec, user, false)?;
        // The runtime goes as soon as it has begun: it would wait for whoever holds the output.
        let program = runtime.program().args(["exec", "--detach", "--pid-file"]).args([pid_file]);
        let program = program.args(["--process"]).args([&process]).args([id]);
        Ok(Inside {
            program,
            input: &exec.input,
            deadline: exec.deadline,
            pid_file: Some(pid_file),
            process: Some(process),
        })
    }

    /// Runs it. `pause` is called again and again, waits for at most a time, and says whether to break off.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn run(self, pause: &mut dyn FnMut(Duration) -> bool) -> Result<Ran, Failure> {
        if self.pid_file.is_some() {
            // The runtime goes when it has begun; who then is its parent learns how it ended.
            let _ = nix::sys::prctl::set_child_subreaper(true);
        }
        let mut child = self.program.start(Stdio::piped(), Stdio::piped(), Stdio::piped())?;
        let (input, stdin) = (self.input.to_vec(), child.stdin.take());
        std::thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)));
        let stdout = Output::of(child.stdout.take());
        let stderr = Output::of(child.stderr.take());
        let end = self.deadline.map(|limit| Instant::now() + limit);
        let mut over = |look| end.is_some_and(|end| Instant::now() >= end) || pause(look);
        let begun = until(&mut over, || ended(&mut child));
        let number = || file::read(self.pid_file?).ok().flatten()?.trim().parse::<i32>().ok();
        let inside = number().filter(|pid| *pid > 1).map(Pid::from_raw);
        let code = match (begun, inside) {
            (Some(0), Some(pid)) => until(&mut over, || reaped(pid)).unwrap_or_else(|| finish(pid)),
            (Some(code), _) => code,
            (None, _) => {
                inside.map(finish);
                let _ = child.kill();
                let _ = child.wait();
                LATE
            }
        };
        self.pid_file.into_iter().chain(self.process.as_deref()).for_each(|path| _ = file::remove(path));
        Ok(Ran { code, stdout: stdout.rest(), stderr: stderr.rest() })
    }
}

/// Writes what is run as a process of the specification. Told by flags, runc adds variables to the instance's own and crun has those
/// alone, runc takes the instance's user and crun root; and a command line is everybody's to read.
///
/// # Errors
/// When nothing can be written.
pub(super) fn process(
    place: &Place,
    exec: &Exec,
    user: Option<&Account>,
    terminal: bool,
) -> Result<PathBuf, Failure> {
    let failed = |what: &str| Failure::new(Kind::Failed, "ct.exec", format!("cannot run it: {what}"));
    let config = file::read(&place.run.join("config.json"))?.unwrap_or_default();
    let config: Value = serde_json::from_str(&config).map_err(|e| failed(&format!("config.json: {e}")))?;
    let mut process = config["process"].clone();
    process["args"] = json!(exec.argv);
    process["terminal"] = json!(terminal);
    if let Some(folder) = &exec.workdir {
        process["cwd"] = json!(folder);
    }
    if let Some(user) = user {
        process["user"] = json!({"uid": user.user, "gid": user.group, "additionalGids": user.further});
    }
    let own = process["env"].as_array().cloned().unwrap_or_default();
    let named = |entry: &Value, name: &str| {
        entry.as_str().and_then(|e| e.split_once('=')).is_some_and(|e| e.0 == name)
    };
    let mut env: Vec<Value> =
        own.into_iter().filter(|entry| !exec.env.iter().any(|(name, _)| named(entry, name))).collect();
    env.extend(exec.env.iter().map(|(name, value)| json!(format!("{name}={value}"))));
    process["env"] = json!(env);
    file::lend(&place.run, process.to_string().as_bytes())
}

/// Asks until there is an answer, or it is over.
fn until(over: &mut dyn FnMut(Duration) -> bool, mut ask: impl FnMut() -> Option<i32>) -> Option<i32> {
    let mut look = LOOK.0;
    loop {
        if let Some(code) = ask() {
            return Some(code);
        }
        if over(look) {
            return None;
        }
        look = (look * 2).min(LOOK.1);
    }
}

/// Waits, and never breaks off.
pub(crate) fn patient(time: Duration) -> bool {
    wait::until(time, time, || false)
}

/// Its exit code; 128 and the signal where one ended it.
fn ended(child: &mut Child) -> Option<i32> {
    match child.try_wait() {
        Ok(None) => None,
        Ok(Some(status)) => Some(status.code().or(status.signal().map(|s| 128 + s)).unwrap_or(-1)),
        Err(_) => Some(-1),
    }
}

/// The same of a process that came to us when its parent went.
fn reaped(pid: Pid) -> Option<i32> {
    match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::Exited(_, code)) => Some(code),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(128 + signal as i32),
        Ok(_) | Err(nix::Error::EINTR) => None,
        Err(_) => Some(-1),
    }
}

/// Kills the process inside with all of its group: the runtime makes it the first of a session.
fn finish(pid: Pid) -> i32 {
    let _ = kill(Pid::from_raw(-pid.as_raw()), Signal::SIGKILL);
    let _ = kill(pid, Signal::SIGKILL);
    wait::until(REST, LOOK.0, || reaped(pid).is_some());
    LATE
}

/// What comes out of a pipe, read beside everything else.
struct Output {
    bytes: Arc<Mutex<(Vec<u8>, bool)>>,
}

impl Output {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Output {
        let bytes = Arc::new(Mutex::new((Vec::new(), pipe.is_none())));
        let Some(mut pipe) = pipe else { return Output { bytes } };
        let shared = Arc::clone(&bytes);
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(n) = pipe.read(&mut buffer) {
                let mut all = shared.lock().unwrap_or_else(PoisonError::into_inner);
                all.0.extend_from_slice(&buffer[..n]);
                if n == 0 {
                    all.1 = true;
                    return;
                }
            }
            shared.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        });
        Output { bytes }
    }

    /// All of it, or what came until now when somebody still holds the pipe.
    fn rest(self) -> Vec<u8> {
        let end = || self.bytes.lock().unwrap_or_else(PoisonError::into_inner).1;
        wait::until(REST, LOOK.0, end);
        std::mem::take(&mut self.bytes.lock().unwrap_or_else(PoisonError::into_inner).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(script: &str, limit: Option<u64>) -> (Ran, Duration) {
        let begin = Instant::now();
        let program = Program::new("/bin/sh").args(["-c", script]);
        let inside = Inside {
            program,
            input: b"in",
            deadline: limit.map(Duration::from_millis),
            pid_file: None,
            process: None,
        };
        (inside.run(&mut patient).unwrap(), begin.elapsed())
    }

    #[test]
    fn a_program_ends_with_what_it_said() {
        let (ran, _) = ran("cat; echo out; echo err >&2; exit 7", None);
        assert_eq!((ran.code, ran.stdout, ran.stderr), (7, b"inout\n".to_vec(), b"err\n".to_vec()));
    }

    #[test]
    fn what_is_run_is_a_process_of_the_instance_with_what_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { disk: folder.path().to_owned(), run: folder.path().to_owned() };
        let config = json!({"process": {"user": {"uid": 7, "gid": 7}, "cwd": "/srv", "env": ["A=1", "AB=2"], "args": ["x"],
            "capabilities": {"bounding": []}}});
        file::write(&place.run.join("config.json"), config.to_string().as_bytes(), file::Mode::Private)
            .unwrap();
        let lent = |exec: &Exec, user: Option<&Account>| -> Value {
            serde_json::from_str(
                &std::fs::read_to_string(process(&place, exec, user, false).unwrap()).unwrap(),
            )
            .unwrap()
        };
        let plain = lent(&Exec { argv: vec!["id".to_owned()], ..Exec::default() }, None);
        let mut wanted = config["process"].clone();
        (wanted["args"], wanted["terminal"]) = (json!(["id"]), json!(false));
        assert_eq!(plain, wanted);
        let user = Account { user: 5, group: 6, further: vec![8], ..Account::default() };
        let env = vec![("A".to_owned(), "3".to_owned())];
        let own = lent(&Exec { env, workdir: Some("/".to_owned()), ..Exec::default() }, Some(&user));
        assert_eq!((&own["env"], &own["cwd"]), (&json!(["AB=2", "A=3"]), &json!("/")));
        assert_eq!(own["user"], json!({"uid": 5, "gid": 6, "additionalGids": [8]}));
    }

    #[test]
    fn what_it_leaves_behind_keeps_nobody_waiting() {
        let (ran, took) = ran("echo out; sleep 3 &", None);
        assert_eq!((ran.code, ran.stdout), (0, b"out\n".to_vec()));
        assert!(took < Duration::from_secs(2), "{took:?}");
    }

    #[test]
    fn past_the_deadline_it_is_killed() {
        let (ran, took) = ran("echo out; exec sleep 3", Some(50));
        assert_eq!((ran.code, ran.stdout), (124, b"out\n".to_vec()));
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}
