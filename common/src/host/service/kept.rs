//! The services that the engine keeps running for a tool: where each has its files, and how it is started, changed and ended.

use super::marks::{MARK, mark_of, marked, user_of};
use super::{LAST, Service, log, unit};
use crate::failure::{Failure, Kind};
use crate::host::file::{self, Mode};
use crate::host::{process, wait};
use crate::plan::Kept;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time limits for a program to load a definition, and to end; the interval of checks.
const LOAD: Duration = Duration::from_secs(90);
const END: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);
/// The hidden verb of every tool that supervises a service.
const VERB: &str = "supervise-service";

/// The hidden verb of the tool's own server, which its supervisor starts.
const SERVE: &str = "serve-service";

/// What a supervisor records, perhaps one of another version.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// Its process.
    pub(super) supervisor: i32,
    /// The program, or the worker that serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pid: Option<u32>,
    /// Whether it runs.
    pub(super) running: bool,
    /// Digest of the definition that it has loaded; empty if none.
    pub(super) loaded: String,
    /// Digest of the definition that could not be loaded the last time.
    pub(super) refused: String,
    /// Whether it waits for a file, with this definition.
    pub(super) waits: bool,
    /// Whether it belongs in the router, and hands over to the next one.
    pub(super) router: bool,
    pub(super) handover: bool,
    /// As in [`Kept::Service`].
    pub(super) start: String,
    /// Why it does not run, or has not loaded the present definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
    /// What the worker has counted, or the tool has found about its program, as the tool defines it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) counts: Option<Value>,
    /// How often it was to be started, was started again after it had ended, and took over without a gap.
    pub(super) tries: u32,
    pub(super) restarts: u32,
    pub(super) handovers: u32,
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

/// The services of a tool and stack of which something is on this host, sorted; why one does not run as it should, and whether it
/// only waits.
pub fn observe(tool: &'static str, stack: &str) -> Vec<(Kept, Option<String>, bool)> {
    let files = std::fs::read_dir(folder(stack, tool)).into_iter().flatten().flatten();
    let files = files.filter_map(|entry| entry.file_name().into_string().ok());
    let by_files = files.filter_map(|file| Some(file.strip_suffix(".service.json")?.to_owned()));
    let mark = format!("{stack}/{tool}/");
    let by_marks = marked().into_iter().filter_map(|(_, of)| Some(of.strip_prefix(&mark)?.to_owned()));
    let names: BTreeSet<String> = by_files.chain(by_marks).collect();
    let one = |name| {
        let service = KeptService { tool, stack: stack.to_owned(), name };
        let state = service.state();
        (service.observed(), state.why, state.waits)
    };
    names.into_iter().map(one).collect()
}

/// Device and inode of a namespace.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|m| (m.dev(), m.ino()))
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

    /// The folder of a program's files.
    pub fn files(&self) -> PathBuf {
        Path::new("/run/lsx").join(&self.stack).join(format!("{}.{}", self.tool, self.name))
    }

    /// The folder of a copy of them that is checked.
    pub(super) fn candidate(&self) -> PathBuf {
        Path::new("/run/lsx").join(&self.stack).join(format!("{}.{}.new", self.tool, self.name))
    }

    /// The socket on which a worker without a supervisor waits for the next one.
    pub(super) fn next(&self) -> PathBuf {
        folder(&self.stack, self.tool).join(format!("{}.next", self.name))
    }

    /// The name of the router's network namespace, and its identity.
    pub(super) fn router(&self) -> (String, Option<(u64, u64)>) {
        let name = format!("lsx-{}", self.stack);
        let home = identity(&Path::new("/run/netns").join(&name));
        (name, home)
    }

    /// The mark of its processes.
    pub(super) fn mark(&self) -> (&'static str, String) {
        (MARK, format!("{}/{}/{}", self.stack, self.tool, self.name))
    }

    /// The arguments of its workers.
    pub(super) fn worker(&self) -> [&str; 3] {
        [SERVE, &self.stack, &self.name]
    }

    /// The user that it has without root.
    pub(super) fn user(&self) -> u32 {
        user_of(&self.mark().1)
    }

    /// Its processes, also those without a supervisor and those in a router that was replaced.
    pub fn processes(&self) -> Vec<i32> {
        let (_, mark) = self.mark();
        marked().into_iter().filter(|(_, of)| *of == mark).map(|(process, _)| process).collect()
    }

    /// What its supervisor has recorded.
    fn state(&self) -> State {
        let text = file::read(&self.service().state).ok().flatten().unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// What its worker has counted some seconds ago, or the tool has found about its program.
    pub fn counts(&self) -> Option<Value> {
        self.state().counts
    }

    fn observed(&self) -> Kept {
        let state = self.state();
        let there = || identity(Path::new(&format!("/proc/{}/ns/net", state.pid?)));
        let placed = !state.router || self.router().1.is_some_and(|home| there() == Some(home));
        let running = (state.waits || state.running && placed) && self.service().alive();
        let config = if running { state.loaded } else { String::new() };
        let (name, handover, start) = (self.name.clone(), state.handover, state.start);
        Kept::Service { name, config, running, handover, start }
    }

    /// Whether a process is one of them; a look at all processes costs more.
    pub fn has(&self, process: i32) -> bool {
        mark_of(process).is_some_and(|of| of == self.mark().1)
    }

    /// Whether this host has files of it. A service without files is found by [`observe`].
    pub fn has_files(&self) -> bool {
        self.definition().exists() || self.disk().exists()
    }

    /// Whether it runs, with a supervisor, and in the router if it belongs there.
    pub fn runs(&self) -> bool {
        matches!(self.observed(), Kept::Service { running: true, .. })
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

    /// Starts it, or lets it load another definition, whose digest is `config`; `program` is the tool's copy here. A definition
    /// that does not work changes nothing.
    ///
    /// # Errors
    /// Why it does not work, with the last lines of its log.
    pub fn serve(&self, text: &str, config: &str, program: &str) -> Result<(), Failure> {
        let (old, before) = (self.text()?, self.state());
        file::private_folder(&folder(&self.stack, self.tool))?;
        // Before the log: a service is found by its definition, and the log goes with it.
        file::write(&self.definition(), text.as_bytes(), Mode::Private)?;
        self.make()?;
        let service = self.service();
        if !service.signal(Signal::SIGHUP) {
            let argv = [program, VERB, &self.stack, &self.name].map(str::to_owned);
            let hint = format!("to run it by hand: lsx-{} {VERB} {} {}", self.tool, self.stack, self.name);
            service.begin_with(unit::Others::Stay, &argv, &hint)?;
        }
        let loaded = || matches!(self.observed(), Kept::Service { config: now, .. } if now == config);
        let mut state = State::default();
        wait::until(LOAD, STEP, || {
            state = self.state();
            // A failure that was recorded before counts no more.
            let new = (state.supervisor, state.tries) != (before.supervisor, before.tries);
            loaded() || (new && state.refused == config) || wait::cancelled()
        });
        if loaded() {
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
        file::remove_tree(&self.files())?;
        file::remove_tree(&self.candidate())?;
        file::remove_tree(&self.disk())?;
        file::remove(&self.next())?;
        file::remove(&service.state)?;
        file::remove(&self.definition())?;
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
            left.extend(self.processes());
            left.retain(|process| *process != own);
            left.iter().for_each(|process| _ = kill(Pid::from_raw(*process), Signal::SIGKILL));
            left.is_empty()
        });
    }
}
