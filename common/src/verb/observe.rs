//! `observe`: what is there, on this host or on all hosts of a stack.

use super::{Crew, ObserveArgs, host, plan};
use crate::cli::Global;
use crate::failure::Failures;
use crate::stdio::Output;
use crate::tool::Tool;

pub(super) fn run<T: Tool>(
    tool: T,
    args: &ObserveArgs,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    if args.stack.input.is_none() {
        return Ok(output.emit(&[host::observe(tool, None)?])?);
    }
    let (stack, resolved) = super::read_stack(&args.stack)?;
    let hosts = plan::participants(&resolved, &args.scope, &args.stack)?;
    let (seen, failed) = Crew::new(tool, &hosts.taking_part, global)?.observe(&stack.name, false);
    output.emit(&seen.into_values().collect::<Vec<_>>())?;
    plan::gather(failed).verdict()
}
