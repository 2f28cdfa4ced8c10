//! The services that the engine keeps running for a tool: where each has its files, and how it is started, changed and ended.

use super::{LAST, Service, log, unit};
use crate::document;
use crate::failure::{Failure, Kind};
use crate::host::file::{self, Mode};
use crate::host::{process, wait};
use crate::plan::Kept;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time limits for a program to load a definition, and to end; the interval of checks.
const LOAD: Duration = Duration::from_secs(90);
const END: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);
/// The variable that each of its processes has, with the name of the service: `office/note/list`.
const MARK: &str = "LSX_SERVICE";
/// The hidden verb of every tool that supervises a service.
const VERB: &str = "supervise-service";

/// The hidden verb of the tool's own server, which its supervisor starts.
const SERVE: &str = "serve-service";
/// The users of services without root: a range without names, between those that systems give to people and to containers.
const USERS: Range<u32> = 0x6c73_0000..0x6c74_0000;

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
    /// Whether it belongs in the router, and hands over to the next one.
    pub(super) router: bool,
    pub(super) handover: bool,
    /// Why it does not run, or has not loaded the present definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
    /// What the worker has counted, as the tool defines it.
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

/// The services of a tool and stack of which something is on this host, sorted, and why one does not run as it should.
pub fn observe(tool: &'static str, stack: &str) -> Vec<(Kept, Option<String>)> {
    let files = std::fs::read_dir(folder(stack, tool)).into_iter().flatten().flatten();
    let files = files.filter_map(|entry| entry.file_name().into_string().ok());
    let by_files = files.filter_map(|file| Some(file.strip_suffix(".service.json")?.to_owned()));
    let mark = format!("{stack}/{tool}/");
    let by_marks = marked().into_iter().filter_map(|(_, of)| Some(of.strip_prefix(&mark)?.to_owned()));
    let names: BTreeSet<String> = by_files.chain(by_marks).collect();
    let one = |name| {
        let service = KeptService { tool, stack: stack.to_owned(), name };
        (service.observed(), service.state().why)
    };
    names.into_iter().map(one).collect()
}

/// The processes of services, and whose they are. Anybody can set a variable: only processes that root has started count, and one
/// without root only for the service that it belongs to.
fn marked() -> Vec<(i32, String)> {
    let of = |process: i32| {
        let user = process::user(process)
            .filter(|user| *user == 0 || USERS.contains(user) || process::moved_by_root(process))?;
        let all = std::fs::read(format!("/proc/{process}/environ")).ok()?;
        let text = String::from_utf8_lossy(&all);
        let mut values = text.split('\0').filter_map(|one| one.strip_prefix(MARK)?.strip_prefix('='));
        let mark = values.next().filter(|mark| !USERS.contains(&user) || user == user_of(mark))?;
        Some((process, mark.to_owned()))
    };
    process::beside("self").into_iter().filter_map(of).collect()
}

/// The user that a service has without root, by its mark.
fn user_of(mark: &str) -> u32 {
    let digest = document::digest(mark.as_bytes());
    USERS.start + u32::from_str_radix(&digest[..4], 16).unwrap_or_default()
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
    pub(super) fn processes(&self) -> Vec<i32> {
        let (_, mark) = self.mark();
        marked().into_iter().filter(|(_, of)| *of == mark).map(|(process, _)| process).collect()
    }

    /// What its supervisor has recorded.
    fn state(&self) -> State {
        let text = file::read(&self.service().state).ok().flatten().unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// What its worker has counted, some seconds ago.
    pub fn counts(&self) -> Option<Value> {
        self.state().counts
    }

    fn observed(&self) -> Kept {
        let state = self.state();
        let there = || identity(Path::new(&format!("/proc/{}/ns/net", state.pid?)));
        let placed = !state.router || self.router().1.is_some_and(|home| there() == Some(home));
        let running = state.running && placed && self.service().alive();
        let config = if running { state.loaded } else { String::new() };
        Kept::Service { name: self.name.clone(), config, running, handover: state.handover }
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
