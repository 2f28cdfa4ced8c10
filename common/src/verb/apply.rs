//! `apply`: carries out a plan that was made, looked at and perhaps kept.

use super::{ApplyArgs, Crew};
use crate::cli::Global;
use crate::document;
use crate::failure::Failures;
use crate::plan::{HostReport, Report};
use crate::stdio::{self, Output};
use crate::tool::{PlanOf, Tool};
use crate::{log, signal};
use std::collections::BTreeSet;

pub(super) fn run<T: Tool>(
    tool: T,
    args: &ApplyArgs,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    let (text, file) = stdio::read(args.input.as_deref())?;
    let plan: PlanOf<T> = document::read(&text, &file, &document::schema(T::NAME, "plan"))?;
    signal::hold();
    let mut crew = Crew::new(tool, &plan.hosts, global)?;
    let mut reports = crew.apply(&plan, false, T::UNDO || args.rollback, None);
    verify(&mut crew, &plan, &mut reports);
    reports.extend(plan.skipped.iter().map(|h| HostReport::skipped(h)));
    let report = Report::new(T::NAME, &plan.stack, reports);
    output.emit(&[&report])?;
    verdict(&report)
}

/// A step that said it was done must have left its mark: what it was to make is there now.
fn verify<T: Tool>(crew: &mut Crew<T>, plan: &PlanOf<T>, reports: &mut [HostReport]) {
    let done: BTreeSet<String> =
        reports.iter().filter(|r| r.ok && r.changed > 0).map(|r| r.host.clone()).collect();
    let (seen, failed) = crew.observe_some(&done, &plan.stack, false);
    for report in reports.iter_mut().filter(|r| done.contains(&r.host)) {
        let missing = match seen.get(&report.host) {
            Some(seen) => plan.steps.iter().filter(|s| s.host == report.host).find(|step| {
                step.after
                    .as_ref()
                    .is_some_and(|after| !seen.objects.iter().any(|have| have.object == *after))
            }),
            None => None,
        };
        let failure = match (missing, failed.get(&report.host)) {
            (Some(step), _) => Some(super::up::unverified(&step.id)),
            (None, Some(failures)) => failures.0.first().cloned(),
            (None, None) => None,
        };
        if let Some(failure) = failure {
            *report = HostReport {
                steps: std::mem::take(&mut report.steps),
                ..HostReport::failed(&report.host, failure)
            };
        }
    }
}

/// The failures of a report, each with its host.
pub(super) fn verdict(report: &Report) -> Result<(), Failures> {
    for stuck in report.hosts.iter().flat_map(|h| &h.stuck) {
        log::warning(&format!("could not be taken back: {stuck}"));
    }
    let failures = report.hosts.iter().filter_map(|h| h.failure.clone().map(|f| f.on(&h.host)));
    Failures(failures.collect()).verdict()
}
