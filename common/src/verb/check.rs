//! `check`: the plan must be empty and the tool's live checks must pass; a run without a check is a failure.

use super::report::Document;
use super::roll::Roll;
use super::{ChangeArgs, CheckArgs, HostSet, plan};
use crate::cli::Global;
use crate::document;
use crate::failure::{Failure, Failures, Kind};
use crate::host::kept::WAITS;
use crate::log;
use crate::plan::Warning;
use crate::plan::show::reason;
use crate::stdio::Output;
use crate::tool::{Checked, Finding, Tool};

pub(super) fn run<T: Tool>(
    tool: &T,
    args: &CheckArgs,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    let (stack, resolved) = super::read_stack(&args.stack)?;
    let only = plan::narrowed(&args.scope, &stack)?;
    let hosts = plan::participants(&resolved, &args.scope, &only, &args.stack)?;
    let change = ChangeArgs::default();
    let mut input = plan::plan_input(tool, &stack, &resolved, only, &change, &args.stack, &hosts)?;
    let mut host_set = HostSet::new(tool, &hosts.taking_part, global)?;
    let (seen, failed) = host_set.observe(&stack.name);
    // A host that did not answer is a failure; the others are still checked.
    input.hosts.retain(|host| seen.contains_key(&host.name));
    let mut plan = plan::make(tool, &input, &seen, hosts.skipped)?;
    plan.warnings.extend(Roll::of(&resolved, &[])?.told::<T>(&seen));
    plan::tell(&plan, false);
    let mut checked = tool.check(&input, &mut |name, inputs| host_set.call(name, inputs))?;
    // One check per host, whether it matches the plan; if not, each difference counts instead.
    let busy = plan.busy();
    seen.keys().filter(|host| !busy.contains(host.as_str())).for_each(|_| checked.passed());
    let waiting =
        seen.iter().flat_map(|(host, seen)| seen.warnings.iter().filter_map(|one| waits(host, one)));
    checked.found_first(plan.steps.iter().map(differs).chain(waiting).collect());
    let document = Document {
        schema: document::schema(T::NAME, "check"),
        stack: &stack.name,
        ok: checked.tried() > 0 && checked.findings().is_empty() && failed.is_empty(),
        kept: &plan.kept,
        checked: &checked,
    };
    output.emit(&[document])?;
    plan::gather(failed).verdict()?;
    verdict(&checked)
}

pub(super) fn differs<O>(step: &crate::plan::Step<O>) -> Finding {
    Finding {
        code: "plan.differs".to_owned(),
        host: step.host.clone(),
        message: format!("`up` would {}: {}", words(&step.id), reason(&step.why)),
        hint: None,
    }
}

/// A service that waits is as planned, but does not serve.
fn waits(host: &str, warning: &Warning) -> Option<Finding> {
    let (code, host, message) = (warning.code.clone(), host.to_owned(), warning.message.clone());
    (code == WAITS).then_some(Finding { code, host, message, hint: None })
}

/// `instance.change:db` as words: change instance db.
fn words(id: &str) -> String {
    let (step, name) = id.split_once(':').unwrap_or((id, ""));
    let (kind, verb) = step.split_once('.').unwrap_or((step, "change"));
    format!("{verb} {kind} {name}").trim_end().to_owned()
}

pub(super) fn verdict(checked: &Checked) -> Result<(), Failures> {
    if checked.tried() == 0 {
        return Err(Failure::new(Kind::Failed, "check.nothing", "no check was made").into());
    }
    for finding in checked.findings() {
        let hint = finding.hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
        log::warning(&format!("{}: {}{hint}", finding.host, finding.message));
    }
    match checked.findings().len() {
        0 => Ok(()),
        n => Err(Failure::new(
            Kind::Differs,
            "check.differs",
            format!("{n} of {} checks found a difference", checked.tried()),
        )
        .into()),
    }
}
