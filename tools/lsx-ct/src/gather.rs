//! Reads what the document refers to on the operator's machine: images become digests, files become blobs of the store.

mod authority;
mod images;
mod registries;

use crate::image::Store;
use crate::model::{Gathered, Recipe, cloud, recipe, recipe_key};
use crate::{plan, recipes};
use common::stack::resolved::InstanceAt;
use common::stack::{Instance as Written, RecipeValue, Resolved, Stack};
use common::{Failure, Failures, Kind};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The prefix of values in recipes of LStacker.
const ORIGINAL: &[u8] = b"${yml_lstack_";

/// Reads everything.
///
/// # Errors
/// Everything that is missing.
pub(crate) fn gather(
    store: &Path,
    stack: &Stack,
    resolved: &Resolved,
    selected: &dyn Fn(&InstanceAt) -> bool,
    beside: &dyn Fn(&str) -> PathBuf,
) -> Result<Gathered, Failures> {
    let mut all = Gathered::default();
    let chosen: Vec<(&String, &Written)> = stack
        .instances
        .iter()
        .filter(|(key, _)| resolved.instances.iter().any(|i| i.of == **key && selected(i)))
        .collect();
    let store = Store::open(store)?;
    let (store, mut failures) = images::gather(store, stack, &chosen, beside, &mut all);
    for (key, instance) in chosen {
        let place = |field: &str| format!("instances.{key}.{field}");
        let sources =
            instance.files.iter().map(|(path, file)| (file.source.clone(), format!("files.{path}")));
        let seed = instance.cloud_init.iter().map(|file| (file.clone(), "cloud_init".to_owned()));
        let keys = stack.ssh_keys(instance).join("\n");
        let keys = Some((keys, "ssh_keys".to_owned())).filter(|(keys, _)| !keys.is_empty());
        for (source, field) in sources.chain(keys).chain(seed) {
            let Entry::Vacant(entry) = all.files.entry(source) else { continue };
            match read(&store, entry.key(), beside) {
                Ok(found) => _ = entry.insert(found),
                Err(failure) => failures.push(failure.at(place(&field))),
            }
        }
        let mut own = resolved.instances.iter().filter(|at| at.of == *key);
        if let Err(failure) = own.try_for_each(|at| seeded(&store, stack, at, instance, &mut all)) {
            failures.push(failure.at(place("cloud_init")));
        }
        for name in &instance.recipes {
            if let Err(failure) = script(&store, stack, (name, instance.image.as_deref()), beside, &mut all) {
                failures.push(failure.at(place("recipes")));
            }
        }
        for name in instance.secrets.iter().map(|granted| &granted.name) {
            if let Err(failure) = secret(stack, name, beside, &mut all) {
                failures.push(failure.at(place("secrets")));
            }
        }
    }
    failures.extend(authorities(stack, resolved, selected, beside, &mut all));
    Failures(failures).verdict()?;
    Ok(all)
}

/// The authorities of selected instances and of those that they need, which their hosts probe, too.
fn authorities(
    stack: &Stack,
    resolved: &Resolved,
    selected: &dyn Fn(&InstanceAt) -> bool,
    beside: &dyn Fn(&str) -> PathBuf,
    all: &mut Gathered,
) -> Vec<Failure> {
    let chosen = resolved.instances.iter().filter(|at| selected(at)).map(|at| &at.of);
    let needs =
        |key: &String| stack.instances.get(key).map(|written| written.needs.clone()).unwrap_or_default();
    let keys: BTreeSet<String> = chosen.flat_map(|key| needs(key).into_iter().chain([key.clone()])).collect();
    let mut failures = Vec::new();
    for key in keys {
        let file = stack.instances.get(&key).and_then(|written| written.ready.as_ref()?.ca.clone());
        let Some(file) = file.filter(|file| !all.authorities.contains_key(file)) else { continue };
        match authority::read(&beside(&file), "ct.ready.ca") {
            Ok(text) => _ = all.authorities.insert(file, text),
            Err(failure) => failures.push(failure.at(format!("instances.{key}.ready.ca"))),
        }
    }
    failures
}

