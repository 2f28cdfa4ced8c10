//! The OCI runtime: a program of others (crun, runc, youki), selected by testing it.

use super::command::{ROOT, program};
use super::disk::InstanceFolders;
use crate::model::Engine;
use crate::render::bundle::Stop;
use common::host::Program;
use common::host::file::{self, Mode};
use common::stack::Driver;
use common::{Failure, Kind, document};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Cached results of tests of this host's runtimes, until a reboot or a change of a runtime.
const FOUND: &str = "/run/lsx/runtime.json";
/// Results of this process.
static TRIED: Mutex<Vec<Runtime>> = Mutex::new(Vec::new());
/// Number of cached results: outdated ones are dropped.
const KEPT: usize = 8;
/// File in the folder of an instance: the runtime that created its container.
const MADE: &str = "runtime.json";
const NONE: &str = "no OCI runtime works on this host";
const INSTALL: &str = "install one: apt-get install --no-install-recommends runc";
/// In order of preference: the fastest first.
const KNOWN: [&str; 3] = ["crun", "runc", "youki"];

/// A runtime that works here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Runtime {
    /// Its program.
    pub(crate) path: PathBuf,
    /// `runc 1.1.5`.
    pub(crate) name: String,
    /// Whether it works with a user namespace and id-mapped folders.
    pub(crate) ids: bool,
    /// Why others were skipped, and what this one does not support.
    pub(crate) cannot: Vec<String>,
    /// When the programs were installed: a new one is tested again.
    stamp: String,
}

impl Runtime {
    /// The runtime that created an instance's container; else the one requested for it, or any that works.
    ///
    /// # Errors
    /// If none works, with the error of each.
    pub(crate) fn of(place: &InstanceFolders) -> Result<Runtime, Failure> {
        let made: Option<Runtime> =
            file::read(&place.run.join(MADE))?.and_then(|text| serde_json::from_str(&text).ok());
        match made.filter(|runtime| runtime.path.exists()) {
            Some(runtime) => Ok(runtime),
            None => Runtime::find(place.choice()?.as_deref()),
        }
    }

    /// Records that it creates the container of an instance: other runtimes cannot read its state.
    pub(crate) fn makes(&self, place: &InstanceFolders) -> Result<(), Failure> {
        file::write(&place.run.join(MADE), &document::canonical(self)?, Mode::Private).map(|_| ())
    }

