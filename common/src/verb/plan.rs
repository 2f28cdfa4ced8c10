//! `plan`: what would be done, decided on the controller for all hosts.

use super::roll::Roll;
use super::{ChangeArgs, HostSet, PlanArgs, ScopeArgs, StackArgs};
use crate::cli::Global;
use crate::document;
use crate::failure::{Failure, Failures, Kind};
use crate::host::kept::JOB;
use crate::log;
use crate::plan::show::{View, show, sum};
use crate::plan::{Object, Plan, PlanHost, Warning};
use crate::stack::{self, Only, Resolved, Stack};
use crate::stdio::{self, Output};
use crate::tool::{Goal, ObservedOf, PlanInput, PlanOf, Source, Tool};
use std::collections::BTreeMap;
use std::path::Path;

/// The hosts of a stack, and those that are skipped.
pub(super) struct Participants {
    pub(super) taking_part: Vec<PlanHost>,
    pub(super) skipped: Vec<String>,
}

pub(super) fn run<T: Tool>(
    tool: &T,
    args: &PlanArgs<T>,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    if args.data.of.is_some() && !args.down {
        return Err(Failure::new(Kind::Usage, "usage", "--destroy-data needs --down").into());
    }
    let (stack, resolved) = super::read_stack(&args.stack)?;
    let only = narrowed(&args.scope, &stack)?;
    let hosts = participants(&resolved, &args.scope, &only, &args.stack)?;
    let mut input = plan_input(tool, &stack, &resolved, only, &args.change, &args.stack, &hosts)?;
    let mut need = Vec::new();
    let (seen, failed) = match &args.observed {
        Some(path) => (read_observed::<T>(path, &stack.name, &hosts.taking_part)?, BTreeMap::new()),
        None => {
            let mut host_set = HostSet::new(tool, &hosts.taking_part, global)?;
            let observed = host_set.observe(&stack.name);
            if args.down && input.only.all() {
                need = host_set.dependents(&stack.name);
            }
            observed
        }
    };
    gather(failed).verdict()?;
    if args.down {
        input.goal = Goal::Down;
        input.destroy_data = destroys(args.data.of.as_deref(), &stack.name)?;
    }
    let shown = |need: &[Warning]| need.iter().for_each(|warning| log::warning(&warning.message));
    let mut plan = make(tool, &input, &seen, hosts.skipped).inspect_err(|_| shown(&need))?;
    plan.warnings.extend(need);
    plan.warnings.extend(Roll::of(&resolved, &args.change.forget)?.told::<T>(&seen));
    let empty = plan.is_empty();
    if output.for_people() {
        let view =
            View { verbose: global.verbose > 0, colour: output.colour(), done: false, down: args.down };
        plan.warnings.iter().for_each(|warning| log::warning(&warning.message));
        plan.skipped.iter().for_each(|host| log::note(&format!("{host} is offline and was skipped")));
        output.text(&show(&plan, view))?;
    } else {
        output.emit(&[plan])?;
    }
    if args.exit_code && !empty {
        return Err(Failure::new(Kind::Differs, "plan.differs", "there is something to do").into());
    }
    Ok(())
}

/// What a verb of the tool itself works on: the document, the resolved stack, the selected parts and the hosts.
pub type Cast<T> = (Stack, Resolved, Only, HostSet<T>);

/// The stack and hosts that the flags name, for a verb of the tool itself.
///
/// # Errors
/// All problems of the document; an unknown name.
pub fn host_set_of<T: Tool>(
    tool: &T,
    stack: &StackArgs,
    scope: &ScopeArgs,
    global: &Global,
) -> Result<Cast<T>, Failures> {
    let (document, resolved) = super::read_stack(stack)?;
    let only = narrowed(scope, &document)?;
    let hosts = participants(&resolved, scope, &only, stack)?;
    let host_set = HostSet::new(tool, &hosts.taking_part, global)?;
    Ok((document, resolved, only, host_set))
}

/// The selection of `--only` in a stack.
pub(super) fn narrowed(scope: &ScopeArgs, stack: &Stack) -> Result<Only, Failures> {
    let only = scope.only.as_deref().map(Only::parse).transpose()?.unwrap_or_default();
    only.check(stack).map(|()| only)
}

/// Which hosts take part.
pub(super) fn participants(
    resolved: &Resolved,
    scope: &ScopeArgs,
    only: &Only,
    from: &StackArgs,
) -> Result<Participants, Failures> {
    let known = |name: &&String| !resolved.hosts.iter().any(|h| h.name == **name);
    let unknown = scope.offline.iter().chain(&scope.local).filter(known).map(|name| {
        let message = format!("stack {} has no host {name}", resolved.stack);
        let hint = stack::hint(name, resolved.hosts.iter().map(|h| h.name.as_str()));
        Failure::new(Kind::Usage, "usage.host", message).hint(hint)
    });
    Failures(unknown.collect()).verdict()?;
    let meant = resolved.hosts.iter().filter(|h| only.host(&h.name));
    let (skipped, taking): (Vec<_>, Vec<_>) =
        meant.partition(|h| h.offline || scope.offline.contains(&h.name));
    let taking_part = taking
        .into_iter()
        .map(|h| PlanHost {
            name: h.name.clone(),
            address: h.address,
            ssh: h.ssh.clone(),
            key: h.key.as_deref().map(|key| from.beside(key)),
            local: h.local || scope.local.contains(&h.name),
            base: String::new(),
        })
        .collect();
    Ok(Participants { taking_part, skipped: skipped.into_iter().map(|h| h.name.clone()).collect() })
}

