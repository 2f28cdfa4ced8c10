//! `up` and `down`: observe, plan, apply and verify, under one lock and in one session per host.

use super::report::{unverified, verdict};
use super::roll::Roll;
use super::{ChangeArgs, DataArgs, DownArgs, HostSet, ScopeArgs, StackArgs, UpArgs, hold, plan, resolve};
use crate::cli::Global;
use crate::document;
use crate::failure::{Failure, Failures, Kind};
use crate::host::file::Mode;
use crate::host::named;
use crate::log;
use crate::plan::{HostReport, PlanHost, Report};
use crate::signal;
use crate::stack::{self, Only};
use crate::stdio::{self, Output};
use crate::tool::{Goal, ObservedOf, PlanInput, PlanOf, Tool};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

pub(super) fn up<T: Tool>(
    tool: &T,
    args: &UpArgs<T>,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    if let Some(host) = &args.myself {
        return boot(tool, host, args, global, output);
    }
    let (stack, resolved) = super::read_stack(&args.stack)?;
    let only = plan::narrowed(&args.scope, &stack)?;
    let hosts = plan::participants(&resolved, &args.scope, &only, &args.stack)?;
    let input = plan::plan_input(tool, &stack, &resolved, only, &args.change, &args.stack, &hosts)?;
    let roll = Some(Roll::of(&resolved, &args.change.forget)?);
    let end = Ending { undo: T::UNDO || args.rollback, report: args.report.as_deref(), roll };
    let (plan, report) = carry_out(tool, &input, hosts.skipped, global, &end)?;
    resolve::keep_lock(args.stack.lock.as_deref(), &resolved)?;
    if plan::done(&plan, false, global, output)? {
        return Ok(());
    }
    let document = with_status::<T>(json!(stack::resolved_document(&stack, &resolved)), &report);
    Ok(output.emit(&[left_alone(document, &args.scope.offline)])?)
}

pub(super) fn down<T: Tool>(
    tool: &T,
    args: &DownArgs<T>,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    let (document, name, only, hosts, roll) = match &args.name {
        Some(name) => {
            let only = args.scope.only.as_deref().map(Only::parse).transpose()?.unwrap_or_default();
            (json!({"stack": name}), name.clone(), only, this_host(), None)
        }
        None => {
            let (stack, resolved) = super::read_stack(&args.stack)?;
            let only = plan::narrowed(&args.scope, &stack)?;
            let hosts = plan::participants(&resolved, &args.scope, &only, &args.stack)?;
            let roll = Some(Roll::of(&resolved, &[])?);
            (json!(stack::resolved_document(&stack, &resolved)), stack.name.clone(), only, hosts, roll)
        }
    };
    let destroy_data = plan::destroys(args.data.of.as_deref(), &name)?;
    let mut input = simple::<T>(&name, Goal::Down, hosts.taking_part);
    input.only = only;
    input.destroy_data = destroy_data;
    let end = Ending { undo: T::UNDO, report: args.report.as_deref(), roll };
    let (plan, report) = carry_out(tool, &input, hosts.skipped, global, &end)?;
    if plan::done(&plan, true, global, output)? {
        return Ok(());
    }
    let document = left_alone(with_status::<T>(document, &report), &args.scope.offline);
    Ok(output.emit(&[document])?)
}

/// `up` or `down` for some instances of a stack, under another name.
///
/// # Errors
/// As `up` and `down`.
pub fn part<T: Tool>(
    tool: &T,
    away: bool,
    stack: StackArgs,
    scope: ScopeArgs,
    instances: &[String],
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    let only = instances.iter().map(|name| format!("instances.{name}")).collect::<Vec<_>>().join(",");
    let scope = ScopeArgs { only: Some(only), ..scope };
    if away {
        let args = DownArgs { stack, scope, name: None, data: DataArgs::default(), report: None };
        return down(tool, &args, global, output);
    }
    let change = ChangeArgs::default();
    let args = UpArgs { stack, scope, change, rollback: false, report: None, myself: None };
    up(tool, &args, global, output)
}

