//! Programs that the engine keeps running for a tool: where each has its files, and how it is started, changed and ended.

use super::{LAST, Service, log, unit};
use crate::failure::{Failure, Kind};
use crate::host::file::{self, Mode};
use crate::host::{process, wait};
use crate::plan::Kept;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time limits for a program to load a definition, and to end; the interval of checks.
const LOAD: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);
/// The variable that each of its processes has, with the name of the service: `office/note/list`.
const MARK: &str = "LSX_SERVICE";
/// The hidden verb of every tool that supervises a service.
const VERB: &str = "supervise-service";

/// What a supervisor records.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// Its process.
    pub(super) supervisor: i32,
    /// The program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pid: Option<u32>,
    /// Whether the program runs.
    pub(super) running: bool,
    /// Digest of the definition that was loaded last, whether or not it runs.
    pub(super) loaded: String,
    /// Why it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
    /// How often it was started again.
    pub(super) restarts: u32,
}

/// The places of one service on this host.
#[derive(Clone, Debug)]
pub struct KeptService {
    /// The tool: `note`.
    pub tool: &'static str,
    /// The stack, whose name has been validated.
    pub stack: String,
    /// Its name, unique in the stack's part of the tool.
    pub name: String,
}

/// The folder of run-time files, for root only.
fn folder(stack: &str, tool: &str) -> PathBuf {
    Path::new("/run/lsx").join(stack).join(tool)
}

/// The services of a tool and stack of which something is on this host, sorted.
pub fn observe(tool: &'static str, stack: &str) -> Vec<Kept> {
    let files = std::fs::read_dir(folder(stack, tool)).into_iter().flatten().flatten();
    let files = files.filter_map(|entry| entry.file_name().into_string().ok());
    let by_files = files.filter_map(|file| Some(file.strip_suffix(".service.json")?.to_owned()));
    let mark = format!("{stack}/{tool}/");
    let by_marks = marked().into_iter().filter_map(|(_, of)| Some(of.strip_prefix(&mark)?.to_owned()));
    let names: BTreeSet<String> = by_files.chain(by_marks).collect();
    let one = |name| KeptService { tool, stack: stack.to_owned(), name }.observed();
    names.into_iter().map(one).collect()
}

/// The processes of services, and whose they are. Only root's count, since anybody can set a variable.
fn marked() -> Vec<(i32, String)> {
    let of = |process: i32| {
        let all = std::fs::read(format!("/proc/{process}/environ")).ok()?;
        let text = String::from_utf8_lossy(&all);
        let mut values = text.split('\0').filter_map(|one| one.strip_prefix(MARK)?.strip_prefix('='));
        values.next().map(|value| (process, value.to_owned()))
    };
    process::beside("self").into_iter().filter(|process| process::of_root(*process)).filter_map(of).collect()
}

impl KeptService {
    /// The definition that is wanted.
    pub(super) fn definition(&self) -> PathBuf {
        folder(&self.stack, self.tool).join(format!("{}.service.json", self.name))
    }

    /// The folder of the log.
    pub(super) fn disk(&self) -> PathBuf {
        Path::new("/var/lib/lsx").join(self.tool).join(&self.stack).join("log").join(&self.name)
    }

    /// The supervisor.
    pub(super) fn service(&self) -> Service {
        let KeptService { tool, stack, name } = self;
        Service {
            name: name.clone(),
            tool,
            root: folder(stack, tool),
            state: folder(stack, tool).join(format!("{name}.state.json")),
            unit: format!("lsx-{stack}.{tool}.{name}"),
            about: format!("service {name} of stack {stack}"),
        }
    }

    /// The mark of its processes.
    pub(super) fn mark(&self) -> (&'static str, String) {
        (MARK, format!("{}/{}/{}", self.stack, self.tool, self.name))
    }