/// Whether to remove data, too: only if the stack's name was repeated.
pub(super) fn destroys(repeated: Option<&str>, name: &str) -> Result<bool, Failures> {
    if repeated.is_some_and(|data| data != name) {
        let message = format!("--destroy-data must repeat the stack's name, {name}");
        return Err(Failure::new(Kind::Usage, "usage.destroy_data", message).into());
    }
    Ok(repeated.is_some())
}

/// The input of a plan for `up`.
pub(super) fn plan_input<T: Tool>(
    tool: &T,
    stack: &Stack,
    resolved: &Resolved,
    only: Only,
    change: &ChangeArgs<T>,
    from: &StackArgs,
    hosts: &Participants,
) -> Result<PlanInput<T::Gathered>, Failures> {
    let found = |path: &str| from.beside(path).into();
    let source = Source { stack, resolved, only: &only, hosts: &hosts.taking_part, found: &found };
    let gathered = tool.gather(&source);
    let gathered = gathered.map_err(|failures| super::resolve::located(failures, from))?;
    Ok(PlanInput {
        stack: stack.name.clone(),
        goal: Goal::Up(Box::new(stack.clone()), Box::new(resolved.clone())),
        only,
        prune: change.prune,
        yes: change.yes,
        accepted: change.risks.accepted.clone(),
        destroy_data: false,
        gathered,
        hosts: hosts.taking_part.clone(),
    })
}

/// Makes the plan and puts it in its envelope.
pub(super) fn make<T: Tool>(
    tool: &T,
    input: &PlanInput<T::Gathered>,
    seen: &BTreeMap<String, ObservedOf<T>>,
    skipped: Vec<String>,
) -> Result<PlanOf<T>, Failures> {
    let mut draft = tool.plan(input, seen)?;
    draft.warnings.extend(seen.iter().flat_map(|(host, seen)| failed_jobs(host, &seen.warnings)));
    let base = |h: &PlanHost| seen.get(&h.name).map(|o| PlanHost { base: o.base.clone(), ..h.clone() });
    let plan = Plan {
        schema: document::schema(T::NAME, "plan"),
        stack: input.stack.clone(),
        warnings: draft.warnings,
        hosts: input.hosts.iter().filter_map(base).collect(),
        skipped,
        kept: draft.kept,
        steps: draft.steps,
        contents: draft.contents,
        data: draft.data,
        told: draft.told,
    };
    super::waves::ordered(&plan)?;
    Ok(plan)
}

/// The warnings of a host about jobs that failed.
fn failed_jobs(host: &str, warnings: &[Warning]) -> impl Iterator<Item = Warning> {
    let failed = warnings.iter().filter(|warning| warning.code.ends_with(JOB));
    failed.map(move |warning| Warning { message: format!("{host}: {}", warning.message), ..warning.clone() })
}

/// Prints the warnings and kept objects of a plan.
pub(super) fn tell<O: Object, D>(plan: &Plan<O, D>, down: bool) {
    for warning in &plan.warnings {
        log::warning(&warning.message);
    }
    for host in &plan.skipped {
        log::note(&format!("{host} is offline and was skipped"));
    }
    let why = if down {
        "is data and is kept; --destroy-data removes it"
    } else {
        "is not in the document and is kept; --prune removes it"
    };
    for kept in &plan.kept {
        log::warning(&format!("{kept} {why}"));
    }
}

/// What a changing verb did: a table on standard output on request, else the totals on standard error.
pub(super) fn done<O: Object, D>(
    plan: &Plan<O, D>,
    down: bool,
    global: &Global,
    output: &Output,
) -> Result<bool, Failure> {
    let view = View { verbose: global.verbose > 0, colour: output.colour(), done: true, down };
    if output.table {
        output.text(&show(plan, view)).map(|()| true)
    } else {
        log::note(&sum(plan, view));
        Ok(false)
    }
}

/// The failures of all hosts in one.
pub(super) fn gather(failed: BTreeMap<String, Failures>) -> Failures {
    Failures(failed.into_values().flat_map(|f| f.0).collect())
}

/// Observed documents from a file, one for each host that takes part, about this stack. Documents of other hosts are
/// ignored.
fn read_observed<T: Tool>(
    path: &Path,
    stack: &str,
    hosts: &[PlanHost],
) -> Result<BTreeMap<String, ObservedOf<T>>, Failures> {
    let (text, file) = stdio::read(Some(path))?;
    let mut seen: BTreeMap<String, ObservedOf<T>> = BTreeMap::new();
    let mut failures = Vec::new();
    let mut refuse = |message: String, hint: String| {
        let failure = Failure::new(Kind::Data, "plan.observed", format!("{file}: {message}"));
        failures.push(failure.hint(hint));
    };
    for one in document::read_all::<ObservedOf<T>>(&text, &file, &document::schema(T::NAME, "observed"))? {
        let host = one.host.clone();
        if one.stack.as_deref() != Some(stack) {
            let of = one.stack.as_deref().map_or("every stack".to_owned(), |s| format!("stack {s}"));
            let hint = format!("create it with: {} observe STACK", T::PROGRAM);
            refuse(format!("{host} was observed for {of}, not for {stack}"), hint);
        } else if let Some(only) = &one.only {
            let hint = "observe it without --only".to_owned();
            refuse(
                format!("{host} was observed with --only {only}, which is not sufficient for a plan"),
                hint,
            );
        } else if hosts.iter().any(|h| h.name == host) && seen.insert(host.clone(), one).is_some() {
            refuse(format!("{host} occurs twice"), "keep the newer one".to_owned());
        }
    }
    for host in hosts.iter().filter(|h| !seen.contains_key(&h.name)) {
        let hint = format!("observe it, or skip it: --offline {}", host.name);
        refuse(format!("{} is missing", host.name), hint);
    }
    Failures(failures).verdict()?;
    Ok(seen)
}
