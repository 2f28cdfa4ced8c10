//! `apply`: carries out a saved plan.

use super::hold::{LOCK_WAIT, Refused};
use super::host_set::Answers;
use super::report::{unverified, verdict};
use super::roll::Roll;
use super::{ApplyArgs, HostSet};
use crate::cli::Global;
use crate::document;
use crate::failure::{Failure, Failures};
use crate::plan::{HostReport, PlanHost, Report};
use crate::signal;
use crate::stdio::{self, Output};
use crate::tool::{ObservedOf, PlanOf, Tool};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn run<T: Tool>(
    tool: &T,
    args: &ApplyArgs,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    let (text, file) = stdio::read(args.input.as_deref())?;
    let plan: PlanOf<T> = document::read(&text, &file, &document::schema(T::NAME, "plan"))?;
    super::waves::ordered(&plan)?;
    signal::hold();
    let mut host_set = HostSet::new(tool, &plan.hosts, global)?;
    let held = host_set.hold(&plan.stack, LOCK_WAIT).and_then(|answers| fresh::<T>(&plan, answers));
    let told = |mut reports: Vec<HostReport>| -> Result<Report, Failure> {
        reports.extend(plan.skipped.iter().map(|h| HostReport::skipped(h)));
        let report = Report::new(T::NAME, &plan.stack, reports);
        output.emit(&[&report])?;
        Ok(report)
    };
    let (seen, failed) = match held {
        Ok(answers) => answers,
        Err(refused) => {
            told(refused.reports(host_set.names().iter()))?;
            return Err(refused.told());
        }
    };
    let transfer = host_set.prepare(&plan)?;
    let makes = plan.steps.iter().any(|step| step.after.is_some());
    let named = plan.hosts.iter().map(|host| host.address).collect();
    let mut unnoted = match makes {
        true => Roll::planned(&plan.stack, named).note(&mut host_set, &seen),
        false => BTreeMap::new(),
    };
    let undo = T::UNDO || args.rollback;
    let mut reports = host_set.apply(&plan, transfer, false, undo, global.failpoint());
    reports.iter_mut().for_each(|report| report.fail(unnoted.remove(&report.host).unwrap_or_default()));
    verify(&mut host_set, &plan, &mut reports);
    reports.retain(|report| !failed.contains_key(&report.host));
    reports.extend(failed.into_iter().map(|(host, failures)| HostReport::failed(&host, failures)));
    if !makes {
        host_set.leave(&plan.stack, &reports);
    }
    verdict(&told(reports)?)
}

/// Whether no host has changed since the plan was made; otherwise no host is changed.
fn fresh<T: Tool>(
    plan: &PlanOf<T>,
    (seen, failed): Answers<ObservedOf<T>>,
) -> Result<Answers<ObservedOf<T>>, Refused> {
    let changed = |h: &&PlanHost| seen.get(&h.name).is_some_and(|now| now.base != h.base);
    let stale = |h: &PlanHost| (h.name.clone(), super::host::stale().on(&h.name).into());
    let by: BTreeMap<_, _> = plan.hosts.iter().filter(changed).map(stale).collect();
    if by.is_empty() { Ok((seen, failed)) } else { Err(Refused { by, failed }) }
}

/// Checks that an object exists after a step that was to create it.
fn verify<T: Tool>(host_set: &mut HostSet<T>, plan: &PlanOf<T>, reports: &mut [HostReport]) {
    let done: BTreeSet<String> =
        reports.iter().filter(|r| r.ok && r.changed > 0).map(|r| r.host.clone()).collect();
    let (seen, mut failed) = host_set.observe_some(&done, &plan.stack, false);
    for report in reports.iter_mut().filter(|r| done.contains(&r.host)) {
        let mut failures = failed.remove(&report.host).unwrap_or_default();
        if let Some(seen) = seen.get(&report.host) {
            let there = |after: &T::Object| seen.objects.iter().any(|have| have.object == *after);
            let left = plan.steps.iter().filter(|s| s.host == report.host);
            let left = left.filter(|step| step.after.as_ref().is_some_and(|after| !there(after)));
            failures.0.extend(left.map(|step| unverified(&step.id)));
        }
        report.fail(failures);
    }
}
