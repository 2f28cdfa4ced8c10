//! Changes one volume of this host from its existing to its wanted state; nothing else writes. Repeating a change is harmless.

pub(crate) mod able;
mod aside;
pub(crate) mod folder;
pub(crate) mod leaving;
pub(crate) mod moved;
pub(crate) mod others;
pub(crate) mod record;
pub(crate) mod remove;

use crate::Store;
use crate::model::{Own, State, Volume};
use common::Failure;
use common::host::file;
use common::host::volume::{self, mounted};
use common::tool::PlanOf;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Changes volumes of one stack.
pub(crate) struct Changer {
    plan: Arc<PlanOf<Store>>,
    /// Volumes that this run has made, and those that it has removed.
    done: Mutex<Done>,
}

#[derive(Default)]
struct Done {
    made: BTreeSet<String>,
    removed: BTreeSet<String>,
}

impl Changer {
    /// For the steps of a plan.
    pub(crate) fn new(plan: Arc<PlanOf<Store>>) -> Self {
        Changer { plan, done: Mutex::default() }
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes one volume.
    ///
    /// # Errors
    /// What the file system or the kernel refused.
    pub(crate) fn change(&self, before: Option<&Volume>, after: Option<&Volume>) -> Result<(), Failure> {
        match (before, after) {
            // Undo of a removal: its content is gone, and an empty volume would not be the same.
            (None, Some(after)) if self.done().removed.contains(&after.name) => Ok(()),
            (None, Some(after)) => self.make(after),
            (Some(before), Some(after)) => self.alter(before, after),
            (Some(before), None) => self.remove(before),
            (None, None) => Ok(()),
        }
    }

    fn make(&self, volume: &Volume) -> Result<(), Failure> {
        let stack = &self.plan.stack;
        record::write(stack, volume, State::Unfinished)?;
        let (content, made) = aside::make(stack, volume)?;
        if made {
            self.done().made.insert(volume.name.clone());
        }
        mounted::up(stack, &volume.name, Path::new(&volume.path), content)?;
        record::write(stack, volume, State::Ready)
    }

    fn alter(&self, before: &Volume, after: &Volume) -> Result<(), Failure> {
        let stack = &self.plan.stack;
        match (before.state, after.state) {
            (State::Moved, _) => return self.make(after),
            (State::Unfinished, _) => {
                remove::leftovers(stack, after)?;
                return self.make(after);
            }
            (State::Leaving, State::Ready) => leaving::stay(stack, before)?,
            (_, State::Unmounted) => return mounted::down(stack, &after.name, Path::new(&after.path)),
            (State::Ready | State::Unmounted, State::Ready) => {}
            _ => return Ok(()), // undo of what was not there
        }
        let path = Path::new(&after.path);
        let content = folder::own(stack, after)?;
        folder::give(&content, after, Some(before))
            .map_err(|e| file::failure(path, "set owner and mode of", &e))?;
        folder::resize(after)?;
        mounted::up(stack, &after.name, path, &content)?;
        // What a move that was killed has stopped is started again.
        if !before.stopped.is_empty() && after.stopped.is_empty() {
            leaving::run(stack, &after.name, &before.stopped)?;
        }
        record::write(stack, after, State::Ready)
    }

    /// Removes a volume that the plan removes. Undo of the creation of one removes it only if it has never been used.
    fn remove(&self, volume: &Volume) -> Result<(), Failure> {
        let stack = &self.plan.stack;
        let planned = self.plan.steps.iter().any(|step| {
            let before = step.before.as_ref().and_then(|object| object.own());
            step.after.is_none() && before.is_some_and(|Own::Volume(own)| own.name == volume.name)
        });
        let unused = || {
            let made = self.done().made.contains(&volume.name);
            made && folder::open(Path::new(&volume.path)).is_ok_and(volume::is_new)
        };
        if planned || unused() {
            self.done().removed.insert(volume.name.clone());
            if volume.state == State::Moved {
                return record::remove(stack, &volume.name);
            }
            if volume.state == State::Leaving {
                return leaving::gone(stack, &volume.name, volume.move_id.as_deref(), true);
            }
            return remove::volume(stack, volume);
        }
        mounted::down(stack, &volume.name, Path::new(&volume.path))?;
        record::remove(stack, &volume.name)
    }
}
