//! Images of the selected instances, which become digests in the store of this machine.

use super::registries;
use crate::image::{Source, Store};
use crate::model::{self, Gathered};
use common::stack::{Driver, Instance as Written, Stack};
use common::{Failure, Kind};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Brings the images into the store; returns the store, and everything that is missing.
pub(super) fn gather(
    store: Store,
    stack: &Stack,
    chosen: &[(&String, &Written)],
    beside: &dyn Fn(&str) -> PathBuf,
    all: &mut Gathered,
) -> (Store, Vec<Failure>) {
    let mut failures = Vec::new();
    // By image and driver: the place of the first instance with it, and its source.
    let mut sources: BTreeMap<(&String, Driver), (String, Source)> = BTreeMap::new();
    for (key, instance) in chosen {
        let place = |field: &str| format!("instances.{key}.{field}");
        let driver = stack.driver(instance);
        match &instance.image {
            _ if driver == Driver::Docker => failures.push(no_docker().at(place("driver"))),
            None => failures.push(missing(key)),
            Some(name) if !sources.contains_key(&(name, driver)) => {
                match source(stack, name, driver, beside) {
                    Ok(source) => _ = sources.insert((name, driver), (place("image"), source)),
                    Err(failure) => failures.push(failure.at(place("image"))),
                }
            }
            Some(_) => {}
        }
    }
    let (access, wrong) = registries::access(stack, sources.values().map(|(_, source)| source), beside);
    let store = store.access(access);
    for ((name, driver), (place, source)) in sources {
        // What a registry lacks is reported once, by itself.
        if !wrong.is_empty() && matches!(source, Source::Registry(_)) {
            continue;
        }
        match store.bring(&source).and_then(|found| Ok((store.highest_id(&found.digest)?, found.digest))) {
            Ok((highest, digest)) => {
                all.highest.insert(digest.clone(), highest);
                all.images.insert((name.clone(), driver), model::Image { name: name.clone(), digest });
            }
            Err(failure) => failures.push(failure.at(place)),
        }
    }
    failures.extend(wrong);
    (store, failures)
}

fn missing(key: &str) -> Failure {
    Failure::new(Kind::Data, "ct.image.none", format!("instances.{key} has no image"))
        .at(format!("instances.{key}"))
        .hint("write image: with a name of `images`, or one that `lsx-ct images ls` shows")
}

/// Where the image of a name comes from, in the form for a driver.
fn source(
    stack: &Stack,
    name: &str,
    driver: Driver,
    beside: &dyn Fn(&str) -> PathBuf,
) -> Result<Source, Failure> {
    let forms = stack.images.get(name);
    let text = match (forms, driver) {
        (Some(forms), Driver::Oci) => forms.oci.clone(),
        // LXD and Incus also run images of the other drivers, which the store can convert.
        (Some(forms), Driver::Lxd) => forms.lxd.clone().or_else(|| forms.oci.clone()),
        (Some(forms), Driver::Incus) => {
            forms.incus.clone().or_else(|| forms.lxd.clone()).or_else(|| forms.oci.clone())
        }
        (Some(_), Driver::Docker) => return Err(no_docker()),
        (None, _) => Some(name.to_owned()),
    };
    let text = text.ok_or_else(|| {
        Failure::new(Kind::Data, "ct.image.form", format!("images.{name} has no entry for this driver"))
            .hint("write images.NAME.oci, as oci:FOLDER, tar:FILE or docker://NAME")
    })?;
    Source::parse(&text, beside)
}

fn no_docker() -> Failure {
    Failure::new(Kind::Data, "ct.driver", "driver docker is not supported yet").hint("use oci, lxd or incus")
}
