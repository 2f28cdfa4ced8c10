//! `check` on a host without the stack's file: this host's part of each stack, as the tool keeps it. No other host is contacted
//! and no path is tried, which only the document describes.

use super::report::Document;
use super::{CheckArgs, HostSet, check, plan, up};
use crate::cli::Global;
use crate::document;
use crate::failure::Failures;
use crate::host::kept::{self, Keeper};
use crate::log;
use crate::plan::{Kept, Object};
use crate::stdio::{self, Output};
use crate::tool::{Checked, Finding, Goal, PlanOf, Tool};
use serde_json::json;

/// `check`: that of the document, else of what this host keeps, if no document is named and none can come by standard input.
pub(super) fn check<T: Tool>(
    tool: &T,
    args: &CheckArgs,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    let named = args.stack.file().is_some() || args.scope.only.is_some() || !stdio::brings_nothing();
    let stacks = if named { Vec::new() } else { kept::stacks::<T>() };
    if stacks.is_empty() {
        return check::run(tool, args, global, output);
    }
    let all = stacks.iter().map(|stack| compared(tool, stack, global)).collect::<Result<Vec<_>, _>>()?;
    let documents = stacks.iter().zip(&all).map(|(stack, (plan, checked))| Document {
        schema: document::schema(T::NAME, "check"),
        stack,
        ok: checked.findings().is_empty(),
        kept: plan.as_ref().map_or(&[], |plan| &plan.kept),
        checked,
    });
    output.emit(&documents.collect::<Vec<_>>())?;
    log::note(&format!(
        "compared this host with what it keeps of {}; name the stack's file to check other hosts and all paths",
        stacks.join(", ")
    ));
    let verdicts = all.iter().map(|(_, checked)| check::verdict(checked));
    Failures(verdicts.filter_map(Result::err).flat_map(|failures| failures.0).collect()).verdict()
}

/// What `up` would do on this host, by what it keeps.
type Compared<T> = (Option<PlanOf<T>>, Checked);

fn compared<T: Tool>(tool: &T, stack: &str, global: &Global) -> Result<Compared<T>, Failures> {
    let keeper = Keeper::of::<T>(stack);
    let found = keeper.observe()?;
    let mut checked = Checked::default();
    let mut hosts = up::this_host().taking_part;
    if let Some((_, host)) = found.boot {
        hosts.iter_mut().for_each(|own| own.name.clone_from(&host));
    }
    let Some(intent) = found.intent else {
        checked.found(Finding {
            code: "check.intent".to_owned(),
            host: hosts.first().map(|host| host.name.clone()).unwrap_or_default(),
            message: format!("{} is damaged", keeper.path().display()),
            hint: Some(format!(
                "run `{} up` with the file of stack {stack}, which writes it again",
                T::PROGRAM
            )),
        });
        return Ok((None, checked));
    };
    let input = up::simple::<T>(stack, Goal::Boot(json!(intent)), hosts);
    let mut host_set = HostSet::new(tool, &input.hosts, global)?;
    let (seen, failed) = host_set.observe(stack);
    plan::gather(failed).verdict()?;
    let plan = plan::make(tool, &input, &seen, Vec::new())?;
    plan::tell(&plan, false);
    // An entry names the copy of the tool that wrote it, and every other copy would name itself.
    let entry = |object: &Option<T::Object>| {
        let kept = object.as_ref().and_then(Object::kept);
        matches!(kept, Some(Kept::Boot { .. } | Kept::Timer { .. }))
    };
    let differ = plan.steps.iter().filter(|step| !(entry(&step.before) && entry(&step.after)));
    let findings: Vec<Finding> = differ.map(check::differs).collect();
    match findings.is_empty() {
        true => checked.passed(),
        false => checked.found_first(findings),
    }
    Ok((Some(plan), checked))
}
