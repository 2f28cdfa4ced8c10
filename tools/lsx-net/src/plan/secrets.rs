//! Certificates of load balancers from secrets: what is read on the operator's machine, and what the server needs on its host.

use super::Data;
use crate::model::Object;
use crate::render::certificates::secrets;
use common::plan::Plan;
use common::secret::{self, Found};
use common::tool::Source;
use common::transfer::{NeededSecret, Needs};
use common::{Failure, Failures};
use std::collections::BTreeMap;

/// What is read on the operator's machine; the values stay there.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// Secrets by name.
    pub secrets: BTreeMap<String, Found>,
}

impl Gathered {
    /// The places of the secrets.
    pub(super) fn places(&self) -> BTreeMap<String, String> {
        self.secrets.iter().map(|(name, found)| (name.clone(), found.place.clone())).collect()
    }
}

/// Finds the secrets of the selected load balancers on hosts that take part.
///
/// # Errors
/// Everything that is missing.
pub fn gather(from: &Source<'_>) -> Result<Gathered, Failures> {
    let (mut gathered, mut failures) = (Gathered::default(), Vec::new());
    for (name, one) in &from.stack.balance {
        let part = from.hosts.iter().any(|host| host.name == one.host) && from.only.balance(name);
        let Some(secret) = one.tls_secret().filter(|_| part) else { continue };
        match secret::find(from.stack, secret, &|path| from.beside(path)) {
            Ok(found) => _ = gathered.secrets.insert(secret.to_owned(), found),
            Err(failure) => failures.push(Failure::at(failure, format!("balance.{name}.tls"))),
        }
    }
    Failures(failures).verdict()?;
    Ok(gathered)
}

/// The secrets that an object needs on its host. Those without a place here are on it already: they are of load balancers that
/// are not selected, or the host boots.
pub fn needs<'p>(plan: &'p Plan<Object, Data>, object: &'p Object) -> Needs<'p> {
    let Object::Service(server) = object else { return Needs::default() };
    let text = plan.contents.get(&server.config).map(String::as_str).unwrap_or_default();
    let needed = |(name, digest)| {
        let place = plan.data.secrets.get(name)?;
        Some(NeededSecret { name, digest, place: Some(place) })
    };
    Needs { secrets: secrets(text).filter_map(needed).collect(), ..Needs::default() }
}

/// Whether one of these texts names a secret.
pub(super) fn named(contents: &BTreeMap<String, String>, name: &str) -> bool {
    contents.values().any(|text| secrets(text).any(|(one, _)| one == name))
}
