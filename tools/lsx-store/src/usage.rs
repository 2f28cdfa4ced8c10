//! The verb `usage`: what volumes and the disks below them have, use, and have left.

use crate::model::{Usage, UsageAt, Used};
use crate::{Store, observe};
use clap::Args;
use common::cli::Global;
use common::tool::Tool as _;
use common::verb::{self, ScopeArgs, StackArgs, usual_stack};
use common::{Failure, Failures, Kind, document, fleet};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

/// Flags of `usage`.
#[derive(Debug, Args)]
pub(crate) struct UsageArgs {
    #[command(flatten)]
    stack: StackArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Read all of a volume whose file system does not count what it uses, as du(1) does; see --deadline
    #[arg(long)]
    count: bool,
}

/// Asks the hosts of a stack, or this one.
///
/// # Errors
/// Those of hosts; an unknown name.
pub(crate) fn run(args: &UsageArgs, global: &Global) -> Result<(), Failures> {
    let output = global.output(Store::TABLES);
    let schema = document::schema(Store::NAME, "usage");
    let Some(input) = args.stack.input.clone().or_else(usual_stack) else {
        args.scope.of_this_host()?;
        let answer = answer(&json!({"count": args.count}), &AtomicBool::new(false))?;
        let volumes = at(&common::host::name(), fleet::shape(answer)?);
        return Ok(output.emit(&[Used { schema, stack: None, volumes }])?);
    };
    let from = StackArgs { input: Some(input), ..args.stack.clone() };
    let (stack, resolved, only, mut hosts) = verb::host_set_of(&Store, &from, &args.scope, global)?;
    let asked = resolved.hosts.iter().filter(|host| hosts.has(&host.name));
    let asked: BTreeMap<String, Value> =
        asked.map(|host| (host.name.clone(), json!({"stack": stack.name, "count": args.count}))).collect();
    let (mut volumes, mut failures) = (Vec::new(), Vec::new());
    for (host, answer) in hosts.call("usage", asked) {
        match answer.and_then(|answer| Ok(fleet::shape::<Vec<Usage>>(answer)?)) {
            Ok(all) => {
                volumes.extend(at(&host, all).into_iter().filter(|one| only.stored(&one.usage.volume)))
            }
            Err(wrong) => failures.extend(wrong.0.into_iter().map(|failure| failure.on(&host))),
        }
    }
    output.emit(&[Used { schema, stack: Some(stack.name), volumes }])?;
    Failures(failures).verdict()
}

fn at(host: &str, all: Vec<Usage>) -> Vec<UsageAt> {
    all.into_iter().map(|usage| UsageAt { host: host.to_owned(), usage }).collect()
}

/// The host's side: the volumes of a stack, or of all.
///
/// # Errors
/// Kind `Denied` without root; what cannot be counted.
pub(crate) fn answer(input: &Value, cancel: &AtomicBool) -> Result<Value, Failures> {
    let mut all = observe::usage_of(input["stack"].as_str())?;
    if input["count"].as_bool() == Some(true) {
        all.iter_mut().try_for_each(|usage| counted(usage, cancel))?;
    }
    Ok(json!(all))
}

fn counted(usage: &mut Usage, cancel: &AtomicBool) -> Result<(), Failure> {
    let told = |why: String| {
        let message = format!("volume {} cannot be counted: {why}", usage.volume);
        Failure::new(Kind::Failed, "store.count", message)
            .hint("count it by du(1) on its host, or with a longer --deadline")
    };
    let folder = crate::apply::folder::open(usage.path.as_ref()).map_err(|e| told(e.to_string()))?;
    let counted = crate::count::count(&folder, cancel).map_err(|failure| told(failure.message))?;
    usage.used_bytes.get_or_insert(counted.bytes);
    usage.used_inodes = Some(counted.inodes);
    Ok(())
}
