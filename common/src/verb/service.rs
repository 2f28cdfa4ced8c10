//! `supervise-service` and `serve-service`: the two processes of a service that the engine keeps on this host.

use crate::failure::{Failure, Failures, Kind};
use crate::host::service::kept::KeptService;
use crate::host::service::{supervisor, worker::Worker};
use crate::tool::Tool;
use clap::Args;

/// Flags of both.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// The stack
    #[arg(value_name = "STACK")]
    stack: String,
    /// The service
    #[arg(value_name = "NAME")]
    name: String,
}

pub(super) fn supervise<T: Tool>(tool: &T, args: &ServiceArgs) -> Result<(), Failures> {
    crate::host::root()?;
    let of = KeptService { tool: T::NAME, stack: args.stack.clone(), name: args.name.clone() };
    if of.text()?.is_some() {
        let tend = tool.tend(&of);
        return Ok(supervisor::run(of, tend)?);
    }
    let message = format!("this host has no service {} of stack {}", of.name, of.stack);
    let hint = format!("`{} up` with the stack's file starts its services", T::PROGRAM);
    Err(Failure::new(Kind::Failed, "host.service", message).hint(hint).into())
}

/// It gets everything but its name from its supervisor.
pub(super) fn serve<T: Tool>(tool: &T, args: &ServiceArgs) -> Result<(), Failures> {
    Ok(tool.serve(Worker::begin(T::PROGRAM, &args.name)?)?)
}
