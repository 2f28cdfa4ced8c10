//! A renamed instance: the old one is kept and continues to run, which its author may not expect.

use crate::Ct;
use crate::model::{Instance, Object};
use common::plan::Warning;
use common::stack::Stack;
use common::tool::{Draft, ObservedOf};
use common::{Failure, Kind};
use std::collections::BTreeMap;

/// Warns of each kept instance that equals a new one. One that would write to the same volume is refused: two database
/// servers on the same files destroy them.
pub(super) fn tell(
    stack: Option<&Stack>,
    observed: &BTreeMap<String, ObservedOf<Ct>>,
    draft: &mut Draft<Ct>,
) -> Vec<Failure> {
    let made: Vec<(&str, &Instance)> = draft
        .steps
        .iter()
        .filter(|step| step.before.is_none())
        .filter_map(|step| Some((step.host.as_str(), instance(step.after.as_ref()?)?)))
        .collect();
    let (mut warnings, mut failures) = (Vec::new(), Vec::new());
    for (host, seen) in observed {
        for old in seen.objects.iter().filter_map(|have| instance(&have.object)) {
            if !draft.kept.contains(&format!("{host}: instance {}", old.name)) {
                continue;
            }
            for (there, new) in &made {
                let volume = shared(old, new).filter(|_| host == there);
                let may = |volume: &str| {
                    let mount = stack.and_then(|stack| stack.instances.get(&new.of)?.volumes.get(volume));
                    mount.is_some_and(|mount| mount.shared)
                };
                match volume {
                    Some(volume) if old.running && !may(volume) => {
                        failures.push(refused(host, old, new, volume));
                    }
                    _ if volume.is_some() || alike(old, new) => {
                        warnings.push(warning(host, old, there, new, volume));
                    }
                    _ => {}
                }
            }
        }
    }
    draft.warnings.extend(warnings);
    failures
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

fn refused(host: &str, old: &Instance, new: &Instance, volume: &str) -> Failure {
    let message = format!(
        "{} would write to volume {volume}, and so does {}, which the document does not name and which continues to run",
        new.name, old.name
    );
    Failure::new(Kind::Data, "ct.plan.volume", message).on(host).at(format!("instances.{}", new.of)).hint(format!(
        "if {} is its old name: --prune removes the old instance and keeps the volume; else write shared: true",
        old.name
    ))
}

fn warning(host: &str, old: &Instance, there: &str, new: &Instance, volume: Option<&str>) -> Warning {
    let both = volume.map(|volume| format!(", and both use volume {volume}")).unwrap_or_default();
    let message = format!(
        "{there}: {} is created in addition to {} of {host}, which the document does not name and which is kept{both}; \
         if that is its old name, --prune removes the old instance",
        new.name, old.name
    );
    Warning { code: "ct.plan.renamed".to_owned(), message }
}
