//! How the observed documents of golden cases were created: what a stack left on the hosts, and later changes.

use crate::{Hosts, bare, plan, plan_input, simulate};
use common::tool::ObservedOf;
use lsx_net::Net;
use lsx_tests::golden::{self, Case};
use serde_json::Value;

/// The documents, when the folder says how they are made.
pub(crate) fn remade(case: &Case) -> Option<String> {
    let (was, edits) = case.drift()?;
    let up = was.is_some();
    let input =
        plan_input(&was.unwrap_or_else(|| case.text())).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let mut hosts = bare(&input);
    if up {
        hosts = simulate::after(&plan(&input, &hosts), &hosts);
    }
    Some(told(&edited(hosts, &edits)))
}

fn edited(mut hosts: Hosts, edits: &[Value]) -> Hosts {
    for edit in edits {
        let host = hosts.get_mut(edit["host"].as_str().unwrap()).unwrap();
        let mut document = serde_json::to_value(&*host).unwrap();
        golden::edit(&mut document, edit);
        let seen: ObservedOf<Net> =
            serde_json::from_value(document).unwrap_or_else(|e| panic!("{edit}: {e}"));
        let stack_hosts = seen.stack_hosts;
        *host = simulate::looked(seen.stack.as_deref().unwrap(), &seen.host, seen.objects, seen.seen);
        host.stack_hosts = stack_hosts;
    }
    hosts
}

/// One document a line.
pub(crate) fn told(hosts: &Hosts) -> String {
    hosts.values().map(|seen| serde_json::to_string(seen).unwrap() + "\n").collect()
}
