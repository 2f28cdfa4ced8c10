//! The flags of the verb `update`.

use super::named;
use crate::Dns;
use crate::edit::{self, Order};
use clap::Args;
use common::cli::Global;
use common::tool::Tool as _;
use common::verb::{self, ScopeArgs};
use common::{Failure, Failures, Kind};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// The port of DNS.
const PORT: u16 = 53;

/// Flags of `update`.
#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// `add NAME [TTL] TYPE DATA`, `delete NAME [TYPE [DATA]]`, or a condition for all changes: `if NAME [TYPE [DATA]]`,
    /// `unless NAME [TYPE]`; `-`: a document from a pipe
    #[arg(value_name = "CHANGE", allow_hyphen_values = false)]
    changes: Vec<String>,
    /// The client of `dns.update` whose key is used
    #[arg(long, value_name = "CLIENT", conflicts_with = "key")]
    client: Option<String>,
    /// A file with a key, as tsig-keygen prints it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Another server that this machine reaches, as ADDRESS or ADDRESS:PORT; default: the name server of an instance, in its place
    #[arg(long, value_name = "ADDRESS", value_parser = server)]
    server: Option<SocketAddr>,
    /// The zone; default: the one that the first name is in
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// The instance that sends it, or a network, of which the first instance sends it; default: the first instance with a name server
    #[arg(long, value_name = "NAME", conflicts_with = "server")]
    from: Option<String>,
    /// The stack file; default: a document from a pipe, else $LSX_STACK, else ./stack.yaml
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
    #[command(flatten)]
    scope: ScopeArgs,
}

fn server(text: &str) -> Result<SocketAddr, String> {
    let bare = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
    bare.or_else(|_| text.parse()).map_err(|_| "neither ADDRESS nor ADDRESS:PORT".to_owned())
}

pub(super) fn run(args: &UpdateArgs, global: &Global) -> Result<(), Failures> {
    let piped = args.changes == ["-"];
    if !piped && args.changes.iter().any(|change| change == "-") {
        let failure =
            Failure::new(Kind::Usage, "usage.change", "- is a document, and other changes stand beside it");
        return Err(failure.hint("write all of them in the document").into());
    }
    let order = Order {
        changes: &args.changes,
        client: args.client.as_deref(),
        key: args.key.as_deref(),
        server: args.server,
        zone: args.zone.as_deref(),
        from: args.from.as_deref(),
    };
    // The pipe has the changes, so the stack is a file.
    let file = args.stack.clone().or_else(|| if piped { verb::usual_stack() } else { None });
    let (updated, said) = edit::run(&order, &named(file.as_ref()), &args.scope, global)?;
    global.output(Dns::TABLES).emit(&[&updated])?;
    Ok(updated.verdict(&said)?)
}
