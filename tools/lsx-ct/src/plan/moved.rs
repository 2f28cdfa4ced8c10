//! Warns that instances which move to another host lose their files here.

use crate::Ct;
use crate::model::{Instance, Object};
use common::plan::{Step, Warning};
use common::tool::Draft;

/// A warning for each instance that moves.
pub(super) fn tell(draft: &mut Draft<Ct>) {
    let comes = |step: &&Step<Object>, name: &str| {
        step.before.is_none() && step.after.as_ref().and_then(instance).is_some_and(|i| i.name == name)
    };
    let mut warnings = Vec::new();
    for step in draft.steps.iter().filter(|step| step.after.is_none()) {
        let Some(old) = step.before.as_ref().and_then(instance) else { continue };
        let Some(there) = draft.steps.iter().find(|step| comes(step, &old.name)) else { continue };
        let volumes: Vec<&str> = old.volumes.iter().map(|volume| volume.name.as_str()).collect();
        let stays = match volumes.as_slice() {
            [] => String::new(),
            names => format!(
                ", and its volume {} stays on {}; if it is one of store.volumes, `lsx-store volume move {} {}` takes it along",
                names.join(", "),
                step.host,
                names[0],
                there.host
            ),
        };
        let message =
            format!("{} moves from {} to {} and loses its files{stays}", old.name, step.host, there.host);
        warnings.push(Warning { code: "ct.plan.moved".to_owned(), message });
    }
    draft.warnings.extend(warnings);
}

fn instance(object: &Object) -> Option<&Instance> {
    match object {
        Object::Instance(instance) => Some(instance),
        _ => None,
    }
}
