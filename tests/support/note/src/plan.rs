//! The plan: one note for each instance, in the waves that the document names. Pure.

use crate::object::{Data, Intent, Object, Text};
use crate::tool::Note;
use common::document;
use common::plan::{Have, Kept, Object as _, Step, Want, diff};
use common::stack::{Resolved, Stack};
use common::tool::{Draft, Goal, ObservedOf, PlanInput, Tool};
use common::{Failure, Failures, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// The wave of intent and boot entry, after those of all notes.
const LAST: u8 = 10;

/// Makes the plan.
pub(crate) fn plan(
    input: &PlanInput<Data>,
    observed: &BTreeMap<String, ObservedOf<Note>>,
) -> Result<Draft<Note>, Failures> {
    let mut draft = Draft::<Note>::default();
    for (host, seen) in observed {
        let (mut notes, mut waves, mut every_s) = (Vec::new(), BTreeMap::new(), None);
        match &input.goal {
            Goal::Up(stack, resolved) => {
                (notes, waves) = wanted(stack, resolved, &input.gathered, host)?;
                every_s = every(stack, resolved, host)?;
                let named: BTreeSet<&str> = resolved.instances.iter().map(|at| at.name.as_str()).collect();
                let left = seen.objects.iter().filter_map(|have| match &have.object {
                    Object::Note(note) if !named.contains(note.name.as_str()) => Some(note.clone()),
                    _ => None,
                });
                for note in left.filter(|_| !input.prune) {
                    draft.kept.push(format!("{host}: note {}", note.name));
                    notes.push(note);
                }
            }
            Goal::Boot(kept) => Intent { notes, every_s, .. } = booted(kept)?,
            Goal::Down => {}
        }
        let mut wants: Vec<Want<Object>> = notes.iter().map(want).collect();
        if !notes.is_empty() {
            let intent = Intent { every_s, ..intent(&input.stack, notes) };
            let digest = key(&intent);
            let text = document::canonical(&intent)?;
            draft.contents.insert(digest.clone(), String::from_utf8_lossy(&text).into_owned());
            let kept = Kept::of(digest, &seen.seen.program, host, every_s.is_some());
            wants.extend(kept.into_iter().map(|kept| kept.want(Note::NAME)));
        }
        let mut steps = diff(host, &wants, &seen.objects);
        steps.iter_mut().for_each(|step| step.wave = wave(step, &waves));
        draft.steps.extend(steps);
    }
    let used: BTreeSet<&str> = draft.steps.iter().filter_map(|step| step.after.as_ref()?.content()).collect();
    draft.contents.retain(|digest, _| used.contains(digest.as_str()));
    let written = |name: &String| draft.steps.iter().any(|step| writes(step, name));
    let secrets = input.gathered.secrets.iter().filter(|(note, _)| written(note));
    draft.data.secrets = secrets.map(|(note, own)| (note.clone(), own.clone())).collect();
    Ok(draft)
}

/// The digest of an intent; stack and schema do not matter.
pub(crate) fn key(intent: &Intent) -> String {
    document::digest_of(&(&intent.notes, intent.every_s)).unwrap_or_default()
}

/// A note on a host, which is removed before what restores it.
pub(crate) fn have(note: Text) -> Have<Object> {
    Have { key: format!("note:{}", note.name), object: Object::Note(note), needs: Kept::below(Note::NAME) }
}

fn want(note: &Text) -> Want<Object> {
    let (key, why) = (format!("note:{}", note.name), "the document names it".to_owned());
    Want { key, object: Object::Note(note.clone()), needs: Vec::new(), why }
}

fn intent(stack: &str, notes: Vec<Text>) -> Intent {
    Intent { schema: document::schema(Note::NAME, "intent"), stack: stack.to_owned(), notes, every_s: None }
}

fn writes(step: &Step<Object>, name: &str) -> bool {
    matches!(&step.after, Some(Object::Note(note)) if note.name == name)
}

/// Removals have no waves: their notes are no longer in the document.
fn wave(step: &Step<Object>, waves: &BTreeMap<String, u8>) -> u8 {
    match &step.after {
        Some(Object::Note(note)) => waves.get(&note.name).copied().unwrap_or_default(),
        Some(_) if waves.values().any(|wave| *wave > 0) => LAST,
        _ => 0,
    }
}

type Wanted = (Vec<Text>, BTreeMap<String, u8>);

/// The notes of a host, and their waves. A note names the digests of its secrets.
fn wanted(stack: &Stack, resolved: &Resolved, gathered: &Data, host: &str) -> Result<Wanted, Failure> {
    let (mut notes, mut waves) = (Vec::new(), BTreeMap::new());
    for at in &resolved.instances {
        let env = stack.instances.get(&at.of).map(|instance| &instance.env);
        let value = |name: &str| env.and_then(|env| env.get(name)).cloned();
        let wave = value("WAVE").unwrap_or_else(|| "0".to_owned()).parse().ok().filter(|wave| *wave < LAST);
        let wave = wave.ok_or_else(|| {
            let message = format!("{}: WAVE is a number below {LAST}", at.name);
            Failure::new(Kind::Data, "note.wave", message)
        })?;
        waves.insert(at.name.clone(), wave);
        if at.host == host {
            let mut text = value("NOTE").unwrap_or_else(|| format!("{} runs on {host}", at.name));
            for (name, (digest, _)) in gathered.secrets.get(&at.name).into_iter().flatten() {
                text += &format!(", {name} is {digest}");
            }
            notes.push(Text { name: at.name.clone(), text });
        }
    }
    Ok((notes, waves))
}

/// How often a host adds a line: the smallest EVERY of its instances.
fn every(stack: &Stack, resolved: &Resolved, host: &str) -> Result<Option<u64>, Failure> {
    let own = resolved.instances.iter().filter(|at| at.host == host);
    let texts = own.filter_map(|at| stack.instances.get(&at.of)?.env.get("EVERY"));
    let wrong = |_| Failure::new(Kind::Data, "note.every", "EVERY is a number of seconds");
    Ok(texts.map(|text| text.parse().map_err(wrong)).collect::<Result<Vec<u64>, _>>()?.into_iter().min())
}

fn booted(kept: &serde_json::Value) -> Result<Intent, Failure> {
    serde_json::from_value(kept.clone()).map_err(|e| {
        Failure::new(Kind::Data, "note.intent", format!("the intent of this host cannot be read: {e}"))
    })
}
