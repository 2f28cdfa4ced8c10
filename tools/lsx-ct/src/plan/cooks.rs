//! The recipes that a step runs: those that have not been run in the instance.

use crate::model::{Facts, Object};
use common::plan::Step;

/// The recipes that a step runs, by name.
pub(super) fn tell(step: &mut Step<Object>, stack: &str, seen: &Facts) {
    let Some(Object::Instance(after)) = &step.after else { return };
    let anew = match &step.before {
        Some(Object::Instance(before)) => before.needs_recreate(after),
        _ => true,
    };
    let status = seen.instances.iter().find(|i| i.stack == stack && i.name == after.name);
    let done = status.filter(|_| !anew).map(|status| status.recipes.as_slice()).unwrap_or_default();
    if !after.running {
        return;
    }
    step.runs = after.recipes_left(done).iter().map(|recipe| format!("recipe {}", recipe.path)).collect();
    if !step.runs.is_empty() {
        step.why = format!("{}; runs {}", step.why, step.runs.join(", "));
    }
}
