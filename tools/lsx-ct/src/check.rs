//! The live checks: whether every instance is ready, and whether a host runs instances that are not in the document.

use crate::act::{Order, Target, Verdict};
use crate::model::Gathered;
use common::tool::{Checked, Each, Finding, Goal, PlanInput};
use common::{Failures, fleet, log};
use serde_json::json;
use std::collections::BTreeMap;

/// Time limit for the readiness check of an instance, in milliseconds.
const READY_MS: u64 = 5000;

/// A certificate that is valid for fewer days gives a warning.
const DAYS_LEFT: i64 = 14;

/// Checks every selected instance.
///
/// # Errors
/// None: a check that could not be made is a finding.
pub(crate) fn check(input: &PlanInput<Gathered>, each: Each<'_>) -> Result<Checked, Failures> {
    let Goal::Up(_, resolved) = &input.goal else { return Ok(Checked::default()) };
    let mut orders: BTreeMap<String, Vec<Target>> = BTreeMap::new();
    for at in resolved.instances.iter().filter(|at| input.only.instance(&at.of, &at.name)) {
        if input.hosts.iter().any(|h| h.name == at.host) {
            let target = Target { stack: input.stack.clone(), name: at.name.clone() };
            orders.entry(at.host.clone()).or_default().push(target);
        }
    }
    let order = |targets| Order { timeout_ms: READY_MS, ..Order::to(targets) };
    let inputs = orders.into_iter().map(|(host, targets)| (host, json!(order(targets)))).collect();
    let mut checked = Checked::default();
    for (host, answer) in each("check", inputs) {
        let verdicts = match answer.and_then(|value| Ok(fleet::shape::<Vec<Verdict>>(value)?)) {
            Ok(verdicts) => verdicts,
            Err(failures) => {
                failures.0.into_iter().for_each(|f| checked.found(finding(&host, "ct.check", f.message)));
                continue;
            }
        };
        verdicts.into_iter().for_each(|one| tell(&mut checked, &host, one));
    }
    Ok(checked)
}

/// One row, and a finding if the instance is not ready; a warning if its certificate soon expires.
fn tell(checked: &mut Checked, host: &str, one: Verdict) {
    let mut row = json!({"host": host, "instance": one.instance, "ready": one.why.is_none()});
    if let Some(days) = one.days_left {
        row["days_left"] = json!(days);
        if days < DAYS_LEFT && one.why.is_none() {
            log::warning(&format!("{} on {host}: its certificate expires in {days} days", one.instance));
        }
    }
    match one.why {
        Some(why) => {
            row["why"] = json!(why);
            checked.found(finding(host, "ct.ready", why));
        }
        None => checked.passed(),
    }
    checked.row(row);
}

fn finding(host: &str, code: &str, message: String) -> Finding {
    let hint = Some(
        "`lsx-ct observe` and `lsx-ct logs` show details; `lsx-ct up` starts stopped instances".to_owned(),
    );
    Finding { code: code.to_owned(), host: host.to_owned(), message, hint }
}
