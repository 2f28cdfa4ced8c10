//! A renamed instance: the old one is kept, which its author may not expect.

use crate::Ct;
use crate::model::{Instance, Object};
use common::plan::Warning;
use common::tool::{Draft, ObservedOf};
use std::collections::BTreeMap;

/// Warns of each kept instance that equals a new one, or uses the same volume.
pub(super) fn tell(observed: &BTreeMap<String, ObservedOf<Ct>>, draft: &mut Draft<Ct>) {
    let made: Vec<(&str, &Instance)> = draft
        .steps
        .iter()
        .filter(|step| step.before.is_none())
        .filter_map(|step| Some((step.host.as_str(), instance(step.after.as_ref()?)?)))
        .collect();
    let mut warnings = Vec::new();
    for (host, seen) in observed {
        for old in seen.objects.iter().filter_map(|have| instance(&have.object)) {
            if !draft.kept.contains(&format!("{host}: instance {}", old.name)) {
                continue;
            }
            let like = made.iter().filter(|(_, new)| alike(old, new) || shared(old, new).is_some());
            warnings.extend(like.map(|(there, new)| warning(host, old, there, new)));
        }
    }
    draft.warnings.extend(warnings);
}

fn instance(object: &Object) -> Option<&Instance> {
    match object {
        Object::Instance(instance) => Some(instance),
        _ => None,
    }
}

fn alike(old: &Instance, new: &Instance) -> bool {
    let what = |i: &Instance| {
        let networks: Vec<String> = i.nics.iter().map(|nic| nic.network.clone()).collect();
        (i.image.clone(), i.command.clone(), i.env.clone(), networks, i.driver)
    };
    what(old) == what(new)
}

/// A volume that both can write to, on one host.
fn shared<'a>(old: &'a Instance, new: &Instance) -> Option<&'a str> {
    let writes = |i: &Instance, name: &str| i.volumes.iter().any(|v| v.name == name && !v.read_only);
    old.volumes.iter().find(|v| !v.read_only && writes(new, &v.name)).map(|v| v.name.as_str())
}

fn warning(host: &str, old: &Instance, there: &str, new: &Instance) -> Warning {
    let both = match shared(old, new).filter(|_| host == there) {
        Some(volume) => format!(", and both write to volume {volume}"),
        None => String::new(),
    };
    let message = format!(
        "{there}: {} is created in addition to {} of {host}, which the document does not name and which is kept{both}; \
         if that is its old name, --prune removes the old instance",
        new.name, old.name
    );
    Warning { code: "ct.plan.renamed".to_owned(), message }
}
