//! What the engine keeps on a host for every tool: the intent, which the tool restores after a reboot, the boot entry, and the
//! entry that is run each minute.

use super::entry::{Entry, Occasion};
use super::file::{self, Mode};
use super::{received, timer};
use crate::failure::{Failure, Kind};
use crate::plan::{Kept, Warning};
use crate::tool::Tool;
use crate::{document, fleet};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The end of the code of a warning about a job that failed.
pub(crate) const JOB: &str = ".job";
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
    /// About a damaged file, and about jobs that failed.
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

impl<I> Found<I> {
    /// As objects; `key` gives the key of an intent. The boot entry comes first, and the timer last.
    pub fn objects(&self, key: fn(&I) -> String) -> Vec<Kept> {
        let digest = self.intent.as_ref().map(key).unwrap_or_default();
        let boot = self.boot.clone().map(|(program, host)| Kept::Boot { program, host });
        let intent = self.there.then_some(Kept::Intent { digest });
        let timer = self.timer.clone().map(|(program, host)| Kept::Timer { program, host });
        boot.into_iter().chain(intent).chain(timer).collect()
    }
}

/// The files of one stack, of the tool whose intent is `I`.
#[derive(Debug)]
pub struct Keeper<I> {
    root: PathBuf,
    tool: &'static str,
    order: u8,
    programs: &'static [&'static str],
    stack: String,
    key: fn(&I) -> String,
    /// Intents that this run has replaced, by their key, byte for byte.
    replaced: Mutex<BTreeMap<String, String>>,
}

impl<I: Serialize + DeserializeOwned> Keeper<I> {
    /// For a stack, whose name has been validated.
    pub fn of<T: Tool<Intent = I>>(stack: &str) -> Self {
        Keeper {
            root: ROOT.into(),
            tool: T::NAME,
            order: T::ORDER,
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
        let warnings = damaged.into_iter().chain(failed).collect();
        let (boot, timer) = (self.entry(Occasion::Boot).read()?, self.entry(Occasion::Minute).read()?);
        Ok(Found { there: text.is_some(), intent: read.and_then(Result::ok), boot, timer, warnings })
    }

    /// Changes one object to its wanted state; `make` gives an intent that this run has not replaced.
    ///
    /// # Errors
    /// Errors of the file system, or of `make`.
    pub fn change(
        &self,
        before: Option<Kept>,
        after: Option<Kept>,
        make: &dyn Fn() -> Result<I, Failure>,
    ) -> Result<(), Failure> {
        match (before, after) {
            (_, Some(Kept::Intent { digest })) => self.write(&digest, make),
            (_, Some(Kept::Boot { program, host })) => self.enter(Occasion::Boot, &program, &host),
            (_, Some(Kept::Timer { program, host })) => self.enter(Occasion::Minute, &program, &host),
            (Some(Kept::Intent { .. }), None) => self.remove(),
            (Some(Kept::Boot { .. }), None) => {
                received::forget(&self.stack, self.tool)?;
                self.entry(Occasion::Boot).remove()
            }
            (Some(Kept::Timer { .. }), None) => {
                timer::end(&self.stack, self.tool, &|| self.entry(Occasion::Minute).remove())
            }
            (None, None) => Ok(()),
        }
    }

    fn enter(&self, on: Occasion, program: &str, host: &str) -> Result<(), Failure> {
        // A host that is changed in-process has no copy of this program yet.
        if !Path::new(program).exists() {
            fleet::install(&self.programs.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
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
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        schema: String,
        text: String,
    }

    fn note(text: &str) -> Note {
        Note { schema: "lsx.note.intent/1".to_owned(), text: text.to_owned() }
    }

    fn keeper(root: &Path) -> Keeper<Note> {
        Keeper {
            root: root.to_owned(),
            tool: "note",
            order: 99,
            programs: &[],
            stack: "office".to_owned(),
            key: |note| note.text.clone(),
            replaced: Mutex::default(),
        }
    }

    fn intent(text: &str) -> Option<Kept> {
        Some(Kept::Intent { digest: text.to_owned() })
    }

    #[test]
    fn a_replaced_intent_comes_back_byte_for_byte() {
        let root = tempfile::tempdir().unwrap();
        let keeper = keeper(root.path());
        let never = || panic!("it was replaced by this run");
        keeper.change(None, intent("a"), &|| Ok(note("a"))).unwrap();
        // Another version of lsx may have written it with further keys.
        let text = std::fs::read_to_string(keeper.path()).unwrap().replace('{', "{\"more\": 1, ");
        std::fs::write(keeper.path(), &text).unwrap();
        keeper.change(intent("a"), intent("b"), &|| Ok(note("b"))).unwrap();
        assert_eq!(keeper.intent().unwrap(), Some(note("b")));
        keeper.change(intent("b"), None, &never).unwrap();
        assert!(!root.path().join("office").exists(), "an empty folder is removed");
        keeper.change(None, intent("b"), &never).unwrap();
        keeper.change(intent("b"), intent("a"), &never).unwrap();
        assert_eq!(std::fs::read_to_string(keeper.path()).unwrap(), text);
    }

    #[test]
    fn a_damaged_intent_is_there_and_is_told() {
        let root = tempfile::tempdir().unwrap();
        let keeper = keeper(root.path());
        assert_eq!(keeper.intent().unwrap(), None);
        keeper.change(None, intent("a"), &|| Ok(note("a"))).unwrap();
        for damage in ["", "{", "\u{0}", "{\"schema\":\"lsx.note.intent/2\",\"text\":\"a\"}"] {
            std::fs::write(keeper.path(), damage).unwrap();
            assert_eq!(keeper.intent().unwrap(), None, "{damage}");
            keeper.change(None, intent("b"), &|| Ok(note("b"))).unwrap();
            assert_eq!(keeper.intent().unwrap(), Some(note("b")), "{damage}");
        }
        std::fs::write(keeper.path(), [0xff]).unwrap();
        assert_eq!(keeper.intent().unwrap(), None);
        std::fs::write(keeper.path(), "{").unwrap();
        let found = keeper.observe().unwrap();
        assert!(found.there && found.intent.is_none());
        let warning = found.warnings.first().unwrap();
        assert!(warning.code == "note.intent" && warning.message.contains("office/note.json"), "{warning:?}");
    }
}
