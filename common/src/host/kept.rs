//! What the engine keeps on a host for every tool: the intent, which the tool restores after a reboot, the boot entry, the entry
//! that is run each minute, services, and the folder of data.

use super::entry::{Entry, Occasion};
use super::file::{self, Mode};
use super::service::kept::{self, KeptService};
use super::{received, timer};
use crate::failure::{Failure, Kind};
use crate::plan::{Kept, Object, Warning};
use crate::tool::Tool;
use crate::{document, fleet};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The end of the code of a warning about a job that failed.
pub(crate) const JOB: &str = ".job";
/// The code of a warning about a service that waits for a file.
pub(crate) const WAITS: &str = "host.waits";
const ROOT: &str = "/etc/lsx";

/// What is kept of a stack on this host.
#[derive(Clone, Debug)]
pub struct Found<I> {
    /// Whether there is a file with an intent.
    pub there: bool,
    /// The intent; none if its file is missing or damaged.
    pub intent: Option<I>,
    /// The program and the host that the boot entry names, as in [`Entry::read`].
    pub boot: Option<(String, String)>,
    /// The same for the entry that is run each minute.
    pub timer: Option<(String, String)>,
    /// Services, and the folder of data.
    pub more: Vec<Kept>,
    /// About a damaged file, jobs that failed, and services that do not run or have not loaded their definition.
    pub warnings: Vec<Warning>,
}

/// The stacks of which this host keeps an intent of a tool, by name.
pub fn stacks<T: Tool>() -> Vec<String> {
    let entries = std::fs::read_dir(ROOT).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let kept = |stack: &String| Keeper::<T::Intent>::of::<T>(stack).path().is_file();
    let mut stacks: Vec<String> = names.filter(kept).collect();
    stacks.sort();
    stacks
}

/// The stacks of which this host has anything of a tool, sorted: an intent, or what a run that was killed left.
pub fn found<T: Tool>() -> BTreeSet<String> {
    let inside = |folder: &str| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = |entry: std::fs::DirEntry| entry.file_name().into_string().ok();
    let served = inside("/run/lsx").filter(|entry| entry.path().join(T::NAME).is_dir()).filter_map(names);
    let disk = inside(&format!("/var/lib/lsx/{}", T::NAME)).filter_map(names);
    stacks::<T>().into_iter().chain(served).chain(disk).collect()
}

impl<I> Found<I> {
    /// As objects; `key` gives the key of an intent. Data and the boot entry come first, since a removal begins with the last.
    pub fn objects(&self, key: fn(&I) -> String) -> Vec<Kept> {
        let digest = self.intent.as_ref().map(key).unwrap_or_default();
        let boot = self.boot.clone().map(|(program, host)| Kept::Boot { program, host });
        let intent = self.there.then_some(Kept::Intent { digest });
        let timer = self.timer.clone().map(|(program, host)| Kept::Timer { program, host });
        let (data, services): (Vec<_>, Vec<_>) =
            self.more.iter().cloned().partition(|one| matches!(one, Kept::Data { .. }));
        data.into_iter().chain(boot).chain(intent).chain(services).chain(timer).collect()
    }
}

/// The files of one stack, of the tool whose intent is `I`.
#[derive(Debug)]
pub struct Keeper<I> {
    root: PathBuf,
    tool: &'static str,
    order: u8,
    services: bool,
    programs: &'static [&'static str],
    stack: String,
    key: fn(&I) -> String,
    /// Intents that this run has replaced, by their key, byte for byte; and definitions of services, by their digest.
    replaced: Mutex<BTreeMap<String, String>>,
}

impl<I: Serialize + DeserializeOwned> Keeper<I> {
    /// For a stack, whose name has been validated.
    pub fn of<T: Tool<Intent = I>>(stack: &str) -> Self {
        Keeper {
            root: ROOT.into(),
            tool: T::NAME,
            order: T::ORDER,
            services: T::SERVICES,
            programs: T::SET,
            stack: stack.to_owned(),
            key: T::intent_key,
            replaced: Mutex::default(),
        }
    }

    /// The intent: `/etc/lsx/STACK/TOOL.json`.
    pub fn path(&self) -> PathBuf {
        self.root.join(&self.stack).join(format!("{}.json", self.tool))
    }

