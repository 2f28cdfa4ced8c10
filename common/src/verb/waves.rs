//! Plans in waves: a wave begins when the one before it is done on all hosts. With undo, a failure undoes all waves on all
//! hosts.

use super::HostSet;
use super::host_set::How;
use super::transfer::Transfer;
use crate::failure::{Failure, Failures, Kind};
use crate::fleet;
use crate::log;
use crate::plan::{HostReport, Outcome, StepReport};
use crate::tool::{PlanOf, Tool};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The code of the failure of a host whose changes were undone because of another host.
pub(super) const REVERTED: &str = "plan.reverted";

/// The code of the failure of a host that was not changed because of another one.
pub(super) const REFUSED: &str = "plan.refused";

/// Reports by host.
type Reports = BTreeMap<String, HostReport>;

impl<T: Tool> HostSet<T> {
    /// Carries out a plan, wave by wave. `fresh`: the plan was made under the locks of these hosts. A plan with a single wave has no
    /// order across hosts: each host then stands for itself, and what others have done stays when one fails. Before the first
    /// wave every host gets what it needs for all of them.
    pub(super) fn apply(
        &mut self,
        plan: &PlanOf<T>,
        transfer: Transfer,
        fresh: bool,
        undo: bool,
        failpoint: Option<&str>,
    ) -> Vec<HostReport> {
        let unfit = self.transfer(transfer);
        let waves: BTreeSet<u8> = plan.steps.iter().map(|step| step.wave).collect();
        let how = How { fresh, undo, several: waves.len() > 1, failpoint };
        if !how.several {
            return match waves.first() {
                Some(1..) => self.handed(plan.clone(), &how, unfit),
                _ => self.apply_part(plan, &how, unfit),
            };
        }
        let mut reports: Reports =
            plan.hosts.iter().map(|host| (host.name.clone(), HostReport::idle(&host.name))).collect();
        if let Some(host) = unfit.keys().next() {
            let why = format!("a failure on {host} before the first wave");
            unfit.into_iter().for_each(|(host, failures)| fail(&mut reports, &host, failures));
            return self.ended(plan, reports, &why);
        }
        for (n, wave) in waves.into_iter().enumerate() {
            let part = PlanOf::<T> {
                steps: plan.steps.iter().filter(|step| step.wave == wave).cloned().collect(),
                ..plan.clone()
            };
            // The host has changed since the plan was made: by the waves before.
            let how = How { fresh: fresh || n > 0, ..how };
            let done = match wave {
                0 => self.apply_part(&part, &how, BTreeMap::new()),
                _ => self.handed(part, &how, BTreeMap::new()),
            };
            done.into_iter().for_each(|report| merge(&mut reports, report));
            if let Some(why) = reports.values().find(|report| !report.ok).map(|report| reason(report, wave)) {
                if undo {
                    self.revert(&mut reports, &why);
                }
                return self.ended(plan, reports, &why);
            }
        }
        self.commit(&mut reports);
        reports.into_values().collect()
    }

    /// A wave after the first, with what its hosts need of what others have done.
    fn handed(
        &mut self,
        mut part: PlanOf<T>,
        how: &How<'_>,
        mut unfit: BTreeMap<String, Failures>,
    ) -> Vec<HostReport> {
        let tool = self.tool().clone();
        let handed = tool.hand_over(&part, &mut |name, inputs| self.call(name, inputs));
        part.contents.extend(handed.texts);
        unfit.extend(handed.failed);
        self.apply_part(&part, how, unfit)
    }

    /// The reports of a run that ended before its last wave.
    fn ended(&mut self, plan: &PlanOf<T>, mut reports: Reports, why: &str) -> Vec<HostReport> {
        not_run(plan, &mut reports);
        self.unchanged(&plan.stack, &mut reports, why);
        reports.into_values().collect()
    }

    /// Undoes on all hosts what they have done in this run, also after the run was interrupted. A host that cannot be asked
    /// does it when it notices the end of the connection.
    fn revert(&mut self, reports: &mut Reports, why: &str) {
        let stands = |report: &&HostReport| report.steps.iter().any(|step| step.outcome == Outcome::Done);
        let hosts: Vec<String> = reports.values().filter(stands).map(|report| report.host.clone()).collect();
        let request = json!({"op": "revert"});
        for (host, answer) in self.ask_to_the_end(hosts.into_iter().map(|h| (h, request.clone())).collect()) {
            let answer = answer.and_then(|value| fleet::shape::<HostReport>(value).map_err(Failures::from));
            match answer {
                Ok(report) => merge(reports, HostReport { host: host.clone(), ..report }),
                Err(failures) => fail(reports, &host, failures),
            }
            let message = format!("everything done in this run was undone because of {why}");
            fail(reports, &host, Failure::new(Kind::Again, REVERTED, message).into());
        }
    }

