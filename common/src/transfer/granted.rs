//! The secrets that a document grants to instances.

use super::{NeededSecret, Needs};
use crate::failure::Failures;
use crate::secret;
use crate::tool::Source;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The secrets of instances by instance and name: digest, and place on the operator's machine. A plan has these, and no value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Granted(BTreeMap<String, BTreeMap<String, (String, String)>>);

impl Granted {
    /// Reads those of the selected instances, on the operator's machine.
    ///
    /// # Errors
    /// All that are missing or cannot be read.
    pub fn read(from: &Source<'_>) -> Result<Granted, Failures> {
        let (mut all, mut failures) = (Granted::default(), Vec::new());
        for at in from.resolved.instances.iter().filter(|at| from.selects(at)) {
            let instance = from.stack.instances.get(&at.of);
            for granted in instance.into_iter().flat_map(|instance| &instance.secrets) {
                match secret::find(from.stack, &granted.name, &|path| from.beside(path)) {
                    Ok(found) => {
                        let own = all.0.entry(at.name.clone()).or_default();
                        own.insert(granted.name.clone(), (found.digest, found.place));
                    }
                    Err(failure) => failures.push(failure),
                }
            }
        }
        Failures(failures).verdict().map(|()| all)
    }

    /// Those of an instance: name and digest.
    pub fn of(&self, instance: &str) -> impl Iterator<Item = (&str, &str)> {
        let own = self.0.get(instance).into_iter().flatten();
        own.map(|(name, (digest, _))| (name.as_str(), digest.as_str()))
    }

    /// Only those of some instances.
    #[must_use]
    pub fn only(&self, instance: impl Fn(&str) -> bool) -> Granted {
        Granted(
            self.0
                .iter()
                .filter(|(name, _)| instance(name))
                .map(|(n, own)| (n.clone(), own.clone()))
                .collect(),
        )
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What an instance needs of them on its host.
    pub fn needs(&self, instance: &str) -> Needs<'_> {
        let own = self.0.get(instance).into_iter().flatten();
        let needed = own.map(|(name, (digest, place))| NeededSecret { name, digest, place: Some(place) });
        Needs { secrets: needed.collect(), ..Needs::default() }
    }
}
