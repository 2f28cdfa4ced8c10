//! Changes one object of this host from its existing to its wanted state; nothing else writes. Repeating a change is
//! harmless.

use crate::driver;
use crate::engines;
use crate::grace;
use crate::image::Store;
use crate::model::{Instance, Object};
use crate::oci::closed;
use crate::oci::disk::InstanceFolders;
use crate::paths;
use crate::plan::Data;
use crate::supervise::waiting;
use common::Failure;
use common::host::file;
use common::plan::Plan;
use common::stack::Driver;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Changes objects of one stack on this host.
pub(crate) struct Changer {
    stack: String,
    plan: Arc<Plan<Object, Data>>,
    /// Texts by digest that this run has replaced, for undo.
    texts: Mutex<BTreeMap<String, String>>,
    /// Instances that this run has put aside.
    aside: Mutex<Vec<Aside>>,
}

/// An instance that was removed but can be restored.
struct Aside {
    was: Instance,
    /// Its name in the engine meanwhile.
    name: String,
}

impl Changer {
    /// For the steps of a plan.
    pub(crate) fn new(plan: Arc<Plan<Object, Data>>) -> Self {
        Changer { stack: plan.stack.clone(), plan, texts: Mutex::default(), aside: Mutex::default() }
    }

    /// Changes one object.
    ///
    /// # Errors
    /// What an engine or the file system refused.
    pub(crate) fn change(&self, before: Option<&Object>, after: Option<&Object>) -> Result<(), Failure> {
        match (before, after) {
            (Some(Object::Instance(before)), Some(Object::Instance(after))) => {
                self.change_instance(before, after)
            }
            (_, Some(Object::Instance(instance))) => self.create(instance),
            (_, Some(Object::Folders { .. })) => closed::close(),
            (Some(object), None) => self.remove(object),
            _ => Ok(()),
        }
    }

    fn engine(&self, driver: Driver) -> Result<Box<dyn driver::Driver>, Failure> {
        engines::of(driver, self.plan.data.runtime.as_deref())
    }

    fn create(&self, instance: &Instance) -> Result<(), Failure> {
        let engine = self.engine(instance.driver)?;
        let mut all = held(&self.aside);
        if let Some(n) = all
            .iter()
            .position(|aside| !aside.was.needs_recreate(instance) && aside.was.name == instance.name)
        {
            engine.bring_back(&self.stack, &all.remove(n).name, &instance.name)?;
        }
        drop(all);
        engine.create(&self.stack, instance, &self.hosts(instance)?)?;
        self.start(&*engine, instance)
    }

    fn start(&self, engine: &dyn driver::Driver, instance: &Instance) -> Result<(), Failure> {
        engine.start(&self.stack, instance, self.plan.data.patient)?;
        waiting::attend(engine, &self.stack, instance)
    }

    fn change_instance(&self, before: &Instance, after: &Instance) -> Result<(), Failure> {
        let hosts = self.hosts(after)?;
        let old = self.engine(before.driver)?;
        self.remember(before);
        if before.needs_recreate(after) {
            self.part_with(before)?;
            return self.create(after);
        }
        let anew = old.update(&self.stack, before, after, &hosts)?;
        if anew {
            old.stop(&self.stack, &after.name, grace::of(before))?;
        }
        // A finished job, or an instance that is ready, is not restarted when only its surroundings change.
        let asks = || !before.only_names_differ(after) && !self.finished(&*old, &after.name);
        let starts = anew || !before.running || before.needs_restart(after) || asks();
        if after.running && starts { self.start(&*old, after) } else { Ok(()) }
    }

    /// Whether it is a job that has ended successfully.
    fn finished(&self, engine: &dyn driver::Driver, name: &str) -> bool {
        let all = engine.list(Some(&self.stack)).unwrap_or_default();
        all.iter().any(|found| found.name == name && found.condition.ended_well())
    }

