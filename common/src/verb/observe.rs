//! `observe`: what exists on this host or on all hosts of a stack.

use super::roll::Roll;
use super::{HostSet, ObserveArgs, StackArgs, host, plan, usual_stack};
use crate::cli::Global;
use crate::failure::Failures;
use crate::log;
use crate::stdio::Output;
use crate::tool::Tool;

pub(super) fn run<T: Tool>(
    tool: &T,
    args: &ObserveArgs,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    // Without a stack it observes this host and does not read standard input.
    let Some(input) = args.stack.input.clone().or_else(usual_stack) else {
        args.scope.of_this_host()?;
        crate::host::root()?;
        return Ok(output.emit(&[host::observe(tool, None)?])?);
    };
    let from = StackArgs { input: Some(input), ..args.stack.clone() };
    let (stack, resolved) = super::read_stack(&from)?;
    let only = plan::narrowed(&args.scope, &stack)?;
    let hosts = plan::participants(&resolved, &args.scope, &only, &from)?;
    let (mut seen, failed) = HostSet::new(tool, &hosts.taking_part, global)?.observe(&stack.name);
    for warning in Roll::of(&resolved, &[])?.told::<T>(&seen) {
        log::warning(&warning.message);
    }
    if !only.all() {
        for observed in seen.values_mut() {
            tool.narrow(&only, &resolved, observed);
            observed.only.clone_from(&args.scope.only);
        }
    }
    output.emit(&seen.into_values().collect::<Vec<_>>())?;
    plan::gather(failed).verdict()
}
