//! What a host keeps of its instances: the intent and the boot entry. Pure.

use super::Data;
use crate::Ct;
use crate::model::{Gathered, Instance, Intent, IntentFile, Object};
use common::document;
use common::plan::{Object as _, Plan, Want};
use common::tool::{ObservedOf, PlanInput};
use common::{Failure, Kind};
use std::collections::BTreeMap;

/// The intent and the boot entry; none if no instance is left.
pub(super) fn keep(
    input: &PlanInput<Gathered>,
    host: &str,
    wanted: &[Instance],
    stay: &[&Instance],
    seen: &ObservedOf<Ct>,
    wants: &mut Vec<Want<Object>>,
    contents: &mut BTreeMap<String, String>,
) {
    let mut all: Vec<Instance> = wanted.iter().chain(stay.iter().copied()).cloned().collect();
    if all.is_empty() {
        return;
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.iter_mut().for_each(|i| i.running = true);
    let text = serde_json::to_string(&all).unwrap_or_default();
    let digest = intent_digest(&all);
    contents.insert(digest.clone(), text);
    let want = |object: Object, why: &str| Want {
        key: object.key(),
        object,
        needs: Vec::new(),
        why: why.to_owned(),
    };
    wants.push(want(Object::Intent(IntentFile { digest }), "restores the host after a reboot"));
    let name = input.hosts.iter().find(|h| h.name == *host).map_or(host, |h| h.name.as_str());
    let boot = Object::Boot { program: seen.seen.program.clone(), host: name.to_owned() };
    wants.push(want(boot, "restores the host after a reboot"));
}

/// The digest of the intent.
pub fn intent_digest(instances: &[Instance]) -> String {
    document::digest_of(&instances).unwrap_or_default()
}

/// The intent that an object of a plan stands for.
///
/// # Errors
/// When the plan lacks it.
pub fn intent(plan: &Plan<Object, Data>, object: &Object) -> Result<Intent, Failure> {
    let missing = || Failure::new(Kind::Data, "ct.plan.contents", "the plan lacks the intent of the host");
    let text = object.content().and_then(|digest| plan.contents.get(digest)).ok_or_else(missing)?;
    let instances = serde_json::from_str(text)
        .map_err(|e| Failure::new(Kind::Data, "ct.plan.contents", e.to_string()))?;
    Ok(Intent { schema: document::schema("ct", "intent"), stack: plan.stack.clone(), instances })
}
