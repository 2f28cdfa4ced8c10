//! The live checks: every instance is asked whether it is ready, and every host whether it runs what nobody named.

use crate::act::{Acted, Order, Target};
use crate::model::Gathered;
use common::tool::{Checked, Each, Finding, Goal, Wish};
use common::{Failures, fleet};
use serde_json::json;
use std::collections::BTreeMap;

/// How long an instance may take to show that it is ready, in milliseconds.
const READY_MS: u64 = 5000;

/// Asks every selected instance.
///
/// # Errors
/// Never: what kept a check from being made is a finding.
pub fn check(wish: &Wish<Gathered>, each: Each<'_>) -> Result<Checked, Failures> {
    let Goal::Up(_, resolved) = &wish.goal else { return Ok(Checked::default()) };
    let mut orders: BTreeMap<String, Vec<Target>> = BTreeMap::new();
    for at in resolved.instances.iter().filter(|at| wish.only.instance(&at.of, &at.name)) {
        if wish.hosts.iter().any(|h| h.name == at.host) {
            let target = Target { stack: wish.stack.clone(), name: at.name.clone() };
            orders.entry(at.host.clone()).or_default().push(target);
        }
    }
    let order = |targets| Order { timeout_ms: READY_MS, ..Order::to(targets) };
    let inputs = orders.into_iter().map(|(host, targets)| (host, json!(order(targets)))).collect();
    let mut checked = Checked::default();
    for (host, answer) in each("wait", inputs) {
        let acted = match answer.and_then(|value| Ok(fleet::shape::<Vec<Acted>>(value)?)) {
            Ok(acted) => acted,
            Err(failures) => {
                failures.0.into_iter().for_each(|f| checked.found(finding(&host, "ct.check", f.message)));
                continue;
            }
        };
        for one in acted {
            match &one.why {
                Some(why) => checked.found(finding(&host, "ct.ready", why.clone())),
                None => checked.passed(),
            }
            let mut row = json!({"host": host, "instance": one.instance, "ready": one.ok});
            if let Some(why) = one.why {
                row["why"] = json!(why);
            }
            checked.row(row);
        }
    }
    Ok(checked)
}

fn finding(host: &str, code: &str, message: String) -> Finding {
    let hint =
        Some("`lsx-ct observe` and `lsx-ct logs` show more; `lsx-ct up` starts what is down".to_owned());
    Finding { code: code.to_owned(), host: host.to_owned(), message, hint }
}
