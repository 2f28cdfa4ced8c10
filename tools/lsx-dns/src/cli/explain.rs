//! The flags of the verb `explain`.

use super::{named, usual};
use crate::query::{self, Order};
use crate::{Dns, dhcp};
use clap::Args;
use common::cli::Global;
use common::tool::Tool as _;
use common::{Failure, Failures, Kind};
use std::path::PathBuf;

/// Flags of `explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The name; of an address its reverse name; of a hardware address such as 02:00:5e:00:53:01 what DHCP gives it
    name: String,
    /// The type of records: A, SRV, PTR, ...; default: A, of an address PTR
    #[arg(value_name = "TYPE")]
    kind: Option<String>,
    /// The instance that asks, or a network, of which the first instance asks; default: the first instance with a name server. Of a
    /// hardware address the network; default: the one that has an address for it, else the first one with DHCP
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
    /// The stack file; default: a document from a pipe, else $LSX_STACK, else ./stack.yaml
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
}

pub(super) fn run(args: &ExplainArgs, global: &Global) -> Result<(), Failures> {
    let stack = named(args.stack.as_ref());
    let (output, from) = (global.output(Dns::TABLES), args.from.as_deref());
    if let Some(mac) = dhcp::mac(&args.name)? {
        if let Some(kind) = &args.kind {
            let message = format!("{mac} is a hardware address, which has no records of the type {kind}");
            return Err(Failure::new(Kind::Usage, "usage.type", message).hint("leave out the type").into());
        }
        return Ok(output.emit(&[dhcp::explain(&mac, from, &stack)?])?);
    }
    let kind = usual(&args.name, args.kind.as_deref());
    let order = Order { name: &args.name, kind, from, tcp: false };
    Ok(output.emit(&[query::explain(&order, &stack)?])?)
}
