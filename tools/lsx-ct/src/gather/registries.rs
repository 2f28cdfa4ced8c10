//! The key `registries`: authorities and logins of those registries that the images of selected instances come from.

use super::authority;
use crate::image::{Access, Login, RegistryAccess, Source, registry_of};
use common::stack::{RegistryAccess as Written, Stack};
use common::{Failure, Kind};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// How to contact registries, and everything that is wrong or missing.
pub(super) fn access<'s>(
    stack: &Stack,
    sources: impl Iterator<Item = &'s Source>,
    beside: &dyn Fn(&str) -> PathBuf,
) -> (Access, Vec<Failure>) {
    let mirrors = stack.registries.iter().map(|(host, registry)| (host.clone(), registry.mirrors.clone()));
    let mut access = Access { mirrors: mirrors.collect(), ..Access::default() };
    let mut hosts: BTreeSet<String> = sources.filter_map(registry_of).collect();
    let mirrors = |host: &String| stack.registries.get(host).map(|registry| registry.mirrors.clone());
    let mirrors: Vec<String> = hosts.iter().filter_map(mirrors).flatten().collect();
    hosts.extend(mirrors.iter().map(|mirror| mirror.split('/').next().unwrap_or(mirror).to_owned()));
    let mut failures = Vec::new();
    for (host, written) in stack.registries.iter().filter(|(host, _)| hosts.contains(*host)) {
        let place = |field: &str| format!("registries.{host}.{field}");
        let mut own = RegistryAccess { insecure: written.insecure, ..RegistryAccess::default() };
        let ca = written.ca.as_ref().map(|file| authority::read(&beside(file), "ct.registry.ca"));
        match ca.transpose() {
            Ok(ca) => own.ca = ca,
            Err(failure) => failures.push(failure.at(place("ca"))),
        }
        match login(stack, written, beside) {
            Ok(login) => own.login = login,
            Err(failure) => failures.push(failure.at(place("login"))),
        }
        access.registries.insert(host.clone(), own);
    }
    (access, failures)
}

/// The login of a registry, from a secret. No message shows it.
fn login(
    stack: &Stack,
    written: &Written,
    beside: &dyn Fn(&str) -> PathBuf,
) -> Result<Option<Login>, Failure> {
    let Some(name) = &written.login else { return Ok(None) };
    let place = common::secret::place(&stack.secrets, name, beside)?;
    let bytes = common::secret::value(&stack.name, name, &place)?;
    let text = String::from_utf8(bytes).ok();
    let login = text.as_deref().map(|text| text.trim_end_matches(['\r', '\n'])).and_then(Login::of);
    login.map(Some).ok_or_else(|| {
        Failure::new(Kind::Data, "ct.registry.login", format!("secret {name} is not a login"))
            .hint("write USER:PASSWORD in one line")
    })
}