    /// What its supervisor has recorded.
    fn state(&self) -> State {
        let text = file::read(&self.service().state).ok().flatten().unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn observed(&self) -> Kept {
        let state = self.state();
        let running = state.running && self.service().alive();
        let config = if running { state.loaded } else { String::new() };
        Kept::Service { name: self.name.clone(), config, running }
    }

    /// The definition that this host has, as text.
    ///
    /// # Errors
    /// Kind `Denied` if it may not be read.
    pub fn text(&self) -> Result<Option<String>, Failure> {
        file::read(&self.definition())
    }

    /// Makes its folders.
    pub(super) fn make(&self) -> Result<(), Failure> {
        file::private_folder(&folder(&self.stack, self.tool))?;
        file::private_folder(&self.disk())
    }

    /// Starts it, or starts it again with another definition, whose digest is `config`; `program` is the tool's copy here. A
    /// definition that does not work changes nothing.
    ///
    /// # Errors
    /// Why it does not work, with the last lines of its log.
    pub fn serve(&self, text: &str, config: &str, program: &str) -> Result<(), Failure> {
        let (old, before) = (self.text()?, self.state());
        self.make()?;
        file::write(&self.definition(), text.as_bytes(), Mode::Private)?;
        let service = self.service();
        if !service.signal(Signal::SIGHUP) {
            let argv = [program, VERB, &self.stack, &self.name].map(str::to_owned);
            let hint = format!("to run it by hand: lsx-{} {VERB} {} {}", self.tool, self.stack, self.name);
            service.begin(&argv, &hint)?;
        }
        let mut state = State::default();
        wait::until(LOAD, STEP, || {
            state = self.state();
            // A failure that was recorded before counts no more.
            let failed = state.why.is_some()
                && (state.supervisor, state.restarts) != (before.supervisor, before.restarts);
            state.loaded == config && (state.running || failed) || wait::cancelled()
        });
        if state.loaded == config && state.running {
            return Ok(());
        }
        let why = state.why.unwrap_or_else(|| "it was not started in time".to_owned());
        let failure = Failure::new(Kind::Failed, "host.service", format!("service {}: {why}", self.name));
        let failure = log::tail(&self.disk(), LAST).into_iter().fold(failure, Failure::because);
        match old {
            Some(old) => {
                file::write(&self.definition(), old.as_bytes(), Mode::Private)?;
                service.signal(Signal::SIGHUP);
            }
            None => self.remove()?,
        }
        Err(failure)
    }

    /// Ends it with its supervisor, and removes their files.
    ///
    /// # Errors
    /// What could not be removed.
    pub fn remove(&self) -> Result<(), Failure> {
        let service = self.service();
        if service.signal(Signal::SIGTERM) {
            wait::until(END, STEP, || !service.alive());
        }
        service.signal(Signal::SIGKILL);
        unit::end(&service.unit);
        self.clear();
        service.unlock()?;
        file::remove(&self.definition())?;
        file::remove(&service.state)?;
        file::remove_tree(&self.disk())?;
        self.disk().ancestors().skip(1).take(3).for_each(file::remove_empty);
        self.definition().ancestors().skip(1).take(3).for_each(file::remove_empty);
        Ok(())
    }

    /// Ends what is left of earlier supervisors, and of the programs that they left behind.
    pub(super) fn clear(&self) {
        let own = nix::unistd::getpid().as_raw();
        let words = [VERB, &self.stack, &self.name];
        let program = format!("lsx-{}", self.tool);
        wait::until(END, STEP, || {
            let ours = |line: &[&str]| line[0].ends_with(&program) && line.len() == 4 && line[1..] == words;
            let mut left = process::by_line(process::of_root, |process, line| ours(line).then_some(process));
            let (_, mark) = self.mark();
            left.extend(marked().into_iter().filter(|(_, of)| *of == mark).map(|(process, _)| process));
            left.retain(|process| *process != own);
            left.iter().for_each(|process| _ = kill(Pid::from_raw(*process), Signal::SIGKILL));
            left.is_empty()
        });
    }
}