/// Restores what a host kept; other hosts are not contacted.
fn boot<T: Tool>(
    tool: &T,
    host: &str,
    args: &UpArgs<T>,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    let (text, file) = stdio::read(args.stack.input.as_deref())?;
    let kept: Value = document::read(&text, &file, &document::schema(T::NAME, "intent"))?;
    let name = kept["stack"].as_str().unwrap_or_default().to_owned();
    let mut hosts = this_host().taking_part;
    hosts.iter_mut().for_each(|h| h.name = host.to_owned());
    let end = Ending { undo: T::UNDO, report: args.report.as_deref(), roll: None };
    // Nobody repeats the command at boot, so there is no deadline.
    let mut global = global.clone();
    global.deadline = Duration::MAX;
    let (_, report) =
        carry_out(tool, &simple::<T>(&name, Goal::Boot(kept), hosts), Vec::new(), &global, &end)?;
    Ok(output.emit(&[report])?)
}

pub(super) fn this_host() -> plan::Participants {
    let host = PlanHost {
        name: crate::host::name(),
        address: Ipv4Addr::LOCALHOST,
        ssh: String::new(),
        key: None,
        local: true,
        base: String::new(),
    };
    plan::Participants { taking_part: vec![host], skipped: Vec::new() }
}

pub(super) fn simple<T: Tool>(stack: &str, goal: Goal, hosts: Vec<PlanHost>) -> PlanInput<T::Gathered> {
    PlanInput {
        stack: stack.to_owned(),
        goal,
        only: Only::default(),
        prune: false,
        yes: false,
        accepted: Vec::new(),
        destroy_data: false,
        gathered: T::Gathered::default(),
        hosts,
    }
}

/// How a changing verb ends.
struct Ending<'a> {
    /// Whether a failure undoes what was done on its host.
    undo: bool,
    /// The file of the report.
    report: Option<&'a Path>,
    /// The hosts of the document, if any.
    roll: Option<Roll>,
}

/// All phases of a changing verb. The report is written even when it failed.
fn carry_out<T: Tool>(
    tool: &T,
    input: &PlanInput<T::Gathered>,
    skipped: Vec<String>,
    global: &Global,
    end: &Ending<'_>,
) -> Result<(PlanOf<T>, Report), Failures> {
    signal::hold();
    let mut host_set = HostSet::new(tool, &input.hosts, global)?;
    let wait = if matches!(input.goal, Goal::Boot(_)) { hold::AT_BOOT } else { hold::LOCK_WAIT };
    let reported = |mut reports: Vec<HostReport>, skipped: &[String]| {
        reports.extend(skipped.iter().map(|h| HostReport::skipped(h)));
        report::<T>(&input.stack, reports, end.report)
    };
    let (seen, failed) = match host_set.hold(&input.stack, wait) {
        Ok(answers) => answers,
        Err(refused) => {
            reported(refused.reports(host_set.names().iter()), &skipped)?;
            return Err(refused.told());
        }
    };
    let whole = matches!(input.goal, Goal::Down) && input.only.all();
    let need = if whole { host_set.dependents(&input.stack) } else { Vec::new() };
    let mut plan = plan::make(tool, input, &seen, skipped).inspect_err(|_| {
        failed.values().for_each(log::failures);
        need.iter().for_each(|warning| log::warning(&warning.message));
    })?;
    plan.warnings.extend(need);
    plan.warnings.extend(end.roll.iter().flat_map(|roll| roll.told::<T>(&seen)));
    plan::tell(&plan, matches!(input.goal, Goal::Down));
    if signal::stopping() {
        return Err(
            Failure::new(Kind::Failed, "plan.interrupted", "interrupted before the first change").into()
        );
    }
    let transfer = host_set.prepare(&plan)?;
    // Before the first step, so that other hosts know about the objects of a run that was killed.
    let noted = end.roll.iter().filter(|_| matches!(input.goal, Goal::Up(..)));
    let mut unnoted: BTreeMap<_, _> = noted.flat_map(|roll| roll.note(&mut host_set, &seen)).collect();
    let mut reports = host_set.apply(&plan, transfer, true, end.undo, global.failpoint());
    reports.iter_mut().for_each(|report| report.fail(unnoted.remove(&report.host).unwrap_or_default()));
    verify(&mut host_set, input, seen, &plan, &mut reports);
    if matches!(input.goal, Goal::Up(..)) && !plan.is_empty() {
        prove(&mut host_set, input, &plan, &mut reports);
    }
    reports.extend(failed.iter().map(|(host, failures)| HostReport::failed(host, failures.clone())));
    if matches!(input.goal, Goal::Down) {
        host_set.leave(&input.stack, &reports);
    }
    let report = reported(reports, &plan.skipped)?;
    verdict(&report)?;
    Ok((plan, report))
}