    /// What is known without running anything, for plans, which change nothing.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn seen(wanted: Option<&str>) -> Result<Engine, Failure> {
        let candidates = candidates(wanted)?;
        let stamp = stamp(&candidates);
        let tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = tried.iter().cloned().chain(kept()).find(|found| found.stamp == stamp) {
            return Ok(found.engine());
        }
        let Some(first) = candidates.first() else {
            return Err(Failure::new(Kind::Failed, "ct.oci.runtime", NONE).hint(INSTALL));
        };
        Ok(Engine {
            driver: Driver::Oci,
            name: first.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            can: Vec::new(),
            cannot: vec!["not tested yet: `up` tests it before its first step".to_owned()],
            profiles: None,
            works: true,
        })
    }

    /// The first that works, or the one given by `LSX_RUNTIME` or `--runtime`: each is tested by running something.
    ///
    /// # Errors
    /// If none works, with the error of each.
    pub(crate) fn find(wanted: Option<&str>) -> Result<Runtime, Failure> {
        let candidates = candidates(wanted)?;
        let stamp = stamp(&candidates);
        // Held to the end: tests at the same time would disturb each other.
        let mut tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = tried.iter().cloned().chain(kept()).find(|found| found.stamp == stamp) {
            return Ok(found);
        }
        let mut cannot = Vec::new();
        for path in candidates {
            match super::trial::works(&path) {
                Ok(trial) => {
                    cannot.extend(trial.cannot);
                    let found = Runtime { name: version(&path), path, ids: trial.ids, cannot, stamp };
                    tried.push(found.clone());
                    return Ok(found);
                }
                Err(failure) => cannot.push(format!("{}: {}", path.display(), told(&failure))),
            }
        }
        let (what, hint) = match wanted {
            Some(name) => {
                (format!("the OCI runtime {name} does not work on this host"), "leave out --runtime")
            }
            None => (NONE.to_owned(), INSTALL),
        };
        let failure = Failure::new(Kind::Failed, "ct.oci.runtime", what).hint(hint);
        Err(cannot.into_iter().fold(failure, Failure::because))
    }

    /// Caches results while there are instances here; a host without any has no file of lsx.
    pub(crate) fn keep(&self) -> Result<(), Failure> {
        let tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut all = kept();
        let known = all.len();
        for found in tried.iter().chain([self]) {
            if !all.iter().any(|other| other.stamp == found.stamp) {
                all.push(found.clone());
            }
        }
        if all.len() == known {
            return Ok(());
        }
        all.drain(..all.len().saturating_sub(KEPT));
        file::write(Path::new(FOUND), &document::canonical(&all)?, Mode::Private).map(|_| ())
    }

    /// A command of the runtime.
    pub(crate) fn program(&self) -> Program {
        program(&self.path)
    }

    /// Creates a container from a bundle; its first process waits for [`Runtime::start`].
    pub(crate) fn create(&self, id: &str, bundle: &Path, pid_file: &Path, errors: &Path) -> Program {
        let program = self.program().args(["--log-format", "json", "--log"]).args([errors]);
        program.args(["create", "--bundle"]).args([bundle]).args(["--pid-file"]).args([pid_file]).args([id])
    }

    /// Whether it has a container of that name, running or not.
    pub(crate) fn knows(&self, id: &str) -> bool {
        Path::new(ROOT).join(id).exists()
    }

    /// Starts it.
    pub(crate) fn start(&self, id: &str) -> Result<(), Failure> {
        self.program().args(["start", id]).run(b"").map(|_| ())
    }

    /// Sends a signal to its first process, or to all.
    pub(crate) fn kill(&self, id: &str, signal: Stop, all: bool) -> Result<(), Failure> {
        // By number, since runtimes do not know names of real-time signals.
        let number = signal.0.to_string();
        let program = self.program().args(["kill"]).args(all.then_some("--all")).args([id, &number]);
        program.run(b"").map(|_| ())
    }

    /// Kills and removes it; a missing one is no error.
    pub(crate) fn delete(&self, id: &str) -> Result<(), Failure> {
        // A frozen process cannot be killed.
        id.split_once('.')
            .into_iter()
            .for_each(|(stack, name)| _ = super::groups::freeze(stack, name, false));
        self.program().args(["delete", "--force", id]).run(b"").map(|_| ())
    }

    /// Its entry in `observe`.
    pub(crate) fn engine(&self) -> Engine {
        Engine {
            driver: Driver::Oci,
            name: self.name.clone(),
            can: if self.ids {
                vec!["user namespaces".to_owned(), "idmapped mounts".to_owned()]
            } else {
                Vec::new()
            },
            cannot: self.cannot.clone(),
            profiles: None,
            works: true,
        }
    }
}

/// After the last instance was removed: removes lsx's files in /run, and leftovers of killed tests.
pub(super) fn forget() -> Result<(), Failure> {
    file::remove(Path::new(FOUND))?;
    super::trial::forget()?;
    super::disk::unlock();
    file::sweep(Path::new("/run/lsx"));
    [ROOT, crate::paths::RUN, "/run/lsx"].map(Path::new).into_iter().for_each(file::remove_empty);
    Ok(())
}

/// The cached results.
fn kept() -> Vec<Runtime> {
    let text = file::read(Path::new(FOUND)).ok().flatten();
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// The possible runtimes, in order of preference.
fn candidates(wanted: Option<&str>) -> Result<Vec<PathBuf>, Failure> {
    match wanted {
        Some(name) => Ok(vec![installed(name).ok_or_else(|| absent(name))?]),
        None => Ok(KNOWN.iter().filter_map(|name| installed(name)).collect()),
    }
}

fn absent(name: &str) -> Failure {
    Failure::new(
        Kind::Failed,
        "ct.oci.runtime",
        format!("the OCI runtime {name} is not installed on this host"),
    )
    .hint("install it, write its path, or leave out --runtime")
}

fn installed(name: &str) -> Option<PathBuf> {
    if name.starts_with('/') {
        return Some(PathBuf::from(name)).filter(|p| p.is_file());
    }
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

fn stamp(paths: &[PathBuf]) -> String {
    use std::os::unix::fs::MetadataExt;
    let one = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok();
        format!("{} {:?}", path.display(), meta.map(|m| (m.ino(), m.size(), m.mtime())))
    };
    paths.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// `crun version 1.8.1` becomes `crun 1.8.1`, and `youki version: 0.7.0` likewise.
fn version(path: &Path) -> String {
    let text = Program::new(&path.to_string_lossy()).args(["--version"]).run(b"").unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().next().unwrap_or_default().replacen(" version: ", " ", 1).replacen(" version ", " ", 1)
}

fn told(failure: &Failure) -> String {
    let last = failure.program.as_ref().and_then(|p| p.output.last());
    let last = last.map(|line| line.trim_start_matches([' ', '|']).to_owned()); // as quoted by lsx's own test
    last.unwrap_or_else(|| failure.to_string())
}