    fn remove(&self, object: &Object) -> Result<(), Failure> {
        match object {
            Object::Instance(instance) => {
                self.remember(instance);
                self.part_with(instance)
            }
            Object::Remnant { name, driver } => self.engine(*driver)?.remove(&self.stack, name),
            Object::Volume { name } => {
                file::remove_tree(&paths::volume(&self.stack, name))?;
                paths::volume(&self.stack, name).ancestors().skip(1).take(2).for_each(file::remove_empty);
                Ok(())
            }
            Object::Folders { .. } => Ok(()),
            Object::Intent(_) => {
                self.sweep();
                Ok(())
            }
            Object::Boot { .. } => self.tidy(),
        }
    }

    /// Removes an instance so that it can be restored until the end of the run. An instance created in its place is removed
    /// at once.
    fn part_with(&self, instance: &Instance) -> Result<(), Failure> {
        let engine = self.engine(instance.driver)?;
        if held(&self.aside).iter().any(|aside| aside.was.name == instance.name) {
            return engine.remove(&self.stack, &instance.name);
        }
        match engine.put_aside(&self.stack, &instance.name)? {
            Some(name) => held(&self.aside).push(Aside { was: instance.clone(), name }),
            None => engine.remove(&self.stack, &instance.name)?,
        }
        Ok(())
    }

    /// Removes parent folders without an instance, which a run has left that was killed while it created an instance's.
    fn sweep(&self) {
        for root in [paths::DISK, paths::RUN] {
            Path::new(root).join(&self.stack).ancestors().take(2).for_each(file::remove_empty);
        }
    }

    /// When the last instance of a stack is removed: removes every image that no other stack uses.
    fn tidy(&self) -> Result<(), Failure> {
        let mut used = BTreeSet::new();
        for (_, engine) in engines::working() {
            for instance in engine.list(None)?.into_iter().filter_map(|found| found.instance) {
                used.extend(instance.blobs());
            }
        }
        let store = Store::open(Path::new(paths::STORE))?;
        if self.busy() {
            store.gc(&used)?;
            return Ok(());
        }
        store.gc_older(&used, Duration::ZERO)?;
        let left = std::fs::read_dir(Path::new(paths::STORE).join("blobs/sha256"));
        if left.is_ok_and(|mut blobs| blobs.next().is_none()) {
            file::remove_tree(Path::new(paths::STORE))?;
        }
        file::remove_empty(Path::new(paths::HOME));
        Ok(())
    }

    /// Whether another run works on this host: new data may belong to it.
    fn busy(&self) -> bool {
        let own = format!("{}.ct.lock", self.stack);
        let locks = std::fs::read_dir("/run/lsx").into_iter().flatten().flatten();
        let mut names = locks.filter_map(|entry| entry.file_name().into_string().ok());
        names.any(|name| name.ends_with(".ct.lock") && name != own)
    }

    /// The hosts file of an instance: from the plan, or its existing one.
    fn hosts(&self, instance: &Instance) -> Result<String, Failure> {
        let own = || {
            file::read(&InstanceFolders::new(&self.stack, &instance.name).disk.join("hosts")).ok().flatten()
        };
        Ok(self.text(&instance.hosts).or_else(own).unwrap_or_default())
    }

    /// Its hosts file is about to be removed or replaced.
    fn remember(&self, instance: &Instance) {
        let path = InstanceFolders::new(&self.stack, &instance.name).disk.join("hosts");
        if let Ok(Some(text)) = file::read(&path) {
            held(&self.texts).insert(instance.hosts.clone(), text);
        }
    }

    fn text(&self, digest: &str) -> Option<String> {
        let replaced = held(&self.texts);
        self.plan.contents.get(digest).or_else(|| replaced.get(digest)).cloned()
    }
}

/// Removes what was put aside, at the end of the run. What cannot be removed is incomplete, and removed by the next run.
impl Drop for Changer {
    fn drop(&mut self) {
        for Aside { was, name } in held(&self.aside).drain(..) {
            if let Err(failure) = self.engine(was.driver).and_then(|engine| engine.remove(&self.stack, &name))
            {
                tracing::warn!(
                    "the previous {} could not be removed; the next run does it: {failure}",
                    was.name
                );
            }
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