/// Writes the report to the requested file.
fn report<T: Tool>(stack: &str, hosts: Vec<HostReport>, path: Option<&Path>) -> Result<Report, Failure> {
    let report = Report::new(T::NAME, stack, hosts);
    if let Some(path) = path {
        named::write(path, &document::canonical(&report)?, Mode::Public)?;
    }
    Ok(report)
}

/// Observes and plans again: there must be nothing left to do on the hosts that changed.
fn verify<T: Tool>(
    host_set: &mut HostSet<T>,
    input: &PlanInput<T::Gathered>,
    mut seen: BTreeMap<String, ObservedOf<T>>,
    plan: &PlanOf<T>,
    reports: &mut [HostReport],
) {
    let done: BTreeSet<String> =
        reports.iter().filter(|r| r.ok && r.changed > 0).map(|r| r.host.clone()).collect();
    if done.is_empty() {
        return;
    }
    let (again, mut failed) = host_set.observe_some(&done, &input.stack, false);
    seen.extend(again);
    let left = plan::make(host_set.tool(), input, &seen, plan.skipped.clone());
    for report in reports.iter_mut().filter(|r| done.contains(&r.host)) {
        let failures = match (failed.remove(&report.host), &left) {
            (Some(failures), _) => failures,
            (None, Ok(left)) => {
                let left = left.steps.iter().filter(|s| s.host == report.host);
                Failures(left.map(|s| unverified(&s.id).because(&s.why)).collect())
            }
            (None, Err(failures)) => failures.clone(),
        };
        report.fail(failures);
    }
}

/// Tests that what was applied works, on the hosts that match the plan.
fn prove<T: Tool>(
    host_set: &mut HostSet<T>,
    input: &PlanInput<T::Gathered>,
    plan: &PlanOf<T>,
    reports: &mut [HostReport],
) {
    let well: BTreeSet<&str> =
        reports.iter().filter(|r| r.ok && !r.skipped).map(|r| r.host.as_str()).collect();
    let mut input = input.clone();
    input.hosts.retain(|host| well.contains(host.name.as_str()));
    let tool = host_set.tool().clone();
    let mut failed = tool.prove(&input, plan, &mut |name, inputs| host_set.call(name, inputs));
    for report in reports.iter_mut().filter(|r| r.ok) {
        report.fail(Failures(failed.remove(&report.host).into_iter().collect()));
    }
}

/// Marks hosts that this tool skipped as offline, so that the next tool in the pipe skips them, too.
fn left_alone(mut document: Value, hosts: &[String]) -> Value {
    for host in hosts {
        if let Some(written) = document["hosts"].get_mut(host).and_then(Value::as_object_mut) {
            written.insert("offline".to_owned(), json!(true));
        }
        let resolved = document["resolved"]["hosts"].as_array_mut().into_iter().flatten();
        resolved.filter(|at| at["name"] == **host).for_each(|at| at["offline"] = json!(true));
    }
    document
}

fn with_status<T: Tool>(mut document: Value, report: &Report) -> Value {
    let changed: usize = report.hosts.iter().map(|h| h.changed).sum();
    let hosts: Vec<&str> = report.hosts.iter().map(|h| h.host.as_str()).collect();
    document["status"][T::NAME] = json!({"ok": report.ok, "changed": changed, "hosts": hosts});
    document
}
