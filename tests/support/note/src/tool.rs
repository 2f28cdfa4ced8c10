//! The tool: what it observes and changes on a host.

use crate::object::{Data, Facts, Intent, Note, Object, Text};
use crate::plan;
use common::host::file::{self, Mode};
use common::host::kept::Keeper;
use common::host::service::worker::Worker;
use common::host::timer::Job;
use common::plan::Kept;
use common::table::Columns;
use common::tool::{
    self, Change, Checked, Draft, Each, Hear, Observation, ObservedOf, PlanInput, PlanOf, Source,
};
use common::transfer::{Granted, Needs};
use common::{Failure, Failures, Kind, fleet};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

pub(crate) const PROGRAM: &str = "lsx-note";
const ROOT: &str = "/var/lib/lsx/note";
/// The file that a job adds lines to.
const LINES: &str = ".lines";

/// The tool.
#[derive(Clone, Debug)]
pub(crate) struct Tool;

impl tool::Tool for Tool {
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
            let found = Keeper::of::<Tool>(&stack).observe()?;
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
        Ok(Data { secrets: Granted::read(from)? })
    }

    fn needs<'p>(&self, plan: &'p PlanOf<Self>, object: &'p Object) -> Needs<'p> {
        object.own().map(|Note::Note(note)| plan.data.secrets.needs(&note.name)).unwrap_or_default()
    }

    fn intent_key(intent: &Intent) -> String {
        plan::key(intent)
    }

    fn changer(&self, plan: Arc<PlanOf<Self>>) -> Change<Object> {
        Box::new(move |before, after| match (before, after) {
            (_, Some(Object::Own(Note::Note(note)))) if note.text.starts_with("fail") => {
                Err(Failure::new(Kind::Failed, "note.refused", format!("{} must not be noted", note.name)))
            }
            (_, Some(Object::Own(Note::Note(note)))) => {
                file::write(&path(&plan.stack, &note.name), note.text.as_bytes(), Mode::Private).map(|_| ())
            }
            (Some(Object::Kept(Kept::Timer { .. })), None) => remove(&plan.stack, LINES),
            (Some(Object::Own(Note::Note(note))), None) => remove(&plan.stack, &note.name),
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

    /// Says its text and its process to whoever connects, and counts them. A text that begins with `fail` is refused.
    fn serve(&self, mut worker: Worker) -> Result<(), Failure> {
        let text: String = worker.config().unwrap_or_default();
        if text.starts_with("fail") {
            worker.refuse("the text must not be served");
            return Err(Failure::new(Kind::Data, "note.refused", "the text must not be served"));
        }
        let failed = |e: io::Error| Failure::new(Kind::Failed, "note.serve", e.to_string());
        let (drained, end) = mpsc::channel();
        let said = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&said);
        let counts = move || Some(counted.load(Ordering::Relaxed).to_string());
        for (_, tcp) in worker.follow(counts, move || _ = drained.send(())).map_err(failed)? {
            tcp.set_nonblocking(false).map_err(failed)?;
            let text = format!("{text} {}\n", std::process::id());
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for mut to in tcp.incoming().flatten() {
                    let _ = to.write_all(text.as_bytes());
                    said.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _ = end.recv();
        Ok(())
    }

    fn call(&self, name: &str, input: Value, _: &AtomicBool, _: Hear<'_>) -> Result<Value, Failures> {
        let stack = input["stack"].as_str().filter(|_| name == "notes");
        let stack = stack.ok_or_else(|| Failure::new(Kind::Bug, "note.call", format!("no call {name}")))?;
        Ok(json!(notes(stack)))
    }

    fn check(&self, input: &PlanInput<Data>, each: Each<'_>) -> Result<Checked, Failures> {
        let (mut checked, input, hosts) = (Checked::default(), json!({"stack": input.stack}), &input.hosts);
        checked.ask(each, ("notes", &input), hosts, "note.unread", |checked, host, notes: Vec<String>| {
            for note in notes {
                checked.passed();
                checked.row(json!({"host": host, "note": note}));
            }
        });
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
