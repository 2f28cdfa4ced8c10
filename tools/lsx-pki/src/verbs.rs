//! The verb `trust`, on the operator's machine, and its answer on the host of the authority.

use crate::model::Trusted;
use crate::{Pki, seen};
use clap::Args;
use common::cli::Global;
use common::tool::Tool as _;
use common::verb::{self, ScopeArgs, StackArgs};
use common::{Failure, Failures, Kind, document, fleet, log};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Flags of `trust`.
#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    #[command(flatten)]
    stack: StackArgs,
    #[command(flatten)]
    scope: ScopeArgs,
}

/// The host's answer: the root's certificate.
///
/// # Errors
/// If there is no authority, or it cannot be used.
pub(crate) fn trusted(input: &Value) -> Result<Trusted, Failure> {
    common::host::root()?;
    let stack = input["stack"].as_str().unwrap_or_default();
    let opened = seen::open(stack).map_err(|(_, why)| {
        let message = format!("the authority of stack {stack} cannot be used: {why}");
        Failure::new(Kind::Failed, "pki.authority", message).hint("run `lsx-pki up`")
    })?;
    Ok(Trusted {
        schema: document::schema(Pki::NAME, "trust"),
        stack: stack.to_owned(),
        host: String::new(),
        sha256: opened.root.sha256(),
        not_after: log::at(opened.root.not_after),
        pem: opened.root.pem(),
    })
}

/// Prints what clients have to trust.
///
/// # Errors
/// If the document has no authority, or its host does not answer.
pub(crate) fn trust(args: &TrustArgs, global: &Global) -> Result<(), Failures> {
    let (stack, _, _, mut hosts) = verb::host_set_of(&Pki, &args.stack, &args.scope, global)?;
    let Some(host) = stack.pki.as_ref().and_then(|_| stack.signer()).map(str::to_owned) else {
        let message = format!("stack {} has no authority", stack.name);
        return Err(Failure::new(Kind::Data, "pki.none", message).hint("write pki: {}").into());
    };
    if !hosts.has(&host) {
        let message = format!("{host}, the host of the authority, does not take part");
        return Err(Failure::new(Kind::Unreachable, "pki.plan.signer", message).into());
    }
    let asked = BTreeMap::from([(host.clone(), json!({"stack": stack.name}))]);
    let answer = hosts.call("trust", asked).remove(&host);
    let none = || Failure::new(Kind::Unreachable, "pki.plan.signer", format!("{host} did not answer"));
    let trusted: Trusted = fleet::shape(answer.unwrap_or_else(|| Err(none().into()))?)?;
    global.output(Pki::TABLES).emit(&[Trusted { host, ..trusted }])?;
    Ok(())
}
