//! `--only`: a verb narrowed to parts of a whole document.

use super::Stack;
use crate::{Failure, Failures, Kind};
use std::collections::BTreeSet;

/// Which networks and instances a verb is about; everything when nothing was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    networks: Option<BTreeSet<String>>,
    instances: Option<BTreeSet<String>>,
}

impl Only {
    /// Reads `networks.test,instances.web`.
    ///
    /// # Errors
    /// Kind `Usage` for every part that the stack does not have.
    pub fn parse(text: &str, stack: &Stack) -> Result<Only, Failures> {
        let (mut networks, mut instances, mut failures) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            match part.split_once('.') {
                Some(("networks", name)) if stack.networks.contains_key(name) => _ = networks.insert(name.to_owned()),
                Some(("instances", name)) if stack.instances.contains_key(name) => _ = instances.insert(name.to_owned()),
                _ => failures.push(
                    Failure::new(Kind::Usage, "usage.only", format!("the stack has no {part}"))
                        .hint("write networks.NAME or instances.NAME, joined by commas"),
                ),
            }
        }
        Failures(failures).verdict()?;
        Ok(Only { networks: Some(networks), instances: Some(instances) })
    }

    /// Whether a network is meant.
    pub fn network(&self, name: &str) -> bool {
        self.networks.as_ref().is_none_or(|n| n.contains(name))
    }

    /// Whether an instance, by its key, is meant.
    pub fn instance(&self, name: &str) -> bool {
        self.instances.as_ref().is_none_or(|n| n.contains(name))
    }
}