    fn entry(&self, on: Occasion) -> Entry<'_> {
        Entry { on, order: self.order, stack: &self.stack, tool: self.tool }
    }

    /// The intent; none if its file is missing or damaged.
    ///
    /// # Errors
    /// Kind `Denied` if it may not be read.
    pub fn intent(&self) -> Result<Option<I>, Failure> {
        Ok(self.text()?.and_then(|text| self.parse(&text).ok()))
    }

    /// Everything that is kept.
    ///
    /// # Errors
    /// Kind `Denied` if it may not be read.
    pub fn observe(&self) -> Result<Found<I>, Failure> {
        let text = self.text()?;
        let read = text.as_ref().map(|text| self.parse(text));
        let damaged = read.as_ref().and_then(|read| read.as_ref().err()).map(|why| Warning {
            code: format!("{}.intent", self.tool),
            message: format!("{} cannot be read and is written again: {why}", self.path().display()),
        });
        let failed = timer::failed(&self.stack, self.tool).into_iter().map(|(job, why)| Warning {
            code: format!("{}{JOB}", self.tool),
            message: format!("job {job} of stack {} failed in its last run: {why}", self.stack),
        });
        let services = if self.services { kept::observe(self.tool, &self.stack) } else { Vec::new() };
        let down = services.iter().filter_map(|(one, why, waits)| {
            let message = format!("{} of stack {}: {}", one.called()?.0, self.stack, why.as_ref()?);
            let code = if *waits { WAITS } else { "host.service" };
            Some(Warning { code: code.to_owned(), message })
        });
        let warnings = damaged.into_iter().chain(failed).chain(down).collect();
        let (boot, timer) = (self.entry(Occasion::Boot).read()?, self.entry(Occasion::Minute).read()?);
        let data = Kept::data(self.tool, &self.stack);
        let there = matches!(&data, Kept::Data { path } if Path::new(path).exists());
        let more = services.into_iter().map(|(one, ..)| one).chain(there.then_some(data)).collect();
        Ok(Found { there: text.is_some(), intent: read.and_then(Result::ok), boot, timer, more, warnings })
    }

    /// Changes one object to its wanted state: first by `own`, the tool's function, then by the engine's. `make` gives an intent
    /// that this run has not replaced, and `text` a text of the plan by its digest.
    ///
    /// # Errors
    /// Errors of the file system, or of a function.
    pub fn change(
        &self,
        (before, after): (Option<Kept>, Option<Kept>),
        own: &dyn Fn() -> Result<(), Failure>,
        make: &dyn Fn() -> Result<I, Failure>,
        text: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), Failure> {
        if let (Some(Kept::Timer { .. }), None) = (&before, &after) {
            return timer::end(&self.stack, self.tool, &|| {
                own()?;
                self.entry(Occasion::Minute).remove()
            });
        }
        own()?;
        match (before, after) {
            (_, Some(Kept::Intent { digest })) => self.write(&digest, make),
            (_, Some(Kept::Boot { program, host })) => self.enter(Occasion::Boot, &program, &host),
            (_, Some(Kept::Timer { program, host })) => self.enter(Occasion::Minute, &program, &host),
            (_, Some(Kept::Service { name, config, .. })) => self.serve(name, &config, text),
            (_, Some(Kept::Data { path })) => file::private_folder(Path::new(&path)),
            (Some(Kept::Intent { .. }), None) => self.remove(),
            (Some(Kept::Boot { .. }), None) => {
                received::forget(&self.stack, self.tool)?;
                self.entry(Occasion::Boot).remove()
            }
            (Some(Kept::Service { name, .. }), None) => {
                let service = self.service(name);
                self.replaces(service.text()?);
                service.remove()
            }
            (Some(Kept::Data { path }), None) => {
                file::remove_tree(Path::new(&path))?;
                Path::new(&path).ancestors().skip(1).take(3).for_each(file::remove_empty);
                Ok(())
            }
            (Some(Kept::Timer { .. }) | None, None) => Ok(()),
        }
    }

    fn service(&self, name: String) -> KeptService {
        KeptService { tool: self.tool, stack: self.stack.clone(), name }
    }

    fn serve(
        &self,
        name: String,
        config: &str,
        text: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), Failure> {
        let service = self.service(name);
        self.replaces(service.text()?);
        let old = || self.replaced.lock().unwrap_or_else(PoisonError::into_inner).get(config).cloned();
        let missing = || {
            let message = format!("the plan lacks the definition of service {}", service.name);
            Failure::new(Kind::Data, "plan.contents", message)
        };
        let text = text(config).or_else(old).ok_or_else(missing)?;
        service.serve(&text, config, &self.install()?)
    }

    /// Records the definition of a service that is about to be replaced or removed.
    fn replaces(&self, text: Option<String>) {
        let mut all = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(text.map(|text| (document::digest(text.as_bytes()), text)));
    }

    fn install(&self) -> Result<String, Failure> {
        fleet::install(&self.programs.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    fn enter(&self, on: Occasion, program: &str, host: &str) -> Result<(), Failure> {
        // A host that is changed in-process has no copy of this program yet.
        if !Path::new(program).exists() {
            self.install()?;
        }
        self.entry(on).write(program, host, &self.path())
    }

    fn write(&self, key: &str, make: &dyn Fn() -> Result<I, Failure>) -> Result<(), Failure> {
        self.remember()?;
        let old = self.replaced.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        let bytes = match old {
            Some(old) => old.into_bytes(),
            None => document::canonical(&make()?)?,
        };
        file::write(&self.path(), &bytes, Mode::Private).map(|_| ())
    }

    fn remove(&self) -> Result<(), Failure> {
        self.remember()?;
        file::remove(&self.path())?;
        self.path().ancestors().skip(1).take(2).for_each(file::remove_empty);
        Ok(())
    }

    /// Records the file that is about to be replaced or removed, so that it can be restored. A damaged one cannot.
    fn remember(&self) -> Result<(), Failure> {
        if let Some(text) = self.text()?
            && let Ok(intent) = self.parse(&text)
        {
            let mut all = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert((self.key)(&intent), text);
        }
        Ok(())
    }

    /// The text of the file; empty if it cannot be read for another reason than a missing permission.
    fn text(&self) -> Result<Option<String>, Failure> {
        match file::read(&self.path()) {
            Err(failure) if failure.kind != Kind::Denied => Ok(Some(String::new())),
            text => text,
        }
    }

    /// An intent of another major version cannot be read, either.
    fn parse(&self, text: &str) -> Result<I, String> {
        let name = format!("{}.json", self.tool);
        let read = document::read(text, &name, &document::schema(self.tool, "intent"));
        read.map_err(|failures| {
            failures.0.into_iter().map(|failure| failure.message).collect::<Vec<_>>().join(", ")
        })
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
mod tests;