    /// Reports the hosts whose steps were not started, and removes the record of the stack's hosts where nothing else is.
    fn unchanged(&mut self, stack: &str, reports: &mut Reports, why: &str) {
        let waits =
            |report: &&HostReport| report.ok && report.steps.iter().any(|s| s.outcome == Outcome::NotRun);
        let hosts: Vec<String> = reports.values().filter(waits).map(|report| report.host.clone()).collect();
        let message = format!("not changed, or not completely, because of {why}");
        for host in &hosts {
            fail(reports, host, Failure::new(Kind::Again, REFUSED, &message).into());
        }
        let request = json!({"op": "leave", "stack": stack});
        self.ask_to_the_end(hosts.into_iter().map(|host| (host, request.clone())).collect());
    }

    /// Ends the run on all hosts: they no longer undo anything.
    fn commit(&mut self, reports: &mut Reports) {
        let busy = reports.values().filter(|report| !report.steps.is_empty());
        let requests = busy.map(|report| (report.host.clone(), json!({"op": "commit"}))).collect();
        for (host, answer) in self.ask_to_the_end(requests) {
            if let Err(failures) = answer {
                fail(reports, &host, failures);
            }
        }
    }
}

/// Checks that no step needs one of a later wave.
pub(super) fn ordered<O, D>(plan: &crate::plan::Plan<O, D>) -> Result<(), Failure> {
    if plan.steps.iter().all(|step| step.wave == 0) {
        return Ok(());
    }
    let waves: BTreeMap<(&str, &str), u8> =
        plan.steps.iter().map(|step| ((step.host.as_str(), step.id.as_str()), step.wave)).collect();
    for step in &plan.steps {
        let later =
            |need: &&String| waves.get(&(step.host.as_str(), need.as_str())).is_some_and(|w| *w > step.wave);
        if let Some(need) = step.needs.iter().find(later) {
            let message = format!("step {} of wave {} needs {need} of a later wave", step.id, step.wave);
            return Err(Failure::new(Kind::Data, "plan.wave", message).on(&step.host));
        }
    }
    Ok(())
}

fn reason(report: &HostReport, wave: u8) -> String {
    format!("a failure on {} in wave {wave}", report.host)
}

fn fail(reports: &mut Reports, host: &str, failures: Failures) {
    if let Some(report) = reports.get_mut(host) {
        report.fail(failures);
    }
}

/// Adds the report of one wave, or of what was undone, to the report of its host.
fn merge(reports: &mut Reports, new: HostReport) {
    let Some(report) = reports.get_mut(&new.host) else { return };
    let places: BTreeMap<String, usize> =
        report.steps.iter().enumerate().map(|(n, step)| (step.id.clone(), n)).collect();
    for step in &new.steps {
        match places.get(&step.id).and_then(|n| report.steps.get_mut(*n)) {
            Some(known) => known.outcome = step.outcome,
            None => report.steps.push(step.clone()),
        }
    }
    let stands = |step: &&StepReport| matches!(step.outcome, Outcome::Done | Outcome::Stuck);
    report.changed = report.steps.iter().filter(stands).count();
    report.fail(Failures(new.failures().cloned().collect()));
    report.stuck.extend(new.stuck);
}

/// The steps of the waves that did not begin.
fn not_run<O, D>(plan: &crate::plan::Plan<O, D>, reports: &mut Reports) {
    for step in &plan.steps {
        let Some(report) = reports.get_mut(&step.host) else { continue };
        if !report.steps.iter().any(|known| known.id == step.id) {
            report.steps.push(StepReport { id: step.id.clone(), outcome: Outcome::NotRun, ms: 0 });
        }
    }
}

/// The failures of a run, without those that only follow from another host's; these are logged as notes.
pub(super) fn causes(failures: Vec<Failure>) -> Vec<Failure> {
    let (followed, causes): (Vec<_>, Vec<_>) =
        failures.into_iter().partition(|failure| [REVERTED, REFUSED].contains(&failure.code.as_str()));
    if causes.is_empty() {
        return followed;
    }
    followed.iter().for_each(|failure| log::note(&failure.to_string()));
    causes
}
