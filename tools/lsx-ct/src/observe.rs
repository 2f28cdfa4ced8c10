//! Observes this host: instances of all engines, and the engines. Reads only.

use crate::Ct;
use crate::driver::Found;
use crate::engines;
use crate::model::{Engine, Facts, IntentFile, Object, State, Status, Usage};
use crate::oci::{closed, room};
use crate::paths;
use crate::supervise::waiting;
use common::host::kept::Keeper;
use common::host::volume;
use common::plan::{Have, Warning};
use common::stack::Driver as DriverKind;
use common::tool::{Observation, Tool as _};
use common::{Failure, fleet};
use std::path::Path;

/// Observes this host.
///
/// # Errors
/// What could not be read.
pub(crate) fn observe(stack: Option<&str>) -> Result<Observation<Object, Facts>, Failure> {
    let mut seen = Facts { program: fleet::installed_path(&crate::SET_NAMES), ..Facts::default() };
    let (mut objects, mut warnings, open) = (Vec::new(), Vec::new(), closed::open());
    let mut damaged = Vec::new();
    for (kind, engine) in engines::each() {
        match engine.as_ref().map_err(Clone::clone).and_then(|engine| engine.engine()) {
            Ok(found) => seen.engines.push(found),
            Err(failure) => seen.engines.push(broken(kind, failure)),
        }
        let Ok(engine) = engine else { continue };
        seen.strangers.extend(
            engine.strangers(stack)?.iter().map(|n| format!("{}:{n}", crate::plan::driver_word(kind))),
        );
        for found in engine.list(stack)? {
            warnings.extend(unwatched(&found));
            damaged.extend(found.damaged.clone());
            let usage = engine.usage(&found).unwrap_or_default();
            objects.extend(stack.map(|_| have(&found, kind)));
            seen.instances.extend(status(&found, kind, usage));
        }
    }
    for (path, mode) in &open {
        let message = format!(
            "{path} has mode {mode}: users of this host can access files of instances; `lsx-ct up` corrects it"
        );
        warnings.push(Warning { code: "ct.open".to_owned(), message });
    }
    for path in damaged {
        let message = format!(
            "{} is damaged: the intent of this host is used instead; `lsx-ct up` writes it again",
            path.display()
        );
        warnings.push(Warning { code: "ct.damaged".to_owned(), message });
    }
    warnings.extend(room::warning());
    if let Some(stack) = stack {
        if !open.is_empty() {
            let object = Object::Folders { modes: open };
            objects.push(Have { key: object.key(), object, needs: Vec::new() });
        }
        objects.extend(kept(stack, &mut seen, &mut warnings)?);
        seen.volumes = names(&Path::new(paths::VOLUMES).join(stack));
        seen.stored = volume::all_stored(stack);
        // lsx-store keeps and removes its own.
        seen.volumes.retain(|name| !volume::stored(stack, name) && !name.starts_with(volume::OWN));
    }
    Ok((objects, seen, warnings))
}

/// An instance of LXD or Incus without the process that keeps the reserve of the disk.
fn unwatched(found: &Found) -> Option<Warning> {
    let lacks = found.instance.as_ref().is_some_and(|instance| waiting::lacks(&found.stack, instance));
    (lacks && found.condition.state == State::Running).then(|| {
        let message = format!(
            "{} runs, but nothing stops it from filling the host's disk: its process `lsx-ct supervise` is missing; `lsx-ct up` starts it",
            found.name
        );
        Warning { code: "ct.unwatched".to_owned(), message }
    })
}

/// An engine that exists but does not work; its instances cannot be observed.
fn broken(driver: DriverKind, failure: Failure) -> Engine {
    let mut cannot = vec![failure.message];
    cannot.extend(failure.causes);
    let name = crate::plan::driver_word(driver).to_owned();
    Engine { driver, name, can: Vec::new(), cannot, profiles: None, works: false }
}

/// An instance as an object: one that waits, starts or is stopped counts as not running.
fn have(found: &Found, driver: DriverKind) -> Have<Object> {
    let object = match &found.instance {
        Some(instance) => {
            let mut instance = instance.clone();
            let runs = found.condition.state == State::Running && !waiting::lacks(&found.stack, &instance);
            instance.running = runs || found.condition.ended_well();
            Object::Instance(Box::new(instance))
        }
        None => Object::Remnant { name: found.name.clone(), driver },
    };
    let needs = match &object {
        Object::Instance(i) => {
            // The boot entry is removed after it, and with that everything that is no longer used.
            let kept = ["intent:host", "boot:host"].map(str::to_owned);
            let here = i.needs.iter().filter(|n| n.here).map(|n| format!("instance:{}", n.instance));
            here.chain(kept).collect()
        }
        _ => Vec::new(),
    };
    Have { key: object.key(), object, needs }
}

fn status(found: &Found, driver: DriverKind, usage: Usage) -> Option<Status> {
    let instance = found.instance.as_ref()?;
    Some(Status {
        stack: found.stack.clone(),
        name: found.name.clone(),
        driver,
        image: instance.image.name.clone(),
        addresses: instance.nics.iter().map(|n| n.address.addr()).collect(),
        ready: found.condition.state == State::Running,
        snapshots: found.snapshots.clone(),
        recipes: found.recipes.clone(),
        condition: found.condition.clone(),
        usage,
    })
}

/// What the engine keeps of a stack, as objects.
fn kept(stack: &str, seen: &mut Facts, warnings: &mut Vec<Warning>) -> Result<Vec<Have<Object>>, Failure> {
    let mut objects = Vec::new();
    let have = |object: Object| Have { key: object.key(), object, needs: Vec::new() };
    let found = Keeper::of::<Ct>(stack).observe()?;
    warnings.extend(found.warnings);
    if found.there {
        let digest = found.intent.as_ref().map(Ct::intent_key).unwrap_or_default();
        objects.push(have(Object::Intent(IntentFile { digest })));
    }
    seen.intent = found.intent;
    if let Some((program, host)) = found.boot {
        objects.push(have(Object::Boot { program, host }));
    }
    Ok(objects)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}
