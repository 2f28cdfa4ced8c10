//! The tool: what it observes and changes on a host.

use crate::object::{Data, Facts, Intent, Object, Text};
use crate::plan;
use common::host::file::{self, Mode};
use common::host::kept::Keeper;
use common::host::timer::Job;
use common::plan::Kept;
use common::table::Columns;
use common::tool::{
    Change, Checked, Draft, Each, Finding, Hear, Observation, ObservedOf, PlanInput, PlanOf, Source, Tool,
};
use common::transfer::{NeededSecret, Needs};
use common::{Failure, Failures, Kind, fleet, secret};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub(crate) const PROGRAM: &str = "lsx-note";
const ROOT: &str = "/var/lib/lsx/note";
/// The file that a job adds lines to.
const LINES: &str = ".lines";

/// The tool.
#[derive(Clone, Debug)]
pub(crate) struct Note;

impl Tool for Note {
    const NAME: &'static str = "note";
    const PROGRAM: &'static str = PROGRAM;
    const SET: &'static [&'static str] = &[PROGRAM];
    const TABLES: &'static [Columns] = &[
        ("note.observed", "objects", &["host", "key", "object.text"]),
        ("note.report", "hosts", &["host", "ok", "changed", "skipped"]),
        ("note.check", "rows", &["host", "note"]),
    ];
    const ORDER: u8 = 90;
    type Object = Object;
    type Facts = Facts;
    type Gathered = Data;
    type Data = Data;
    type Intent = Intent;

    fn observe(&self, stack: Option<&str>) -> Result<Observation<Object, Facts>, Failure> {
        common::host::root()?;
        let mut facts = Facts { program: fleet::installed_path(Self::SET), ..Facts::default() };
        let (mut objects, mut warnings) = (Vec::new(), Vec::new());
        for stack in stack.map_or_else(|| names(Path::new(ROOT)), |stack| vec![stack.to_owned()]) {
            let found = Keeper::of::<Note>(&stack).observe()?;
            objects.extend(found.objects(plan::key).into_iter().map(|kept| kept.have(Self::NAME)));
            warnings.extend(found.warnings);
            facts.intent = found.intent;
            for name in notes(&stack) {
                let text = file::read(&path(&stack, &name))?.unwrap_or_default();
                objects.push(plan::have(Text { name, text }));
            }
        }
        Ok((objects, facts, warnings))
    }

    fn plan(
        &self,
        input: &PlanInput<Data>,
        observed: &BTreeMap<String, ObservedOf<Self>>,
    ) -> Result<Draft<Self>, Failures> {
        plan::plan(input, observed)
    }

    fn gather(&self, from: &Source<'_>) -> Result<Data, Failures> {
        let mut gathered = Data::default();
        for at in from.resolved.instances.iter().filter(|at| from.selects(at)) {
            for granted in from.stack.instances.get(&at.of).into_iter().flat_map(|instance| &instance.secrets)
            {
                let found = secret::find(from.stack, &granted.name, &|path| from.beside(path))?;
                let secrets = gathered.secrets.entry(at.name.clone()).or_default();
                secrets.insert(granted.name.clone(), (found.digest, found.place));
            }
        }
        Ok(gathered)
    }

    fn needs<'p>(&self, plan: &'p PlanOf<Self>, object: &'p Object) -> Needs<'p> {
        let own = match object {
            Object::Note(note) => plan.data.secrets.get(&note.name),
            _ => None,
        };
        let needed = own.into_iter().flatten().map(|(name, (digest, place))| NeededSecret {
            name,
            digest,
            place: Some(place),
        });
        Needs { secrets: needed.collect(), ..Needs::default() }
    }

    fn intent_key(intent: &Intent) -> String {
        plan::key(intent)
    }

    fn changer(&self, plan: Arc<PlanOf<Self>>) -> Change<Object> {
        Box::new(move |before, after| match (before, after) {
            (_, Some(Object::Note(note))) if note.text.starts_with("fail") => {
                Err(Failure::new(Kind::Failed, "note.refused", format!("{} must not be noted", note.name)))
            }
            (_, Some(Object::Note(note))) => {
                file::write(&path(&plan.stack, &note.name), note.text.as_bytes(), Mode::Private).map(|_| ())
            }
            (Some(Object::Kept(Kept::Timer { .. })), None) => remove(&plan.stack, LINES),
            (Some(Object::Note(note)), None) => remove(&plan.stack, &note.name),
            _ => Ok(()),
        })
    }

    fn jobs(&self, intent: &Intent) -> Vec<Job> {
        let job = |every| Job { name: "line".to_owned(), every: Duration::from_secs(every) };
        intent.every_s.map(job).into_iter().collect()
    }

    /// Adds a line; fails while there is a file `.fail` beside it.
    fn job(&self, stack: &str, host: &str, _: &Intent, _: &str) -> Result<(), Failure> {
        if path(stack, ".fail").exists() {
            return Err(Failure::new(Kind::Failed, "note.refused", "no line is added"));
        }
        let lines = file::read(&path(stack, LINES))?.unwrap_or_default() + host + "\n";
        file::write(&path(stack, LINES), lines.as_bytes(), Mode::Private).map(|_| ())
    }

    fn call(&self, name: &str, input: Value, _: &AtomicBool, _: Hear<'_>) -> Result<Value, Failures> {
        let stack = input["stack"].as_str().filter(|_| name == "notes");
        let stack = stack.ok_or_else(|| Failure::new(Kind::Bug, "note.call", format!("no call {name}")))?;
        Ok(json!(notes(stack)))
    }

    fn check(&self, input: &PlanInput<Data>, each: Each<'_>) -> Result<Checked, Failures> {
        let mut checked = Checked::default();
        let ask = json!({"stack": input.stack});
        for (host, answer) in
            each("notes", input.hosts.iter().map(|host| (host.name.clone(), ask.clone())).collect())
        {
            match answer.and_then(|notes| Ok(fleet::shape::<Vec<String>>(notes)?)) {
                Ok(notes) => {
                    for note in notes {
                        checked.passed();
                        checked.row(json!({"host": host, "note": note}));
                    }
                }
                Err(failures) => checked.found(Finding {
                    code: "note.unread".to_owned(),
                    host,
                    message: failures.to_string(),
                    hint: None,
                }),
            }
        }
        Ok(checked)
    }
}

fn remove(stack: &str, name: &str) -> Result<(), Failure> {
    let path = path(stack, name);
    file::remove(&path)?;
    path.ancestors().skip(1).take(3).for_each(file::remove_empty);
    Ok(())
}

fn path(stack: &str, name: &str) -> PathBuf {
    Path::new(ROOT).join(stack).join(name)
}

/// The notes of a stack, beside which are the folders of the log and of data.
fn notes(stack: &str) -> Vec<String> {
    let mut all = names(&Path::new(ROOT).join(stack));
    all.retain(|name| path(stack, name).is_file());
    all
}

/// The names in a folder, sorted; those of files that are being written begin with a dot.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}
