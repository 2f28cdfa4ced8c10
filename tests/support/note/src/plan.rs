//! The plan: one note for each instance, in the waves that the document names. Pure.

use crate::object::{Data, Intent, Note, Object, Text};
use crate::tool::Tool as NoteTool;
use common::document;
use common::plan::{Definition, Have, Kept, Runs, Step, Want, diff};
use common::stack::{Resolved, Stack};
use common::tool::{Draft, Goal, Keeps, ObservedOf, PlanInput, Tool as _};
use common::{Failure, Failures, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

/// The name of the one service of a host.
const SERVICE: &str = "list";
/// Where the tool's own server listens.
const LISTEN: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 4711);
/// The wave of intent and boot entry, after those of all notes.
const LAST: u8 = 10;

/// Makes the plan.
pub(crate) fn plan(
    input: &PlanInput<Data>,
    observed: &BTreeMap<String, ObservedOf<NoteTool>>,
) -> Result<Draft<NoteTool>, Failures> {
    let mut draft = Draft::<NoteTool>::default();
    for (host, seen) in observed {
        let (mut wanted, mut waves) = (empty(&input.stack), BTreeMap::new());
        match &input.goal {
            Goal::Up(stack, resolved) => {
                waves = from_document(&mut wanted, stack, resolved, &input.gathered, host)?;
                let named: BTreeSet<&str> = resolved.instances.iter().map(|at| at.name.as_str()).collect();
                let there = seen.objects.iter().filter_map(|have| note(&have.object));
                for left in there.filter(|note| !input.prune && !named.contains(note.name.as_str())) {
                    draft.kept.push(format!("{host}: note {}", left.name));
                    wanted.notes.push(left.clone());
                }
            }
            Goal::Boot(kept) => wanted = booted(kept)?,
            Goal::Down => {}
        }
        let mut wants: Vec<Want<Object>> = wanted.notes.iter().map(want).collect();
        let keeps = Keeps {
            intent: (!wanted.notes.is_empty()).then_some(&wanted),
            program: &seen.seen.program,
            services: wanted.service.iter().map(|one| (SERVICE.to_owned(), one.clone())).collect(),
            data: wanted.data,
        };
        wants.extend(draft.keep(&NoteTool, input, (host, seen), keeps)?);
        let mut steps = diff(host, &wants, &seen.objects);
        steps.iter_mut().for_each(|step| step.wave = wave(step, &waves));
        draft.steps.extend(steps);
    }
    draft.prune_texts();
    draft.data.secrets =
        input.gathered.secrets.only(|name| draft.steps.iter().any(|step| writes(step, name)));
    Ok(draft)
}

/// The digest of an intent; stack and schema do not matter.
pub(crate) fn key(intent: &Intent) -> String {
    document::digest_of(&(&intent.notes, intent.every_s, &intent.service, intent.data)).unwrap_or_default()
}

/// A note on a host, which is removed before what restores it.
pub(crate) fn have(note: Text) -> Have<Object> {
    Have {
        key: format!("note:{}", note.name),
        object: Object::Own(Note::Note(note)),
        needs: Kept::below(NoteTool::NAME),
    }
}

fn want(note: &Text) -> Want<Object> {
    let (key, why) = (format!("note:{}", note.name), "the document names it".to_owned());
    Want { key, object: Object::Own(Note::Note(note.clone())), needs: Vec::new(), why }
}

fn empty(stack: &str) -> Intent {
    let (notes, every_s, service, data) = (Vec::new(), None, None, false);
    Intent {
        schema: document::schema(NoteTool::NAME, "intent"),
        stack: stack.to_owned(),
        notes,
        every_s,
        service,
        data,
    }
}

fn note(object: &Object) -> Option<&Text> {
    object.own().map(|Note::Note(note)| note)
}

fn writes(step: &Step<Object>, name: &str) -> bool {
    step.after.as_ref().and_then(note).is_some_and(|note| note.name == name)
}

/// Removals have no waves: their notes are no longer in the document.
fn wave(step: &Step<Object>, waves: &BTreeMap<String, u8>) -> u8 {
    match &step.after {
        Some(Object::Own(Note::Note(note))) => waves.get(&note.name).copied().unwrap_or_default(),
        Some(_) if waves.values().any(|wave| *wave > 0) => LAST,
        _ => 0,
    }
}

/// Adds what the document says about a host; returns the waves of all notes. A note names the digests of its secrets.
fn from_document(
    to: &mut Intent,
    stack: &Stack,
    resolved: &Resolved,
    gathered: &Data,
    host: &str,
) -> Result<BTreeMap<String, u8>, Failure> {
    let mut waves = BTreeMap::new();
    for at in &resolved.instances {
        let env = stack.instances.get(&at.of).map(|instance| &instance.env);
        let value = |name: &str| env.and_then(|env| env.get(name)).cloned();
        let wrong = |code: &str, message: String| Failure::new(Kind::Data, code, message);
        let wave = value("WAVE").unwrap_or_else(|| "0".to_owned()).parse().ok().filter(|wave| *wave < LAST);
        let wave =
            wave.ok_or_else(|| wrong("note.wave", format!("{}: WAVE is a number below {LAST}", at.name)))?;
        waves.insert(at.name.clone(), wave);
        if at.host != host {
            continue;
        }
        let mut text = value("NOTE").unwrap_or_else(|| format!("{} runs on {host}", at.name));
        for (name, digest) in gathered.secrets.of(&at.name) {
            text += &format!(", {name} is {digest}");
        }
        to.notes.push(Text { name: at.name.clone(), text });
        if let Some(every) = value("EVERY") {
            let every =
                every.parse().map_err(|_| wrong("note.every", "EVERY is a number of seconds".to_owned()))?;
            to.every_s = Some(to.every_s.map_or(every, |other| other.min(every)));
        }
        let program = |text: String| Definition::program(text.split(' ').map(str::to_owned).collect()).runs;
        let server = |text: String| Runs::Server { listen: vec![LISTEN], config: text.into() };
        let runs = value("SERVE").map(program).or(value("SERVER").map(server));
        let json = |text: String| {
            let read = serde_json::from_str(&text).map(Runs::Program);
            read.map_err(|e| wrong("note.program", format!("PROGRAM is no program: {e}")))
        };
        let runs = value("PROGRAM").map(json).transpose()?.or(runs);
        let (router, unprivileged) = (value("ROUTER").is_some(), value("UNPRIVILEGED").is_some());
        let service = runs.map(|runs| Definition { router, unprivileged, ..Definition::of(runs) });
        to.service = service.or(to.service.take());
        to.data |= value("DATA").is_some();
    }
    Ok(waves)
}

fn booted(kept: &serde_json::Value) -> Result<Intent, Failure> {
    serde_json::from_value(kept.clone()).map_err(|e| {
        Failure::new(Kind::Data, "note.intent", format!("the intent of this host cannot be read: {e}"))
    })
}