/// lsx's own cloud-init data of one instance.
fn seeded(
    store: &Store,
    stack: &Stack,
    at: &InstanceAt,
    written: &Written,
    all: &mut Gathered,
) -> Result<(), Failure> {
    let data =
        written.cloud_init.as_ref().and_then(|file| all.files.get(file)).map(|(digest, _)| digest.clone());
    let hostname = written.hostname.as_deref().unwrap_or(&at.name);
    for (name, text) in data
        .iter()
        .flat_map(|data| cloud::texts(&stack.name, &at.name, hostname, stack.driver(written), data))
    {
        all.files.insert(cloud::key(&at.name, name), (store.put(text.as_bytes())?, 0o600));
    }
    Ok(())
}

/// A recipe from any of its places, and its values.
fn script(
    store: &Store,
    stack: &Stack,
    (name, image): (&str, Option<&str>),
    beside: &dyn Fn(&str) -> PathBuf,
    all: &mut Gathered,
) -> Result<(), Failure> {
    let key = recipe_key(name, image);
    if all.files.contains_key(&key) {
        return Ok(());
    }
    let places = recipe(name, image);
    let Some(there) = places.iter().find(|place| beside(place).exists()) else {
        let message = format!("recipe {name} not found");
        let failure = Failure::new(Kind::Data, "ct.file", message);
        let failure = places.iter().fold(failure, |failure, place| {
            failure.because(format!("{}: no such file", beside(place).display()))
        });
        return Err(failure.hint("paths are relative to the document, or to --base"));
    };
    let found = read(store, there, beside)?;
    let text = store.get(&found.0)?;
    if text.windows(ORIGINAL.len()).any(|part| part == ORIGINAL) {
        let message =
            format!("recipe {name} uses values in the syntax of LStacker, which only bash supports");
        return Err(Failure::new(Kind::Data, "ct.recipe.original", message)
            .hint("write ${ldap_domain} for ${yml_lstack_ldap_domain[0]}, and remove escapes that hid quotes from LStacker"));
    }
    let named = recipes::named(&text, stack.defaults.values.keys());
    for value in &named {
        if let Some(RecipeValue::Secret(name)) = stack.defaults.values.get(*value) {
            secret(stack, name, beside, all)?;
        }
    }
    all.named.insert(key.clone(), named.into_iter().cloned().collect());
    all.files.insert(key, found);
    Ok(())
}

/// The current recipes of a stack, by instance: those that `up` would run in a new one.
///
/// # Errors
/// Everything that is missing.
pub(crate) fn current(
    store: &Path,
    stack: &Stack,
    beside: &dyn Fn(&str) -> PathBuf,
) -> Result<BTreeMap<String, Vec<Recipe>>, Failures> {
    let (store, mut all, mut failures) = (Store::open(store)?, Gathered::default(), Vec::new());
    for (key, instance) in &stack.instances {
        for name in &instance.recipes {
            if let Err(failure) = script(&store, stack, (name, instance.image.as_deref()), beside, &mut all) {
                failures.push(failure.at(format!("instances.{key}.recipes")));
            }
        }
    }
    Failures(failures).verdict()?;
    let recipes =
        |(key, instance): (&String, &Written)| (key.clone(), plan::recipes_of(&all, stack, instance));
    Ok(stack.instances.iter().map(recipes).collect())
}

/// A file, or several, with their names one per line.
fn read(store: &Store, names: &str, beside: &dyn Fn(&str) -> PathBuf) -> Result<(String, u32), Failure> {
    let (mut all, mut mode) = (Vec::new(), 0);
    for path in names.lines().map(beside) {
        let failed = |e: std::io::Error| {
            Failure::new(Kind::Data, "ct.file", format!("cannot read {}: {e}", path.display()))
                .hint("paths are relative to the document, or to --base")
        };
        let bytes = std::fs::read(&path).map_err(failed)?;
        if !all.is_empty() && !all.ends_with(b"\n") {
            all.push(b'\n');
        }
        all.extend(bytes);
        mode = std::fs::metadata(&path).map_err(failed)?.permissions().mode() & 0o7777;
    }
    Ok((store.put(&all)?, mode))
}

/// A secret stays where it is; only its digest is recorded.
fn secret(
    stack: &Stack,
    name: &str,
    beside: &dyn Fn(&str) -> PathBuf,
    all: &mut Gathered,
) -> Result<(), Failure> {
    let found = common::secret::find(stack, name, beside)?;
    all.secrets.insert(name.to_owned(), (found.digest, found.place));
    Ok(())
}
